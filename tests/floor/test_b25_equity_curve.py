"""b25's equity curve: drawdown and the Sharpe ratio, held to plain computations."""

import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.floor.b25.equity_curve import EquityCurve

EQUITIES = st.lists(st.floats(1_000, 200_000), max_size=60)


@given(EQUITIES)
def test_the_drawdown_is_the_worst_of_all_pairs(equities: list[float]) -> None:
    """Of every peak and every later low."""
    curve = EquityCurve()
    for equity in equities:
        curve.add(equity)
    falls = [
        (peak - low) / peak * 100
        for at, peak in enumerate(equities)
        for low in equities[at:]
        if low <= peak
    ]
    assert curve.max_drawdown_pct() == pytest.approx(max(falls, default=0.0))


def test_a_fall_is_forgotten_after_a_minute() -> None:
    """Or an alert on it could never resolve."""
    curve = EquityCurve()
    curve.add(100.0)
    curve.add(90.0)
    assert curve.max_drawdown_pct() == pytest.approx(10)
    for _ in range(59):
        curve.add(90.0)
    assert curve.max_drawdown_pct() == 0


@given(EQUITIES)
def test_the_sharpe_ratio_is_mean_by_deviation(equities: list[float]) -> None:
    """Of the returns from second to second."""
    curve = EquityCurve()
    for equity in equities:
        curve.add(equity)
    returns = [after / before - 1 for before, after in pairwise(equities)]
    if len(returns) < 2 or statistics.variance(returns) < 1e-12:
        return
    expected = statistics.fmean(returns) / statistics.stdev(returns)
    assert curve.sharpe_ratio() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_no_returns_have_no_sharpe_ratio() -> None:
    """It is 0 until there are two returns, and where they don't differ."""
    curve = EquityCurve()
    assert curve.sharpe_ratio() == 0
    for _ in range(3):
        curve.add(100.0)
    assert curve.sharpe_ratio() == 0
