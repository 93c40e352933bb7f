"""The tap of one process: takes what passed while somebody looks, and gives each reader his part.

While nobody looks there is no thread, no queue and no copy: the chain notes nothing. While somebody
does, a batch is put into a short queue and all else happens in a thread of the tap's own, within
limits on records and bytes a second. What does not fit is counted, and not shown; nothing here
ever holds a batch up on its way.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.tap.allowance import Allowance
from tapeline.tap.changes import Pair, event_of, is_wanted
from tapeline.tap.filters import TapFilter
from tapeline.tap.metrics import TapMetrics
from tapeline.tap.sight import sight_of

__all__ = ["EXAMINED_PER_S", "Counts", "Reader", "Tap"]

logger = logging.getLogger(__name__)

EXAMINED_PER_S: Final = 5000
"""Records of each signal that are looked at in a second, whatever the readers filter."""
MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
MAX_WAITING: Final = 16
MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
MAX_READER_EVENTS: Final = 200
MAX_EVENT_BYTES: Final = 64 * 1024
_IDLE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What a reader was shown so far, and what he was not, of records since he began to look.

    `passed` is all that passed; `not_examined` of it came too fast to be looked at; `withheld` had
    something in it that only an enforcing redaction would take; `left_out` he wanted, beyond his
    rate or faster than he read.
    """

    passed: int = 0
    not_examined: int = 0
    withheld: int = 0
    left_out: int = 0
    shown: int = 0


class Reader:
    """One who looks: his filter, his rate, and the events that wait for him. Thread-safe."""

    def __init__(self, wanted: TapFilter, per_s: float, notify: Callable[[], None]) -> None:
        """`notify` is called, from the tap's thread, when events begin to wait."""
        self.wanted = wanted
        self._rate = Allowance(per_s)
        self._notify = notify
        self._lock = threading.Lock()
        self._events: deque[str] = deque()
        self._left_out = 0
        self._shown = 0
        self.passed_at_begin = 0
        self.not_examined_at_begin = 0
        self.withheld_at_begin = 0

    def take(self) -> list[str]:
        """Return what waits, as JSON texts, and let it wait no more."""
        with self._lock:
            events = list(self._events)
            self._events.clear()
            return events

    def grant(self, wanted: int, now_s: float) -> tuple[int, int]:
        """Return how many more events he may get, and how many not because he reads too slowly."""
        with self._lock:
            of_rate = self._rate.take(wanted, now_s)
            granted = min(of_rate, MAX_READER_EVENTS - len(self._events))
            self._left_out += wanted - granted
            return granted, of_rate - granted

    def put(self, events: Sequence[str]) -> None:
        """Let events wait that were granted."""
        with self._lock:
            was_empty = not self._events
            self._events.extend(events)
            self._shown += len(events)
        if was_empty and events:
            self._notify()

    @property
    def own_counts(self) -> tuple[int, int]:
        """How many he was shown, and how many left out."""
        with self._lock:
            return self._shown, self._left_out


