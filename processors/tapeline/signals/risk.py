"""Risk figures of a series of period returns.

Returns and value at risk are exact decimals. The ratios are doubles: their definitions need roots
and powers, which no decimal holds exactly either. Figures and conventions are those of
docs/trading-convention.md, section 2: risk-free rate 0, sample standard deviation, downside
deviation over all periods, as empyrical has them; drawdown positive. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import accumulate
from math import expm1, floor, fsum, inf, isfinite, log1p, sqrt
from typing import Final

from tapeline.signals.decimals import EXACT, ZERO, divide, rounded

__all__ = [
    "DAY_NS",
    "Drawdown",
    "calmar",
    "drawdown",
    "periods_per_year",
    "settled",
    "sharpe",
    "sortino",
    "value_at_risk",
]

DAY_NS: Final = 86_400_000_000_000
_YEAR_NS: Final = 365 * DAY_NS
_ONE: Final = Decimal(1)
_MIN_RETURNS: Final = 2
_LEAST_RETURN: Final = Decimal("1e-24")
"""What rounding leaves of quotients is far below it, what was earned is not."""


@dataclass(frozen=True, slots=True)
class Drawdown:
    """How far the time-weighted index is below its peak, as a part of the peak."""

    current: float
    maximum: float


def periods_per_year(period_ns: int) -> float:
    """Return how many periods 365 days have."""
    return _YEAR_NS / period_ns


def sharpe(returns: Sequence[Decimal], per_year: float) -> float | None:
    """Return mean/sd·√ppy; None with fewer than two returns, or where all are the same."""
    if len(returns) < _MIN_RETURNS or min(returns) == max(returns):
        # Told by the exact returns: rounding would leave a deviation that is tiny, not zero.
        return None
    values = [float(value) for value in returns]
    mean = fsum(values) / len(values)
    variance = fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return _ratio(mean, sqrt(variance), per_year)


def sortino(returns: Sequence[Decimal], per_year: float) -> float | None:
    """Return mean/dd·√ppy, dd = √(Σ min(r,0)²/n); None where no period lost."""
    if len(returns) < _MIN_RETURNS:
        return None
    values = [float(value) for value in returns]
    mean = fsum(values) / len(values)
    downside = fsum(value * value for value in values if value < 0) / len(values)
    return _ratio(mean, sqrt(downside), per_year)


def drawdown(returns: Iterable[Decimal], open_return: Decimal = ZERO) -> Drawdown:
    """Return 1 - index/peak of an index that begins at 1, at its end and at its worst.

    The open period counts with what it has returned by now: it may make a new peak or a new worst.
    """
    factors = (1.0 + float(value) for value in (*returns, open_return))
    peak, worst, current = 1.0, 0.0, 0.0
    for index in accumulate(factors, lambda left, right: left * right, initial=1.0):
        peak = max(peak, index)
        current = 1.0 - index / peak
        worst = max(worst, current)
    return Drawdown(current, worst)


def calmar(returns: Sequence[Decimal], per_year: float, maximum_drawdown: float) -> float | None:
    """Return (Π(1+r)^(ppy/n) - 1)/maximum drawdown; None where there was no drawdown.

    None also where a year at this pace, or the ratio, is more than a double holds.
    """
    if len(returns) < _MIN_RETURNS or maximum_drawdown <= 0:
        return None
    values = [float(value) for value in returns]
    try:
        # A return so near to -1 that a double can't tell leaves nothing, at any pace.
        growth = fsum(map(log1p, values)) if min(values) > -1 else -inf
        annual = expm1(growth * per_year / len(values))
    except OverflowError:
        return None
    ratio = annual / maximum_drawdown
    return ratio if isfinite(ratio) else None


def value_at_risk(
    returns: Sequence[Decimal], confidence: Decimal, equity: Decimal
) -> Decimal | None:
    """Return -percentile(r, 1-c), linearly interpolated, of the last period-end equity.

    Historical, for one period; neither made absolute nor floored: negative means a gain. None with
    fewer than two returns.
    """
    if len(returns) < _MIN_RETURNS:
        return None
    ordered = sorted(returns)
    with localcontext(EXACT):
        rank = (_ONE - confidence) * (len(ordered) - 1)
        below = floor(rank)
        low = ordered[below]
        high = ordered[min(below + 1, len(ordered) - 1)]
        return rounded(-(low + (high - low) * (rank - below)) * equity)


def period_return(start: Decimal, end: Decimal) -> Decimal:
    """Return what equity grew by, as a part of what it was; both are more than 0."""
    with localcontext(EXACT):
        return divide(end - start, start)


def compounded(first: Decimal, second: Decimal) -> Decimal:
    """Return the return of two periods, one after the other."""
    with localcontext(EXACT):
        return rounded((_ONE + first) * (_ONE + second) - _ONE)


def settled(value: Decimal) -> Decimal:
    """Return a period's return to 24 places: ratios must not divide by what rounding left.

    Up a tenth and down an eleventh, around a deposit, is 0, and 34 digits make it -1e-36: no loss,
    but a downside deviation that makes a Sortino ratio of 1e36.
    """
    with localcontext(EXACT):
        return value.quantize(_LEAST_RETURN).normalize() + ZERO


def _ratio(mean: float, deviation: float, per_year: float) -> float | None:
    """Return mean/deviation·√ppy; None where the deviation is 0, as squares of tiny ones are."""
    if deviation <= 0:
        return None
    ratio = mean / deviation * sqrt(per_year)
    return ratio if isfinite(ratio) else None
