"""What the equity of a minute says: drawdown and Sharpe ratio. No clock, no network."""

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

__all__ = ["EquityCurve"]

_CURVE_POINTS: Final = 60
_RETURNS_MIN: Final = 2


@dataclass(slots=True)
class EquityCurve:
    """The latest equities, a second apart; a minute of them."""

    _equities: deque[float] = field(default_factory=lambda: deque(maxlen=_CURVE_POINTS))

    def add(self, equity_usd: float) -> None:
        """Add the equity of now."""
        self._equities.append(equity_usd)

    def max_drawdown_pct(self) -> float:
        """Return the largest fall from a peak to a later low, in percent of the peak."""
        peak, worst = float("-inf"), 0.0
        for equity in self._equities:
            peak = max(peak, equity)
            if peak > 0:
                worst = max(worst, (peak - equity) / peak * 100)
        return worst

    def sharpe_ratio(self) -> float:
        """Return mean by sample deviation of the returns, 0 while there is none."""
        equities = list(self._equities)
        returns = [after / before - 1 for before, after in pairwise(equities) if before > 0]
        if len(returns) < _RETURNS_MIN:
            return 0.0
        mean = sum(returns) / len(returns)
        variance = sum((each - mean) ** 2 for each in returns) / (len(returns) - 1)
        return mean / math.sqrt(variance) if variance > 0 else 0.0
