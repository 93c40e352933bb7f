"""One run of the demo through the whole stack, and all that can be found of it afterwards.

Gate and backends are down at first, so that what waits in each queue can be searched; then
everything is delivered, asked for by API, and searched for on disk.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from backends import Backends, LogEntry, of
from data_folders import Hit, search
from fake_secrets import SHAPES, seeded
from otlp_client import Span, key_values, logs, send, traces
from ports import ports_in_a_row
from tapeline.demo.children import DemoServices
from tapeline.demo.command import DemoOptions, demo_settings, services_environment
from tapeline.demo.credentials import planted_credentials
from tapeline.demo.events import ACCOUNT
from tapeline.stack.ports import HOST
from tapeline.stack.runner import Stack
from waiting import eventually

SEED = 7
RUN = "controlrun7"  # begins every order id, so it is in all three backends and in the log file
CONTROL = "plantedcontrol"
# Every leak comes once in 32 orders.
RATE_PER_S, DURATION_S = 25.0, 3.0
BACKENDS = ("loki", "jaeger", "prometheus")


def shapes() -> dict[str, tuple[str, str]]:
    """Return for each shape of a secret the text that holds it and the secret itself."""
    made = {}
    for number, (name, (text, make)) in enumerate(SHAPES.items()):
        secret = make(seeded(number))
        made[name] = (text.format(secret), secret)
    return made


def needles() -> list[str]:
    """Return what must be nowhere: each secret, and the last characters of each.

    A secret that was cut or masked in part would still be found by its end.
    """
    lines = [*planted_credentials(SEED), *secrets_of_shapes()]
    return [*lines, *(line[-12:] for line in lines)]


def controls() -> list[str]:
    """Return what must be found: it was sent beside each secret, and by the demo."""
    return [RUN, *(f"{CONTROL}-{name}" for name in SHAPES)]


def secrets_of_shapes() -> list[str]:
    """Return the secrets of all shapes, line by line."""
    return [line for _, secret in shapes().values() for line in secret_lines(secret)]


def secret_lines(secret: str) -> list[str]:
    """Return the lines of a secret: of a PEM key those between the markers."""
    return [line for line in secret.splitlines() if "-----" not in line]


@dataclass(frozen=True)
class Evidence:
    """What was found, by API and on disk, before the stack was stopped."""

    raw_queue: list[Hit]
    egress_queue: list[Hit]
    log_lines_written: list[str]
    entries: list[LogEntry]
    traces: dict[str, dict[str, Any]]
    series: list[dict[str, str]]
    exemplars: list[dict[str, Any]]
    label_values: list[str]
    node_up: float
    on_disk: Mapping[str, list[Hit]]

    def api_texts(self) -> dict[str, str]:
        """Return all that each backend's API told, as text."""
        told = [(entry.line, dict(entry.labels)) for entry in self.entries]
        return {
            "loki": "\n".join(f"{line}\n{json.dumps(labels)}" for line, labels in told),
            "jaeger": json.dumps(self.traces),
            "prometheus": json.dumps([self.series, self.exemplars, self.label_values]),
        }


def run_through(stack: Stack, folder: Path) -> Evidence:
    """Run the demo through a stack that is up, and gather what can be found of it."""
    stack.terminate("loki")
    stack.terminate("jaeger")
    written = trade(stack, folder)
    stack.terminate("gate")
    plant(stack)
    raw_queue = wait_for(stack.directory / "queue" / "ingress", secrets_of_shapes())
    stack.restart("gate")
    egress_queue = wait_for_both_queues(stack.directory / "queue" / "egress")
    for name in ("loki", "jaeger"):
        stack.restart(name)
    return gather(stack, raw_queue, egress_queue, written)


