"""What is known at a moment: the events up to it, each identity once, in the order of events.

Convention: section 1, "Identity", "Order of events"; section 5, "Identity".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Cash, Event, Execution, Mark, Order, Quote

Attributes = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Known:
    """Events in their order, seen at a moment that is not before the last of them."""

    events: tuple[Event, ...]
    time_ns: int
    settings: EngineSettings

    def up_to(self, count: int) -> "Known":
        """Return what was known when the first `count` events were, at the last one's time."""
        return Known(self.events[:count], self.events[count - 1].time_ns, self.settings)

    def at(self, time_ns: int) -> "Known":
        """Return what is known when all events of a time are."""
        events = tuple(event for event in self.events if event.time_ns <= time_ns)
        return Known(events, time_ns, self.settings)

    def before(self, time_ns: int) -> "Known":
        """Return what a period that ends at a time has seen: a boundary is the next one's."""
        events = tuple(event for event in self.events if event.time_ns < time_ns)
        return Known(events, time_ns - 1, self.settings)

    @property
    def quotes(self) -> list[Quote]:
        return [event for event in self.events if isinstance(event, Quote)]

    @property
    def marks(self) -> list[Mark]:
        return [event for event in self.events if isinstance(event, Mark)]

    @property
    def cash(self) -> list[Cash]:
        return [event for event in self.events if isinstance(event, Cash)]

    @property
    def executions(self) -> list[Execution]:
        return [event for event in self.events if isinstance(event, Execution)]

    def order_events(self, account: str, order_id: str) -> list[Order]:
        """Return what is known of an order."""
        return [
            event
            for event in self.events
            if isinstance(event, Order) and (event.account, event.id) == (account, order_id)
        ]


def everything(events: Sequence[Event], settings: EngineSettings) -> Known:
    """Return the events of a whole input: of each identity the least (event time, content)."""
    kept: dict[Any, Event] = {}
    for event in events:
        if isinstance(event, Quote | Mark):
            kept[event] = event
            continue
        key = (type(event), event.identity)
        held = kept.get(key)
        if held is None or _precedence(event) < _precedence(held):
            kept[key] = event
    ordered = tuple(sorted(kept.values(), key=lambda event: event.order_key))
    return Known(ordered, max(event.time_ns for event in events), settings)


def _precedence(event: Any) -> tuple[Any, ...]:
    return (event.time_ns, event.content)


def mid(known: Known, instrument: str, venue: str, time_ns: int) -> Fraction | None:
    """Return the mid at a time: section 2, "mid(t)"; section 5, "Mids"."""
    for place in (venue, ""):
        quotes = [
            quote
            for quote in known.quotes
            if (quote.instrument, quote.venue) == (instrument, place) and quote.time_ns <= time_ns
        ]
        if quotes and time_ns - quotes[-1].time_ns <= known.settings.max_quote_age_ns:
            return (Fraction(quotes[-1].bid) + Fraction(quotes[-1].ask)) / 2
    return None


def named(**values: str) -> Attributes:
    """Return attributes without what is unknown; `__` is a dot, `trading.` is left off."""
    pairs = [(f"trading.{key.replace('__', '.')}", text) for key, text in values.items() if text]
    return tuple(sorted(pairs))


def last(values: Sequence[Any]) -> Any:
    """Return the last value that is stated, or None."""
    stated = [value for value in values if value not in (None, "", 0)]
    return stated[-1] if stated else None


def first(values: Sequence[Any]) -> Any:
    """Return the first value that is stated, or None."""
    return last(list(reversed(values)))
