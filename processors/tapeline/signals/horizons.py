"""Executions that wait for the market after them: realised spreads and markouts at horizons.

A sample is due at execution time plus horizon, and taken when the watermark has passed that, so
that every quote up to then is in. Pure, and bounded: what does not fit is refused and counted.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from heapq import heapify, heappop, heappush
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


class _Slot:
    """An execution that waits; None when it was withdrawn."""

    __slots__ = ("execution",)

    def __init__(self, execution: WaitingExecution) -> None:
        self.execution: WaitingExecution | None = execution


_Entry = tuple[int, Identity, _Slot]
"""When it is due, and what."""


class _Line:
    """What waits for one horizon, first what is due first."""

    __slots__ = ("entries", "horizon_ns", "longer_ns")

    def __init__(self, horizon_ns: int, longer_ns: int) -> None:
        self.horizon_ns = horizon_ns
        self.longer_ns = longer_ns
        self.entries: deque[_Entry] = deque()


class Horizons:
    """Executions by the time at which they are due, at most `max_waiting` of them.

    Each has one entry, for its next horizon. Nearly all come in order, into the line of it; the
    others are in a heap.
    """

    def __init__(self, horizons_ns: Sequence[int], max_waiting: int = DEFAULT_MAX_WAITING) -> None:
        """Take the horizons in any order; each is longer than nothing."""
        if any(horizon_ns <= 0 for horizon_ns in horizons_ns):
            raise ValueError("a horizon is longer than 0; leave out the one that is not")
        self._horizons_ns = tuple(sorted(set(horizons_ns)))
        self._lines = [_Line(*pair) for pair in pairwise((*self._horizons_ns, 0))]
        self._line_of = {line.horizon_ns: line for line in self._lines}
        self._max_waiting = max_waiting
        self._heap: list[tuple[int, Identity, int, int, _Slot]] = []
        self._pushed_count = 0
        self._stale_count = 0
        self._waiting: dict[Identity, _Slot] = {}
        self.refused_count = 0
        """Samples that will be lacking because too many executions wait."""
        self.withdrawn_count = 0
        """Executions that were busted while they waited."""

    def __len__(self) -> int:
        """Return how many executions wait."""
        return len(self._waiting)

    @property
    def entry_count(self) -> int:
        """How many entries there are, those of withdrawn executions included."""
        return len(self._heap) + sum([len(line.entries) for line in self._lines])

    def add(self, execution: WaitingExecution) -> bool:
        """Let an execution wait for each horizon; return whether there was room for it."""
        identity = execution.identity
        if not self._lines or identity in self._waiting:
            return identity in self._waiting
        if len(self._waiting) >= self._max_waiting:
            self.refused_count += len(self._lines)
            return False
        self._push(execution, self._lines[0].horizon_ns)
        return True

    def revise(self, identity: Identity, side: Side, price: Decimal) -> bool:
        """Give a corrected execution its new side and price for the samples still to be taken."""
        slot = self._waiting.get(identity)
        if slot is None or slot.execution is None:
            return False
        slot.execution = slot.execution._replace(side=side, price=price)
        return True

    def withdraw(self, identity: Identity) -> bool:
        """Take no further samples of an execution that was busted; return whether it waited."""
        slot = self._waiting.pop(identity, None)
        if slot is None:
            return False
        slot.execution = None
        self.withdrawn_count += 1
        self._stale_count += 1
        if self._stale_count > len(self._waiting) + 64:
            self._stale_count = 0
            self._heap = [entry for entry in self._heap if entry[4].execution is not None]
            heapify(self._heap)
            for line in self._lines:
                line.entries = deque(
                    [entry for entry in line.entries if entry[2].execution is not None]
                )
        return True

    def due(self, watermark_ns: int, *, is_end: bool = False) -> Iterator[DueSample]:
        """Take what the watermark has passed, by time, then identity, then horizon.

        An event of the watermark's own time may still come: only at the end of all input is what is
        due then taken, too. What is due later than that is never sampled.
        """
        limit_ns = watermark_ns + 1 if is_end else watermark_ns
        while (due := self.next_due(limit_ns)) is not None:
            yield DueSample(*due)

    def next_due(self, limit_ns: int) -> tuple[WaitingExecution, int] | None:
        """Take the first that is due before a moment, and its horizon; None where nothing is."""
        while True:
            first: _Line | None = None
            first_ns = limit_ns
            for line in self._lines:
                entries = line.entries
                if not entries or entries[0][0] > first_ns:
                    continue
                due_ns = entries[0][0]
                if due_ns < first_ns or (first is not None and entries[0][1] < first.entries[0][1]):
                    first, first_ns = line, due_ns
            if self._heap and self._heap[0][0] < limit_ns:
                least = self._heap[0]
                if first is None or least[:3] < (*first.entries[0][:2], first.horizon_ns):
                    _, identity, horizon_ns, _, slot = heappop(self._heap)
                    longer_ns = next((each for each in self._horizons_ns if each > horizon_ns), 0)
                    if (execution := self._go_on(identity, slot, longer_ns)) is not None:
                        return (execution, horizon_ns)
                    continue
            if first is None:
                return None
            _, identity, slot = first.entries.popleft()
            if (execution := self._go_on(identity, slot, first.longer_ns)) is not None:
                return (execution, first.horizon_ns)

    def waiting(self) -> Iterator[tuple[WaitingExecution, int]]:
        """Yield what waits, with the horizon that is next, for a snapshot."""
        entries = [
            (due_ns, identity, horizon_ns) for due_ns, identity, horizon_ns, _, _ in self._heap
        ]
        for line in self._lines:
            entries.extend((each[0], each[1], line.horizon_ns) for each in line.entries)
        for due_ns, identity, horizon_ns in sorted(entries):
            slot = self._waiting.get(identity)
            if slot is None or slot.execution is None:
                continue
            if slot.execution.time_ns + horizon_ns == due_ns:
                yield slot.execution, horizon_ns

    def restore(self, execution: WaitingExecution, horizon_ns: int) -> None:
        """Take back what `waiting` gave."""
        self._push(execution, horizon_ns)

    def _push(self, execution: WaitingExecution, horizon_ns: int) -> None:
        slot = self._waiting[execution.identity] = _Slot(execution)
        self._enter(execution.time_ns + horizon_ns, execution.identity, horizon_ns, slot)

    def _go_on(self, identity: Identity, slot: _Slot, longer_ns: int) -> WaitingExecution | None:
        """Let an execution wait for its next horizon; None where it was withdrawn."""
        execution = slot.execution
        if execution is None:
            self._stale_count -= 1
        elif longer_ns:
            self._enter(execution.time_ns + longer_ns, identity, longer_ns, slot)
        else:
            del self._waiting[identity]
        return execution

    def _enter(self, due_ns: int, identity: Identity, horizon_ns: int, slot: _Slot) -> None:
        line = self._line_of.get(horizon_ns)
        if line is not None:
            entries = line.entries
            last = entries[-1] if entries else None
            if last is None or due_ns > last[0] or (due_ns == last[0] and identity > last[1]):
                entries.append((due_ns, identity, slot))
                return
        self._pushed_count += 1
        heappush(self._heap, (due_ns, identity, horizon_ns, self._pushed_count, slot))
