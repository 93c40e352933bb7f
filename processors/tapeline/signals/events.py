"""The five events as values: their identity, their content, their order.

They are tuples, since making and comparing those is fastest. An empty text and side 0 stand for
what the event does not say. Pure.
"""

from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from tapeline.signals.decimals import ZERO

__all__ = [
    "BUY",
    "DEFAULT_ACCOUNT",
    "DEFAULT_STRATEGY",
    "NO_TRACE",
    "ORDER_STATES",
    "SELL",
    "Cash",
    "Event",
    "Execution",
    "ExecutionKind",
    "Identity",
    "Mark",
    "Order",
    "OrderKey",
    "OrderState",
    "Quote",
    "Side",
    "Trace",
]

Side = Literal[-1, 0, 1]
"""+1 buys, -1 sells, 0 is unknown: the s of the formulas."""
OrderState = Literal[
    "decided", "submitted", "acknowledged", "replaced", "canceled", "rejected", "expired"
]
ExecutionKind = Literal["trade", "correct", "bust"]
Identity = tuple[str | int, ...]
Content = tuple[Any, ...]
"""Can be compared with another content of the same kind of event."""
OrderKey = tuple[Any, ...]
"""Can be compared with the key of any other event."""

BUY: Final = 1
SELL: Final = -1
DEFAULT_ACCOUNT: Final = "default"
DEFAULT_STRATEGY: Final = "default"
ORDER_STATES: Final[dict[OrderState, int]] = {
    "decided": 0,
    "submitted": 1,
    "acknowledged": 2,
    "replaced": 3,
    "canceled": 4,
    "rejected": 5,
    "expired": 6,
}
"""The states in their natural order, which breaks ties between events of one order."""

_QUOTE, _MARK, _CASH, _ORDER, _EXECUTION = range(5)


class Trace(NamedTuple):
    """Where an event was recorded, for exemplars; both are empty where there was no trace."""

    trace_id: bytes = b""
    span_id: bytes = b""


NO_TRACE: Final = Trace()


class Execution(NamedTuple):
    """A trade, or what corrects or busts one."""

    time_ns: int
    account: str
    venue: str
    instrument: str
    id: str
    kind: ExecutionKind = "trade"
    ref_id: str = ""
    side: Side = 0
    quantity: Decimal | None = None
    price: Decimal | None = None
    order_id: str = ""
    fee: Decimal | None = None
    """What was paid, in the fee's currency; a rebate is negative."""
    fee_currency: str = ""
    """Empty: the currency of the instrument's P&L."""
    liquidity: str = ""
    strategy: str = ""
    """Empty: the one of its order."""
    sequence: int = 0
    trace: Trace = NO_TRACE

    @property
    def identity(self) -> Identity:
        """Return account, venue, instrument and id: the same for what is the same execution."""
        return self[1:5]

    @property
    def reference(self) -> Identity:
        """Return the identity of the execution that this one corrects or busts."""
        return (self.account, self.venue, self.instrument, self.ref_id)

    @property
    def content(self) -> Content:
        """Return all but time and trace."""
        return (
            *self[1:8],
            _comparable(self.quantity),
            _comparable(self.price),
            self.order_id,
            _comparable(self.fee),
            *self[12:16],
        )

    @property
    def order_key(self) -> OrderKey:
        """Return what sorts events: time, kind, sequence, id; of the same id, venue and account."""
        return (
            self.time_ns,
            _EXECUTION,
            self.sequence,
            _byte_length(self.id),
            self.id,
            self.venue,
            self.account,
            self.instrument,
        )


class Order(NamedTuple):
    """A change in the life of an order."""

    time_ns: int
    account: str
    id: str
    state: OrderState
    instrument: str
    venue: str = ""
    parent_id: str = ""
    side: Side = 0
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    decision_price: Decimal | None = None
    arrival_price: Decimal | None = None
    reject_reason: str = ""
    strategy: str = ""
    sequence: int = 0
    trace: Trace = NO_TRACE

    @property
    def identity(self) -> Identity:
        """Return account, order id, state and time."""
        return (self.account, self.id, self.state, self.time_ns)

    @property
    def content(self) -> Content:
        """Return all but time and trace."""
        return (*self[1:8], *map(_comparable, self[8:12]), *self[12:15])

    @property
    def order_key(self) -> OrderKey:
        """Return what sorts events; of the same id, the natural order of states, then account."""
        return (
            self.time_ns,
            _ORDER,
            self.sequence,
            _byte_length(self.id),
            self.id,
            ORDER_STATES[self.state],
            self.account,
        )


class Quote(NamedTuple):
    """The best prices of an instrument."""

    time_ns: int
    venue: str
    instrument: str
    bid: Decimal
    ask: Decimal
    sequence: int = 0

    @property
    def order_key(self) -> OrderKey:
        """Return what sorts events; a quote has no id, its instrument and content break ties."""
        return (self.time_ns, _QUOTE, self.sequence, 0, "", *self[1:5])


class Mark(NamedTuple):
    """The price that positions are valued at."""

    time_ns: int
    venue: str
    instrument: str
    price: Decimal
    sequence: int = 0

    @property
    def order_key(self) -> OrderKey:
        """Return what sorts events; a mark has no id, its instrument and content break ties."""
        return (self.time_ns, _MARK, self.sequence, 0, "", *self[1:4])


class Cash(NamedTuple):
    """A deposit, or, with a negative amount, a withdrawal."""

    time_ns: int
    account: str
    id: str
    amount: Decimal
    currency: str = ""
    """Empty: the account's base currency."""
    strategy: str = ""
    sequence: int = 0
    trace: Trace = NO_TRACE

    @property
    def identity(self) -> Identity:
        """Return account and id."""
        return self[1:3]

    @property
    def content(self) -> Content:
        """Return all but time and trace."""
        return self[1:7]

    @property
    def order_key(self) -> OrderKey:
        """Return what sorts events; of the same id, the account."""
        return (self.time_ns, _CASH, self.sequence, _byte_length(self.id), self.id, self.account)


Event = Order | Execution | Quote | Mark | Cash


def _comparable(value: Decimal | None) -> tuple[bool, Decimal]:
    """Return a value that sorts with others of its kind: what is absent before any number."""
    return (False, ZERO) if value is None else (True, value)


def _byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
