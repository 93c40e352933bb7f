"""Events that wait for the watermark, taken in the order of events. Pure.

Nearly all events come in the order of their times: those stand in a line, and no key of theirs is
ever made. The others are in a heap.
"""

from collections import deque
from heapq import heappop, heappush

from tapeline.signals.events import Cash, Execution, Identity, Order, OrderKey

__all__ = ["Pending", "PendingQueue"]

Pending = Order | Execution | Cash


class PendingQueue:
    """What was pushed, the least in the order of events first."""

    def __init__(self) -> None:
        self._line: deque[tuple[Pending, Identity]] = deque()
        """In the order of events; each is later than the one before it, or has the greater key."""
        self._heap: list[tuple[OrderKey, int, Pending, Identity]] = []
        self._pushed_count = 0

    def __len__(self) -> int:
        return len(self._line) + len(self._heap)

    def push(self, event: Pending, identity: Identity) -> None:
        """Take an event; those of one identity and time come out one after the other."""
        line = self._line
        last = line[-1][0] if line else None
        if last is None or event.time_ns > last.time_ns or event.order_key > last.order_key:
            line.append((event, identity))
            return
        self._pushed_count += 1
        heappush(self._heap, (event.order_key, self._pushed_count, event, identity))

    def next_before(self, limit_ns: int) -> tuple[Pending, Identity] | None:
        """Take the first event, and its identity, if its time is before a limit."""
        line, heap = self._line, self._heap
        if heap:
            key = heap[0][0]
            time_ns: int = key[0]
            line_ns = line[0][0].time_ns if line else time_ns + 1
            if time_ns < line_ns or (time_ns == line_ns and key < line[0][0].order_key):
                return heappop(heap)[2:] if time_ns < limit_ns else None
        if line and line[0][0].time_ns < limit_ns:
            return line.popleft()
        return None

    def middle_ns(self) -> int:
        """Return a time which about half of the events are before."""
        line, heap = self._line, self._heap
        if len(line) >= len(heap):
            return line[len(line) // 2][0].time_ns if line else 0
        return heap[len(heap) // 2][2].time_ns
