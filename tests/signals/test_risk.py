"""Every risk figure against empyrical-reloaded, and the cases that have no figure.

Where definitions differ: empyrical's drawdown and value at risk are negative or parts of equity,
ours positive and money. Win rate and profit factor are not in it: it knows no round trips.
"""

from decimal import Decimal
from random import Random

import empyrical  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.decimals import divide
from tapeline.signals.risk import (
    DAY_NS,
    Drawdown,
    calmar,
    compounded,
    drawdown,
    periods_per_year,
    sharpe,
    sortino,
    value_at_risk,
)

RETURNS = st.lists(st.decimals("-0.5", "0.5", places=4), min_size=2, max_size=40)


def random_series(random: Random) -> list[Decimal]:
    """Return returns as markets have them: some quiet, some wild, some never losing."""
    scale = 10 ** random.uniform(-5, -1)
    drift = random.uniform(-1, 1) * scale
    count = random.choice([2, 3, 10, 30, 250])
    values = [max(-0.9, random.gauss(drift, scale)) for _ in range(count)]
    quiet = random.choice([0.0, 0.0, 0.3])
    return [Decimal(0) if random.random() < quiet else Decimal(repr(value)) for value in values]


def agrees(ours: float | None, theirs: float) -> bool:
    """Say whether a figure is the same; where they say NaN or infinity, we say none."""
    if ours is None:
        return not np.isfinite(theirs)
    return bool(ours == pytest.approx(theirs, rel=1e-9, abs=1e-9))


def test_figures_are_those_of_empyrical_on_10000_random_series() -> None:
    """Sharpe, Sortino, both drawdowns, Calmar and value at risk, within 1e-9."""
    random = Random(6)  # noqa: S311  # Returns, no secret.
    told = dict.fromkeys(("sharpe", "sortino", "calmar", "drawdown"), 0)
    for _ in range(10_000):
        returns = random_series(random)
        values = np.array([float(value) for value in returns])
        per_year = random.choice([252.0, 365.0])
        found = drawdown(returns)
        figures = {
            "sharpe": sharpe(returns, per_year),
            "sortino": sortino(returns, per_year),
            "calmar": calmar(returns, per_year, found.maximum),
            "drawdown": found.maximum,
        }
        with np.errstate(all="ignore"):
            theirs = {
                "sharpe": empyrical.sharpe_ratio(values, annualization=per_year),
                "sortino": empyrical.sortino_ratio(values, annualization=per_year),
                "calmar": empyrical.calmar_ratio(values, annualization=per_year),
                "drawdown": -empyrical.max_drawdown(values),
            }
            index = empyrical.cum_returns(values, starting_value=1)
        for name, figure in figures.items():
            assert agrees(figure, theirs[name]), (name, figure, theirs[name], returns)
            told[name] += figure is not None
        peak = max(1.0, *index)
        assert found.current == pytest.approx(1 - index[-1] / peak, rel=1e-9, abs=1e-9)
        for confidence in ("0.95", "0.99"):
            at_risk = value_at_risk(returns, Decimal(confidence), Decimal(1000))
            assert at_risk is not None
            part = empyrical.value_at_risk(values, cutoff=1 - float(confidence))
            assert float(at_risk) == pytest.approx(-1000 * part, rel=1e-9, abs=1e-9)
    assert min(told.values()) > 8000


def test_figures_of_a_known_series() -> None:
    """Ten returns with figures that empyrical-reloaded 0.7.1 and quantstats both give."""
    thousandths = [10, -20, 15, 3, -7, 12, -4, 0, 6, -11]
    returns = [Decimal(value) / 1000 for value in thousandths]
    assert sharpe(returns, 252) == pytest.approx(0.57478, abs=5e-6)
    assert sortino(returns, 252) == pytest.approx(0.82949, abs=5e-6)
    found = drawdown(returns)
    assert found.maximum == pytest.approx(0.02)
    assert calmar(returns, 252, found.maximum) == pytest.approx(4.53992, abs=5e-6)
    assert value_at_risk(returns, Decimal("0.95"), Decimal(1)) == Decimal("0.01595")
    assert value_at_risk(returns, Decimal("0.99"), Decimal(1)) == Decimal("0.01919")


