"""Pieces of a text: what lies within one of them."""

from hypothesis import given
from hypothesis import strategies as st

from tapeline.redaction.spans import Spans

_PIECES = st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda at: (at[0], at[0] + at[1]))


@given(pieces=st.lists(_PIECES, max_size=20), asked=_PIECES)
def test_it_says_what_looking_at_each_piece_says(
    pieces: list[tuple[int, int]], asked: tuple[int, int]
) -> None:
    """Whatever overlaps whatever, in any order."""
    spans = Spans()
    for start, end in pieces:
        spans.add(start, end)

    assert spans.cover(*asked) == any(
        start <= asked[0] and asked[1] <= end for start, end in pieces
    )
    assert bool(spans) == bool(pieces)
    assert list(spans) == sorted(set(spans))
