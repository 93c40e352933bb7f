"""The life of one order: what its events say, and when it is closed.

States and their precedence are those of the FIX order state change matrices (FIX 5.0, volume 4,
appendix D): what is filled is filled, though it was canceled, too; canceled stays canceled, though
its executions are busted; a filled order that is replaced by a greater one, or loses an execution,
is open again. Pure.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable
from decimal import Decimal, localcontext
from enum import StrEnum
from operator import attrgetter
from typing import Final, NamedTuple

from tapeline.signals.decimals import EXACT, ZERO
from tapeline.signals.events import Identity, Order, Side

__all__ = ["Closure", "Fill", "OrderLife", "OrderStatus", "closure"]

MAX_EVENTS: Final = 10_000
"""Events of one order that are kept."""

_ORDER_KEY: Final = attrgetter("order_key")
_CLOSING: Final = frozenset({"canceled", "rejected", "expired"})
_ACCEPTING: Final = frozenset({"acknowledged", "replaced"})


class OrderStatus(StrEnum):
    """What an order is, as OrdStatus (39) of FIX; pending is before acceptance."""

    PENDING = "pending"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Fill(NamedTuple):
    """An execution that is in force, with its last correction."""

    time_ns: int
    quantity: Decimal
    price: Decimal
    fee: Decimal | None
    """In the currency of the notional, at the rate of its time; None where that is missing."""


class Closure(NamedTuple):
    """What an order is, after all that is known of it."""

    status: OrderStatus
    closed_ns: int | None
    """Since when it is closed; None where it is open."""
    quantity: Decimal | None
    """The last in force."""
    filled: Decimal
    was_accepted: bool

    @property
    def leaves(self) -> Decimal:
        """Return what is left to execute: nothing of an order that is closed."""
        if self.closed_ns is not None or self.quantity is None:
            return ZERO
        with localcontext(EXACT):
            return max(ZERO, self.quantity - self.filled)


class OrderLife:
    """The events and executions of one order, and what they say of it.

    What can be said several times counts as it was said first (side, decision and arrival price,
    strategy, instrument) or last (quantity and limit in force, venue).
    """

    __slots__ = (
        "account",
        "acknowledged_ns",
        "arrival_price",
        "children",
        "close_mid",
        "closure",
        "decision_price",
        "events",
        "filled",
        "fills",
        "first_fill_ns",
        "id",
        "instrument",
        "is_ended",
        "is_sampled",
        "last_ns",
        "limit_price",
        "name",
        "parent_id",
        "quantity",
        "receipt_mid",
        "sampled_stages",
        "side",
        "strategy",
        "submitted_ns",
        "venue",
    )  # fmt: skip

    def __init__(self, account: str, order_id: str) -> None:
        self.account = account
        self.id = order_id
        self.name: tuple[str, ...] = (account, order_id)
        """What it is held by, wherever it is: of any length to mypyc, so that it stays one."""
        self.closure: Closure | None = None
        """What was found of it, until something happens to it or to a descendant."""
        self.events: list[Order] = []
        self.fills: dict[Identity, Fill] = {}
        """By the identity of the trade that began the chain."""
        self.filled = ZERO
        """By the order and all its descendants."""
        self.children: dict[str, None] = {}
        self.last_ns = -1
        """The time of the last thing that happened to it."""
        self.first_fill_ns: int | None = None
        """Of the first execution as reported, whatever became of it."""
        self.receipt_mid: tuple[int, Decimal | None] | None = None
        """The first submission when it was known, and the mid then."""
        self.close_mid: tuple[int, Decimal | None] | None = None
        self.is_sampled = False
        """Whether its shortfall was sampled; that is done once."""
        self.sampled_stages = 0
        """The latencies that were sampled, as bits; each is once."""
        self._begin()

    def _begin(self) -> None:
        self.instrument = ""
        self.venue = ""
        self.strategy = ""
        self.parent_id = ""
        self.side: Side = 0
        self.quantity: Decimal | None = None
        self.limit_price: Decimal | None = None
        self.decision_price: Decimal | None = None
        self.arrival_price: Decimal | None = None
        self.submitted_ns: int | None = None
        self.acknowledged_ns: int | None = None
        self.is_ended = False
        """Whether it was canceled, rejected or expired."""

    @property
    def may_be_closed(self) -> bool:
        """Say whether it is closed, or about to be: without that, `closure` finds it open."""
        return self.is_ended or (self.quantity is not None and self.filled >= self.quantity)

    def take(self, event: Order) -> bool:
        """Take an event, at its place in the order of events; False where there is no room."""
        if len(self.events) >= MAX_EVENTS:
            return False
        self.last_ns = max(self.last_ns, event.time_ns)
        if not self.events or self.events[-1].order_key <= event.order_key:
            self.events.append(event)
            self._read(event)
            return True
        insort(self.events, event, key=_ORDER_KEY)
        self._begin()
        for known in self.events:
            self._read(known)
        return True

    def limit_at(self, time_ns: int) -> Decimal | None:
        """Return the limit in force at a moment: an order event of that moment is before it."""
        if not self.events or self.events[-1].time_ns <= time_ns:
            return self.limit_price
        count = bisect_right(self.events, time_ns, key=lambda event: event.time_ns)
        past = OrderLife(self.account, self.id)
        for event in self.events[:count]:
            past._read(event)
        return past.limit_price

    def _read(self, event: Order) -> None:
        state = event.state
        self.is_ended = self.is_ended or state in _CLOSING
        self.instrument = self.instrument or event.instrument
        self.venue = event.venue or self.venue
        self.strategy = self.strategy or event.strategy
        if event.parent_id != self.id:
            self.parent_id = self.parent_id or event.parent_id
        self.side = self.side or event.side
        if self.decision_price is None:
            self.decision_price = event.decision_price
        if self.arrival_price is None:
            self.arrival_price = event.arrival_price
        if state == "submitted" and self.submitted_ns is None:
            self.submitted_ns = event.time_ns
        if state == "acknowledged" and self.acknowledged_ns is None:
            self.acknowledged_ns = event.time_ns
        # What closes an order changes no terms: a refused replacement states what it asked for.
        if state not in _CLOSING or self.quantity is None:
            self.quantity = self.quantity if event.quantity is None else event.quantity
        if state not in _CLOSING or self.limit_price is None:
            self.limit_price = self.limit_price if event.limit_price is None else event.limit_price


def closure(life: OrderLife, fills: Iterable[Fill]) -> Closure:
    """Return what an order is, by its events and the executions of itself and its descendants."""
    steps: list[tuple[int, int, int, Order | Fill]] = [
        (event.time_ns, 0, number, event) for number, event in enumerate(life.events)
    ]
    steps.extend((fill.time_ns, 1, number, fill) for number, fill in enumerate(fills))
    steps.sort(key=lambda step: step[:3])
    filled, quantity = ZERO, None
    status, closed_ns, was_accepted = OrderStatus.PENDING, None, False
    ended: OrderStatus | None = None
    with localcontext(EXACT):
        for time_ns, _, _, step in steps:
            if isinstance(step, Fill):
                filled += step.quantity
                was_accepted = was_accepted or ended is not OrderStatus.REJECTED
            else:
                if step.quantity is not None and (step.state not in _CLOSING or quantity is None):
                    quantity = step.quantity
                if ended is None and step.state in _CLOSING:
                    ended = OrderStatus(step.state)
                was_accepted = was_accepted or (ended is None and step.state in _ACCEPTING)
            status = _status(filled, quantity, ended, was_accepted=was_accepted)
            if ended is None and status is not OrderStatus.FILLED:
                closed_ns = None
            elif closed_ns is None:
                closed_ns = time_ns
    return Closure(status, closed_ns, quantity, filled, was_accepted)


def _status(
    filled: Decimal,
    quantity: Decimal | None,
    ended: OrderStatus | None,
    *,
    was_accepted: bool,
) -> OrderStatus:
    if filled and quantity is not None and filled >= quantity:
        return OrderStatus.FILLED
    if ended is not None:
        return ended
    if filled:
        return OrderStatus.PARTIALLY_FILLED
    return OrderStatus.NEW if was_accepted else OrderStatus.PENDING
