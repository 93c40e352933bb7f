"""Positions and their P&L, linear, at average cost. Pure: prices and trades in, figures out."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from tapeline.floor.position import Position

__all__ = ["Book", "Holding"]


@dataclass(slots=True)
class Holding:
    """A position, the last price seen, and the signed sum of what was traded of it."""

    position: Position[float]
    mark: float
    traded_usd: float = 0.0

    @property
    def quantity(self) -> float:
        """How much is held; below zero where it is short."""
        return self.position.quantity

    @property
    def value_usd(self) -> float:
        """What it is worth now; below zero where it is short."""
        return self.quantity * self.mark

    @property
    def unrealized_usd(self) -> float:
        """P&L of what is open."""
        return self.position.unrealized(self.mark)


class Book:
    """The positions of one account. `opening_usd` is held of each symbol from its first price."""

    def __init__(self, opening_usd: Mapping[str, float]) -> None:
        self._opening_usd = opening_usd
        self.holdings: dict[str, Holding] = {}
        self.realized_usd: defaultdict[tuple[str, str], float] = defaultdict(float)

    def mark(self, symbol: str, price: float) -> Holding:
        """Take a price; the first one of a symbol opens its position."""
        holding = self.holdings.get(symbol)
        if holding is None:
            quantity = self._opening_usd.get(symbol, 0.0) / price
            holding = self.holdings[symbol] = Holding(Position(quantity, price), price)
        holding.mark = price
        return holding

    def trade(self, symbol: str, quantity: float, price: float, strategy: str) -> Holding:
        """Book an execution of a signed quantity; what it closes is realized for the strategy."""
        holding = self.holdings.get(symbol) or self.mark(symbol, price)
        self.realized_usd[symbol, strategy] += holding.position.take(quantity, price)
        holding.traded_usd += quantity * price
        return holding

    @property
    def unrealized_total_usd(self) -> float:
        """P&L of all that is open."""
        return sum(each.unrealized_usd for each in self.holdings.values())

    @property
    def realized_total_usd(self) -> float:
        """P&L of all that was closed."""
        return sum(self.realized_usd.values())

    @property
    def open_count(self) -> int:
        """How many positions aren't flat."""
        return sum(1 for each in self.holdings.values() if each.quantity)
