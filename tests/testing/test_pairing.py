"""As many expectations as possible have a record of their own."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from tapeline.testing.pairing import pair_up


def _most(fits: list[list[bool]], columns: int) -> int:
    """Return the size of a largest matching by trying all."""
    rows = range(len(fits))
    places: list[int | None] = [*range(columns), *([None] * len(fits))]
    return max(
        sum(place is not None and fits[row][place] for row, place in zip(rows, chosen, strict=True))
        for chosen in permutations(places, len(fits))
    )


@given(
    st.integers(0, 4).flatmap(
        lambda columns: st.lists(
            st.lists(st.booleans(), min_size=columns, max_size=columns), max_size=4
        ).map(lambda fits: (fits, columns))
    )
)
def test_a_largest_matching_is_found(case: tuple[list[list[bool]], int]) -> None:
    """Each pair fits, no column has two rows, and no other pairing has more."""
    fits, columns = case

    pairs = pair_up(fits)

    assert all(fits[row][column] for row, column in pairs.items())
    assert len(set(pairs.values())) == len(pairs)
    assert len(pairs) == _most(fits, columns)


def test_a_row_that_could_have_either_leaves_the_other_its_only_one() -> None:
    """Where the first comes first, it must move."""
    assert pair_up([[True, True], [True, False]]) == {0: 1, 1: 0}
