"""The tap's rates: never more than a bucket of so many a second gives, held to a plain count."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tapeline.tap.allowance import Allowance

STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 30)), max_size=40
)  # eighths of a second that pass, and how many are wanted


@given(STEPS, st.integers(1, 20))
def test_it_grants_what_a_plain_count_grants(steps: list[tuple[int, int]], per_s: int) -> None:
    """Exact fractions beside floats of eighths, which are exact as well."""
    allowance = Allowance(per_s)
    left, now = Fraction(per_s), Fraction(0)
    for eighths, wanted in steps:
        now += Fraction(eighths, 8)
        left = min(left + Fraction(eighths, 8) * per_s, Fraction(per_s))
        granted = min(wanted, int(left))
        left -= granted
        assert allowance.take(wanted, float(now)) == granted


@given(STEPS, st.integers(1, 20))
def test_no_second_has_more_than_twice_its_rate(steps: list[tuple[int, int]], per_s: int) -> None:
    """A full bucket and what comes into it: so much may come out in a second."""
    allowance = Allowance(per_s)
    now_s, taken = 0.0, []
    for eighths, wanted in steps:
        now_s += eighths / 8
        taken.append((now_s, allowance.take(wanted, now_s)))
    for begin_s, _ in taken:
        assert sum(count for at_s, count in taken if begin_s <= at_s < begin_s + 1) <= 2 * per_s


def test_what_is_given_back_can_be_had_again() -> None:
    """But never more than it holds."""
    allowance = Allowance(2)
    assert allowance.take(5, 0.0) == 2
    allowance.give_back(1)
    assert allowance.take(5, 0.0) == 1
    allowance.give_back(50)
    assert allowance.left(0.0) == 2


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    """Monotonic clocks don't; a bucket that filled by that would have no bottom."""
    allowance = Allowance(1)
    assert allowance.take(1, 100.0) == 1
    assert allowance.take(1, 100.0) == 0
    assert allowance.take(1, 50.0) == 0
    assert allowance.take(1, 51.5) == 1
