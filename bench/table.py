"""Lines of cells, one below the other."""

from collections.abc import Iterator, Sequence

__all__ = ["aligned", "widths_of"]


def widths_of(cells: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column; every line has as many cells."""
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def aligned(cells: Sequence[Sequence[str]], text_columns: int = 1) -> Iterator[str]:
    """Yield each line with its first columns, which are texts, to the left, and numbers right."""
    widths = widths_of(cells)
    for line in cells:
        padded = [
            cell.ljust(width) if position < text_columns else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(padded).rstrip()
