"""Pairs what is expected with what is there, so that as many as possible have one of their own."""

from collections.abc import Sequence

__all__ = ["pair_up"]


def pair_up(fits: Sequence[Sequence[bool]]) -> dict[int, int]:
    """Return for each row its column, where it has one: a largest matching.

    `fits[row][column]` says whether the two may be a pair. Augmenting paths (Berge 1957): a row
    that finds its columns taken looks whether one who holds one can move.
    """
    holder: dict[int, int] = {}
    for row in range(len(fits)):
        _place(row, fits, holder)
    return {row: column for column, row in holder.items()}


def _place(row: int, fits: Sequence[Sequence[bool]], holder: dict[int, int]) -> None:
    """Find a column for a row, moving others; breadth first, each column is looked at once."""
    came_from: dict[int, int] = {}
    rows = [row]
    for current in rows:
        for column, does_fit in enumerate(fits[current]):
            if not does_fit or column in came_from:
                continue
            came_from[column] = current
            if column not in holder:
                _move(column, row, came_from, holder)
                return
            rows.append(holder[column])


def _move(column: int, first: int, came_from: dict[int, int], holder: dict[int, int]) -> None:
    """Give each column on the way back to the first row to the row that looked at it."""
    held = {row: place for place, row in holder.items()}
    while True:
        row = came_from[column]
        holder[column] = row
        if row == first:
            return
        column = held[row]
