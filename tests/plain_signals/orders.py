"""Orders by definition: terms, parents, closing. Section 5, "Orders" and "Parents"."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from plain_signals.known import Known, first, last, mid
from tapeline.signals.events import DEFAULT_STRATEGY, Order

CLOSING = ("canceled", "rejected", "expired")
MAX_GENERATIONS = 64


@dataclass(frozen=True)
class Terms:
    """What an order says at a moment."""

    side: int
    strategy: str
    instrument: str
    venue: str
    parent_id: str
    decision: Fraction | None
    stated_arrival: Fraction | None
    quantity: Fraction | None
    limit: Fraction | None


def terms(known: Known, account: str, order_id: str) -> Terms | None:
    """Return the terms of an order, None where nothing was seen of it.

    Quantity and limit are those last stated by what doesn't close the order; what closes it tells
    them only where nothing else does.
    """
    events = known.order_events(account, order_id)
    if not events:
        return None
    return Terms(
        side=first([event.side for event in events]) or 0,
        strategy=first([event.strategy for event in events]) or DEFAULT_STRATEGY,
        instrument=events[0].instrument,
        venue=last([event.venue for event in events]) or "",
        parent_id=first([event.parent_id for event in events]) or "",
        decision=_fraction(first([event.decision_price for event in events])),
        stated_arrival=_fraction(first([event.arrival_price for event in events])),
        quantity=_in_force(events, "quantity"),
        limit=_in_force(events, "limit_price"),
    )


def _fraction(value: Any) -> Fraction | None:
    return None if value is None else Fraction(value)


def _in_force(events: list[Order], name: str) -> Fraction | None:
    open_ones = [getattr(event, name) for event in events if event.state not in CLOSING]
    stated = last(open_ones)
    if stated is None:
        stated = first([getattr(event, name) for event in events])
    return _fraction(stated)


def first_event(known: Known, account: str, order_id: str, state: str) -> Order | None:
    """Return the first event of an order in a state."""
    for event in known.order_events(account, order_id):
        if event.state == state:
            return event
    return None


def decision(known: Known, account: str, order_id: str) -> Fraction | None:
    """Return an order's own decision price, else that of its nearest ancestor."""
    seen: list[str] = []
    while order_id and order_id not in seen and len(seen) <= MAX_GENERATIONS:
        seen.append(order_id)
        of_order = terms(known, account, order_id)
        if of_order is None:
            return None
        if of_order.decision is not None:
            return of_order.decision
        order_id = of_order.parent_id
    return None


def receipt_mid(known: Known, account: str, order_id: str) -> Fraction | None:
    """Return the mid when an order was first submitted."""
    return _mid_at(known, first_event(known, account, order_id, "submitted"))


def _mid_at(known: Known, submitted: Order | None) -> Fraction | None:
    if submitted is None:
        return None
    then = known.up_to(known.events.index(submitted) + 1)
    of_order = terms(then, submitted.account, submitted.id)
    assert of_order is not None
    return mid(then, of_order.instrument, of_order.venue, submitted.time_ns)


def arrival(known: Known, account: str, order_id: str) -> Fraction | None:
    """Return the stated arrival price, else the mid at the first `submitted`.

    A root that was never submitted itself arrived at the first `submitted` of its descendants.
    """
    of_order = terms(known, account, order_id)
    if of_order is not None and of_order.stated_arrival is not None:
        return of_order.stated_arrival
    submitted = first_event(known, account, order_id, "submitted")
    if submitted is None and root(known, account, order_id) == order_id:
        descendants = [
            first_event(known, account, each, "submitted")
            for each in family(known, account, order_id)
        ]
        found = [event for event in descendants if event is not None]
        submitted = min(found, key=lambda event: event.order_key, default=None)
    return _mid_at(known, submitted)


def all_orders(known: Known) -> list[tuple[str, str]]:
    """Return all orders that were seen, as account and id."""
    return list(
        dict.fromkeys((event.account, event.id) for event in known.events if type(event) is Order)
    )


def root(known: Known, account: str, order_id: str) -> str | None:
    """Return the root of an order, None in a circle or where an ancestor was never seen."""
    seen: list[str] = []
    while order_id not in seen and len(seen) <= MAX_GENERATIONS:
        seen.append(order_id)
        of_order = terms(known, account, order_id)
        if of_order is None:
            return None
        if not of_order.parent_id:
            return order_id
        order_id = of_order.parent_id
    return None


def family(known: Known, account: str, root_id: str) -> list[str]:
    """Return a root and all its descendants."""
    return [
        order_id
        for owner, order_id in all_orders(known)
        if owner == account and root(known, account, order_id) == root_id
    ]


def is_leaf(known: Known, account: str, order_id: str) -> bool:
    """Say whether no order has this one as its parent."""
    for owner, other in all_orders(known):
        of_other = terms(known, owner, other)
        if owner == account and of_other is not None and of_other.parent_id == order_id:
            return False
    return True
