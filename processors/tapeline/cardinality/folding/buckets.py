"""Exponential buckets: integer arithmetic on indexes, exact at every scale.

Bucket `i` at scale `s` holds what is above base**i and up to base**(i + 1), base being
2**(2**-s) (opentelemetry-specification, data-model.md, "ExponentialHistogram"). Halving the
resolution puts bucket `i` into `i >> 1`, without error.
"""

import math
from collections.abc import Sequence
from operator import add, lt, sub
from typing import Final, NamedTuple

__all__ = ["EMPTY", "MAX_WIDTH", "Buckets", "boundary", "coarser_by", "threshold_index"]

MAX_WIDTH: Final = 160
"""Buckets on one side at most: the data model's default."""


class Buckets(NamedTuple):
    """Counts of neighbouring buckets; `first` is the index of the first of them."""

    first: int
    counts: Sequence[int]

    @property
    def stop(self) -> int:
        """The index behind the last bucket."""
        return self.first + len(self.counts)

    def trimmed(self) -> "Buckets":
        """Return the same without empty buckets at the ends."""
        counts = self.counts
        begin, end = 0, len(counts)
        while begin < end and not counts[begin]:
            begin += 1
        while end > begin and not counts[end - 1]:
            end -= 1
        if begin == end:
            return EMPTY
        return Buckets(self.first + begin, counts[begin:end])

    def coarser(self, by: int) -> "Buckets":
        """Return the counts at a scale lower by so many."""
        if not by or not self.counts:
            return self
        first = self.first >> by
        counts = [0] * ((self.stop - 1 >> by) - first + 1)
        for index, count in enumerate(self.counts, self.first):
            counts[(index >> by) - first] += count
        return Buckets(first, counts)

    def above(self, index: int) -> tuple[int, "Buckets"]:
        """Return how much is in the buckets below an index, and the others."""
        below = index - self.first
        if below <= 0:
            return 0, self
        rest = self.counts[below:]
        return sum(self.counts[:below]), Buckets(index, rest) if rest else EMPTY

    def plus(self, other: "Buckets", sign: int = 1) -> "Buckets":
        """Return the sum, or with sign -1 the difference; the caller sees to the width."""
        if not other.counts:
            return self
        if not self.counts:
            return Buckets(other.first, [sign * count for count in other.counts])
        if self.first == other.first and len(self.counts) == len(other.counts):
            return Buckets(
                self.first, list(map(add if sign > 0 else sub, self.counts, other.counts))
            )
        first = min(self.first, other.first)
        counts = [0] * (max(self.stop, other.stop) - first)
        begin = self.first - first
        counts[begin : begin + len(self.counts)] = self.counts
        for place, count in enumerate(other.counts, other.first - first):
            counts[place] += sign * count
        return Buckets(first, counts)

    def is_below(self, other: "Buckets") -> bool:
        """Say whether any bucket has less than the other's."""
        if self.first == other.first and len(self.counts) == len(other.counts):
            return any(map(lt, self.counts, other.counts))
        # Only the other's places are looked at: the two may lie very far from each other.
        counts = self.counts
        for place, count in enumerate(other.counts, other.first - self.first):
            if count > (counts[place] if 0 <= place < len(counts) else 0):
                return True
        return False


EMPTY: Final = Buckets(0, ())


def coarser_by(first: int, stop: int) -> int:
    """Return by how much the scale must fall for these indexes to be within MAX_WIDTH."""
    by = 0
    while (stop - 1 >> by) - (first >> by) >= MAX_WIDTH:
        by += 1
    return by


def boundary(index: int, scale: int) -> float:
    """Return the lower boundary of a bucket; where it is no double, the nearest that is."""
    if scale > 0:
        whole, part = divmod(index, 1 << scale)
        fraction = 2.0 ** (part / (1 << scale))
    else:
        whole, fraction = index << -scale, 1.0
    try:
        return math.ldexp(fraction, whole)
    except OverflowError:
        return math.nextafter(math.inf, 0.0)


def threshold_index(threshold: float, scale: int) -> int | None:
    """Return the index whose lower boundary is the least at or above a threshold; None for 0."""
    if not threshold:
        return None
    index = math.floor(math.ldexp(math.log2(threshold), scale)) - 1
    # The logarithm is rounded: the boundaries themselves decide, and they are near.
    while boundary(index, scale) < threshold:
        index += 1
    return index
