"""Events from attributes: what is there is taken as it is, what can't be is refused with a reason.

An event with one attribute that can't be taken is refused whole: a figure without the fee that was
garbled would be wrong, and look right. Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from tapeline.signals.decimals import ZERO, NumberFault, number
from tapeline.signals.events import (
    DEFAULT_ACCOUNT,
    NO_TRACE,
    ORDER_STATES,
    Cash,
    Event,
    Execution,
    Mark,
    Order,
    Quote,
    Side,
    Trace,
)
from tapeline.signals.instruments import Instruments

__all__ = ["EVENT_NAMES", "EventFault", "Refusal", "read_event"]

MAX_TEXT_LENGTH: Final = 256
_MAX_SEQUENCE: Final = 2**63 - 1
_MAX_SEQUENCE_DIGITS: Final = 19
_SIDES: Final[dict[str, Side]] = {"buy": 1, "sell": -1}
_KINDS: Final = ("trade", "correct", "bust")
_LIQUIDITIES: Final = ("maker", "taker")


class EventFault(StrEnum):
    """Why an attribute can't be taken, where it isn't a matter of numbers."""

    MISSING = "missing"
    NOT_A_TEXT = "not_a_text"
    TOO_LONG = "too_long"
    UNKNOWN_VALUE = "unknown_value"
    NOT_POSITIVE = "not_positive"
    NOT_AN_INTEGER = "not_an_integer"
    REFERS_TO_ITSELF = "refers_to_itself"


class Refusal(NamedTuple):
    """Why a record is no event; both fields are of a limited number of values."""

    reason: EventFault | NumberFault
    attribute: str


class _RefusalError(Exception):
    """Leaves the reading at the first attribute that can't be taken."""

    def __init__(self, reason: EventFault | NumberFault, attribute: str) -> None:
        self.refusal = Refusal(reason, attribute)


def read_event(
    name: str,
    attributes: Mapping[str, object],
    time_ns: int,
    instruments: Instruments,
    trace: Trace = NO_TRACE,
) -> Event | Refusal:
    """Return the event of a record with one of EVENT_NAMES, or the reason why it is none.

    `attributes` are those of record, scope and resource, the nearest one where several have it.
    """
    try:
        return _READERS[name](_Attributes(attributes), time_ns, instruments, trace)
    except _RefusalError as error:
        return error.refusal


