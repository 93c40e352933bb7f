"""Time-weighted returns: what was deposited or withdrawn earns nothing."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.returns import (
    PeriodReturns,
    equity_after_cash,
    period_end,
)
from tapeline.signals.risk import DAY_NS, sortino

EQUITIES = st.lists(st.decimals("1", "1000", places=2), min_size=2, max_size=20)


def test_a_textbook_year_with_a_deposit() -> None:
    """GIPS: 100 grows to 110, 50 come in, 160 shrink to 152: 1.1 · 0.95 - 1 = 4.5 %."""
    series = PeriodReturns()
    series.begin(Decimal(100))
    series.cash(Decimal(110), equity_after_cash(Decimal(110), Decimal(50)))
    assert series.open_return(Decimal(160)) == Decimal("0.1")
    series.close(Decimal(152))
    assert list(series.returns) == [Decimal("0.045")]
    assert series.last_equity == 152


@given(EQUITIES, st.lists(st.decimals("-0.5", "100", places=2), min_size=20, max_size=20))
def test_cash_alone_never_makes_a_return(equities: list[Decimal], flows: list[Decimal]) -> None:
    """Deposits and withdrawals of any size between the same gains: all returns are 0."""
    series = PeriodReturns()
    equity = equities[0]
    series.begin(equity)
    for flow in flows:
        after = equity + flow
        series.cash(equity, after if after > 0 else equity)
        equity = after if after > 0 else equity
        series.close(equity)
    assert set(series.returns) == {Decimal(0)}


@given(EQUITIES)
def test_without_cash_returns_are_the_ratios_of_equity(equities: list[Decimal]) -> None:
    """Linked again they give the last equity over the first."""
    series = PeriodReturns()
    series.begin(equities[0])
    for equity in equities[1:]:
        series.close(equity)
    product = 1.0
    for value in series.returns:
        product *= 1 + float(value)
    assert len(series.returns) == len(equities) - 1
    assert product == pytest.approx(float(equities[-1] / equities[0]))


@pytest.mark.parametrize("deposit", [110, 1100, 2200, 6600, 12_100])
def test_what_rounding_leaves_is_no_loss(deposit: int) -> None:
    """Up a tenth and down an eleventh around a deposit is 0, by which no ratio divides."""
    series = PeriodReturns()
    series.begin(Decimal(1000))
    series.close(Decimal(1100))
    after = equity_after_cash(Decimal(1210), Decimal(deposit))
    assert after is not None
    series.cash(Decimal(1210), after)
    series.close(after / Decimal("1.1"))
    assert [str(value) for value in series.returns] == ["0.1", "0"]
    assert sortino(series.returns, 365) is None


def test_quiet_periods_return_nothing_at_all_and_are_bounded() -> None:
    """Ten years of silence by the second are no more than the window."""
    series = PeriodReturns(max_returns=100)
    series.begin(Decimal(100))
    series.close(Decimal(101), quiet_count=3)
    assert list(series.returns) == [Decimal("0.01"), 0, 0, 0]
    series.close(Decimal(101), quiet_count=10**9)
    assert list(series.returns) == [0] * 100


def test_equity_of_zero_or_less_gives_none() -> None:
    """A period that ends or passes through ruin has no return; nor has the one that begins in it.

    The record goes on with the next that begins with something.
    """
    series = PeriodReturns()
    series.begin(Decimal(100))
    series.close(Decimal(-5))
    assert series.open_return(Decimal(10)) is None
    series.cash(Decimal(-5), Decimal(95))
    assert series.open_return(Decimal(97)) is None
    series.close(Decimal(190))
    assert (list(series.returns), series.unknown_count) == ([], 2)
    series.close(Decimal(209))
    assert list(series.returns) == [Decimal("0.1")]


def test_the_record_begins_with_the_first_capital() -> None:
    """An account that starts with nothing and is funded later: the first period has its return."""
    series = PeriodReturns()
    series.begin(Decimal(0))
    series.close(Decimal(0), quiet_count=5)
    assert (list(series.returns), series.unknown_count) == ([], 0)
    assert series.open_return(Decimal(0)) is None
    series.cash(Decimal(0), Decimal(100))
    series.close(Decimal(102))
    assert list(series.returns) == [Decimal("0.02")]


def test_unknown_equity_gives_none_and_is_counted() -> None:
    """Without a rate there is no return, and none is made up over the gap."""
    series = PeriodReturns()
    series.begin(Decimal(100))
    series.close(None, quiet_count=2)
    series.close(Decimal(120))
    series.close(Decimal(132))
    assert (list(series.returns), series.unknown_count) == ([Decimal("0.1")], 4)
    assert equity_after_cash(None, Decimal(1)) is None
    assert equity_after_cash(Decimal(1), None) is None


def test_periods_end_at_midnight_utc() -> None:
    """A boundary belongs to the period that it begins."""
    assert period_end(0) == DAY_NS
    assert period_end(DAY_NS - 1) == DAY_NS
    assert period_end(DAY_NS) == 2 * DAY_NS


@given(st.lists(st.one_of(st.none(), st.decimals("-10", "100", places=1)), max_size=12))
def test_a_series_goes_on_from_its_state(equities: list[Decimal | None]) -> None:
    """Kept and taken back in the middle of a period, all that follows is the same."""
    series, again = PeriodReturns(max_returns=4), PeriodReturns(max_returns=4)
    series.begin(Decimal(50))
    for number, equity in enumerate(equities):
        again.restore(series.state())
        for one in (series, again):
            if number % 3 == 1:
                one.cash(equity, equity_after_cash(equity, Decimal(7)))
            else:
                one.close(equity, quiet_count=number % 2)
        assert again.state() == series.state()
        assert again.open_return(Decimal(60)) == series.open_return(Decimal(60))
