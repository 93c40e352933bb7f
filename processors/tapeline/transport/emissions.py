"""Batches that processors emit by themselves: forwarded, and kept while they can't be.

Nobody re-sends these, so unlike requests they wait here, in a bounded buffer. When it is full the
oldest goes: derived metrics are cumulative or will be superseded.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from tapeline.otlp.framing import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.tap.tap import Tap
from tapeline.transport.answers import answer_failures
from tapeline.transport.forwarder import Forwarder
from tapeline.transport.gate import ChainSlot
from tapeline.transport.metrics import TransportMetrics

if TYPE_CHECKING:
    # Loaded where something is recorded: a gate must start fast.
    from tapeline.transport.tee import Tee

__all__ = ["Emissions", "Ticker"]

logger = logging.getLogger(__name__)

MAX_WAITING_BATCHES: Final = 256
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024


class Emissions:
    """The buffer of emitted batches. One thread at a time forwards from it."""

    def __init__(
        self,
        forwarder: Forwarder,
        metrics: TransportMetrics,
        *,
        max_batches: int = MAX_WAITING_BATCHES,
        max_bytes: int = MAX_WAITING_BYTES,
        tap: Tap | None = None,
        tee: "Tee | None" = None,
    ) -> None:
        self._forwarder = forwarder
        self._tap = tap
        self._tee = tee
        self._metrics = metrics
        self._max_batches = max_batches
        self._max_bytes = max_bytes
        self._waiting: deque[Batch] = deque()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._forwarding = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, batches: Iterable[Batch]) -> None:
        """Take batches to forward; the oldest are dropped and counted where there is no room."""
        with self._lock:
            for batch in batches:
                self._metrics.emissions.emitted.inc()
                self._waiting.append(batch)
                self._waiting_bytes += len(batch.payload)
            while self._waiting and (
                len(self._waiting) > self._max_batches or self._waiting_bytes > self._max_bytes
            ):
                self._waiting_bytes -= len(self._waiting.popleft().payload)
                self._metrics.emissions.dropped["buffer_full"].inc()
            self._metrics.emissions.waiting.set(len(self._waiting))

    def forward(self, timeout_s: float) -> None:
        """Send what waits, oldest first, until one can't be sent or the time is over."""
        deadline = time.monotonic() + timeout_s
        with self._forwarding:
            while (batch := self._next()) is not None:
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0 or not self._send(batch, remaining_s):
                    self._put_back(batch)
                    return

    def drop_rest(self) -> int:
        """Give up what still waits at shutdown; return how many batches that were."""
        with self._lock:
            count = len(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            self._metrics.emissions.dropped["shutdown"].inc(count)
            self._metrics.emissions.waiting.set(0)
        return count

    def _next(self) -> Batch | None:
        with self._lock:
            if not self._waiting:
                return None
            batch = self._waiting.popleft()
            self._waiting_bytes -= len(batch.payload)
            self._metrics.emissions.waiting.set(len(self._waiting))
            return batch

    def _put_back(self, batch: Batch) -> None:
        with self._lock:
            self._waiting.appendleft(batch)
            self._waiting_bytes += len(batch.payload)
            self._metrics.emissions.waiting.set(len(self._waiting))

    def _send(self, batch: Batch, timeout_s: float) -> bool:
        """Send one batch; tell whether it is settled: acknowledged, or refused for good."""
        self._metrics.emissions.attempts.inc()
        try:
            record_count = batch.framing.record_count
        except MalformedRequestError:
            self._metrics.emissions.failures.inc()
            self._metrics.emissions.dropped["malformed"].inc()
            logger.error("a processor emitted a %s batch that is not OTLP", batch.signal.value)  # noqa: TRY400
            return True
        failure = self._forwarder.forward(batch, timeout_s)
        if failure is None:
            series = self._metrics.signals[batch.signal]
            series.records_out.inc(record_count)
            series.bytes_out.inc(len(batch.payload))
            if self._tap is not None and self._tap.is_open:
                self._tap.offer((batch,))
            if self._tee is not None:
                self._tee.emitted((batch,))
            return True
        self._metrics.emissions.failures.inc()
        if answer_failures((failure,)).retry_after_s is not None:
            return False
        self._metrics.emissions.dropped["refused"].inc()
        logger.error(
            "downstream refused an emitted %s batch for good: %s",
            batch.signal.value,
            failure.code.name,
        )
        return True


class Ticker:
    """A thread that asks the chain every second what it emits, and forwards it."""

    def __init__(
        self,
        slot: ChainSlot,
        emissions: Emissions,
        metrics: TransportMetrics,
        *,
        forward_timeout_s: float,
        also: Callable[[], None],
        period_s: float = 1.0,
    ) -> None:
        """`also` is called at each tick, for what else is due every second."""
        self._slot = slot
        self._emissions = emissions
        self._metrics = metrics
        self._forward_timeout_s = forward_timeout_s
        self._also = also
        self._period_s = period_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tapeline-ticker", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Tick no more; wait at most so long for the tick that runs."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.wait(self._period_s):
            self._tick()

    def _tick(self) -> None:
        self._metrics.emissions.ticks.inc()
        try:
            self._also()
            self._emissions.add(self._slot.tick(time.time_ns()))
            self._emissions.forward(self._forward_timeout_s)
        # A processor may raise anything, and the next tick must come all the same.
        except Exception as error:  # noqa: BLE001
            self._metrics.emissions.tick_failures.inc()
            logger.error("a tick failed with %s", type(error).__name__)  # noqa: TRY400
