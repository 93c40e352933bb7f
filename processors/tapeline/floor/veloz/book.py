"""VeloZ's book and its risk figures. Pure: prices, fills and what goes wrong are arguments."""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from tapeline.floor.position import Position

__all__ = ["EQUITY_USD", "SYMBOLS", "Book", "BookFigures", "Ratios", "ratios", "return_series"]

EQUITY_USD: Final = Decimal(1_000_000)
RISK_LIMIT_USD: Final = Decimal(4_000_000)
# Symbol, first price, tick, and what the strategies want to hold of it in USD; negative is short.
SYMBOLS: Final[Mapping[str, tuple[Decimal, Decimal, Decimal]]] = {
    "BTCUSDT": (Decimal(64_000), Decimal("0.5"), Decimal(360_000)),
    "ETHUSDT": (Decimal(3_400), Decimal("0.05"), Decimal(300_000)),
    "SOLUSDT": (Decimal(145), Decimal("0.01"), Decimal(-300_000)),
    "BNBUSDT": (Decimal(590), Decimal("0.01"), Decimal(240_000)),
}
_DAYS: Final = 60
_MEAN_RETURN: Final = 0.002
_DEVIATION: Final = 0.008
_DAYS_A_YEAR: Final = 365
_BREACH_FACTOR: Final = 10
_CRASH: Final = Decimal("0.2")
_LARGEST: Final = 3


@dataclass(frozen=True, slots=True)
class Holding:
    """One symbol of the book at a moment; money in USD."""

    quantity: Decimal
    value: Decimal
    unrealized: Decimal
    realized: Decimal


@dataclass(frozen=True, slots=True)
class BookFigures:
    """The whole book at a moment; money in USD, shares in percent."""

    holdings: Mapping[str, Holding]
    equity: Decimal
    gross: Decimal
    net: Decimal
    long: Decimal
    short: Decimal
    leverage: float
    largest_percent: float
    top3_percent: float
    hhi: float
    drawdown_percent: float
    utilization_percent: float


@dataclass(slots=True)
class Book:
    """Positions by symbol, opened at what the strategies want to hold, and what each earned."""

    positions: dict[str, Position[Decimal]] = field(default_factory=dict)
    realized_usd: dict[str, Decimal] = field(default_factory=dict)
    peak: Decimal = EQUITY_USD

    def open(self, mids: Mapping[str, Decimal]) -> None:
        """Take the wanted positions at these prices."""
        for symbol, (_, _, target) in SYMBOLS.items():
            self.positions[symbol] = Position(target / mids[symbol], mids[symbol])
            self.realized_usd[symbol] = Decimal(0)

    def wants_to_buy(self, symbol: str, mid: Decimal) -> bool:
        """Tell whether the position is below what the strategies want to hold."""
        return self.positions[symbol].quantity * mid < SYMBOLS[symbol][2]

    def fill(self, symbol: str, signed_quantity: Decimal, price: Decimal) -> None:
        """Book an execution: what it closes is realised, what it opens moves the average."""
        self.realized_usd[symbol] += self.positions[symbol].take(signed_quantity, price)

    def settle(self, mids: Mapping[str, Decimal]) -> None:
        """Realise all open P&L, as a perpetual future's funding does, and begin a new peak."""
        for symbol, position in self.positions.items():
            self.realized_usd[symbol] += position.unrealized(mids[symbol])
            position.average = mids[symbol]
        self.peak = self._equity(mids)

    def figures(
        self, mids: Mapping[str, Decimal], *, breach: bool = False, crash: bool = False
    ) -> BookFigures:
        """Return the book at these prices.

        `breach`: one position is far beyond its limit. `crash`: the market has gone against all.
        """
        holdings = {
            symbol: self._holding(symbol, mids[symbol], breach=breach, crash=crash)
            for symbol in self.positions
        }
        sizes = sorted((abs(each.value) for each in holdings.values()), reverse=True)
        gross = sum(sizes, Decimal(0))
        shares = [float(each / gross) for each in sizes] if gross else [0.0]
        earned = sum((each.unrealized + each.realized for each in holdings.values()), Decimal(0))
        equity = EQUITY_USD + earned
        self.peak = max(self.peak, equity)
        return BookFigures(
            holdings=holdings,
            equity=equity,
            gross=gross,
            net=sum((each.value for each in holdings.values()), Decimal(0)),
            long=sum((max(each.value, Decimal(0)) for each in holdings.values()), Decimal(0)),
            short=sum((min(each.value, Decimal(0)) for each in holdings.values()), Decimal(0)),
            leverage=float(gross / equity),
            largest_percent=100 * shares[0],
            top3_percent=100 * sum(shares[:_LARGEST]),
            hhi=sum(each * each for each in shares),
            drawdown_percent=float(100 * (self.peak - equity) / self.peak),
            utilization_percent=min(100.0, float(100 * gross / RISK_LIMIT_USD)),
        )

    def _equity(self, mids: Mapping[str, Decimal]) -> Decimal:
        return EQUITY_USD + sum(
            self.realized_usd[symbol] + each.unrealized(mids[symbol])
            for symbol, each in self.positions.items()
        )

    def _holding(self, symbol: str, mid: Decimal, *, breach: bool, crash: bool) -> Holding:
        position = self.positions[symbol]
        factor = _BREACH_FACTOR if breach and symbol == "BTCUSDT" else 1
        quantity = position.quantity * factor
        unrealized = position.unrealized(mid)
        if crash:
            unrealized -= abs(position.quantity) * mid * _CRASH
        return Holding(quantity, quantity * mid, unrealized, self.realized_usd[symbol])


