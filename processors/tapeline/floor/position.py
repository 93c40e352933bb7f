"""A position at average cost: what executions make of it. Pure; for floats and for Decimals."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

__all__ = ["Position"]

Number = TypeVar("Number", float, Decimal)


@dataclass(slots=True)
class Position(Generic[Number]):
    """A signed quantity, and the average price at which it was opened (the last one when flat)."""

    quantity: Number
    average: Number

    def take(self, signed_quantity: Number, price: Number) -> Number:
        """Book an execution; return what it realises.

        What closes is realised against the average, what opens moves it, a flip begins anew.
        """
        held = self.quantity
        closes = held * signed_quantity < 0
        closed = min(abs(held), abs(signed_quantity)) if closes else held * 0
        realized = closed * (price - self.average) * (1 if held > 0 else -1)
        self.quantity = held + signed_quantity
        if abs(signed_quantity) > closed and self.quantity:
            kept, opened = abs(held) - closed, abs(signed_quantity) - closed
            self.average = (kept * self.average + opened * price) / abs(self.quantity)
        return realized

    def unrealized(self, price: Number) -> Number:
        """Return the profit of closing at a price."""
        return self.quantity * (price - self.average)