class _Attributes:
    """Attributes by their meaning."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """Return a text; empty where there is none. An integer is taken as it is written."""
        value = self._values.get(name, "")
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise _RefusalError(EventFault.NOT_A_TEXT, name)
        if len(value) > MAX_TEXT_LENGTH:
            raise _RefusalError(EventFault.TOO_LONG, name)
        return value

    def beginning(self, name: str) -> str:
        """Return as much as is kept of a text that no figure depends on, empty where it is none."""
        value = self._values.get(name, "")
        return value[:MAX_TEXT_LENGTH] if isinstance(value, str) else ""

    def required(self, name: str) -> str:
        """Return a text that must not be empty."""
        value = self.text(name)
        if not value:
            raise _RefusalError(EventFault.MISSING, name)
        return value

    def one_of(self, name: str, known: Iterable[str]) -> str:
        """Return a text that must be a known one, or empty."""
        value = self.text(name)
        if value and value not in known:
            raise _RefusalError(EventFault.UNKNOWN_VALUE, name)
        return value

    def side(self) -> Side:
        """Return the side, 0 where there is none."""
        return _SIDES.get(self.one_of("trading.side", _SIDES), 0)

    def number(self, name: str) -> Decimal | None:
        """Return a number, or None where there is none; an empty text is none."""
        value = self._values.get(name, "")
        if value == "":
            return None
        result = number(value)
        if isinstance(result, NumberFault):
            raise _RefusalError(result, name)
        return result

    def positive(self, name: str) -> Decimal | None:
        """Return a number that must be greater than 0, or None where there is none."""
        value = self.number(name)
        if value is not None and value <= ZERO:
            raise _RefusalError(EventFault.NOT_POSITIVE, name)
        return value

    def price(self, name: str, *, may_be_negative: bool) -> Decimal | None:
        """Return a price, or None where there is none."""
        return self.number(name) if may_be_negative else self.positive(name)

    def sequence(self) -> int:
        """Return the integer that breaks ties, 0 where there is none."""
        name = "trading.sequence"
        value = self._values.get(name, "")
        if value == "":
            return 0
        if isinstance(value, str) and len(value) <= _MAX_SEQUENCE_DIGITS + 1:
            digits = value.removeprefix("-")
            value = int(value) if digits.isascii() and digits.isdecimal() else None
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MAX_SEQUENCE:
            raise _RefusalError(EventFault.NOT_AN_INTEGER, name)
        return value

    def account(self) -> str:
        """Return the account."""
        return self.text("trading.account") or DEFAULT_ACCOUNT


def _there(value: Decimal | None, name: str) -> Decimal:
    if value is None:
        raise _RefusalError(EventFault.MISSING, name)
    return value


def _known(value: str, known: Iterable[str]) -> str:
    """Return a value that only tells series apart; one that is not known is left off."""
    return value if value in known else ""


def _order(attributes: _Attributes, time_ns: int, instruments: Instruments, trace: Trace) -> Order:
    instrument = attributes.required("trading.instrument")
    free = instruments[instrument].allows_negative_prices
    state: Any = attributes.one_of("trading.order.state", ORDER_STATES)
    if not state:
        raise _RefusalError(EventFault.MISSING, "trading.order.state")
    order_id = attributes.required("trading.order.id")
    parent_id = attributes.text("trading.order.parent_id")
    if parent_id == order_id:
        raise _RefusalError(EventFault.REFERS_TO_ITSELF, "trading.order.parent_id")
    return Order(
        time_ns,
        attributes.account(),
        order_id,
        state,
        instrument,
        attributes.text("trading.venue"),
        parent_id,
        attributes.side(),
        attributes.positive("trading.order.quantity"),
        attributes.price("trading.order.limit_price", may_be_negative=free),
        attributes.price("trading.order.decision_price", may_be_negative=free),
        attributes.price("trading.order.arrival_price", may_be_negative=free),
        attributes.beginning("trading.order.reject_reason"),
        attributes.text("trading.strategy"),
        attributes.sequence(),
        trace,
    )


def _execution(
    attributes: _Attributes, time_ns: int, instruments: Instruments, trace: Trace
) -> Execution:
    instrument = attributes.required("trading.instrument")
    free = instruments[instrument].allows_negative_prices
    kind: Any = attributes.one_of("trading.execution.kind", _KINDS) or "trade"
    execution_id = attributes.required("trading.execution.id")
    order_id = attributes.text("trading.order.id")
    side, ref_id = attributes.side(), ""
    quantity = price = None
    if kind != "bust":
        quantity = attributes.positive("trading.execution.quantity")
        price = attributes.price("trading.execution.price", may_be_negative=free)
    if kind == "trade":
        _there(quantity, "trading.execution.quantity")
        _there(price, "trading.execution.price")
        if not side and not order_id:
            raise _RefusalError(EventFault.MISSING, "trading.side")
    else:
        ref_id = attributes.required("trading.execution.ref_id")
        if ref_id == execution_id:
            raise _RefusalError(EventFault.REFERS_TO_ITSELF, "trading.execution.ref_id")
    return Execution(
        time_ns,
        attributes.account(),
        attributes.text("trading.venue"),
        instrument,
        execution_id,
        kind,
        ref_id,
        side,
        quantity,
        price,
        order_id,
        attributes.number("trading.execution.fee"),
        attributes.text("trading.execution.fee_currency"),
        _known(attributes.text("trading.execution.liquidity"), _LIQUIDITIES),
        attributes.text("trading.strategy"),
        attributes.sequence(),
        trace,
    )


def _quote(attributes: _Attributes, time_ns: int, instruments: Instruments, _trace: Trace) -> Quote:
    instrument = attributes.required("trading.instrument")
    free = instruments[instrument].allows_negative_prices
    bid, ask = (
        _there(attributes.price(name, may_be_negative=free), name)
        for name in ("trading.quote.bid", "trading.quote.ask")
    )
    venue = attributes.text("trading.venue")
    return Quote(time_ns, venue, instrument, bid, ask, attributes.sequence())


def _mark(attributes: _Attributes, time_ns: int, instruments: Instruments, _trace: Trace) -> Mark:
    instrument = attributes.required("trading.instrument")
    free = instruments[instrument].allows_negative_prices
    name = "trading.mark.price"
    price = _there(attributes.price(name, may_be_negative=free), name)
    return Mark(time_ns, attributes.text("trading.venue"), instrument, price, attributes.sequence())


def _cash(attributes: _Attributes, time_ns: int, _instruments: Instruments, trace: Trace) -> Cash:
    name = "trading.cash.amount"
    return Cash(
        time_ns,
        attributes.account(),
        attributes.required("trading.cash.id"),
        _there(attributes.number(name), name),
        attributes.text("trading.cash.currency"),
        attributes.text("trading.strategy"),
        attributes.sequence(),
        trace,
    )


_READERS: Final[dict[str, Callable[[_Attributes, int, Instruments, Trace], Event]]] = {
    "trading.order": _order,
    "trading.execution": _execution,
    "trading.quote": _quote,
    "trading.mark": _mark,
    "trading.cash": _cash,
}
EVENT_NAMES: Final = frozenset(_READERS)
"""The names that `read_event` takes."""
