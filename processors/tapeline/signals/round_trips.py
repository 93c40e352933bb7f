"""Round trips: from flat to flat, or to a flip, and how many of them won.

A trip's P&L is what its closing legs realised, less all fees paid in it, each currency at the rate
of the moment at which it closed. Pure.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tapeline.signals.decimals import (
    ZERO,
    Amounts,
    add,
    added,
    divide,
    exact_product,
    negated,
    subtract,
)
from tapeline.signals.positions import FLAT, PositionState

__all__ = ["OpenTrip", "TripTally", "split_fee"]


class OpenTrip:
    """What a position has earned and paid since it was flat, by currency."""

    __slots__ = ("_earned", "_paid", "currency", "state")

    def __init__(self, amounts: Amounts = (), state: PositionState = FLAT) -> None:
        self._earned = amounts
        self._paid: Amounts = ()
        self.currency = ""
        """Of its P&L: what was paid in no other one is in it."""
        self.state = state
        """The position when it was booked last."""

    @property
    def amounts(self) -> Amounts:
        """Return what was earned less what was paid."""
        amounts = self._earned
        for currency, fee in self._paid:
            amounts = added(amounts, currency or self.currency, negated(fee))
        return amounts

    def book(self, currency: str, realized: Decimal, fee: Decimal, fee_currency: str) -> None:
        """Add what an execution, or a leg of one, realised and paid."""
        if realized:
            self._earned = added(self._earned, currency, realized)
        if fee:
            self._paid = added(self._paid, fee_currency, fee)

    def pay(self, fees: Amounts) -> None:
        """Add fees by currency; the first ones are held as they are given."""
        if not self._paid:
            self._paid = fees
            return
        for currency, fee in fees:
            self._paid = added(self._paid, currency, fee)

    def close(self, rates: Mapping[str, Decimal | None]) -> Decimal | None:
        """Return the P&L in base currency, and begin anew; None where a rate is missing."""
        amounts = self.amounts
        self._earned = self._paid = ()
        total = ZERO
        for currency, amount in amounts:
            rate = rates.get(currency)
            if amount and rate is None:
                return None
            total = add(total, exact_product(amount, rate or ZERO))
        return total


class TripTally(NamedTuple):
    """The closed trips of a ledger; those of several ledgers can be added."""

    wins: int = 0
    losses: int = 0
    won: Decimal = ZERO
    lost: Decimal = ZERO
    """The sum of losses, positive."""
    unknown: int = 0
    """Trips that closed while a rate was missing."""

    def with_trip(self, pnl: Decimal | None) -> "TripTally":
        """Return the tally with one more trip; one that earned nothing is no win and no loss."""
        wins, losses, won, lost, unknown = self
        if pnl is None:
            return TripTally(wins, losses, won, lost, unknown + 1)
        if pnl > ZERO:
            return TripTally(wins + 1, losses, add(won, pnl), lost, unknown)
        if pnl < ZERO:
            return TripTally(wins, losses + 1, won, subtract(lost, pnl), unknown)
        return self

    def plus(self, other: "TripTally") -> "TripTally":
        """Return the tally of two ledgers."""
        return TripTally(
            self.wins + other.wins,
            self.losses + other.losses,
            add(self.won, other.won),
            add(self.lost, other.lost),
            self.unknown + other.unknown,
        )

    @property
    def win_rate(self) -> Decimal | None:
        """Return wins/(wins + losses); None before the first of either."""
        trips = self.wins + self.losses
        return divide(Decimal(self.wins), Decimal(trips)) if trips else None

    @property
    def profit_factor(self) -> Decimal | None:
        """Return Σ wins/Σ losses; None before the first loss."""
        return divide(self.won, self.lost) if self.lost else None


def split_fee(fee: Decimal, closed: Decimal, quantity: Decimal) -> tuple[Decimal, Decimal]:
    """Return the parts of a fee that a crossing execution pays for its closing and opening leg.

    By quantity, and such that they add up to the fee.
    """
    closing = divide(exact_product(fee, closed), quantity)
    return closing, subtract(fee, closing)
