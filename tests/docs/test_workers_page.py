"""The workers of docs/collector.md: its two YAML blocks are checked, and run with the collector."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from markdown_pages import ROOT
from otlp_client import Span, histogram, logs, send, traces
from tapeline.doctor.command import check_command
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually
from workers_configuration import write_workers

CAPTURE_FILE = ROOT / "tests" / "stack" / "data" / "capture.yaml"
INGRESS = ROOT / "collector" / "ingress.yaml"
BODIES = frozenset(f"order {number}" for number in range(500))
TRACES = frozenset(number.to_bytes(16, "big") for number in range(1, 501))


def test_the_workers_pass_the_projects_own_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also with what it finds where the inner queue is left on."""
    gate, workers = write_workers(tmp_path)
    assert check_command(gate, [INGRESS, workers], as_json=False) == 0
    assert "nothing wrong found" in capsys.readouterr().out

    text = workers.read_text(encoding="utf-8")
    workers.write_text(text.replace("sending_queue: {enabled: false}", ""), encoding="utf-8")
    assert check_command(gate, [INGRESS, workers], as_json=False) == 1
    assert "[inner-queue]" in capsys.readouterr().out


@dataclass(frozen=True)
class Running:
    """A collector and a gate of two workers; egress writes what it takes into files."""

    stack: Stack
    folder: Path

    def captured(self, signal: str) -> Iterator[Mapping[str, Any]]:
        """Yield each request that egress took so far, half-written lines aside."""
        path = self.folder / f"{signal}.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole, _, _ = text.rpartition("\n")
        yield from (json.loads(line) for line in whole.splitlines())

    def bodies(self) -> set[str]:
        """Return the log bodies that arrived."""
        return {
            record["body"]["stringValue"]
            for request in self.captured("logs")
            for group in request["resourceLogs"]
            for scoped in group["scopeLogs"]
            for record in scoped["logRecords"]
        }

    def traces(self) -> set[bytes]:
        """Return the ids of the traces that arrived."""
        return {
            bytes.fromhex(span["traceId"])
            for request in self.captured("traces")
            for group in request["resourceSpans"]
            for scoped in group["scopeSpans"]
            for span in scoped["spans"]
        }

    def forwarded(self, signal: str) -> dict[str, float]:
        """Return how many records of a signal each worker has passed on."""
        url = f"http://{HOST}:{self.stack.ports.gate_admin}/metrics"
        with urllib.request.urlopen(url, timeout=5) as response:
            text = response.read().decode()
        return {
            sample.labels["worker"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "tapeline_forwarded_records_total"
            and sample.labels["signal"] == signal
        }


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Start both with the page's YAML, every trace kept."""
    free = Ports.free()
    # The last of the block, so that the second worker's port is nobody else's.
    ports = replace(free, gate=free.node_exporter)
    gate, workers = write_workers(tmp_path, ports.gate)
    knobs = {"CAPTURE_DIR": str(tmp_path), "TAPELINE_NODE_TARGETS": "[]"}
    changed = Overrides(
        ingress_files=(workers,),
        egress_files=(ROOT / "collector" / "no_sampling.yaml", CAPTURE_FILE),
        environment={"collector": knobs},
        gate_config=gate,
    )
    servers = ("collector", "gate")
    with Stack(tmp_path / "run", ports, servers=servers, overrides=changed) as stack:
        yield Running(stack, tmp_path)


@pytest.mark.stack
def test_what_waits_for_the_workers_outlives_the_collector(running: Running) -> None:
    """Acknowledged while no worker runs, killed with the collector, and spread over both."""
    stack, otlp = running.stack, f"{HOST}:{running.stack.ports.otlp_grpc}"
    stack.kill("gate")
    send(otlp, logs(sorted(BODIES)))
    send(otlp, traces([Span(trace_id) for trace_id in sorted(TRACES)]))
    for number in range(20):
        send(otlp, histogram(f"latency_{number}", 0.1, b"\x01" * 16))
    stack.kill("collector")
    stack.restart("collector")
    stack.restart("gate")

    eventually(lambda: running.bodies() == BODIES)
    eventually(lambda: running.traces() == TRACES)
    for signal, count in (("logs", 500), ("traces", 500), ("metrics", 20)):
        eventually(partial(spread, running, signal, count))


def spread(running: Running, signal: str, count: int) -> bool:
    """Tell whether so many records have passed, and some of them through each worker."""
    by_worker = running.forwarded(signal)
    enough = sum(by_worker.values()) >= count
    return enough and sorted(by_worker) == ["0", "1"] and min(by_worker.values()) > 0
