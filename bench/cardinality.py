"""The section on cardinality: the limiter by itself, and the gate with it beside relay and peer."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.measure import (
    Effort,
    Latency,
    Target,
    Throughput,
    measure_latency,
    measure_throughput,
)
from bench.processes import ROOT, BenchError, Cores, cost_of, pinned
from bench.redaction import running_sink
from bench.series import Encoding, admitted_load
from bench.subjects import (
    CARDINALITY_SUBJECTS,
    COLLECTOR,
    Running,
    Subject,
    Unavailable,
)

__all__ = ["CardinalityResult", "CoreRow", "GateRow", "measure_cardinality"]

FULL: Final = Effort(round_s=1.5, rounds=3, latency_batches=300, latency_pause_s=0.005)
QUICK: Final = Effort(
    round_s=0.3, rounds=1, latency_batches=10, warm_up_batches=4, latency_pause_s=0.005
)
CORE_BATCHES: Final = 200
CORE_QUICK_BATCHES: Final = 10
CORE_TIMEOUT_S: Final = 300.0
PEER_SKIPPED: Final = (
    "another limiter: none to be had. The collector's cardinality_guardian is not among the "
    "components that `make binaries` builds, since the public proxy does not serve its module "
    "v0.159.0 everywhere."
)


@dataclass(frozen=True, slots=True)
class CoreRow:
    """The limiter in process: points a second, and percentiles of a batch's time.

    By CPU seconds it is what the same core would do if nobody else used it.
    """

    encoding: str
    mix: str
    points_per_s: float
    points_per_cpu_s: float
    p50_ms: float
    p99_ms: float
    folded_streams: int


@dataclass(frozen=True, slots=True)
class GateRow:
    """One subject through gRPC. `added` is above the relay's latency; None: not measured."""

    subject: str
    encoding: str
    throughput: Throughput
    ratio_to_relay: float
    added: Latency | None
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class CardinalityResult:
    """All rows, what a series takes in memory, and which peers are not there, with the reason."""

    core: tuple[CoreRow, ...]
    gate: tuple[GateRow, ...]
    bytes_an_admitted_series: float
    bytes_a_folded_series: float
    skipped: tuple[str, ...]


def measure_cardinality(cores: Cores, folder: Path, *, quick: bool) -> CardinalityResult:
    """Measure the limiter in a process of its own, then the subjects with both encodings."""
    print("cardinality: the limiter in process …", flush=True)
    result = _core(cores, CORE_QUICK_BATCHES if quick else CORE_BATCHES)
    rows: list[GateRow] = []
    skipped = [PEER_SKIPPED]
    for encoding in Encoding:
        print(f"cardinality: through gRPC, written by the {encoding} …", flush=True)
        try:
            rows += _through_grpc(encoding, cores, folder, QUICK if quick else FULL)
        except Unavailable as reason:
            skipped.append(f"{COLLECTOR}: {reason}")
    return replace(result, gate=tuple(rows), skipped=tuple(skipped))


def _core(cores: Cores, batches: int) -> CardinalityResult:
    command = [sys.executable, "-m", "bench.limiter_core", str(batches)]
    done = subprocess.run(
        pinned(command, cores.subject),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CORE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"bench.limiter_core ended with {done.returncode}: {done.stderr[-1500:]}")
    found = json.loads(done.stdout)
    return CardinalityResult(
        core=tuple(CoreRow(**row) for row in found["rows"]),
        gate=(),
        bytes_an_admitted_series=found["bytes_an_admitted_series"],
        bytes_a_folded_series=found["bytes_a_folded_series"],
        skipped=(),
    )


def _through_grpc(encoding: Encoding, cores: Cores, folder: Path, effort: Effort) -> list[GateRow]:
    """Return the rows of one encoding; the relay stays up to compare latency with."""
    load = admitted_load(encoding)
    first, *others = CARDINALITY_SUBJECTS
    rows: list[GateRow] = []
    with running_sink(cores, folder) as sink, first.run(_port(sink), cores, folder) as relay:
        to_relay = _target(sink, relay)
        throughput = measure_throughput(to_relay, load, effort, cores)
        rows.append(_row(first, encoding, throughput, throughput, relay))
        for subject in others:
            own = folder / subject.name.replace(" ", "-")
            own.mkdir(exist_ok=True)
            with subject.run(_port(sink), cores, own) as up:
                target = _target(sink, up)
                of_subject = measure_throughput(target, load, effort, cores)
                row = _row(subject, encoding, of_subject, throughput, up)
                latencies = measure_latency(to_relay, target, load, effort)
                rows.append(replace(row, added=latencies.added))
    return rows


def _port(sink: Target) -> int:
    return int(sink.address.rsplit(":", 1)[1])


def _target(sink: Target, up: Running) -> Target:
    return Target(f"127.0.0.1:{up.port}", sink.sink, up.process, sink.sink_process)


def _row(
    subject: Subject, encoding: Encoding, throughput: Throughput, relay: Throughput, up: Running
) -> GateRow:
    return GateRow(
        subject=subject.name,
        encoding=encoding.value,
        throughput=throughput,
        ratio_to_relay=throughput.records_per_s / relay.records_per_s,
        added=None,
        peak_bytes=cost_of(up.process.pid).peak_bytes,
    )
