"""A queue, or the disk under it, runs full: the collector refuses, the client retries, all arrives.

Every size of the collector's queues is divided by 128, batches and files too: with batches near a
queue's own size records were lost in between, so the proportions matter. The disk has room for the
largest size of all seven files, and not more. No signals sidecar runs: the copies for it fill their
queues, and are in nobody's way.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends import of
from effective_config import effective
from load import Load, arrived
from small_disk import fill, mounted
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

SMALLER = 128
# Logs, traces and metrics to the gate, logs to Loki, traces to Jaeger, both to the signals.
QUEUES = 7
SERVERS = ("collector", "gate", "loki", "jaeger", "prometheus")
NO_SAMPLING = SOURCE_ROOT / "collector" / "no_sampling.yaml"


@dataclass(frozen=True)
class SmallQueues:
    """The collector's queues made small: what to add to its configuration, and a file's size."""

    overlay: dict[str, Any]
    file_bytes: int


def small_queues(document: Mapping[str, Any]) -> SmallQueues:
    """Divide every size of an effective configuration that has to do with queues."""
    exporters, extensions, files = {}, {}, []
    for name, exporter in document["exporters"].items():
        queue = exporter.get("sending_queue")
        if queue is None:
            continue
        sizes: dict[str, Any] = {"queue_size": queue["queue_size"] // SMALLER}
        if queue.get("batch"):
            sizes["batch"] = {
                key: queue["batch"][key] // SMALLER for key in ("min_size", "max_size")
            }
        exporters[name] = {"sending_queue": sizes}
    for name, extension in document["extensions"].items():
        if "compaction" not in extension:
            continue
        files.append(extension["max_size"] // SMALLER)
        # Its defaults, 100 and 10 MiB, would be above a file's size.
        compaction = {"rebound_needed_threshold_mib": 1, "rebound_trigger_threshold_mib": 1}
        extensions[name] = {"max_size": files[-1], "compaction": compaction}
    assert len(exporters) == 5
    assert len(set(files)) == 1
    return SmallQueues({"exporters": exporters, "extensions": extensions}, files[0])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the whole stack with small queues on a disk of their own."""
    folder = tmp_path_factory.mktemp("full_disk")
    disk, small, ports = folder / "disk", folder / "small.yaml", Ports.free()
    environment = {"collector": {"TAPELINE_QUEUE_DIR": str(disk)}}
    plain = Overrides(egress_files=(NO_SAMPLING,), environment=environment)
    units = Stack(folder / "run", ports, servers=SERVERS, overrides=plain).units
    queues = small_queues(effective(next(unit for unit in units if unit.name == "collector")))
    small.write_text(yaml.safe_dump(queues.overlay), encoding="utf-8")
    changed = Overrides(
        egress_files=(NO_SAMPLING, small), environment=environment, scrape_interval_s=1
    )
    with (
        mounted(disk, QUEUES * queues.file_bytes),
        Stack(folder / "run", ports, servers=SERVERS, overrides=changed) as running,
    ):
        yield running


@pytest.fixture
def disk(stack: Stack) -> Path:
    """Return the folder of the small disk."""
    return stack.directory.path.parent / "disk"


def loaded(stack: Stack, service: str) -> Load:
    """Return a load of large records, not started."""
    address = f"{HOST}:{stack.ports.otlp_grpc}"
    return Load(address, service, pause_s=0.01, record_bytes=2000)


def test_a_disk_filled_by_others_refuses_and_takes_again(stack: Stack, disk: Path) -> None:
    """The client is told to come back, the log says why, and with room again all goes on.

    What was acknowledged just before is not counted: the collector deletes a batch that it can't
    mark as read. So the queues want a disk of their own. (The first test here: later the files have
    room inside of them, and the queue is full before the disk matters.)
    """
    stack.terminate("gate")
    ballast, log = disk / "ballast", stack.log("collector")
    fill(ballast)
    with loaded(stack, "filled-disk") as running:
        eventually(lambda: "logs" in running.told.retried, timeout_s=60)
        assert os.statvfs(disk).f_bavail == 0
        assert "no space left on device" in log.read_text(encoding="utf-8")
        ballast.unlink()
        running.proceed(requests=10)
    assert running.told.refused == []
    stack.restart("gate")
    with loaded(stack, "room-again") as later:
        later.proceed(requests=10)
    arrived(of(stack), later, timeout_s=120)


@pytest.mark.parametrize("down", [("gate",), ("loki", "jaeger")], ids=["gate", "backends"])
def test_full_queues_refuse_and_drain_whole(stack: Stack, down: tuple[str, ...]) -> None:
    """What was acknowledged until and after the refusal arrives; the client retried the rest."""
    for name in down:
        stack.terminate(name)
    with loaded(stack, f"full-{down[0]}") as running:
        eventually(lambda: {"logs", "traces"} <= running.told.retried, timeout_s=60)
        for name in down:
            stack.restart(name)
        running.proceed(requests=20)
    arrived(of(stack), running, timeout_s=120)
