"""Bounds of histograms, packed as doubles so that equal ones are found and shared at once."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError

__all__ = ["BoundsCache", "unpack"]

# What an output sees is one or two bounds, unless somebody sends new ones all the time.
_MAX_CACHED: Final = 8


class BoundsCache:
    """Knows bounds that were checked, and how those of one histogram map to fewer."""

    __slots__ = ("_checked", "_groups")

    def __init__(self) -> None:
        self._checked: dict[bytes, bytes] = {}
        self._groups: dict[tuple[bytes, bytes], list[int]] = {}

    def pack(self, bounds: Sequence[float]) -> bytes:
        """Return bounds packed, the same object for the same bounds.

        Raises RefusedPointError where they are not finite or don't increase.
        """
        packed = array("d", bounds).tobytes()
        known = self._checked.get(packed)
        if known is not None:
            return known
        if any(math.isnan(bound) for bound in bounds):
            raise RefusedPointError(FoldOutcome.NOT_A_NUMBER)
        if any(math.isinf(bound) for bound in bounds) or any(
            low >= high for low, high in pairwise(bounds)
        ):
            raise RefusedPointError(FoldOutcome.UNSORTED_BOUNDS)
        if len(self._checked) >= _MAX_CACHED:
            self._checked.clear()
        self._checked[packed] = packed
        return packed

    def common(self, first: bytes, second: bytes) -> bytes:
        """Return the bounds that two have in common."""
        if first == second:
            return first
        shared = set(unpack(first)) & set(unpack(second))
        return self.pack(sorted(shared))

    def collapse(self, counts: Sequence[int], bounds: bytes, fewer: bytes) -> Sequence[int]:
        """Return counts by fewer bounds, all of which must be among their own."""
        if bounds == fewer:
            return counts
        groups = self._groups.get((bounds, fewer))
        if groups is None:
            own = unpack(bounds)
            groups = [0, *(bisect_left(own, bound) + 1 for bound in unpack(fewer)), len(own) + 1]
            if len(self._groups) >= _MAX_CACHED:
                self._groups.clear()
            self._groups[bounds, fewer] = groups
        return [sum(counts[begin:end]) for begin, end in pairwise(groups)]


def unpack(bounds: bytes) -> list[float]:
    """Return packed bounds as numbers."""
    return array("d", bounds).tolist()
