"""The state of the limits in a gate that really runs: stopped, killed, and told to reload."""

import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    NumberDataPoint,
)

from cardinality_steps import totals
from gate_process import GateProcess, gate_config, running_gate
from metric_requests import OVERFLOW_KEY, attribute
from scripted_downstream import Downstream, running_downstream
from sidecars import client
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from waiting import eventually

CHAIN = {"logs": [], "traces": [], "metrics": ["cardinality"]}
SECOND_NS = 1_000_000_000


@dataclass
class Flood:
    """A service with one admitted series and any number of others, in front of several gates."""

    folder: Path
    downstream: Downstream

    def config(self, **limits: Any) -> dict[str, Any]:
        """Return the configuration of a gate with these limits."""
        section = {"default_limit": 1, "state": str(self.folder / "limits"), **limits}
        return gate_config(self.downstream.address, {}, chain=CHAIN, cardinality=section)

    @contextmanager
    def gate(self, **limits: Any) -> Iterator[GateProcess]:
        """Run a gate, and kill it at the end unless it has stopped."""
        with running_gate(self.folder, self.config(**limits)) as gate:
            yield gate

    def send(self, gate: GateProcess, values: Mapping[str, int], start_ns: int) -> dict[str, int]:
        """Send a point of each id, and return what left: values by id, and of the overflow as +."""
        request = ExportMetricsServiceRequest()
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="fills")
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.data_points.extend(
            NumberDataPoint(
                attributes=[attribute("id", name)],
                start_time_unix_nano=start_ns,
                time_unix_nano=time.time_ns(),
                as_int=value,
            )
            for name, value in values.items()
        )
        with client(gate.address) as sender:
            answer = sender.export(request.SerializeToString(), Signal.METRICS)
        assert answer.code.name == "OK", answer
        return totals(self.last())

    def last(self) -> Batch:
        """Return what arrived last."""
        return Batch(Signal.METRICS, self.downstream.payloads(Signal.METRICS)[-1])

    def overflow_start(self) -> int:
        """Return the start of the overflow in what arrived last."""
        request: Any = self.last().request
        for around in request.resource_metrics:
            for scoped in around.scope_metrics:
                for metric in scoped.metrics:
                    for point in metric.sum.data_points:
                        if point.attributes[0].key == OVERFLOW_KEY:
                            return int(point.start_time_unix_nano)
        raise LookupError("no overflow")


@pytest.fixture
def flood(tmp_path: Path) -> Iterator[Flood]:
    """Return a flood with the downstream of its gates."""
    with running_downstream() as downstream:
        yield Flood(tmp_path, downstream)


def stop(gate: GateProcess) -> None:
    """Let a gate end by itself."""
    gate.process.send_signal(signal.SIGTERM)
    assert gate.process.wait(30) == 0


def test_a_stopped_gate_goes_on_with_the_same_totals(flood: Flood) -> None:
    """SIGTERM writes the state with its mark, and the next start has nothing to make up for."""
    began = time.time_ns()
    with flood.gate() as gate:
        flood.send(gate, {"a": 1, "b": 10}, began)
        assert flood.send(gate, {"b": 15}, began) == {"+": 5}
        start = flood.overflow_start()
        stop(gate)
    assert (flood.folder / "limits.0.clean").exists()

    with flood.gate() as gate:
        assert flood.send(gate, {"a": 2, "b": 18}, began) == {"a": 2, "+": 8}
        assert flood.overflow_start() == start
        assert gate.count("tapeline_cardinality_snapshot_reads_total") == 1


def test_a_killed_gate_begins_a_new_epoch(flood: Flood) -> None:
    """What it had counted is not counted again, though it is all sent again."""
    began = time.time_ns()
    with flood.gate() as gate:
        flood.send(gate, {"a": 1, "b": 10}, began)
        flood.send(gate, {"b": 15}, began)
        start = flood.overflow_start()
        eventually((flood.folder / "limits.0").exists)
        # The context's end is a kill -9.
    killed = time.time_ns()
    assert not (flood.folder / "limits.0.clean").exists()

    with flood.gate() as gate:
        assert flood.send(gate, {"a": 2, "b": 18, "c": 7}, began)["+"] == 0
        assert flood.overflow_start() > killed > start
        assert flood.send(gate, {"b": 19, "c": 8}, began) == {"+": 2}


def test_a_reload_with_other_limits_keeps_the_totals(flood: Flood) -> None:
    """SIGHUP: admitted series of a rule that changed are judged anew; nothing counts twice."""
    began = time.time_ns()
    with flood.gate() as gate:
        flood.send(gate, {"order-1": 1, "b": 10}, began)
        assert flood.send(gate, {"b": 15}, began) == {"+": 5}
        start = flood.overflow_start()
        document = json.loads((flood.folder / "gate.yaml").read_text(encoding="utf-8"))
        document["cardinality"]["metrics"] = [
            {"match": "fills", "limit": 2, "normalize": {"id": ["number"]}}
        ]
        (flood.folder / "gate.yaml").write_text(json.dumps(document), encoding="utf-8")
        gate.process.send_signal(signal.SIGHUP)
        eventually(lambda: gate.count("tapeline_reloads_total") == 1)
        assert not (flood.folder / "limits.0.clean").exists()

        first = flood.send(gate, {"order-1": 4, "b": 18}, began)
        assert first == {"order-{number}": 0, "+": 8}
        assert flood.overflow_start() == start
        second = flood.send(gate, {"order-1": 6, "b": 19}, began)
        assert second == {"order-{number}": 2, "+": 9}
