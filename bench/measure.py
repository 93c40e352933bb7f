"""One row of the bench: load a subject, count at the sink, and say what it cost."""

import json
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from bench.payloads import Load, marked
from bench.processes import BenchError, Cores, core_use, cost_of
from bench.wire import AWAIT_METHOD, AWAIT_S, OPTIONS, RESET_METHOD, STATE_METHOD, raw_method

from tapeline.otlp.signals import EXPORT_METHODS

__all__ = [
    "Effort",
    "Latencies",
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
FIRST_CALLS: Final = 5  # of a new connection: not what is measured


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: seconds a round, rounds, and batches for latency.

    `round_batches` above 0 stands in for the seconds, for a subject that takes seconds for one.
    `latency_pause_s` lies between two batches: the longer, the less the subject is loaded.
    """

    round_s: float
    rounds: int
    latency_batches: int
    round_batches: int = 0
    warm_up_batches: int = WARM_UP_BATCHES
    latency_pause_s: float = 0.002


@dataclass(frozen=True, slots=True)
class Throughput:
    """Of the rounds: the median rate, the CPU cost over all, and who was busy how much (0-1).

    `load_busy` is of the load and the sink, with the interrupts that handle loopback traffic.
    `others_busy` is the share of the subject's core that processes outside of the bench took.
    `planted` is how many secrets were sent; `leaks` of each kind and `masks` were seen at the sink.
    """

    records: int
    records_per_s: float
    cpu_s_per_million: float
    subject_busy: float
    load_busy: float
    others_busy: float
    planted: int = 0
    leaks: Mapping[str, int] = field(default_factory=dict)
    masks: int = 0


@dataclass(frozen=True, slots=True)
class Latency:
    """From the client's send to the batch's arrival at the sink, in milliseconds."""

    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Latencies:
    """By the way that is compared with, and through the subject, in the same minute."""

    direct: Latency
    through: Latency

    @property
    def added(self) -> Latency:
        """What the subject added: the difference of the percentiles."""
        return Latency(
            p50_ms=self.through.p50_ms - self.direct.p50_ms,
            p99_ms=self.through.p99_ms - self.direct.p99_ms,
        )


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


def measure_throughput(target: Target, load: Load, effort: Effort, cores: Cores) -> Throughput:
    """Send as fast as is acknowledged; raises BenchError unless every record arrived."""
    _warm_up(target, load, effort)
    rates: list[float] = []
    elapsed_s, records, masks = 0.0, 0, 0
    leaks: Counter[str] = Counter()
    used = [0.0] * len(_usage_s(target, cores))
    for _ in range(effort.rounds):
        target.sink.reset()
        before = _usage_s(target, cores)
        started_ns = time.monotonic_ns()
        sent = _send(target, load, effort.round_s, effort.round_batches) * load.records
        target.sink.await_records(load, sent)
        after = _usage_s(target, cores)
        state = target.sink.state()
        took_s = (int(state["last_arrival_ns"]) - started_ns) / 1e9
        leaks.update(state["leaks"])
        masks += int(state["masks"])
        used = [sum(each) - begun for *each, begun in zip(used, after, before, strict=True)]
        elapsed_s += took_s
        records += sent
        rates.append(sent / took_s)
    subject_s, subject_core_s, load_s = used
    return Throughput(
        records=records,
        records_per_s=statistics.median(rates),
        cpu_s_per_million=subject_s / records * 1e6,
        subject_busy=subject_s / elapsed_s,
        load_busy=load_s / elapsed_s / len({cores.load, cores.sink}),
        others_busy=max(0.0, subject_core_s - subject_s) / elapsed_s,
        planted=records // load.records * load.planted,
        leaks=dict(leaks),
        masks=masks,
    )


def _usage_s(target: Target, cores: Cores) -> tuple[float, float, float]:
    """Return CPU seconds so far: of the subject, of all processes on its core, of the load."""
    subject_s = 0.0 if target.subject is None else cost_of(target.subject.pid).cpu_s
    load_s = time.process_time() + cost_of(target.sink_process.pid).cpu_s
    interrupts_s = sum(core_use(core).interrupts_s for core in {cores.load, cores.sink})
    return subject_s, core_use(cores.subject).processes_s, load_s + interrupts_s


def _warm_up(target: Target, load: Load, effort: Effort) -> None:
    """Send a little, and wait for it: a subject that acknowledges early still has some of it."""
    target.sink.reset()
    sent = _send(target, load, batches=effort.warm_up_batches)
    target.sink.await_records(load, sent * load.records)


def _send(target: Target, load: Load, seconds: float = 0.0, batches: int = 0) -> int:
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


def measure_latency(direct: Target, target: Target, load: Load, effort: Effort) -> Latencies:
    """Send batches one by one, in turn by the way that is compared with and through the subject.

    The next goes out when the last has arrived at the sink. The time is taken from the send to
    that arrival, so a subject that acknowledges before its downstream did is measured by the same
    rule. In turn, so that what else the machine does meets both ways alike. Raises BenchError
    where a batch does not arrive.
    """
    _warm_up(target, load, effort)
    target.sink.reset()
    ways = (_Way(direct, load, first=0), _Way(target, load, first=1))
    for _ in range(FIRST_CALLS + effort.latency_batches):
        for way in ways:
            way.send_next()
            time.sleep(effort.latency_pause_s)
    sent = len(ways) * (FIRST_CALLS + effort.latency_batches)
    target.sink.await_records(load, sent * load.records)
    return Latencies(ways[0].result(), ways[1].result())


class _Way:
    """One of the two ways to the sink; its batches have every second number."""

    def __init__(self, target: Target, load: Load, first: int) -> None:
        channel = grpc.insecure_channel(target.address, options=OPTIONS)
        self._call = raw_method(channel, EXPORT_METHODS[load.signal])
        self._sink = target.sink
        self._load = load
        self._number = first
        self._taken_ms: list[float] = []

    def send_next(self) -> None:
        """Send the next batch and wait for its arrival."""
        self._number += 2
        batches = self._load.batches
        payload = marked(batches[self._number % len(batches)], self._number)
        sent_ns = time.monotonic_ns()
        self._call(payload, timeout=CALL_TIMEOUT_S, wait_for_ready=True)
        arrived_ns = self._sink.await_mark(self._number)
        self._taken_ms.append((arrived_ns - sent_ns) / 1e6)

    def result(self) -> Latency:
        """Return the percentiles, without the first calls of the connection."""
        taken_ms = self._taken_ms[FIRST_CALLS:]
        return Latency(
            p50_ms=statistics.median(taken_ms),
            p99_ms=statistics.quantiles(taken_ms, n=100, method="inclusive")[98],
        )
