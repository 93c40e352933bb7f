"""The section on signals: the core, from OTLP to committed state, the sidecar, memory, emission."""

import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import yaml
from bench.measure import CALL_TIMEOUT_S
from bench.payloads import BATCH_RECORDS
from bench.processes import (
    ROOT,
    BenchError,
    Cores,
    core_use,
    cost_of,
    free_port,
    pinned,
    running,
    wait_for_answer,
)
from bench.redaction import running_sink
from bench.signals_events import Mix, batches_of, events_of, payloads_of
from bench.subjects import MESSAGE_MIB_MAX, tapeline_program
from bench.wire import OPTIONS, raw_method

from tapeline.otlp.signals import EXPORT_METHODS, Signal

__all__ = [
    "EmissionRow",
    "PositionsRow",
    "RateRow",
    "RestartRow",
    "SidecarRow",
    "SignalsResult",
    "measure_signals",
]

CORE_TIMEOUT_S: Final = 400.0
THREADS: Final = 4
ROUNDS: Final = 3
AGE_NS: Final = 1_800 * 1_000_000_000
"""How long ago what is sent to the sidecar happened: none of it is ahead of its clock."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Batches a round, positions, executions; of a full and of a quick run."""

    batches: int
    positions: int
    emitted_positions: int
    restart_executions: int


FULL: Final = Effort(10, 100_000, 10_000, 100_000)
QUICK: Final = Effort(1, 2_000, 1_000, 2_000)


@dataclass(frozen=True, slots=True)
class RateRow:
    """Events a second in this process, by the clock and by CPU seconds; some are executions."""

    what: str
    events_per_s: float
    events_per_cpu_s: float
    executions_of_events: float


@dataclass(frozen=True, slots=True)
class PositionsRow:
    """What a process has resident: empty, with open positions, and when all were emitted."""

    positions: int
    empty_bytes: int
    state_bytes: int
    emitted_bytes: int


@dataclass(frozen=True, slots=True)
class EmissionRow:
    """CPU time of an emission in which every position has changed; the first one is of new ones."""

    positions: int
    points: int
    first_ms: float
    gauges_ms: float
    median_ms: float


@dataclass(frozen=True, slots=True)
class RestartRow:
    """How long until the state is back: from rows alone, and from a checkpoint."""

    executions: int
    after_kill_s: float
    after_stop_s: float


@dataclass(frozen=True, slots=True)
class SidecarRow:
    """`tapeline serve` with the signals alone, under load: records acknowledged a second."""

    mix: str
    records_per_s: float
    cpu_s_per_million: float
    others_busy: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class SignalsResult:
    """All rows."""

    rates: tuple[RateRow, ...]
    sidecar: tuple[SidecarRow, ...]
    positions: PositionsRow
    emission: EmissionRow
    restart: RestartRow
    series: dict[str, Any]


def measure_signals(cores: Cores, folder: Path, *, quick: bool) -> SignalsResult:
    """Measure each part in a process of its own, then the sidecar under load."""
    effort = QUICK if quick else FULL
    found = {
        what: _core(cores, folder, what, count)
        for what, count in (
            ("speed", effort.batches),
            ("positions", effort.positions),
            ("emission", effort.emitted_positions),
            ("restart", effort.restart_executions),
        )
    }
    series = _output(cores, "bench.signals_series", [str(effort.emitted_positions)])
    return SignalsResult(
        rates=tuple(RateRow(**row) for row in found["speed"]),
        sidecar=tuple(
            _sidecar(mix, cores, folder, effort.batches) for mix in (Mix.PLAIN, Mix.ORDERS)
        ),
        positions=PositionsRow(**found["positions"]),
        emission=EmissionRow(**found["emission"]),
        restart=RestartRow(**found["restart"]),
        series=series,
    )


def _core(cores: Cores, folder: Path, what: str, count: int) -> Any:
    print(f"signals: in process, {what} …", flush=True)
    own = folder / f"signals-{what}"
    own.mkdir()
    return _output(cores, "bench.signals_core", [what, str(count), str(own)])


def _output(cores: Cores, module: str, arguments: Sequence[str]) -> Any:
    done = subprocess.run(
        pinned([sys.executable, "-m", module, *arguments], cores.subject),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CORE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"{module} ended with {done.returncode}: {done.stderr[-1500:]}")
    return json.loads(done.stdout)


def _sidecar(mix: Mix, cores: Cores, folder: Path, batches: int) -> SidecarRow:
    """Load the sidecar with events that it has not seen, and say what it acknowledged."""
    print(f"signals: through gRPC, {mix} …", flush=True)
    own = folder / f"signals-{mix.name.lower()}"
    own.mkdir()
    first_ns = time.time_ns() - AGE_NS
    payloads = payloads_of(batches_of(events_of(mix, first_ns), 4 * batches * ROUNDS + THREADS))
    port, admin_port = free_port(), free_port()
    with running_sink(cores, own) as sink:
        path = _config(own, port, admin_port, sink.address)
        log = own / "signals.log"
        command = [tapeline_program(), "serve", "--config", str(path)]
        with running(command, cores.subject, log) as process:
            wait_for_answer(process, f"http://127.0.0.1:{admin_port}/health/ready", log)
            source = iter(payloads)
            _send(port, itertools.islice(source, THREADS))
            before_s, others_s = cost_of(process.pid).cpu_s, core_use(cores.subject).processes_s
            began_s, rates = time.monotonic(), []
            for _ in range(ROUNDS):
                round_began_s = time.monotonic()
                _send(port, itertools.islice(source, 4 * batches))
                taken_s = time.monotonic() - round_began_s
                rates.append(4 * batches * BATCH_RECORDS / taken_s)
            elapsed_s = time.monotonic() - began_s
            used = cost_of(process.pid)
            core_s = core_use(cores.subject).processes_s - others_s
    records = 4 * batches * ROUNDS * BATCH_RECORDS
    return SidecarRow(
        mix=mix.value,
        records_per_s=statistics.median(rates),
        cpu_s_per_million=(used.cpu_s - before_s) / records * 1e6,
        others_busy=max(0.0, core_s - (used.cpu_s - before_s)) / elapsed_s,
        peak_bytes=used.peak_bytes,
    )


def _config(folder: Path, port: int, admin_port: int, sink: str) -> Path:
    path = folder / "signals.yaml"
    content = {
        "server": {"listen": f"127.0.0.1:{port}", "max_message_mib": MESSAGE_MIB_MAX},
        "downstream": {"endpoint": sink},
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "chain": {"logs": ["signals"], "traces": ["signals"], "metrics": []},
        "signals": {"state": f"sqlite:///{folder}/signals.db"},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _send(port: int, payloads: Iterator[bytes]) -> None:
    """Send each batch once, several at a time; raises BenchError where one is refused."""
    lock = threading.Lock()
    failures: list[grpc.RpcError] = []

    def work() -> None:
        try:
            while True:
                with lock:
                    payload = next(payloads, None)
                if payload is None:
                    return
                export(payload, timeout=CALL_TIMEOUT_S, wait_for_ready=True)
        except grpc.RpcError as error:
            failures.append(error)

    with grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        export = raw_method(channel, EXPORT_METHODS[Signal.LOGS])
        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise BenchError(f"the sidecar refused a batch: {failures[0]}")
