"""Two workers behind the collector's load balancing: each metric has one, and one limit."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

from backends import Prometheus, fetch
from flooding import CALM, Flood, History, Kind, captured_sums
from otlp_client import key_values, send
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually
from workers_configuration import write_workers

pytestmark = pytest.mark.stack

LIMIT = 10
GLOBAL_LIMIT = 200
WIDE = 400
WINDOW_S = 20
TOLERANCE = 0.005
METRICS = {f"counted_{number}": Kind.COUNTER for number in range(6)}
OVERFLOW = frozenset({("otel.metric.overflow", "True")})
CONFIG = f"""\
chain: {{logs: [], traces: [], metrics: [redaction, cardinality]}}
cardinality:
  default_limit: {LIMIT}
  global_limit: {GLOBAL_LIMIT}
"""
CAPTURE_FILE = Path(__file__).with_name("data") / "capture.yaml"


@dataclass(frozen=True)
class Flooded:
    """A running stack with two workers, and the service that floods it."""

    stack: Stack
    flood: Flood
    captured: Path

    def history(self, name: str) -> History:
        """Return every point of a metric that egress took so far."""
        points = captured_sums(self.captured)
        return {key: history for key, history in points.items() if key[0] == name}

    def admitted_by_worker(self) -> list[float]:
        """Return how many series each worker has admitted, by its own metrics."""
        text = fetch(f"http://{HOST}:{self.stack.ports.gate_admin}/metrics").decode()
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "tapeline_cardinality_admitted_series":
                    worker = sample.labels["worker"]
                    found[worker] = found.get(worker, 0) + sample.value
        return [found[worker] for worker in sorted(found)]


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flooded]:
    """Start both with the page's YAML, and the flood; wait until every metric is at its limit."""
    folder = tmp_path_factory.mktemp("workers")
    free = Ports.free()
    # The last of the block, so that the second worker's port is nobody else's.
    ports = replace(free, gate=free.node_exporter)
    gate, workers = write_workers(folder, ports.gate, CONFIG)
    knobs = {"CAPTURE_DIR": str(folder), "TAPELINE_NODE_TARGETS": "[]"}
    changed = Overrides(
        ingress_files=(workers,),
        egress_files=(CAPTURE_FILE,),
        environment={"collector": knobs},
        gate_config=gate,
        scrape_interval_s=1,
    )
    servers = ("collector", "gate", "prometheus")
    with (
        Stack(folder / "run", ports, servers=servers, overrides=changed) as stack,
        Flood(f"{HOST}:{ports.otlp_grpc}", METRICS) as flood,
    ):
        found = Flooded(stack, flood, folder / "metrics.jsonl")
        for name in METRICS:
            eventually(lambda name=name: len(found.history(name)) == LIMIT + 1)  # type: ignore[misc]
        yield found


def test_limits_stay_exact_and_rates_right(flooded: Flooded) -> None:
    """Every metric has ten series and one overflow, whose rate is that of the control."""
    prometheus = Prometheus(flooded.stack.url("prometheus"))
    assert min(flooded.admitted_by_worker()) > 0, "all metrics met in one worker"
    settled = time.monotonic() + WINDOW_S * 1.2
    eventually(lambda: time.monotonic() > settled, timeout_s=WINDOW_S * 1.2 + 5, poll_s=1)

    def rate(name: str) -> float:
        (sample,) = prometheus.query(f"sum(rate({name}_total[{WINDOW_S}s]))")
        return sample.value

    for name in METRICS:
        # The control may be another worker's, and a scrape come between the two.
        eventually(
            lambda name=name: rate(name) == pytest.approx(rate(name + CALM), rel=TOLERANCE)  # type: ignore[misc]
        )
        (count,) = prometheus.query(f"count({name}_total)")
        assert count.value == LIMIT + 1
        (most,) = prometheus.query(f"max(resets({name}_total[5m]))")
        assert most.value == 0


def test_every_series_has_one_writer_and_totals_are_exact(flooded: Flooded) -> None:
    """A second worker would show as a second start of the same series."""
    with flooded.flood.paused() as flood:
        for name in METRICS:
            eventually(
                lambda name=name: (
                    sum(  # type: ignore[misc]
                        points[-1][1] for points in flooded.history(name).values()
                    )
                    == flood.total
                )
            )
    for name in METRICS:
        history = flooded.history(name)
        assert len(history) == LIMIT + 1
        assert (name, OVERFLOW) in history
        for points in history.values():
            assert len({start for start, _ in points}) == 1
            assert points == sorted(points)
    assert len(flood.ids) > 2 * LIMIT
    assert not flood.failures


def test_the_global_limit_is_divided(flooded: Flooded) -> None:
    """Hundreds of small metrics fill both workers: half of the limit each, not more."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values({"service.name": "wide"}))
    scoped = group.scope_metrics.add()
    for number in range(WIDE):
        metric = scoped.metrics.add(name=f"wide_{number}")
        metric.gauge.data_points.add(
            time_unix_nano=time.time_ns(), as_int=1, attributes=key_values({"venue": "XEUR"})
        )
    send(f"{HOST}:{flooded.stack.ports.otlp_grpc}", request)

    eventually(lambda: sum(flooded.admitted_by_worker()) == GLOBAL_LIMIT)
    assert flooded.admitted_by_worker() == [GLOBAL_LIMIT / 2] * 2
