"""Numbers for readers: rounded as a reader expects, and exact where they are exact."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.number_text import (
    NOTHING,
    exact,
    money,
    places_of,
    price,
    quantity,
    ratio,
)

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)


@given(DECIMALS)
def test_exact_is_the_same_number(value: Decimal) -> None:
    """Without an exponent or zeros that say nothing."""
    text = exact(value)

    assert Decimal(text) == value
    assert "E" not in text
    assert not text.startswith("-0") or Decimal(text) != 0
    assert not ("." in text and text.endswith(("0", ".")))


@given(DECIMALS, st.integers(0, 8))
def test_money_is_never_off_by_more_than_half_a_unit(value: Decimal, places: int) -> None:
    """Of its last place, and what is rounded to nothing has no sign."""
    text = money(exact(value), places).replace(",", "")

    assert abs(Decimal(text) - value) <= Decimal(5).scaleb(-places - 1)
    assert len(text.partition(".")[2]) == places
    assert not text.startswith("-") or Decimal(text) != 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("50033.441", "50,033.441"), ("0.000012345678912", "0.000012345679"), ("7", "7.00"),
        ("-37.63", "-37.63"), ("123456789.123", "123,456,789.12"), ("0", "0.00"),
    ],
)  # fmt: skip
def test_prices_have_eight_digits(value: str, expected: str) -> None:
    """And two places at least, in any range."""
    assert price(value) == expected


@pytest.mark.parametrize(
    ("currency", "amounts", "expected"),
    [
        ("USD", ["1250.5", "0.001"], 2), ("USD", ["0.7", None], 4), ("USD", ["0.0004"], 8),
        ("BTC", ["12"], 8), ("JPY", [], 2), ("JPY", ["0"], 2),
    ],
)  # fmt: skip
def test_places_are_those_of_the_currency(
    currency: str, amounts: list[str | None], expected: int
) -> None:
    """So that a column has its points below each other, and nothing is rounded to 0."""
    assert places_of(currency, amounts) == expected


def test_what_there_is_not_is_no_number() -> None:
    """A dash, and never 0."""
    assert [money(None), price(None), ratio(None)] == [NOTHING] * 3
    assert quantity("1000.500000000") == "1,000.5"
    assert [ratio(2.345), ratio("1E+12"), ratio(float("inf"))] == ["2.35", "1e+12", "inf"]