def test_fewer_than_two_returns_have_no_figure() -> None:
    """One return has no deviation, and no percentile worth the name."""
    for returns in ([], [Decimal("0.1")]):
        assert sharpe(returns, 365) is None
        assert sortino(returns, 365) is None
        assert calmar(returns, 365, 0.5) is None
        assert value_at_risk(returns, Decimal("0.95"), Decimal(1)) is None
    assert drawdown([]) == Drawdown(0.0, 0.0)


@pytest.mark.parametrize("value", ["0", "0.1", "-0.1", "0.0333333333333333333333333333333333"])
def test_a_zero_denominator_has_no_figure(value: str) -> None:
    """The same return each time has no deviation, not a tiny one that rounding left."""
    returns = [Decimal(value)] * 7
    assert sharpe(returns, 365) is None
    if Decimal(value) >= 0:
        assert sortino(returns, 365) is None
        assert calmar(returns, 365, drawdown(returns).maximum) is None


def test_the_open_period_counts_in_the_drawdown() -> None:
    """It may deepen the worst, or make a new peak; the index begins at 1, which is the first."""
    returns = [Decimal("-0.1"), Decimal("0.05")]
    assert drawdown(returns).maximum == pytest.approx(0.1)
    deeper = drawdown(returns, Decimal("-0.2"))
    assert deeper.current == deeper.maximum == pytest.approx(1 - 0.9 * 1.05 * 0.8)
    assert drawdown(returns, Decimal(1)).current == 0


def test_value_at_risk_of_gains_is_negative() -> None:
    """It is neither made absolute nor floored."""
    gains = [Decimal("0.01"), Decimal("0.03")]
    assert value_at_risk(gains, Decimal("0.95"), Decimal(100)) == Decimal("-1.1")


def test_all_but_everything_lost_and_too_much_won() -> None:
    """A return next to -1 ruins the year; what no double holds is no figure."""
    ruined = [Decimal(-1) + Decimal("1e-30"), Decimal("0.1")]
    assert calmar(ruined, 365, drawdown(ruined).maximum) == pytest.approx(-1)
    assert calmar([Decimal("-0.1"), Decimal(10) ** 9], 365 * 86400, 0.1) is None
    assert calmar([Decimal("-1e-9"), Decimal(10) ** 154], 4, 1e-9) is None


def test_what_was_lost_and_won_back_is_no_growth() -> None:
    """A Calmar ratio of 0, however small the drawdown is that it is divided by."""
    returns = [Decimal("-0.00002"), divide(Decimal(1), Decimal(49_999)), Decimal(0)]
    found = drawdown(returns).maximum
    assert found == pytest.approx(2e-5)
    assert calmar(returns, 252, found) == pytest.approx(0, abs=1e-13)


def test_periods_per_year() -> None:
    """A year has 365 days, for markets that never close."""
    assert periods_per_year(DAY_NS) == 365
    assert periods_per_year(DAY_NS // 24) == 365 * 24


@given(RETURNS, st.decimals("0.1", "1000", places=2))
def test_value_at_risk_scales_with_equity(returns: list[Decimal], scale: Decimal) -> None:
    """Money is exact: ten times the equity, ten times the money."""
    one = value_at_risk(returns, Decimal("0.95"), Decimal(1000))
    more = value_at_risk(returns, Decimal("0.95"), 1000 * scale)
    assert one is not None
    assert more == one * scale


@given(st.decimals("-0.9", "9", places=3), st.decimals("-0.9", "9", places=3))
def test_returns_compound(first: Decimal, second: Decimal) -> None:
    """(1 + a)(1 + b) - 1, exactly."""
    assert 1 + compounded(first, second) == (1 + first) * (1 + second)
