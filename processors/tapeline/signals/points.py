"""What the figures of the engine are shown as: attributes, gauges, exemplars. Pure."""

import sys
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from tapeline.signals.events import OrderKey

__all__ = ["Attributes", "Exemplar", "GaugePoint", "attributes_of"]

_MAX_PAIRS: Final = 65_536

Attributes = tuple[tuple[str, str], ...]
"""Names and values of a series, sorted by name; what is unknown is left off, never empty."""


class GaugePoint(NamedTuple):
    """A gauge that has a value now."""

    name: str
    attributes: Attributes
    value: float


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


@lru_cache(maxsize=_MAX_PAIRS)
def _pair(name: str, value: str) -> tuple[str, str]:
    """Return an attribute: of the series that have it, each holds the same object."""
    return (sys.intern(f"trading.{name.replace('__', '.')}"), value)
