"""Side and strategy as orders state them for their executions: first, by the order of events. Pure.

Kept apart from the orders themselves: an order is forgotten soon after it has closed, what an
execution took from it must stay as long as the execution.
"""

from collections.abc import Container, Iterable, Iterator
from typing import Final, NamedTuple

from tapeline.signals.events import Order, OrderKey, Side
from tapeline.signals.executions import OrderTerms
from tapeline.signals.orders import OrderName

__all__ = ["StatedTerms", "TermsBook"]

_NO_KEY: Final[OrderKey] = (2**63,)
"""Greater than the key of any event."""


class StatedTerms(NamedTuple):
    """Side and strategy of an order, with the keys of the events that stated them first."""

    side: Side = 0
    side_key: OrderKey = _NO_KEY
    strategy: str = ""
    strategy_key: OrderKey = _NO_KEY
    latest_ns: int = 0

    def with_event(self, event: Order) -> "StatedTerms":
        """Return the terms after a further event, at whatever place of the order of events."""
        side, side_key, strategy, strategy_key, latest_ns = self
        if not event.side and not event.strategy:
            latest_ns = max(latest_ns, event.time_ns)
            return StatedTerms(side, side_key, strategy, strategy_key, latest_ns)
        key = event.order_key
        if event.side and key < side_key:
            side, side_key = event.side, key
        if event.strategy and key < strategy_key:
            strategy, strategy_key = event.strategy, key
        return StatedTerms(side, side_key, strategy, strategy_key, max(latest_ns, event.time_ns))


class TermsBook:
    """The terms of all orders that may still have executions."""

    def __init__(self) -> None:
        self._terms: dict[OrderName, StatedTerms] = {}

    def __len__(self) -> int:
        return len(self._terms)

    def get(self, account: str, order_id: str) -> StatedTerms:
        """Return what an order said; nothing of one that is not known."""
        return self._terms.get((account, order_id), _NOTHING)

    def learn(self, event: Order) -> OrderTerms:
        """Take an event, and return the terms of its order."""
        name = (event.account, event.id)
        terms = self._terms[name] = self._terms.get(name, _NOTHING).with_event(event)
        return OrderTerms(terms.side, terms.strategy, terms.latest_ns)

    def relearn(self, name: OrderName, events: Iterable[Order]) -> OrderTerms:
        """Take all events of an order, where one that was learned from counts no more."""
        terms = _NOTHING
        for event in events:
            terms = terms.with_event(event)
        self._terms[name] = terms
        return OrderTerms(terms.side, terms.strategy, terms.latest_ns)

    def items(self) -> Iterator[tuple[OrderName, StatedTerms]]:
        """Yield the terms by order, for a snapshot."""
        return iter(self._terms.items())

    def restore(self, name: OrderName, terms: StatedTerms) -> None:
        """Take back what `items` gave."""
        self._terms[name] = terms

    def forget(self, before_ns: int, *kept: Container[OrderName]) -> None:
        """Drop the terms of orders that were quiet since before a time, unless one holds them."""
        self._terms = {
            name: terms
            for name, terms in self._terms.items()
            if terms.latest_ns >= before_ns or any(name in holder for holder in kept)
        }


_NOTHING: Final = StatedTerms()
