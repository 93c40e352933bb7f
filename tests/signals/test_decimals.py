"""Numbers are read exactly or refused, and calculated with so that nothing is lost."""

from decimal import Context, Decimal, getcontext, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.decimals import (
    EXACT,
    MAX_DIGITS,
    MAX_MAGNITUDE,
    NumberFault,
    divide,
    number,
    rounded,
)

LARGEST = Decimal("9" * MAX_DIGITS).scaleb(MAX_MAGNITUDE - MAX_DIGITS)
SMALLEST = Decimal("1." + "0" * (MAX_DIGITS - 2) + "1").scaleb(-MAX_MAGNITUDE)


def within_limits() -> st.SearchStrategy[Decimal]:
    """Return numbers that may be read, of all sizes and lengths."""
    digits = st.integers(1, 10**MAX_DIGITS - 1)
    places = st.integers(-MAX_MAGNITUDE, MAX_MAGNITUDE - 1)
    return st.builds(
        lambda sign, mantissa, place: (
            sign * Decimal(mantissa).scaleb(place - len(str(mantissa)) + 1, EXACT)
        ),
        st.sampled_from([1, -1]),
        digits,
        places,
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.10", "1.1"),
        ("-0.000001", "-0.000001"),
        ("+7", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("-0", "0"),
        ("0e-400", "0"),
        ("0" * 60 + "1.5" + "0" * 60, "1.5"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e22, "10000000000000000000000"),
        (-2.5e-7, "-0.00000025"),
        (-0.0, "0"),
        (42, "42"),
        (-(10**23), "-100000000000000000000000"),
    ],
)
def test_a_number_is_read_as_it_is_written(value: object, expected: str) -> None:
    """A double by its shortest decimal form; minus zero is zero."""
    result = number(value)

    assert result == Decimal(expected)
    assert isinstance(result, Decimal)
    assert not (result.is_zero() and result.is_signed())


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("1" * 400, NumberFault.TOO_MANY_DIGITS),
        ("0." + "1" * 400, NumberFault.TOO_MANY_DIGITS),
        ("1." + "0" * 33 + "1", NumberFault.TOO_MANY_DIGITS),
        ("1e24", NumberFault.OUT_OF_RANGE),
        ("-1e999999999", NumberFault.OUT_OF_RANGE),
        ("9e-25", NumberFault.OUT_OF_RANGE),
        (10**24, NumberFault.OUT_OF_RANGE),
        (10**400, NumberFault.OUT_OF_RANGE),
        (1e300, NumberFault.OUT_OF_RANGE),
        (5e-324, NumberFault.OUT_OF_RANGE),
        ("NaN", NumberFault.NOT_FINITE),
        ("-Infinity", NumberFault.NOT_FINITE),
        (float("nan"), NumberFault.NOT_FINITE),
        (float("-inf"), NumberFault.NOT_FINITE),
        ("sNaN", NumberFault.NOT_A_NUMBER),
        ("1_000", NumberFault.NOT_A_NUMBER),
        ("1,000", NumberFault.NOT_A_NUMBER),
        (" 1", NumberFault.NOT_A_NUMBER),
        ("1\n", NumberFault.NOT_A_NUMBER),
        ("١٢", NumberFault.NOT_A_NUMBER),
        ("0x10", NumberFault.NOT_A_NUMBER),
        ("1e9999999999", NumberFault.NOT_A_NUMBER),
        ("", NumberFault.NOT_A_NUMBER),
        (".", NumberFault.NOT_A_NUMBER),
        ("a" * 100_000, NumberFault.NOT_A_NUMBER),
        (True, NumberFault.NOT_A_NUMBER),
        (None, NumberFault.NOT_A_NUMBER),
        (b"1", NumberFault.NOT_A_NUMBER),
    ],
)
def test_what_is_no_number_or_beyond_the_limits_has_a_reason(
    value: object, fault: NumberFault
) -> None:
    """It is neither rounded nor guessed."""
    assert number(value) is fault


@given(within_limits())
def test_what_is_within_the_limits_reads_back(value: Decimal) -> None:
    """With and without an exponent."""
    assert number(str(value)) == value
    assert number(f"{value:f}") == value


@given(st.floats(allow_nan=False, min_value=-1e20, max_value=1e20))
def test_a_double_reads_back_as_itself(value: float) -> None:
    """The shortest decimal form is exact enough; what is too small is refused."""
    result = number(value)

    if result is NumberFault.OUT_OF_RANGE:
        assert 0 < abs(value) < 10**-MAX_MAGNITUDE
    else:
        assert isinstance(result, Decimal)
        assert float(result) == value


@given(st.lists(st.tuples(within_limits(), within_limits(), within_limits()), max_size=8))
def test_sums_of_products_are_exact(rows: list[tuple[Decimal, Decimal, Decimal]]) -> None:
    """Of three factors each: quantity, multiplier, price."""
    with localcontext(EXACT):
        total = sum((one * two * three for one, two, three in rows), Decimal(0))

    assert Fraction(total) == sum(
        Fraction(one) * Fraction(two) * Fraction(three) for one, two, three in rows
    )


def test_the_largest_and_the_smallest_products_add_up_exactly() -> None:
    """Many of the one and one of the other: no digit is lost between them."""
    with localcontext(EXACT):
        total = 10**20 * LARGEST * LARGEST * LARGEST + SMALLEST * SMALLEST * SMALLEST

    assert Fraction(total) == 10**20 * Fraction(LARGEST) ** 3 + Fraction(SMALLEST) ** 3


@given(within_limits(), within_limits())
def test_a_quotient_has_34_digits_in_any_context(one: Decimal, two: Decimal) -> None:
    """Its error is at most half a unit of the last one."""
    with localcontext(Context(prec=3)):
        result = divide(one, two)

    exact = Fraction(one) / Fraction(two)
    assert abs(Fraction(result) - exact) <= abs(exact) * Fraction(5, 10**34)
    assert rounded(result) == result


def test_the_context_of_others_is_left_alone() -> None:
    """Reading and dividing set nothing."""
    before = getcontext().copy()

    number("1." + "0" * 60)
    divide(Decimal(1), Decimal(3))

    assert getcontext().prec == before.prec
    assert getcontext().flags == before.flags
