"""The configurations of the README: each is a file, and does what the README says it does."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client import CollectorRegistry

import tapeline.cardinality
from cardinality_steps import fake_uuid
from markdown_pages import ROOT, page
from metric_requests import Series, at, batch_of, counted
from otlp_client import Span, logs, traces
from tapeline.doctor.command import check_command
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.registry import ProcessorContext
from tapeline.settings import build_chain, load_settings
from workers_configuration import write_workers

FOLDER = Path(tapeline.cardinality.__file__).parent
README = page(FOLDER / "README.md")
FILES = sorted((FOLDER / "testdata").glob("*.yaml"))
COLLECTOR = "collector.yaml"


class Gate:
    """A chain that only limits, and the last value of every series that left it."""

    def __init__(self, name: str) -> None:
        settings = load_settings(FOLDER / "testdata" / name, {})
        chain = build_chain(settings, ProcessorContext(CollectorRegistry(), live=False))
        limits = {step.name: step for step in chain.processors}["cardinality"]
        self._chain = Chain({signal: [limits] for signal in Signal})
        self.series: dict[tuple[str, frozenset[tuple[str, str]]], int] = {}
        self._second = 0
        # Series that began before the first batch would be baselines.
        self.count("first", [({}, 0)])
        self.series.clear()

    def count(self, name: str, points: list[tuple[dict[str, str], int]], **about: Any) -> None:
        """Send the counters of a metric, all begun in the second after the first batch."""
        self._second += 1
        second = self._second
        sent = [
            counted(labels, value, second, 1.5 if second > 1 else 1) for labels, value in points
        ]
        (batch,) = self._chain.process(batch_of(Series(name, sent, **about)), at(second))
        self.take(batch)

    def send(self, signal: Signal, message: Any) -> Any:
        """Send a request of logs or traces, and return what left of it."""
        payload = message.SerializeToString()
        (batch,) = self._chain.process(Batch(signal, payload), at(self._second))
        return batch.request

    def take(self, batch: Batch) -> None:
        """Note the last values of a batch."""
        message = ExportMetricsServiceRequest.FromString(batch.payload)
        for around in message.resource_metrics:
            attributes = set(texts(around.resource.attributes))
            for metric in around.scope_metrics[0].metrics:
                for point in metric.sum.data_points:
                    labels = frozenset(attributes.union(texts(point.attributes)))
                    self.series[metric.name, labels] = point.as_int

    @property
    def total(self) -> int:
        """Return the sum over all series."""
        return sum(self.series.values())

    def values_of(self, label: str) -> set[str]:
        """Return the values of a label over all series."""
        return {value for _, labels in self.series for key, value in labels if key == label}


def texts(attributes: Any) -> list[tuple[str, str]]:
    """Return attributes as pairs of texts."""
    return [
        (pair.key, pair.value.string_value or str(pair.value.bool_value).lower())
        for pair in attributes
    ]


def ids(count: int, key: str, value: int = 3) -> list[tuple[dict[str, str], int]]:
    """Return counters that differ in a UUID."""
    return [({key: fake_uuid(number)}, value) for number in range(count)]


def flood() -> None:
    """500 series and the overflow, with every increase; a metric that is dropped is."""
    gate = Gate("flood.yaml")
    for value in (3, 5):
        gate.count("orders.placed", ids(600, "order.id", value))
    assert len(gate.series) == 501
    assert gate.total == 600 * 5
    gate.series.clear()
    gate.count("debug.calls", ids(60, "id"))
    assert len(gate.series) == 50


def normalize() -> None:
    """One series a path without its ids, with the sum of all."""
    gate = Gate("normalize.yaml")
    paths = [f"/orders/{fake_uuid(number)}/fills/{number}" for number in range(20)]
    points = [({"url.path": path}, 2) for path in [*paths, "/find/ORD-7XA", "/health"]]
    gate.count("http.server.request.count", points)
    assert gate.values_of("url.path") == {
        "/orders/{uuid}/fills/{number}",
        "/find/{order}",
        "/health",
    }
    assert gate.total == 2 * 22


def drop_label() -> None:
    """The label is gone, the others stay."""
    gate = Gate("drop_label.yaml")
    points = [
        ({"request.id": fake_uuid(number), "method": "get"}, number) for number in range(1, 41)
    ]
    gate.count("rpc.calls", points)
    assert not gate.values_of("request.id")
    assert gate.values_of("method") == {"get"}
    assert (len(gate.series), gate.total) == (1, sum(range(41)))


def replace_value() -> None:
    """100 names, and `__other__` for the rest."""
    gate = Gate("replace_value.yaml")
    gate.count("logins", [({"user.name": f"u{number}"}, 1) for number in range(250)])
    values = gate.values_of("user.name")
    assert "__other__" in values
    assert (len(values), gate.total) == (101, 250)


def tenants() -> None:
    """Each team has its own room, over all of its metrics."""
    gate = Gate("tenants.yaml")
    for team in ("research", "unnamed"):
        for name in ("signals", "models"):
            points = ids(150, "run.id")
            gate.count(name, points, resource={"team.name": team})
    series = [labels for _, labels in gate.series if ("otel.metric.overflow", "true") not in labels]
    of_team = [
        sum(("team.name", team) in one for one in series) for team in ("research", "unnamed")
    ]
    assert of_team == [200, 300]


def protect() -> None:
    """What is protected passes, beyond the limit too."""
    gate = Gate("protect.yaml")
    gate.count("trading.pnl.realized", ids(150, "position.id"))
    assert len(gate.series) == 150
    gate.series.clear()
    gate.count("quotes", ids(120, "id"))
    gate.count("quotes", [({"venue": "binance", "id": "late"}, 1), ({"venue": "x"}, 1)])
    assert gate.values_of("venue") == {"binance"}
    assert gate.values_of("otel.metric.overflow") == {"true"}


def loki() -> None:
    """Names beyond the limit become one; ids go before anything is counted."""
    gate = Gate("loki.yaml")
    names = set()
    for number in range(60):
        about = {"job.name": f"report-{number}", "service.name": "a"}
        left = gate.send(Signal.LOGS, logs(["x"], about))
        names |= set(texts(left.resource_logs[0].resource.attributes))
    assert names == {("job.name", "report-{number}"), ("service.name", "a")}
    services = {"a"}
    for number in range(210):
        left = gate.send(Signal.LOGS, logs(["x"], {"service.name": f"s-{number}"}))
        services |= {value for _, value in texts(left.resource_logs[0].resource.attributes)}
    assert "__other__" in services
    assert len(services) == 201


def spans() -> None:
    """Names and routes without their numbers."""
    gate = Gate("spans.yaml")
    sent = [
        Span(b"\1" * 16, name=f"GET /user/{number}", attributes={"http.route": f"/v/{number}"})
        for number in range(40)
    ]
    left = gate.send(Signal.TRACES, traces(sent)).resource_spans[0].scope_spans[0].spans
    assert {span.name for span in left} == {"GET /user/{number}"}
    assert {value for span in left for _, value in texts(span.attributes)} == {"/v/{number}"}


def resource() -> None:
    """The pods of a service are one series, with the sum of all."""
    gate = Gate("resource.yaml")
    for number in range(30):
        about = {"service.name": "api", "k8s.pod.name": f"api-{fake_uuid(number)}"}
        gate.count("requests", [({}, 4)], resource=about)
    assert [set(labels) for _, labels in gate.series] == [{("service.name", "api")}]
    assert gate.total == 4 * 30


def observe() -> None:
    """Nothing changes."""
    gate = Gate("observe.yaml")
    gate.count("orders.placed", ids(700, "order.id"))
    assert len(gate.series) == 700


def only_loads() -> None:
    """What tests/serve and tests/stack run."""


RUNS: dict[str, Callable[[], None]] = {
    "flood.yaml": flood,
    "normalize.yaml": normalize,
    "drop_label.yaml": drop_label,
    "replace_value.yaml": replace_value,
    "tenants.yaml": tenants,
    "protect.yaml": protect,
    "loki.yaml": loki,
    "spans.yaml": spans,
    "resource.yaml": resource,
    "observe.yaml": observe,
    "state.yaml": only_loads,
    "two_workers.yaml": only_loads,
}


@pytest.mark.parametrize("name", RUNS)
def test_an_example_does_what_the_readme_says(name: str) -> None:
    """It is a valid configuration of a gate, and what leaves is as written there."""
    load_settings(FOLDER / "testdata" / name, {})
    RUNS[name]()


def test_every_example_is_in_the_readme_and_run() -> None:
    """Word by word; and the page shows no other configuration."""
    shown = {}
    for block in README.blocks:
        if block.language == "yaml":
            name = re.fullmatch(r"# testdata/(\S+)", block.lines[0])
            assert name is not None, f"line {block.line} names no file"
            shown[name[1]] = "".join(f"{line}\n" for line in block.lines[1:])
    assert shown == {path.name: path.read_text(encoding="utf-8") for path in FILES}
    assert set(shown) == {*RUNS, COLLECTOR}


def test_the_collector_of_the_readme_is_the_one_that_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exporter is that of docs/collector.md, which tests/stack runs with two workers."""
    path = FOLDER / "testdata" / COLLECTOR
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    _, workers = write_workers(tmp_path)
    run = yaml.safe_load(workers.read_text(encoding="utf-8"))

    assert own["exporters"]["load_balancing/metrics"] == run["exporters"]["load_balancing/metrics"]
    metrics = run["service"]["pipelines"]["metrics/ingress"]
    assert own["service"]["pipelines"]["metrics/ingress"] == metrics
    assert own["exporters"]["load_balancing/metrics"]["sending_queue"]["num_consumers"] == 1

    gate = FOLDER / "testdata" / "two_workers.yaml"
    ingress = ROOT / "collector" / "ingress.yaml"
    assert check_command(gate, [ingress, path], as_json=False) == 0
    assert "nothing wrong found" in capsys.readouterr().out
