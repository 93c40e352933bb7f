"""The gauges of an account's returns and round trips. Pure."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.points import Attributes, GaugePoint
from tapeline.signals.returns import PeriodReturns
from tapeline.signals.risk import (
    calmar,
    drawdown,
    periods_per_year,
    sharpe,
    sortino,
    value_at_risk,
)
from tapeline.signals.round_trips import TripTally

__all__ = ["RiskGauges"]

_CONFIDENCES: Final = ("0.95", "0.99")


class _Closed(NamedTuple):
    """The figures of closed periods alone, which stay until the next one closes."""

    closed_count: int
    sharpe: float | None
    sortino: float | None
    value_at_risk: tuple[Decimal | None, ...]


class RiskGauges:
    """Makes them; what only a closed period changes is calculated once a period."""

    def __init__(self, settings: EngineSettings) -> None:
        self._per_year = settings.periods_per_year or periods_per_year(settings.risk_period_ns)
        self._closed: dict[Attributes, _Closed] = {}

    def of_returns(
        self,
        plain: Attributes,
        money: Attributes,
        returns: PeriodReturns,
        equity: Decimal | None,
    ) -> Iterator[GaugePoint]:
        """Yield drawdown, Sharpe, Sortino, Calmar and value at risk, each that there is."""
        closed = self._of_closed(plain, returns)
        open_return = returns.open_return(equity)
        found = drawdown(returns.returns, open_return or Decimal(0))
        is_known = open_return is not None or bool(returns.returns)
        figures = (
            ("drawdown", found.current if open_return is not None else None),
            ("drawdown_max", found.maximum if is_known else None),
            ("sharpe", closed.sharpe),
            ("sortino", closed.sortino),
            ("calmar", calmar(returns.returns, self._per_year, found.maximum)),
        )
        for name, value in figures:
            if value is not None:
                yield GaugePoint(f"trading.risk.{name}", plain, value)
        for confidence, amount in zip(_CONFIDENCES, closed.value_at_risk, strict=True):
            if amount is not None:
                attributes = tuple(sorted((*money, ("trading.confidence", confidence))))
                yield GaugePoint("trading.risk.var", attributes, float(amount))

    def of_trips(self, plain: Attributes, tally: TripTally) -> Iterator[GaugePoint]:
        """Yield win rate and profit factor, each that there is."""
        for name, value in (("win_rate", tally.win_rate), ("profit_factor", tally.profit_factor)):
            if value is not None:
                yield GaugePoint(f"trading.risk.{name}", plain, float(value))

    def _of_closed(self, plain: Attributes, returns: PeriodReturns) -> _Closed:
        values = returns.returns
        known = self._closed.get(plain)
        if known is not None and known.closed_count == returns.closed_count:
            return known
        last = returns.last_equity
        known = self._closed[plain] = _Closed(
            returns.closed_count,
            sharpe(values, self._per_year),
            sortino(values, self._per_year),
            tuple(
                None if last is None else value_at_risk(values, Decimal(confidence), last)
                for confidence in _CONFIDENCES
            ),
        )
        return known
