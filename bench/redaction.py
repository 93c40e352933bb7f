"""The section on redaction: the gate and the stock processor, as many rules, the same secrets."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

from bench.measure import (
    Effort,
    Latency,
    SinkProbe,
    Target,
    Throughput,
    measure_latency,
    measure_throughput,
)
from bench.pack_compile import PackCompile, measure_compile
from bench.payloads import Load
from bench.planted import Share, as_collector, planted_load
from bench.processes import BenchError, Cores, cost_of, free_port, running, wait_for_port
from bench.series import Encoding
from bench.subjects import (
    GATE_REDACTION,
    REDACTION_SUBJECTS,
    RELAY,
    STOCK,
    Running,
    Subject,
    Unavailable,
)

from tapeline.otlp.signals import Signal

__all__ = ["RedactionResult", "RedactionRow", "measure_redaction", "running_sink"]

SIGNALS: Final = (Signal.LOGS, Signal.TRACES)
# One batch at a time, with a pause: what is measured is a batch's way, not a queue's.
FULL: Final = Effort(round_s=1.5, rounds=3, latency_batches=300, latency_pause_s=0.005)
FULL_ALL: Final = replace(FULL, latency_batches=100)  # no bar hangs on it, and each takes long
COLLECTOR: Final = replace(FULL, round_s=1.0, rounds=2, latency_batches=0)  # likewise
EFFORTS: Final = {
    (share, encoding): COLLECTOR
    if encoding is Encoding.BACKWARDS
    else FULL_ALL
    if share is Share.ALL
    else FULL
    for share in Share
    for encoding in Encoding
}
QUICK: Final = Effort(
    round_s=0.3, rounds=1, latency_batches=10, warm_up_batches=4, latency_pause_s=0.005
)
# The stock processor takes seconds for one batch: one a thread is what the time allows.
FEW: Final = Effort(round_s=0.0, rounds=1, latency_batches=0, round_batches=4, warm_up_batches=0)
COMPILES: Final = 3


@dataclass(frozen=True, slots=True)
class RedactionRow:
    """One subject with one load. `added` is above the relay's latency; None: not measured."""

    subject: str
    signal: str
    share: str
    encoding: str
    """Who wrote the load: an SDK forwards, the collector backwards."""
    throughput: Throughput
    ratio_to_relay: float
    added: Latency | None
    peak_bytes: int

    @property
    def leaked(self) -> int:
        """How many secrets came through, whole or in part."""
        return sum(self.throughput.leaks.values())


@dataclass(frozen=True, slots=True)
class RedactionResult:
    """All rows, why the stock processor has none if so, and what compiling costs."""

    rows: tuple[RedactionRow, ...]
    skipped: str
    compiling: PackCompile


def measure_redaction(cores: Cores, folder: Path, *, quick: bool) -> RedactionResult:
    """Measure all loads of logs and spans; a quick run leaves the stock processor out."""
    rows: list[RedactionRow] = []
    skipped = "left out of a quick run" if quick else ""
    for signal, share, encoding in product(SIGNALS, Share, Encoding):
        load = planted_load(signal, share)
        print(f"redaction: {signal}, {share}, {encoding} …", flush=True)
        with running_sink(cores, folder) as sink:
            found = _Measured(share, encoding, load, sink, cores)
            rows += found.relay_and_gate(folder, QUICK if quick else EFFORTS[share, encoding])
            if not skipped and encoding is Encoding.FORWARDS:
                try:
                    rows.append(found.stock(folder))
                except Unavailable as reason:
                    skipped = str(reason)
    compiling = measure_compile(cores, 1 if quick else COMPILES)
    return RedactionResult(tuple(rows), skipped, compiling)


class _Measured:
    """One load through each subject in turn, into one sink."""

    def __init__(
        self, share: Share, encoding: Encoding, load: Load, sink: Target, cores: Cores
    ) -> None:
        self._share = share
        self._encoding = encoding
        self._load = load if encoding is Encoding.FORWARDS else as_collector(load)
        self._sink = sink
        self._cores = cores
        self._relay_rate = 1.0

    def relay_and_gate(self, folder: Path, effort: Effort) -> Iterator[RedactionRow]:
        """Yield the relay's row and the gate's; the relay stays up to compare latency with."""
        with self._up(REDACTION_SUBJECTS[RELAY], folder) as relay:
            to_relay = self._target(relay)
            throughput = measure_throughput(to_relay, self._load, effort, self._cores)
            self._relay_rate = throughput.records_per_s
            if sum(throughput.leaks.values()) != throughput.planted:
                raise BenchError("the sink did not see every secret that the relay passed on")
            yield self._row(RELAY, throughput, None, relay)
            with self._up(REDACTION_SUBJECTS[GATE_REDACTION], folder) as gate:
                to_gate = self._target(gate)
                throughput = measure_throughput(to_gate, self._load, effort, self._cores)
                added = None
                if effort.latency_batches:
                    added = measure_latency(to_relay, to_gate, self._load, effort).added
                yield self._row(GATE_REDACTION, throughput, added, gate)

    def stock(self, folder: Path) -> RedactionRow:
        """Return the stock processor's row, of few batches; raises Unavailable."""
        with self._up(REDACTION_SUBJECTS[STOCK], folder) as stock:
            throughput = measure_throughput(self._target(stock), self._load, FEW, self._cores)
            return self._row(STOCK, throughput, None, stock)

    @contextmanager
    def _up(self, subject: Subject, folder: Path) -> Iterator[Running]:
        own = folder / subject.name.replace(" ", "-")
        own.mkdir(exist_ok=True)
        port = int(self._sink.address.rsplit(":", 1)[1])
        with subject.run(port, self._cores, own) as up:
            yield up

    def _target(self, up: Running) -> Target:
        address = f"127.0.0.1:{up.port}"
        return Target(address, self._sink.sink, up.process, self._sink.sink_process)

    def _row(
        self, subject: str, throughput: Throughput, added: Latency | None, up: Running
    ) -> RedactionRow:
        return RedactionRow(
            subject=subject,
            signal=self._load.signal.value,
            share=self._share.value,
            encoding=self._encoding.value,
            throughput=throughput,
            ratio_to_relay=throughput.records_per_s / self._relay_rate,
            added=added,
            peak_bytes=cost_of(up.process.pid).peak_bytes,
        )


@contextmanager
def running_sink(cores: Cores, folder: Path) -> Iterator[Target]:
    """Run a sink: one of its own for each row, so that what one left behind counts in no other."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    log = folder / "sink.log"
    command = [sys.executable, "-m", "bench.sink", address]
    with running(command, cores.sink, log) as process:
        wait_for_port(process, port, log)
        yield Target(address, SinkProbe(address), None, process)