@dataclass(frozen=True, slots=True)
class Ratios:
    """What a series of daily returns says. Percents are 0 to 100, values at risk are in USD."""

    sharpe: float
    sortino: float
    calmar: float
    win_rate_percent: float
    profit_factor: float
    max_drawdown_percent: float
    var_95: float
    var_99: float


def return_series(seed: int, *, crash: bool = False) -> tuple[float, ...]:
    """Return 60 daily returns of a seed, 0.2 % a day in the mean; in a crash four of five lost."""
    generator = random.Random(f"{seed}/veloz/returns")  # noqa: S311 - a simulation
    drawn = [generator.gauss(0.0, _DEVIATION) for _ in range(_DAYS)]
    shift = _MEAN_RETURN - statistics.fmean(drawn)
    returns = [each + shift for each in drawn]
    if crash:
        returns = [-abs(each) if at % 5 else abs(each) for at, each in enumerate(returns)]
    return tuple(returns)


def ratios(returns: Sequence[float], equity_usd: float) -> Ratios:
    """Return the ratios of daily returns: Sharpe and Sortino a year, historical values at risk."""
    mean = statistics.fmean(returns)
    year = _DAYS_A_YEAR**0.5
    downside = (statistics.fmean([min(each, 0.0) ** 2 for each in returns])) ** 0.5
    wins = [each for each in returns if each > 0]
    losses = [-each for each in returns if each < 0]
    drawdown = _max_drawdown(returns)
    cuts = statistics.quantiles(returns, n=100, method="inclusive")
    return Ratios(
        sharpe=mean / statistics.stdev(returns) * year,
        sortino=mean / downside * year,
        calmar=mean * _DAYS_A_YEAR / drawdown,
        win_rate_percent=100 * len(wins) / len(returns),
        profit_factor=sum(wins) / sum(losses),
        max_drawdown_percent=100 * drawdown,
        var_95=max(0.0, -cuts[4]) * equity_usd,
        var_99=max(0.0, -cuts[0]) * equity_usd,
    )


def _max_drawdown(returns: Sequence[float]) -> float:
    index = peak = 1.0
    worst = 0.0
    for each in returns:
        index *= 1 + each
        peak = max(peak, index)
        worst = max(worst, 1 - index / peak)
    return worst
