"""One row of the bench: load a subject, count at the sink, and say what it cost."""

import json
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import grpc
from bench.payloads import Load, marked
from bench.processes import BenchError, cost_of
from bench.wire import AWAIT_METHOD, AWAIT_S, OPTIONS, RESET_METHOD, STATE_METHOD, raw_method

from tapeline.otlp.signals import EXPORT_METHODS

__all__ = [
    "Effort",
    "Latency",
    "SinkProbe",
    "Target",
    "Throughput",
    "measure_latency",
    "measure_throughput",
]

CONNECTIONS: Final = 2
THREADS: Final = 4  # so many requests are under way at once
WARM_UP_BATCHES: Final = 40
DRAIN_TIMEOUT_S: Final = 60.0
CALL_TIMEOUT_S: Final = 60.0
LATENCY_PAUSE_S: Final = 0.002
FIRST_CALLS: Final = 5  # of a new connection: not what is measured


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: seconds a round, rounds, and batches for latency."""

    round_s: float
    rounds: int
    latency_batches: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """Of the rounds: the median rate, the CPU cost over all, and who was busy how much (0-1)."""

    records: int
    records_per_s: float
    cpu_s_per_million: float
    subject_busy: float
    load_busy: float


@dataclass(frozen=True, slots=True)
class Latency:
    """From the client's send to the batch's arrival at the sink, in milliseconds."""

    p50_ms: float
    p99_ms: float


class SinkProbe:
    """Asks the sink what it counted."""

    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address, options=OPTIONS)
        self.address = address
        self._state = raw_method(channel, STATE_METHOD)
        self._reset = raw_method(channel, RESET_METHOD)
        self._await = raw_method(channel, AWAIT_METHOD)

    def state(self) -> dict[str, Any]:
        """Return the sink's counts."""
        return dict(json.loads(self._state(b"", timeout=CALL_TIMEOUT_S, wait_for_ready=True)))

    def reset(self) -> None:
        """Let the sink count anew."""
        self._reset(b"", timeout=CALL_TIMEOUT_S, wait_for_ready=True)

    def await_mark(self, number: int) -> int:
        """Return when the marked batch arrived; raises BenchError where it does not in time."""
        answer = self._await(b"%d" % number, timeout=CALL_TIMEOUT_S + AWAIT_S)
        if not answer:
            raise BenchError(f"batch {number} did not reach the sink within {AWAIT_S:g} s")
        return int(answer)

    def await_records(self, load: Load, expected: int) -> None:
        """Return when the sink has every record; raises BenchError where it has not in time."""
        until = time.monotonic() + DRAIN_TIMEOUT_S
        while True:
            counted = int(self.state()["records"][load.signal.value])
            if counted == expected:
                return
            if counted > expected or time.monotonic() > until:
                raise BenchError(
                    f"the sink counted {counted:,} {load.signal} records of {expected:,} sent"
                )
            time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send, who is measured there (None: the sink itself), and who else is busy."""

    address: str
    sink: SinkProbe
    subject: subprocess.Popen[bytes] | None
    sink_process: subprocess.Popen[bytes]


def measure_throughput(target: Target, load: Load, effort: Effort) -> Throughput:
    """Send as fast as is acknowledged; raises BenchError unless every record arrived."""
    _warm_up(target, load)
    rates: list[float] = []
    cpu_s, elapsed_s, load_s, records = 0.0, 0.0, 0.0, 0
    for _ in range(effort.rounds):
        target.sink.reset()
        before, load_before = _cpu_s(target.subject), _load_cpu_s(target)
        started_ns = time.monotonic_ns()
        sent = _send(target, load, seconds=effort.round_s) * load.records
        target.sink.await_records(load, sent)
        took_s = (int(target.sink.state()["last_arrival_ns"]) - started_ns) / 1e9
        cpu_s += _cpu_s(target.subject) - before
        load_s += _load_cpu_s(target) - load_before
        elapsed_s += took_s
        records += sent
        rates.append(sent / took_s)
    return Throughput(
        records=records,
        records_per_s=statistics.median(rates),
        cpu_s_per_million=cpu_s / records * 1e6,
        subject_busy=cpu_s / elapsed_s,
        load_busy=load_s / elapsed_s,
    )


def _warm_up(target: Target, load: Load) -> None:
    """Send a little, and wait for it: a subject that acknowledges early still has some of it."""
    target.sink.reset()
    sent = _send(target, load, batches=WARM_UP_BATCHES)
    target.sink.await_records(load, sent * load.records)


def _cpu_s(process: subprocess.Popen[bytes] | None) -> float:
    return 0.0 if process is None else cost_of(process.pid).cpu_s


def _load_cpu_s(target: Target) -> float:
    return time.process_time() + cost_of(target.sink_process.pid).cpu_s


def _send(target: Target, load: Load, *, seconds: float = 0.0, batches: int = 0) -> int:
    """Send for so many seconds, or so many batches; return how many batches were acknowledged."""
    channels = [
        # Without a pool of its own a second channel would share the first one's connection.
        grpc.insecure_channel(
            target.address, options=[*OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        )
        for _ in range(CONNECTIONS)
    ]
    calls = [raw_method(channel, EXPORT_METHODS[load.signal]) for channel in channels]
    sent = [0] * THREADS
    failures: list[grpc.RpcError] = []
    until = time.monotonic() + seconds

    def work(position: int) -> None:
        call = calls[position % CONNECTIONS]
        share = -(-batches // THREADS)
        number = position
        try:
            while sent[position] < share if batches else time.monotonic() < until:
                payload = load.batches[number % len(load.batches)]
                call(payload, timeout=CALL_TIMEOUT_S, wait_for_ready=True)
                sent[position] += 1
                number += 1
        except grpc.RpcError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(position,)) for position in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for channel in channels:
        channel.close()
    if failures:
        raise BenchError(f"the subject refused a batch: {failures[0]}")
    return sum(sent)


def measure_latency(target: Target, load: Load, effort: Effort) -> Latency:
    """Send batches one by one, the next when the last has arrived at the sink.

    The time is taken from the send to the arrival, so that a subject that acknowledges before its
    downstream did is measured by the same rule. Raises BenchError where a batch does not arrive.
    """
    _warm_up(target, load)
    channel = grpc.insecure_channel(target.address, options=OPTIONS)
    call = raw_method(channel, EXPORT_METHODS[load.signal])
    taken_ms = []
    target.sink.reset()
    for number in range(1, FIRST_CALLS + effort.latency_batches + 1):
        payload = marked(load.batches[number % len(load.batches)], number)
        sent_ns = time.monotonic_ns()
        call(payload, timeout=CALL_TIMEOUT_S, wait_for_ready=True)
        arrived_ns = target.sink.await_mark(number)
        if number > FIRST_CALLS:
            taken_ms.append((arrived_ns - sent_ns) / 1e6)
        time.sleep(LATENCY_PAUSE_S)
    channel.close()
    target.sink.await_records(load, (FIRST_CALLS + effort.latency_batches) * load.records)
    return Latency(
        p50_ms=statistics.median(taken_ms),
        p99_ms=statistics.quantiles(taken_ms, n=100, method="inclusive")[98],
    )
