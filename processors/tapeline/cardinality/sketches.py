"""Apache DataSketches, which ships no types, wrapped: distinct counts and frequent items.

Both begin small and grow to a fixed size, so that a label with three values costs next to nothing.
Every method is one call that holds Python's lock, so that a sketch may be read in one thread while
another one adds to it.
"""

from collections.abc import Callable, Iterable
from typing import Final

from datasketches import (
    HLL_4,
    NO_FALSE_NEGATIVES,
    NO_FALSE_POSITIVES,
    frequent_items_sketch,
    hll_sketch,
)

__all__ = ["DISTINCT_ERROR", "FREQUENT_ERROR", "DistinctCount", "FrequentItems"]

_LOG2_REGISTERS: Final = 12
_LOG2_ITEMS: Final = 6
_BYTES_AN_ITEM: Final = 260
"""A slot of the sketch with a bytes object of the length that callers cut items to, rounded up."""

DISTINCT_ERROR: Final = 1.04 / 2 ** (_LOG2_REGISTERS / 2)
"""The relative standard error: 1.04/sqrt(m) by Flajolet et al., "HyperLogLog" (2007)."""

FREQUENT_ERROR: Final = 3.5 / 2**_LOG2_ITEMS
"""An item's count is off by at most this share of all counts; DataSketches, "Frequent Items"."""


class DistinctCount:
    """How many different integers came; HyperLogLog, at most about 2.2 KB."""

    __slots__ = ("_sketch", "add")

    def __init__(self) -> None:
        self._sketch = hll_sketch(_LOG2_REGISTERS, HLL_4)
        # The sketch takes anything beyond 63 bits for a float, which makes neighbours equal.
        self.add: Callable[[int], None] = self._sketch.update
        """Take one integer of at most 63 bits and a sign."""

    def add_keys(self, keys: Iterable[int]) -> None:
        """Take integers of any size; hash() brings them below 2^61."""
        add = self.add
        for key in keys:
            add(hash(key))

    @property
    def estimate(self) -> int:
        """About how many came, within DISTINCT_ERROR; exact for a few dozen."""
        estimate: float = self._sketch.get_estimate()
        return round(estimate)

    @property
    def size_bytes(self) -> int:
        """About what it holds in memory."""
        size: int = self._sketch.get_compact_serialization_bytes()
        return size


class FrequentItems:
    """Which items came most often: at most 48 of them, by Misra and Gries' method."""

    __slots__ = ("_sketch", "add")

    def __init__(self) -> None:
        self._sketch = frequent_items_sketch(_LOG2_ITEMS)
        self.add: Callable[[bytes, int], None] = self._sketch.update
        """Take an item, so many times."""

    def top(self, count: int) -> list[tuple[bytes, int]]:
        """Return those that surely are frequent, with the count they surely have, most first."""
        items = self._sketch.get_frequent_items(NO_FALSE_POSITIVES)
        return [(item, lower) for item, _, lower, _ in items[:count]]

    def some(self, count: int) -> list[bytes]:
        """Return items that came, frequent or not; none where it has just forgotten all."""
        items = self._sketch.get_frequent_items(NO_FALSE_NEGATIVES)
        return [item for item, *_ in items[:count]]

    @property
    def size_bytes(self) -> int:
        """About what it holds in memory."""
        active: int = self._sketch.num_active_items
        return active * _BYTES_AN_ITEM