def trade(stack: Stack, folder: Path) -> list[str]:
    """Run the demo's services to their end; return what they wrote into their log files."""
    log_file = stack.directory / "log-files" / "back_office.log"
    options = DemoOptions(
        seed=SEED,
        rate_per_s=RATE_PER_S,
        duration_s=DURATION_S,
        first_port=ports_in_a_row(3),
        log_file=log_file,
        log_size_bytes=20_000,
        run=RUN,
    )
    environment = {
        **services_environment(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{stack.ports.otlp_grpc}",
    }
    with DemoServices(demo_settings(options), environment, folder) as services:
        services.wait()
    files = sorted(log_file.parent.glob(f"{log_file.name}*"))
    assert len(files) > 2, "the log file was not rotated"
    assert not log_file.with_name(f"{log_file.name}.3").exists(), "lines may be rotated away"
    return [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def plant(stack: Stack) -> None:
    """Send each shape of a secret in each signal and in a file, always beside the control."""
    address = f"{HOST}:{stack.ports.otlp_grpc}"
    resource = {"service.name": "planted", "service.instance.id": CONTROL}
    trace_id = bytes(range(1, 17))
    lines, spans = [], []
    for number, (name, (text, _)) in enumerate(shapes().items()):
        note = f"{CONTROL}-{name} {text}"
        lines.append(note)
        spans.append(
            Span(
                trace_id,
                name=f"{CONTROL}-{name}",
                attributes={"note": note},
                events={"planted": {"note": note}},
                failed=True,
                span_id=(number + 1).to_bytes(8, "big"),
            )
        )
    send(address, logs(lines, resource, trace_id))
    send(address, traces(spans, resource))
    send(address, planted_metric(resource, lines))
    path = stack.directory / "log-files" / "planted.log"
    file_lines = [json.dumps({"message": line, "level": "INFO"}) for line in lines]
    path.write_text("\n".join(file_lines) + "\n", encoding="utf-8")


def planted_metric(resource: Mapping[str, str], notes: Sequence[str]) -> Any:
    """Return a cumulative sum with a point for each note."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values(resource))
    metric = group.scope_metrics.add().metrics.add(name="planted.notes")
    metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    metric.sum.is_monotonic = True
    now = time.time_ns()
    for number, note in enumerate(notes):
        metric.sum.data_points.add(
            time_unix_nano=now, start_time_unix_nano=now - 10**9, as_int=number + 1
        ).attributes.extend(key_values({"note": note}))
    return request


def wait_for(folder: Path, texts: Sequence[str]) -> list[Hit]:
    """Return the hits once every text is somewhere in the folder."""

    def look() -> list[Hit] | None:
        hits = search(folder, texts)
        missing = set(texts) - {hit.text for hit in hits}
        assert not missing, f"not in {folder.name}: {len(missing)} of {len(texts)}"
        return hits

    return eventually(look, timeout_s=60)


def wait_for_both_queues(folder: Path) -> list[Hit]:
    """Search the egress queues once both hold the last that was sent before them."""
    last = f"{CONTROL}-{list(SHAPES)[-1]}"

    def look() -> list[Hit] | None:
        hits = search(folder, [last, *needles()])
        holding = {hit.path.name for hit in hits if hit.text == last}
        assert any("loki" in name for name in holding), holding
        assert any("jaeger" in name for name in holding), holding
        return hits

    return eventually(look, timeout_s=60)


def gather(
    stack: Stack, raw_queue: list[Hit], egress_queue: list[Hit], written: list[str]
) -> Evidence:
    """Ask every API for all it has once the last has arrived, then search the data folders."""
    backends = of(stack)
    entries = eventually(lambda: all_entries(backends, written), timeout_s=90)
    found = eventually(lambda: all_traces(backends, orders_of(entries)), timeout_s=60)
    exemplars = eventually(lambda: backends.prometheus.exemplars('{__name__=~".+"}'), timeout_s=60)
    planted_series = f'{{instance="{CONTROL}"}}'
    eventually(lambda: len(backends.prometheus.series(planted_series)) >= len(SHAPES))
    # Samples wait for the watermark, which goes on by the clock when nothing comes any more.
    slippage = f'trading_slippage_bps_count{{trading_account="{ACCOUNT}"}}'
    eventually(lambda: backends.prometheus.query(slippage), timeout_s=90)
    node_up = eventually(lambda: backends.prometheus.query("node_load1"), timeout_s=60)
    values = [
        value
        for label in backends.prometheus.label_names()
        for value in backends.prometheus.label_values(label)
    ]
    series = backends.prometheus.series('{__name__=~".+"}')
    backends.loki.flush()
    data = stack.directory / "data"
    eventually(lambda: list((data / "loki" / "chunks" / "fake").rglob("*")), timeout_s=60)
    for name in BACKENDS:
        # Jaeger writes its tables when it ends.
        stack.terminate(name)
    texts = [*controls(), *needles()]
    on_disk = {name: search(data / name, texts) for name in BACKENDS}
    return Evidence(
        raw_queue,
        egress_queue,
        written,
        entries,
        found,
        series,
        exemplars,
        values,
        node_up[0].value,
        on_disk,
    )


def all_entries(backends: Backends, written: Sequence[str]) -> list[LogEntry] | None:
    """Return every log line once as many came from the files as were written, and all planted."""
    entries = backends.loki.entries('{service_name=~".+"}')
    from_files = [e for e in entries if e.labels.get("log_file_name", "").startswith("back")]
    planted = [e for e in entries if CONTROL in e.line]
    assert len(from_files) >= len(written), f"{len(from_files)} of {len(written)} lines"
    assert len(planted) >= 2 * len(SHAPES), f"{len(planted)} planted lines"
    return entries


def orders_of(entries: Sequence[LogEntry]) -> set[str]:
    """Return the ids of the orders that logs tell of; each has a trace of its own."""
    ids = {entry.labels.get("trading_order_id", "") for entry in entries}
    return {each for each in ids if each.startswith(RUN)}


def all_traces(backends: Backends, orders: set[str]) -> dict[str, dict[str, Any]] | None:
    """Return every trace by its id once the planted ones are there and nothing more comes."""
    found: dict[str, dict[str, Any]] = {}
    for service in backends.jaeger.services():
        found |= {trace["traceID"]: trace for trace in backends.jaeger.traces(service)}
    names = [span["operationName"] for trace in found.values() for span in trace["spans"]]
    assert sum(CONTROL in name for name in names) == len(SHAPES)
    assert names.count("trade") == len(orders) > DURATION_S * RATE_PER_S / 2
    return found
