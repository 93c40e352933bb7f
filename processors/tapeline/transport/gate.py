"""One request from its bytes to its answer: framing, chain, downstream, acknowledgement.

The order is the promise: OK is said only after downstream has acknowledged every batch that the
chain made of the request.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import NotNowError, Processor, Report, Reporting
from tapeline.tap.tap import Tap
from tapeline.transport.answers import (
    ANSWERS,
    Answer,
    Event,
    Failure,
    answer_failures,
    answer_malformed,
)
from tapeline.transport.forwarder import Forwarder
from tapeline.transport.loop_watch import LoopWatch
from tapeline.transport.metrics import TransportMetrics
from tapeline.transport.quarantine import AttemptCounts, Quarantine

if TYPE_CHECKING:
    # Loaded where something is recorded: a gate must start fast.
    from tapeline.transport.tee import Tee

__all__ = ["BatchChain", "ChainSlot", "Gate", "NoChainError"]

logger = logging.getLogger(__name__)

_LOG_PERIOD_S: Final = 60.0
_DEEP: Final = "found by a processor below the records"


class BatchChain(Protocol):
    """What the transport needs of a chain; `tapeline.pipeline.chain.Chain` is it."""

    values_cut: int
    is_watched: bool

    def process(self, batch: Batch, now_unix_nano: int) -> tuple[Batch, ...]:
        """Return what has to go downstream for one incoming batch."""

    def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Return what processors emit by themselves at this time."""

    def close(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Return the last emissions."""

    @property
    def processors(self) -> Sequence[Processor]:
        """Every processor once."""

    def take_over(self, predecessors: Iterable[Processor]) -> None:
        """Let each processor go on from the one of its name, of a chain that was closed."""


class NoChainError(Exception):
    """There is no chain yet, or no longer."""


class ChainSlot:
    """Holds the chain of now. Whoever uses it holds the lock, so a swap falls between batches."""

    def __init__(self, metrics: TransportMetrics) -> None:
        self._lock = threading.Lock()
        self._chain: BatchChain | None = None
        self._is_watched = False
        self._cuts = metrics.value_cuts

    @property
    def is_filled(self) -> bool:
        """Tell whether there is a chain."""
        return self._chain is not None

    def set_watched(self, value: bool) -> None:  # noqa: FBT001 - a setter
        """Let the chain note what the tap needs, or no more. Without the lock: a batch may run."""
        self._is_watched = value
        if self._chain is not None:
            self._chain.is_watched = value

    def process(self, batch: Batch, now_unix_nano: int) -> tuple[Batch, ...]:
        """Run the chain; raises NoChainError, or whatever the chain raises."""
        with self._lock:
            if self._chain is None:
                raise NoChainError
            outgoing = self._chain.process(batch, now_unix_nano)
            self._cuts.of_this_chain = self._chain.values_cut
            return outgoing

    def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Return what the chain emits by itself; nothing where there is none."""
        with self._lock:
            return () if self._chain is None else self._chain.tick(now_unix_nano)

    def report(self, name: str) -> Callable[[], Report] | None:
        """Let a processor look at its state, and return what makes the report of it.

        None where there is no chain, or where nothing in it is so called and reports.
        """
        with self._lock:
            for processor in () if self._chain is None else self._chain.processors:
                if processor.name == name and isinstance(processor, Reporting):
                    return processor.report()
        return None

    def swap(self, chain: BatchChain | None, now_unix_nano: int) -> tuple[Batch, ...]:
        """Put another chain in place, or none; return what the old one emitted at its end."""
        with self._lock:
            old, self._chain = self._chain, chain
            if chain is not None:
                chain.is_watched = self._is_watched
            if old is None:
                return ()
            try:
                last = old.close(now_unix_nano)
                if chain is not None:
                    chain.take_over(old.processors)
                return last
            finally:
                self._cuts.of_former_chains += old.values_cut
                self._cuts.of_this_chain = 0


@dataclass(slots=True)
class _OncePerPeriod:
    """Lets one log line through a period; the counters have the rest."""

    period_s: float = _LOG_PERIOD_S
    _next_s: float = 0.0

    def now(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self.period_s
        return True


@dataclass(slots=True)
class Gate:
    """Turns request bytes into an answer. Thread-safe; knows no gRPC server."""

    slot: ChainSlot
    forwarder: Forwarder
    metrics: TransportMetrics
    max_attempts: int
    forward_timeout_s: float
    quarantine: Quarantine | None = None
    tap: Tap | None = None
    tee: "Tee | None" = None
    clock_unix_nano: Callable[[], int] = time.time_ns
    attempts: AttemptCounts = field(default_factory=AttemptCounts)
    loop_watch: LoopWatch = field(default_factory=LoopWatch)
    _loop_lock: threading.Lock = field(default_factory=threading.Lock)
    _loop_log: _OncePerPeriod = field(default_factory=_OncePerPeriod)
    _failure_log: _OncePerPeriod = field(default_factory=_OncePerPeriod)

    def export(
        self,
        signal: Signal,
        payload: bytes,
        metadata: tuple[tuple[str, str], ...] = (),
        remaining_s: float = float("inf"),
    ) -> Answer:
        """Return the answer to one request; never raises for what a request holds.

        `remaining_s` is how long the client still waits.
        """
        if not payload:
            return ANSWERS[Event.EMPTY]
        self.metrics.signals[signal].bytes_in.inc(len(payload))
        batch = Batch(signal, payload, metadata)
        try:
            answer = self._process(batch, remaining_s)
        except NoChainError:
            return ANSWERS[Event.STARTING]
        except NotNowError:
            return ANSWERS[Event.NOT_NOW]
        # Whatever it is, the answer is one from the table: gRPC would say UNKNOWN, and the
        # collector would drop the data.
        except Exception as error:  # noqa: BLE001
            return self._failed(batch, error)
        if answer.event is Event.ACKNOWLEDGED:
            self._watch_for_loops(payload)
        return answer

    def _process(self, batch: Batch, remaining_s: float) -> Answer:
        series = self.metrics.signals[batch.signal]
        started = time.monotonic()
        try:
            framing = batch.framing
        except MalformedRequestError as error:
            # The framing's own message tells positions, never content.
            return answer_malformed(str(error))
        series.records_in.inc(framing.record_count)
        try:
            outgoing = self.slot.process(batch, self.clock_unix_nano())
        except MalformedRequestError:
            return answer_malformed(_DEEP)
        now = time.monotonic()
        series.chain_seconds.observe(now - started)
        answer = self._forward(outgoing, started + min(self.forward_timeout_s, remaining_s))
        if answer.event is Event.ACKNOWLEDGED:
            if self.tap is not None and self.tap.is_open:
                self.tap.offer(outgoing)
            if self.tee is not None:
                self.tee.acknowledged(batch, outgoing)
        return answer

    def _forward(self, outgoing: tuple[Batch, ...], deadline: float) -> Answer:
        """Send every batch, also after one was refused for good: the others are not at fault."""
        failures: list[Failure] = []
        for batch in outgoing:
            # Checked before it leaves: broken bytes from a processor are its failure, not
            # downstream's refusal. What no processor changed has been checked already.
            record_count = batch.framing.record_count
            failure = self.forwarder.forward(batch, deadline - time.monotonic())
            if failure is not None:
                failures.append(failure)
                answer = answer_failures((failure,))
                if answer.retry_after_s is not None:
                    break  # Everything is sent again anyway.
                continue
            series = self.metrics.signals[batch.signal]
            series.records_out.inc(record_count)
            series.bytes_out.inc(len(batch.payload))
        if failures:
            return answer_failures(tuple(failures))
        return ANSWERS[Event.ACKNOWLEDGED]

    def _failed(self, batch: Batch, error: Exception) -> Answer:
        """Refuse what the chain failed on; give it up when it came too often."""
        self.metrics.failures.chain.inc()
        if self._failure_log.now():
            # The type alone: a message or a traceback may quote the data.
            logger.error(
                "the chain failed on a %s request with %s; the sender is told to retry"
                " (tapeline_chain_failures_total has the count)",
                batch.signal.value,
                type(error).__name__,
            )
        digest = hashlib.sha256(batch.signal.value.encode() + batch.payload).digest()
        forgotten = self.attempts.forgotten
        count = self.attempts.failed(digest)
        self.metrics.failures.forgotten.inc(self.attempts.forgotten - forgotten)
        if count < self.max_attempts:
            return ANSWERS[Event.FAILED]
        self.attempts.settled(digest)
        self._give_up(batch, error)
        return ANSWERS[Event.GIVEN_UP]

    def _give_up(self, batch: Batch, error: Exception) -> None:
        self.metrics.signals[batch.signal].quarantined.inc()
        if self.quarantine is None:
            return
        self.metrics.failures.quarantine_writes.inc()
        written = self.quarantine.put(batch, error, self.clock_unix_nano())
        if written.problem is not None:
            self.metrics.failures.quarantine_problems[written.problem].inc()
        logger.error(
            "gave up a %s request of %d bytes after %d attempts (%s); %s",
            batch.signal.value,
            len(batch.payload),
            self.max_attempts,
            type(error).__name__,
            f"see {written.path}" if written.path else "the quarantine folder took nothing",
        )

    def _watch_for_loops(self, payload: bytes) -> None:
        self.metrics.loop_checks.inc()
        with self._loop_lock:
            suspicious = self.loop_watch.acknowledged(payload, time.monotonic())
        if not suspicious:
            return
        self.metrics.loop_suspicions.inc()
        if self._loop_log.now():
            logger.warning(
                "acknowledged records keep coming back: a pipeline may lead from the collector's"
                " egress receiver to this gate again; run `tapeline doctor`"
            )
