"""What waits for the watermark comes out in the order of events, however it came in."""

from decimal import Decimal
from heapq import heappop, heappush
from random import Random
from typing import Any

import pytest

from signal_events import in_arrival_order, random_events
from tapeline.signals.events import Cash, Execution, Order
from tapeline.signals.pending import PendingQueue


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("lateness_ns", [1, 20, 500])
def test_it_is_a_heap_by_key(seed: int, lateness_ns: int) -> None:
    """Whether nearly all is in order, or nothing; with pushes between what is taken."""
    random = Random(seed)  # noqa: S311 - a repeatable order of arrival
    events = in_arrival_order(random, random_events(random, 200), lateness_ns)
    queue, heap = PendingQueue(), list[Any]()
    taken, expected = [], []
    for number, event in enumerate(events):
        if isinstance(event, Order | Execution | Cash):
            queue.push(event, event.identity)
            heappush(heap, (event.order_key, number, event))
        if random.random() < 0.1:
            limit_ns = event.time_ns - random.randrange(30)
            while (found := queue.next_before(limit_ns)) is not None:
                taken.append(found[0].order_key)
            while heap and heap[0][0][0] < limit_ns:
                expected.append(heappop(heap)[0])
            assert len(queue) == len(heap)
    while (found := queue.next_before(2_000)) is not None:
        taken.append(found[0].order_key)
    assert taken == expected + sorted(entry[0] for entry in heap)
    assert len(taken) > 50


def test_the_middle_has_events_on_both_sides() -> None:
    """The watermark goes there when too much waits: something is taken, something left."""
    queue = PendingQueue()
    for time_ns in (*range(100), *range(50)):
        cash = Cash(time_ns, "a", f"c{time_ns}", Decimal(1))
        queue.push(cash, cash.identity)
    assert 0 < queue.middle_ns() < 99
