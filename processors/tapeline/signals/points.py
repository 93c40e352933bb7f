"""What the figures of the engine are shown as: attributes, gauges, exemplars. Pure."""

import sys
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from tapeline.signals.events import OrderKey

__all__ = [
    "Attributes",
    "Exemplar",
    "GaugePoint",
    "PositionPoint",
    "attributes_of",
    "pair_of",
    "values_of",
]

_MAX_PAIRS: Final = 65_536

Attributes = tuple[tuple[str, ...], ...]
"""Names and values of a series, sorted by name; what is unknown is left off, never empty.

A pair is of any length to mypyc: of one with two items compiled code would make another object each
time that it passes it on, and each series would keep its own.
"""


class GaugePoint(NamedTuple):
    """A gauge that has a value now."""

    name: str
    attributes: Attributes
    value: float


class PositionPoint(NamedTuple):
    """All gauges of a position: together, since they share nearly all of their attributes."""

    key: tuple[str, ...]
    """Account, strategy and instrument."""
    currency: str
    """Of its P&L."""
    base_currency: str
    source: str
    """Of the price that it is valued at."""
    values: tuple[float | None, ...]
    """Quantity, average price, value, realized, net and unrealized; None where there is none."""

    @property
    def unrealized(self) -> float | None:
        """Return the one that has the source among its attributes."""
        return self.values[5]


class Exemplar(NamedTuple):
    """The event behind a sample; of several the one with the greatest key is shown."""

    key: OrderKey
    time_ns: int
    value: Decimal
    trace_id: bytes
    span_id: bytes


def attributes_of(**values: str) -> Attributes:
    """Return attributes of names without their `trading.`, dots as underscores twice over.

    `attributes_of(account="a", order__state="open")` names `trading.account` and
    `trading.order.state`. Empty values are left off.
    """
    # A value may be of an enumeration, which only its own text says in a state that is kept.
    return tuple(sorted([_pair(name, str(value)) for name, value in values.items() if value]))


def values_of(attributes: Attributes) -> dict[str, str]:
    """Return attributes by their names."""
    return {name: value for name, value in attributes}  # noqa: C416 - pairs are of any length to mypy


@lru_cache(maxsize=_MAX_PAIRS)
def pair_of(name: str, value: str) -> tuple[str, ...]:
    """Return an attribute: of the series that have it, each holds the same object."""
    return (sys.intern(name), value)


@lru_cache(maxsize=_MAX_PAIRS)
def _pair(name: str, value: str) -> tuple[str, ...]:
    return pair_of(f"trading.{name.replace('__', '.')}", value)
