"""Pieces of a text, and whether something lies within one of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["Spans"]


class Spans:
    """Pieces of a text in order, of which none lies within another.

    A text may have thousands of secrets, so looking one up takes the logarithm of their number.
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        """Take each piece's first character and the one after its last."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in spans:
            self.add(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def add(self, start: int, end: int) -> None:
        """Add a piece; those that lie within it count no more."""
        starts, ends = self._starts, self._ends
        if not starts or (start > starts[-1] and end > ends[-1]):
            starts.append(start)
            ends.append(end)
            return
        if self.cover(start, end):
            return
        first = stop = bisect_left(starts, start)
        while stop < len(starts) and ends[stop] <= end:
            stop += 1
        starts[first:stop] = [start]
        ends[first:stop] = [end]

    def cover(self, start: int, end: int) -> bool:
        """Say whether what stands between two places lies within one of the pieces."""
        # None lies within another, so of those that begin early enough the last one ends last.
        number = bisect_right(self._starts, start) - 1
        return number >= 0 and end <= self._ends[number]

    def around(self, end: int) -> tuple[int, int] | None:
        """Return the piece that holds the character before a place; None where none does."""
        number = bisect_left(self._starts, end) - 1
        if number < 0 or end > self._ends[number]:
            return None
        return self._starts[number], self._ends[number]
