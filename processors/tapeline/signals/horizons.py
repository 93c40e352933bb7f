"""Executions that wait for the market after them: realised spreads and markouts at horizons.

A sample is due at execution time plus horizon, and taken when the watermark has passed that, so
that every quote up to then is in. Pure, and bounded: what does not fit is refused and counted.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from heapq import heapify, heappop, heappush, heapreplace
from itertools import pairwise
from typing import Final, NamedTuple

from tapeline.signals.events import Identity, Side

__all__ = ["DueSample", "Horizons", "WaitingExecution"]

DEFAULT_MAX_WAITING: Final = 1_000_000


class WaitingExecution(NamedTuple):
    """What a later sample of an execution needs."""

    identity: Identity
    """Of the trade as first reported: its corrections keep it."""
    time_ns: int
    venue: str
    instrument: str
    side: Side
    price: Decimal
    receipt_mid: Decimal | None


class DueSample(NamedTuple):
    """An execution at a horizon that the watermark has passed: compare it with the mid then."""

    execution: WaitingExecution
    horizon_ns: int

    @property
    def time_ns(self) -> int:
        """Return the moment of the mid."""
        return self.execution.time_ns + self.horizon_ns


class Horizons:
    """The queue of executions by the time at which they are due, at most `max_waiting` of them."""

    def __init__(self, horizons_ns: Sequence[int], max_waiting: int = DEFAULT_MAX_WAITING) -> None:
        """Take the horizons in any order; each is longer than nothing."""
        if any(horizon_ns <= 0 for horizon_ns in horizons_ns):
            raise ValueError("a horizon is longer than 0; leave out the one that is not")
        self._horizons_ns = tuple(sorted(set(horizons_ns)))
        self._longer = dict(pairwise((*self._horizons_ns, 0)))
        """By horizon the next longer one, or 0."""
        self._max_waiting = max_waiting
        self._queue: list[tuple[int, Identity, int]] = []
        self._waiting: dict[Identity, WaitingExecution] = {}
        self.refused_count = 0
        """Samples that will be lacking because too many executions wait."""
        self.withdrawn_count = 0
        """Executions that were busted while they waited."""

    def __len__(self) -> int:
        """Return how many executions wait."""
        return len(self._waiting)

    def add(self, execution: WaitingExecution) -> bool:
        """Let an execution wait for each horizon; return whether there was room for it."""
        identity = execution.identity
        if not self._horizons_ns or identity in self._waiting:
            return identity in self._waiting
        if len(self._waiting) >= self._max_waiting:
            self.refused_count += len(self._horizons_ns)
            return False
        self._waiting[identity] = execution
        self._push(execution, self._horizons_ns[0])
        return True

    def revise(self, identity: Identity, side: Side, price: Decimal) -> bool:
        """Give a corrected execution its new side and price for the samples still to be taken."""
        execution = self._waiting.get(identity)
        if execution is None:
            return False
        self._waiting[identity] = execution._replace(side=side, price=price)
        return True

    def withdraw(self, identity: Identity) -> bool:
        """Take no further samples of an execution that was busted; return whether it waited."""
        if self._waiting.pop(identity, None) is None:
            return False
        self.withdrawn_count += 1
        if len(self._queue) > 2 * len(self._waiting) + 64:
            self._queue = [entry for entry in self._queue if entry[1] in self._waiting]
            heapify(self._queue)
        return True

    def due(self, watermark_ns: int, *, is_end: bool = False) -> Iterator[DueSample]:
        """Take what the watermark has passed, by time, then identity, then horizon.

        An event of the watermark's own time may still come: only at the end of all input is what is
        due then taken, too. What is due later than that is never sampled.
        """
        limit_ns = watermark_ns + 1 if is_end else watermark_ns
        while (due := self.next_due(limit_ns)) is not None:
            yield due

    def next_due(self, limit_ns: int) -> DueSample | None:
        """Take the first of what is due before a moment; None where nothing is."""
        queue = self._queue
        while queue and queue[0][0] < limit_ns:
            due_ns, identity, horizon_ns = queue[0]
            execution = self._waiting.get(identity)
            if execution is None or execution.time_ns + horizon_ns != due_ns:
                heappop(queue)
                continue
            longer_ns = self._longer_than(horizon_ns)
            if longer_ns:
                heapreplace(queue, (execution.time_ns + longer_ns, identity, longer_ns))
            else:
                heappop(queue)
                del self._waiting[identity]
            return DueSample(execution, horizon_ns)
        return None

    def waiting(self) -> Iterator[tuple[WaitingExecution, int]]:
        """Yield what waits, with the horizon that is next, for a snapshot."""
        for _, identity, horizon_ns in sorted(self._queue):
            if identity in self._waiting:
                yield self._waiting[identity], horizon_ns

    def restore(self, execution: WaitingExecution, horizon_ns: int) -> None:
        """Take back what `waiting` gave."""
        self._waiting[execution.identity] = execution
        self._push(execution, horizon_ns)

    def _longer_than(self, horizon_ns: int) -> int:
        found = self._longer.get(horizon_ns)
        if found is None:  # Of a configuration that is no more.
            found = next((other for other in self._horizons_ns if other > horizon_ns), 0)
        return found

    def _push(self, execution: WaitingExecution, horizon_ns: int) -> None:
        # One entry an execution: its next horizon. The queue is as long as there are executions.
        entry = (execution.time_ns + horizon_ns, execution.identity, horizon_ns)
        heappush(self._queue, entry)
