"""b25's ledger: positions, drawdown and the Sharpe ratio, held to plain computations."""

import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.floor.b25.ledger import EquityCurve, Position

FILLS = st.lists(
    st.tuples(st.integers(-20, 20).filter(bool), st.integers(1, 1000)), min_size=1, max_size=40
)
EQUITIES = st.lists(st.floats(1_000, 200_000), max_size=60)


def position_of(fills: list[tuple[int, int]]) -> Position:
    """Return the position after these fills of quantity and price."""
    position = Position()
    for quantity, price in fills:
        position.take(quantity, price)
    return position


@given(FILLS)
def test_a_position_is_the_sum_of_its_fills(fills: list[tuple[int, int]]) -> None:
    """However they open, close and flip it."""
    assert position_of(fills).quantity == pytest.approx(sum(quantity for quantity, _ in fills))


@given(FILLS)
def test_the_entry_price_is_the_average_of_what_is_open(fills: list[tuple[int, int]]) -> None:
    """Held to units one by one: each closing unit leaves at the average, the others stay."""
    open_units: list[float] = []
    direction = 0
    for quantity, price in fills:
        sign = 1 if quantity > 0 else -1
        for _ in range(abs(quantity)):
            if direction in (0, sign):
                direction = sign
                open_units.append(price)
                continue
            average = statistics.fmean(open_units)
            open_units = [average] * (len(open_units) - 1)
            direction = direction if open_units else 0
    if open_units:
        assert position_of(fills).entry_price == pytest.approx(statistics.fmean(open_units))


def test_unrealized_profit_has_the_position_s_sign() -> None:
    """A short position gains when the price falls."""
    assert position_of([(-2, 100)]).unrealized(90) == 20
    assert position_of([(2, 100)]).unrealized(90) == -20


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