class Tap:
    """All readers of one process. Thread-safe."""

    def __init__(
        self,
        metrics: TapMetrics,
        set_watched: Callable[[bool], None],
        *,
        records_per_s: float,
        worker: int = 0,
    ) -> None:
        """`set_watched` tells the chain whether to note what is needed here."""
        self._metrics = metrics
        self._set_watched = set_watched
        self._records_per_s = records_per_s
        self._worker = worker
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._readers: tuple[Reader, ...] = ()
        self._waiting: deque[Batch] = deque()
        self._waiting_bytes = 0
        self._examined = {signal: Allowance(EXAMINED_PER_S) for signal in Signal}
        self._passed = self._not_examined = self._withheld = 0
        self._thread: threading.Thread | None = None
        self._has_failed = False
        self.is_open = False
        """Whether somebody looks. Read without a lock, for each request."""

    def subscribe(self, wanted: TapFilter, notify: Callable[[], None]) -> Reader:
        """Let somebody look from now on."""
        reader = Reader(wanted, self._records_per_s, notify)
        with self._wake:
            reader.passed_at_begin = self._passed
            reader.not_examined_at_begin = self._not_examined
            reader.withheld_at_begin = self._withheld
            self._readers = (*self._readers, reader)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tapeline-tap", daemon=True)
                self._thread.start()
            self._set_open(value=True)
        return reader

    def unsubscribe(self, reader: Reader) -> None:
        """Let him look no more."""
        with self._wake:
            self._readers = tuple(one for one in self._readers if one is not reader)
            if not self._readers:
                self._waiting.clear()
                self._waiting_bytes = 0
                self._set_open(value=False)
            self._wake.notify_all()

    def counts_of(self, reader: Reader) -> Counts:
        """Return what a reader may know of what he does not see."""
        shown, left_out = reader.own_counts
        with self._lock:
            return Counts(
                passed=self._passed - reader.passed_at_begin,
                not_examined=self._not_examined - reader.not_examined_at_begin,
                withheld=self._withheld - reader.withheld_at_begin,
                left_out=left_out,
                shown=shown,
            )

    def offer(self, batches: Sequence[Batch]) -> None:
        """Take what went downstream; never waits for anything but a short lock."""
        for batch in batches:
            if batch.sighting is not None:
                self._offer(batch)

    def _offer(self, batch: Batch) -> None:
        count, size_bytes = batch.framing.record_count, _size_bytes(batch)
        self._metrics.records.inc(count)
        with self._wake:
            self._passed += count
            if size_bytes > MAX_BATCH_BYTES:
                self._drop(count, "too_large")
            elif self._is_full(size_bytes) or not self._may_examine(batch.signal, count):
                self._drop(count, "busy")
            else:
                self._waiting.append(batch)
                self._waiting_bytes += size_bytes
                self._wake.notify_all()

    def _is_full(self, size_bytes: int) -> bool:
        is_long = len(self._waiting) >= MAX_WAITING
        return is_long or self._waiting_bytes + size_bytes > MAX_WAITING_BYTES

    def _may_examine(self, signal: Signal, count: int) -> bool:
        """Tell whether a batch may be looked at: a large one takes what there is, if it is full."""
        allowance, now_s = self._examined[signal], time.monotonic()
        least = min(count, EXAMINED_PER_S)
        if allowance.left(now_s) < least:
            return False
        allowance.take(least, now_s)
        return True

    def _drop(self, count: int, reason: str) -> None:
        self._not_examined += count
        self._metrics.dropped[reason].inc(count)

    def _set_open(self, *, value: bool) -> None:
        self.is_open = value
        self._set_watched(value)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and self._readers:
                    self._wake.wait(_IDLE_S)
                if not self._readers:
                    self._thread = None
                    return
                batch = self._waiting.popleft()
                self._waiting_bytes -= _size_bytes(batch)
                readers = self._readers
            try:
                self._show(batch, readers)
            # Whatever is wrong with it: what can't be masked is not shown, and the tap goes on.
            except Exception as error:  # noqa: BLE001
                self._failed(batch, error)

    def _failed(self, batch: Batch, error: Exception) -> None:
        self._metrics.failures.inc()
        with self._lock:
            self._not_examined += batch.framing.record_count
        if not self._has_failed:
            self._has_failed = True
            # The type alone: a message may quote the data.
            logger.error(
                "the tap could not show a %s batch (%s); tapeline_tap_failures_total has the count",
                batch.signal.value,
                type(error).__name__,
            )

    def _show(self, batch: Batch, readers: Sequence[Reader]) -> None:
        if batch.sighting is None:
            return
        sight = sight_of(batch, batch.sighting.before, batch.sighting.mask)
        if sight.withheld:
            self._metrics.withheld.inc(sight.withheld)
            with self._lock:
                self._withheld += sight.withheld
        for reader in readers:
            wanted = [pair for pair in sight.pairs if is_wanted(pair, reader.wanted)]
            if wanted:
                self._show_to(reader, wanted)

    def _show_to(self, reader: Reader, wanted: Sequence[Pair]) -> None:
        granted, too_slow = reader.grant(len(wanted), time.monotonic())
        self._metrics.dropped["slow_reader"].inc(too_slow)
        self._metrics.dropped["rate_limit"].inc(len(wanted) - granted - too_slow)
        # Spread over the batch: its beginning alone may be all of one kind.
        chosen = (wanted[place * len(wanted) // granted] for place in range(granted))
        texts = [json.dumps(event_of(pair, self._worker)) for pair in chosen]
        fitting = [text for text in texts if len(text) <= MAX_EVENT_BYTES]
        self._metrics.dropped["too_large"].inc(len(texts) - len(fitting))
        self._metrics.shown.inc(len(fitting))
        reader.put(fitting)


def _size_bytes(batch: Batch) -> int:
    """Return what a batch takes in memory: twice, where the chain has changed it."""
    before = b"" if batch.sighting is None else batch.sighting.before.payload
    own = len(batch.payload)
    return own if before is batch.payload else own + len(before)
