"""A position at average cost, held to units that are opened and closed one by one."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.floor.position import Position

FILLS = st.lists(
    st.tuples(st.integers(-20, 20).filter(bool), st.integers(1, 1000)), min_size=1, max_size=40
)


def by_units(fills: list[tuple[int, int]]) -> tuple[int, Fraction, Fraction]:
    """Return quantity, average and realised profit: each closing unit leaves at the average."""
    count, direction = 0, 0
    average = realized = Fraction(0)
    for quantity, price in fills:
        sign = 1 if quantity > 0 else -1
        for _ in range(abs(quantity)):
            if direction in (0, sign):
                direction = sign
                average = (average * count + price) / (count + 1)
                count += 1
                continue
            realized += direction * (price - average)
            count -= 1
            if not count:
                direction = 0
    return direction * count, average, realized


@pytest.mark.parametrize("number", [float, Decimal])
@given(fills=FILLS)
def test_a_position_is_what_its_units_are(
    number: Callable[[int], float], fills: list[tuple[int, int]]
) -> None:
    """However executions open, close and flip it; in floats and in Decimals."""
    position = Position(number(0), number(0))
    realized = [position.take(number(quantity), number(price)) for quantity, price in fills]

    quantity, average, earned = by_units(fills)
    assert position.quantity == quantity
    assert float(sum(realized)) == pytest.approx(float(earned), abs=1e-6)
    assert float(position.unrealized(number(7))) == pytest.approx(
        float(quantity * (7 - average)), abs=1e-6
    )
    if quantity:
        assert float(position.average) == pytest.approx(float(average))


@pytest.mark.parametrize("number", [float, Decimal])
def test_what_is_computed_has_the_kind_of_its_numbers(number: type) -> None:
    """Decimals stay exact."""
    position = Position(number(2), number(10))

    assert isinstance(position.take(number(1), number(11)), number)
    assert isinstance(position.take(number(-5), number(12)), number)
    assert (position.quantity, position.average) == (number(-2), number(12))
    assert isinstance(position.unrealized(number(1)), number)
