"""The demo's business events, by the project's trading convention.

Pure: an event is a name and attributes here; `telemetry` gives it a time and sends it. Numbers
are decimal strings, which is the exact form that the convention prefers.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from tapeline.demo.tape import Decision, Fill, Quote, Revision

__all__ = [
    "ACCOUNT",
    "STRATEGY",
    "Event",
    "cash_event",
    "execution_event",
    "execution_id",
    "mark_event",
    "order_event",
    "order_id",
    "quote_event",
    "revision_event",
]

ACCOUNT: Final = "demo"
STRATEGY: Final = "crossing"


@dataclass(frozen=True, slots=True)
class Event:
    """A log record's `event_name` and attributes."""

    name: str
    attributes: dict[str, str | int]


def order_id(run: str, number: int) -> str:
    """Return the id of an order, unique over the runs that share a `run` text only."""
    return f"{run}-{number:06d}"


def execution_id(run: str, number: int, fill: int, revision: Revision | None = None) -> str:
    """Return the id of an order's n-th fill, or of what revised it."""
    suffix = "" if revision is None else f"-{revision.value}"
    return f"{run}-{number:06d}-{fill}{suffix}"


def order_event(run: str, decision: Decision, state: str, **further: str) -> Event:
    """Return a `trading.order` event; `further` are attributes below `trading.order.`."""
    limit_price = decision.limit_price
    if state == "replaced" and decision.replacement_price is not None:
        limit_price = decision.replacement_price
    attributes: dict[str, str | int] = {
        **_common(decision),
        "trading.order.id": order_id(run, decision.number),
        "trading.order.state": state,
        "trading.side": decision.side.value,
        "trading.order.quantity": _number(decision.quantity),
        "trading.order.limit_price": _number(limit_price),
    }
    if state == "decided":
        attributes["trading.order.decision_price"] = _number(decision.decision_price)
    attributes |= {f"trading.order.{name}": value for name, value in further.items()}
    return Event("trading.order", attributes)


def execution_event(run: str, decision: Decision, position: int, fill: Fill) -> Event:
    """Return the `trading.execution` event of an order's fill at `position`."""
    return Event(
        "trading.execution",
        {
            **_common(decision),
            "trading.execution.id": execution_id(run, decision.number, position),
            "trading.order.id": order_id(run, decision.number),
            "trading.sequence": position,
            "trading.side": decision.side.value,
            "trading.execution.quantity": _number(fill.quantity),
            "trading.execution.price": _number(fill.price),
            "trading.execution.fee": _number(fill.fee),
            "trading.execution.fee_currency": decision.instrument.currency,
            "trading.execution.liquidity": fill.liquidity,
        },
    )


def revision_event(run: str, decision: Decision, revision: Revision, fill: Fill | None) -> Event:
    """Return the event that corrects an order's first fill to `fill`, or busts it (None)."""
    attributes: dict[str, str | int] = {
        **_common(decision),
        "trading.execution.id": execution_id(run, decision.number, 0, revision),
        "trading.execution.ref_id": execution_id(run, decision.number, 0),
        "trading.execution.kind": revision.value,
        "trading.order.id": order_id(run, decision.number),
    }
    if fill is not None:
        attributes["trading.execution.quantity"] = _number(fill.quantity)
        attributes["trading.execution.price"] = _number(fill.price)
        attributes["trading.execution.fee"] = _number(fill.fee)
        attributes["trading.execution.fee_currency"] = decision.instrument.currency
    return Event("trading.execution", attributes)


def quote_event(quote: Quote, sequence: int) -> Event:
    """Return the `trading.quote` event of a quote; it belongs to a venue, to no account."""
    return Event(
        "trading.quote",
        {
            "trading.instrument": quote.instrument.name,
            "trading.venue": quote.instrument.venue,
            "trading.sequence": sequence,
            "trading.quote.bid": _number(quote.bid),
            "trading.quote.ask": _number(quote.ask),
        },
    )


def mark_event(quote: Quote, sequence: int) -> Event:
    """Return the `trading.mark` event that marks an instrument at a quote's mid."""
    return Event(
        "trading.mark",
        {
            "trading.instrument": quote.instrument.name,
            "trading.venue": quote.instrument.venue,
            "trading.sequence": sequence,
            "trading.mark.price": _number(quote.mid),
        },
    )


def cash_event(run: str, amount: Decimal) -> Event:
    """Return the `trading.cash` event of the run's opening deposit, in US dollars."""
    return Event(
        "trading.cash",
        {
            "trading.account": ACCOUNT,
            "trading.cash.id": f"{run}-deposit",
            "trading.cash.amount": _number(amount),
            "trading.cash.currency": "USD",
        },
    )


def _common(decision: Decision) -> dict[str, str | int]:
    return {
        "trading.account": ACCOUNT,
        "trading.strategy": STRATEGY,
        "trading.instrument": decision.instrument.name,
        "trading.venue": decision.instrument.venue,
    }


def _number(value: Decimal) -> str:
    """Return a number as plain decimal text, never with an exponent."""
    return format(value, "f")
