"""All orders that are open or closed lately: benchmarks, latencies, parents, shortfall, fill ratio.

A fold in event order: what has passed the watermark is applied by time, and what comes later still
when it comes. Mids are asked for at once, when quotes of that time are in memory. So nothing that
was sampled changes. Pure, and bounded.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, localcontext
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Final, NamedTuple

from tapeline.signals.decimals import EXACT, ZERO, add, divide, subtract
from tapeline.signals.events import Identity, Order
from tapeline.signals.order_life import Closure, Fill, OrderLife, OrderStatus, closure

__all__ = ["ClosedOrder", "FillRatio", "LatencySample", "OrderBook", "OrderName", "OrderRecord"]

HOUR_NS: Final = 3_600_000_000_000
DEFAULT_GRACE_NS: Final = 5_000_000_000
DEFAULT_MAX_ORDERS: Final = 200_000
MAX_DEPTH: Final = 64
"""Generations from a root order to its last descendant."""

_STAGES: Final = ((1, "submit_to_ack", 0, 1), (2, "ack_to_fill", 1, 2), (4, "submit_to_fill", 0, 2))
"""The bit, the name, and of submission, acknowledgement and fill the two between which it is."""
_ALL_STAGES: Final = 7

OrderName = tuple[str, ...]
"""Account and order id: of any length to mypyc, as `PositionKey` is."""
MidPrice = Callable[[str, str, int], Decimal | None]
"""Venue, instrument and time to the mid then."""


class LatencySample(NamedTuple):
    """How long a stage of an order took, once."""

    order: OrderLife
    stage: str
    latency_ns: int


class ClosedOrder(NamedTuple):
    """A root order whose close is longer ago than the grace: time for its shortfall."""

    order: OrderLife
    closure: Closure
    fills: tuple[Fill, ...]
    """Of the order and all its descendants."""
    arrival_price: Decimal | None
    close_mid: Decimal | None


class OrderRecord(NamedTuple):
    """All of an order that a snapshot keeps; the rest follows from it."""

    account: str
    id: str
    children: tuple[str, ...]
    """Those that it has been given: of a circle the last link is left out."""
    events: tuple[Order, ...]
    fills: tuple[tuple[Identity, Fill], ...]
    last_ns: int
    first_fill_ns: int | None
    receipt_mid: tuple[int, Decimal | None] | None
    close_mid: tuple[int, Decimal | None] | None
    is_sampled: bool
    sampled_stages: int


class FillRatio(NamedTuple):
    """What the leaf orders that closed lately asked for and got."""

    filled: Decimal = ZERO
    ordered: Decimal = ZERO

    @property
    def ratio(self) -> Decimal | None:
        """Return filled/ordered, at most 1; None where nothing was ordered."""
        return min(Decimal(1), divide(self.filled, self.ordered)) if self.ordered else None


class OrderBook:
    """The orders by account and id."""

    def __init__(
        self,
        mid: MidPrice,
        *,
        grace_ns: int = DEFAULT_GRACE_NS,
        max_orders: int = DEFAULT_MAX_ORDERS,
    ) -> None:
        """`mid` is asked for the mid of the present, at submission and at the close."""
        self._mid = mid
        self._grace_ns = grace_ns
        self._max_orders = max_orders
        self._orders: dict[OrderName, OrderLife] = {}
        self._open: set[OrderName] = set()
        self._closed: dict[OrderName, int] = {}
        """Since when an order is closed."""
        self._due: list[tuple[int, OrderName]] = []
        self.evicted_count = 0
        """Orders that had to go before they were done."""
        self.refused_count = 0
        """Events of orders that have more of them than an order can have."""
        self.negative_latency_count = 0
        self.circle_count = 0
        """Orders that are, or would be, their own ancestors, or too far down; they have no root."""

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, name: object) -> bool:
        """Say whether an order is known, by account and id."""
        return name in self._orders

    def order(self, account: str, order_id: str) -> OrderLife | None:
        """Return what is known of an order; to be read only."""
        return self._orders.get((account, order_id))

    def event(self, account: str, order_id: str, identity: Identity) -> Order | None:
        """Return the event of an identity that was applied; None where there was none."""
        life = self._orders.get((account, order_id))
        if life is None:
            return None
        time_ns = identity[-1]
        index = bisect_left(life.events, time_ns, key=lambda known: known.time_ns)
        for known in islice(life.events, index, None):
            if known.time_ns != time_ns:
                return None
            if known.identity == identity:
                return known
        return None

    def apply(self, event: Order) -> list[LatencySample]:
        """Take an order event that is no duplicate, and return the latencies that end with it."""
        life = self._at(event.account, event.id)
        parent_id = life.parent_id
        if not life.take(event):
            self.refused_count += 1
            return []
        if life.parent_id != parent_id:
            self._link(life, parent_id)
        if life.submitted_ns is not None and life.receipt_mid is None:
            venue = event.venue or life.venue
            life.receipt_mid = (
                life.submitted_ns,
                self._mid(venue, life.instrument, life.submitted_ns),
            )
        self._changed(life)
        return self._latencies(life)

    def fill(
        self, account: str, order_id: str, identity: Identity, fill: Fill
    ) -> list[LatencySample]:
        """Take an execution, or the values of its correction, by the identity of its trade."""
        life = self._at(account, order_id)
        before = life.fills.get(identity)
        life.fills[identity] = fill
        life.last_ns = max(life.last_ns, fill.time_ns)
        if life.first_fill_ns is None or fill.time_ns < life.first_fill_ns:
            life.first_fill_ns = fill.time_ns
        self._add_filled(life, fill.quantity, before.quantity if before is not None else ZERO)
        self._changed(life)
        return self._latencies(life)

    def bust(self, account: str, order_id: str, identity: Identity, time_ns: int) -> bool:
        """Take an execution away; return whether it was there."""
        life = self._orders.get((account, order_id))
        fill = life.fills.pop(identity, None) if life is not None else None
        if life is None or fill is None:
            return False
        self._add_filled(life, ZERO, fill.quantity)
        life.last_ns = max(life.last_ns, time_ns)
        self._changed(life)
        return True

    def closure(self, life: OrderLife) -> Closure:
        """Return whether an order is closed, by its own executions and its descendants'."""
        found = life.closure
        if found is None:
            found = life.closure = closure(life, self.fills(life))
        return found

    def fills(self, life: OrderLife) -> list[Fill]:
        """Return the executions of an order and its descendants."""
        if not life.children:
            return list(life.fills.values())
        return [fill for member in self.family(life) for fill in member.fills.values()]

    def family(self, life: OrderLife) -> Iterator[OrderLife]:
        """Yield an order and its descendants."""
        waiting = [life]
        while waiting:
            member = waiting.pop()
            yield member
            for child_id in member.children:
                child = self._orders.get((member.account, child_id))
                if child is not None:
                    waiting.append(child)

    def ancestors(self, life: OrderLife) -> Iterator[OrderLife]:
        """Yield an order, its parent, and so on up to its root."""
        for _ in range(MAX_DEPTH + 1):
            yield life
            parent = self._orders.get((life.account, life.parent_id))
            if not life.parent_id or parent is None or life.id not in parent.children:
                return
            life = parent

    def is_root(self, life: OrderLife) -> bool:
        """Say whether an order has no parent; one whose parent is unknown has one."""
        return not life.parent_id

    def decision_price(self, life: OrderLife) -> Decimal | None:
        """Return the order's decision price, else that of the nearest ancestor that states one."""
        for member in self.ancestors(life):
            if member.decision_price is not None:
                return member.decision_price
        return None

    def arrival_price(self, life: OrderLife) -> Decimal | None:
        """Return the first arrival price that was stated, else the mid at the first submission.

        A root that was never submitted itself arrived with the first of its descendants.
        """
        if life.arrival_price is not None:
            return life.arrival_price
        if life.receipt_mid is not None:
            return life.receipt_mid[1]
        if not self.is_root(life):
            return None
        submitted = [
            (member.receipt_mid[0], member.id, member.receipt_mid[1])
            for member in self.family(life)
            if member.receipt_mid is not None
        ]
        return min(submitted, key=lambda found: found[:2])[2] if submitted else None

    def receipt_mid(self, life: OrderLife) -> Decimal | None:
        """Return the mid when the order was received: at its first submission."""
        return None if life.receipt_mid is None else life.receipt_mid[1]

    def due(self, time_ns: int, *, is_end: bool = False) -> Iterator[ClosedOrder]:
        """Take the root orders that closed longer ago than the grace, each once, by that time.

        To be asked before anything of `time_ns` is applied; at the end of input what is due then
        is taken, too. An order that is open again by now is not due.
        """
        limit_ns = time_ns + 1 if is_end else time_ns
        while (closed := self.next_due(limit_ns)) is not None:
            yield closed

    def next_due(self, limit_ns: int) -> ClosedOrder | None:
        """Take the first of what `due` yields before a moment; None where nothing is."""
        while self._due and self._due[0][0] < limit_ns:
            due_ns, name = heappop(self._due)
            life = self._orders.get(name)
            if life is None or life.is_sampled or not self.is_root(life):
                continue
            found = self.closure(life)
            if found.closed_ns is None:
                life.close_mid = None  # When it closes again, it is due again.
                continue
            if found.closed_ns + self._grace_ns != due_ns:
                continue
            if found.status is OrderStatus.REJECTED and not found.was_accepted:
                continue
            life.is_sampled = True
            close_mid = life.close_mid[1] if life.close_mid is not None else None
            fills = tuple(self.fills(life))
            return ClosedOrder(life, found, fills, self.arrival_price(life), close_mid)
        return None

    def open_count(self) -> int:
        """Return how many orders are open; one of which only executions are known is not."""
        return len(self._open)

    def fill_ratios(self, now_ns: int) -> dict[tuple[str, str, str, str], FillRatio]:
        """Return what leaf orders got that closed in the last hour, that is after `now - 1 h`.

        By account, strategy, instrument and venue. Orders of unknown quantity are left out.
        """
        ratios: dict[tuple[str, str, str, str], FillRatio] = {}
        with localcontext(EXACT):
            for name, closed_ns in self._closed.items():
                life = self._orders[name]
                if life.children or not now_ns - HOUR_NS < closed_ns <= now_ns:
                    continue
                found = self.closure(life)
                if found.quantity:
                    key = (life.account, life.strategy, life.instrument, life.venue)
                    before = ratios.get(key, FillRatio())
                    ratios[key] = FillRatio(
                        before.filled + found.filled, before.ordered + found.quantity
                    )
        return ratios

    def forget(self, now_ns: int) -> int:
        """Drop families in which all is closed, and quiet for an hour and the grace; count them.

        An order of which only executions are known goes by their time alone.
        """
        cut_ns = now_ns - HOUR_NS - self._grace_ns
        roots = [
            life
            for life in self._orders.values()
            if life.last_ns < cut_ns and len(list(self.ancestors(life))) == 1
        ]
        dropped = 0
        for root in roots:
            members = list(self.family(root))
            if all(self._is_done(member, cut_ns) for member in members):
                for member in members:
                    self._drop(member)
                dropped += len(members)
        return dropped

    def records(self) -> Iterator[OrderRecord]:
        """Yield all orders, the oldest first, for a snapshot."""
        for life in self._orders.values():
            yield OrderRecord(
                life.account,
                life.id,
                tuple(life.children),
                tuple(life.events),
                tuple(life.fills.items()),
                life.last_ns,
                life.first_fill_ns,
                life.receipt_mid,
                life.close_mid,
                life.is_sampled,
                life.sampled_stages,
            )

    def due_times(self) -> list[tuple[int, OrderName]]:
        """Return when orders are to be looked at, for a snapshot."""
        return list(self._due)

    def restore(
        self, records: Iterable[OrderRecord], due_times: Iterable[tuple[int, OrderName]]
    ) -> None:
        """Take back what `records` and `due_times` gave, into an empty book.

        No mid that is known is asked for.
        """
        kept = list(records)
        lives = [self._at(record.account, record.id) for record in kept]
        for life, record in zip(lives, kept, strict=True):
            for event in record.events:
                life.take(event)
            life.children = dict.fromkeys(record.children)
            life.fills = dict(record.fills)
            life.last_ns, life.first_fill_ns = record.last_ns, record.first_fill_ns
            life.receipt_mid = record.receipt_mid
            life.is_sampled, life.sampled_stages = record.is_sampled, record.sampled_stages
        for life in lives:
            for fill in life.fills.values():
                self._add_filled(life, fill.quantity, ZERO)
        for life in lives:
            self._changed(life)
        for life, record in zip(lives, kept, strict=True):
            life.close_mid = record.close_mid
        self._due = list(due_times)
        heapify(self._due)

    def _is_done(self, life: OrderLife, cut_ns: int) -> bool:
        if life.last_ns >= cut_ns:
            return False
        return not life.events or life.name in self._closed

    def _at(self, account: str, order_id: str) -> OrderLife:
        life = self._orders.get((account, order_id))
        if life is None:
            if len(self._orders) >= self._max_orders:
                self._evict()
            life = OrderLife(account, order_id)
            self._orders[life.name] = life
        return life

    def _evict(self) -> None:
        """Drop the family of the oldest order."""
        oldest = next(iter(self._orders.values()))
        for root in self.ancestors(oldest):
            oldest = root
        members = list(self.family(oldest))
        self.evicted_count += len(members)
        for member in members:
            self._drop(member)

    def _drop(self, life: OrderLife) -> None:
        name = life.name
        self._orders.pop(name, None)
        self._open.discard(name)
        self._closed.pop(name, None)

    def _link(self, life: OrderLife, former_id: str) -> None:
        """Make an order a child of its parent, unless it is the parent's ancestor."""
        former = self._orders.get((life.account, former_id))
        if former is not None and former.children.pop(life.id, life) is None:
            self._add_filled(former, ZERO, life.filled)
            self._changed(former)
        if not life.parent_id:
            return
        parent = self._at(life.account, life.parent_id)
        above = list(self.ancestors(parent))
        if life in above or len(above) > MAX_DEPTH:
            self.circle_count += 1
            return
        parent.children[life.id] = None
        self._add_filled(parent, life.filled, ZERO)

    def _line(self, life: OrderLife) -> Iterable[OrderLife]:
        return self.ancestors(life) if life.parent_id else (life,)

    def _add_filled(self, life: OrderLife, more: Decimal, less: Decimal) -> None:
        change = subtract(more, less)
        for member in self._line(life):
            member.filled = add(member.filled, change)

    def _changed(self, life: OrderLife) -> None:
        """Find anew what an order and its ancestors are, and when their shortfall is due."""
        for member in self._line(life):
            name = member.name
            member.closure = None
            if not member.events:
                continue
            # Told without a look at the executions, of which a parent may have thousands.
            closed_ns = self.closure(member).closed_ns if member.may_be_closed else None
            if closed_ns is None:
                self._closed.pop(name, None)
                self._open.add(name)
                continue
            self._open.discard(name)
            self._closed[name] = closed_ns
            is_watched = member.close_mid is not None and member.close_mid[0] == closed_ns
            if self.is_root(member) and not member.is_sampled and not is_watched:
                mid = self._mid(member.venue, member.instrument, closed_ns)
                member.close_mid = (closed_ns, mid)
                heappush(self._due, (closed_ns + self._grace_ns, name))

    def _latencies(self, life: OrderLife) -> list[LatencySample]:
        samples: list[LatencySample] = []
        if life.sampled_stages == _ALL_STAGES:
            return samples
        moments = (life.submitted_ns, life.acknowledged_ns, life.first_fill_ns)
        for bit, stage, begin, end in _STAGES:
            begin_ns, end_ns = moments[begin], moments[end]
            if begin_ns is None or end_ns is None or life.sampled_stages & bit:
                continue
            life.sampled_stages |= bit
            if end_ns < begin_ns:
                self.negative_latency_count += 1
            else:
                samples.append(LatencySample(life, stage, end_ns - begin_ns))
        return samples
