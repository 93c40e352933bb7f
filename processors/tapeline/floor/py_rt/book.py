"""Positions and their P&L, linear, at average cost. Pure: prices and trades in, figures out."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Book", "Position"]


@dataclass(slots=True)
class Position:
    """A signed quantity, what it cost on average, and the last price seen."""

    quantity: float
    average: float
    mark: float
    traded_usd: float = 0.0

    @property
    def value_usd(self) -> float:
        """What it is worth now; below zero where it is short."""
        return self.quantity * self.mark

    @property
    def unrealized_usd(self) -> float:
        """P&L of what is open."""
        return self.quantity * (self.mark - self.average)


class Book:
    """The positions of one account. `opening_usd` is held of each symbol from its first price."""

    def __init__(self, opening_usd: Mapping[str, float]) -> None:
        self._opening_usd = opening_usd
        self.positions: dict[str, Position] = {}
        self.realized_usd: defaultdict[tuple[str, str], float] = defaultdict(float)

    def mark(self, symbol: str, price: float) -> Position:
        """Take a price; the first one of a symbol opens its position."""
        position = self.positions.get(symbol)
        if position is None:
            quantity = self._opening_usd.get(symbol, 0.0) / price
            position = self.positions[symbol] = Position(quantity, price, price)
        position.mark = price
        return position

    def trade(self, symbol: str, quantity: float, price: float, strategy: str) -> Position:
        """Book an execution of a signed quantity; what it closes is realized for the strategy."""
        position = self.positions.get(symbol) or self.mark(symbol, price)
        held = position.quantity
        if held * quantity < 0:
            closed = min(abs(held), abs(quantity)) * (1 if held > 0 else -1)
            self.realized_usd[symbol, strategy] += closed * (price - position.average)
            if abs(quantity) > abs(held):
                position.average = price
        elif held + quantity:
            position.average = (held * position.average + quantity * price) / (held + quantity)
        position.quantity = held + quantity
        position.traded_usd += quantity * price
        return position

    @property
    def unrealized_total_usd(self) -> float:
        """P&L of all that is open."""
        return sum(each.unrealized_usd for each in self.positions.values())

    @property
    def realized_total_usd(self) -> float:
        """P&L of all that was closed."""
        return sum(self.realized_usd.values())

    @property
    def open_count(self) -> int:
        """How many positions aren't flat."""
        return sum(1 for each in self.positions.values() if each.quantity)
