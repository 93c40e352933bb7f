"""Events that wait for the watermark, taken in the order of events. Pure.

Nearly all events come in the order of their times: those stand in a line, and no key of theirs is
ever made. The others are in a heap.
"""

from collections import deque
from heapq import heappop, heappush

from tapeline.signals.events import Cash, Execution, Order, OrderKey

__all__ = ["Pending", "PendingQueue"]

Pending = Order | Execution | Cash


class PendingQueue:
    """What was pushed, the least in the order of events first."""

    def __init__(self) -> None:
        self._line: deque[Pending] = deque()
        """In the order of events; each is later than the one before it, or has the greater key."""
        self._heap: list[tuple[OrderKey, int, Pending]] = []
        self._pushed_count = 0

    def __len__(self) -> int:
        return len(self._line) + len(self._heap)

    def push(self, event: Pending) -> None:
        """Take an event; of equal ones the first that was pushed comes first."""
        line = self._line
        if not line or event.time_ns > line[-1].time_ns or event.order_key > line[-1].order_key:
            line.append(event)
            return
        self._pushed_count += 1
        heappush(self._heap, (event.order_key, self._pushed_count, event))

    def next_before(self, limit_ns: int) -> Pending | None:
        """Take the first event if its time is before a limit; None where there is none."""
        line, heap = self._line, self._heap
        if heap:
            key = heap[0][0]
            time_ns: int = key[0]
            line_ns = line[0].time_ns if line else time_ns + 1
            if time_ns < line_ns or (time_ns == line_ns and key < line[0].order_key):
                return heappop(heap)[2] if time_ns < limit_ns else None
        if line and line[0].time_ns < limit_ns:
            return line.popleft()
        return None

    def middle_ns(self) -> int:
        """Return a time which about half of the events are before."""
        line, heap = self._line, self._heap
        if len(line) >= len(heap):
            return line[len(line) // 2].time_ns if line else 0
        return heap[len(heap) // 2][2].time_ns
