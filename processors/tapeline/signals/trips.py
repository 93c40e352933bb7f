"""Round trips of all positions, from how their states change one execution after the other.

A trip is counted once, when an execution closes it. What a revision changes in one that has closed
counts in the trip that is open then, or next, and no revision closes a trip. Pure.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from tapeline.signals.decimals import ZERO, add, subtract
from tapeline.signals.instruments import Instrument
from tapeline.signals.positions import FLAT, PositionKey, PositionState
from tapeline.signals.round_trips import OpenTrip, TripTally, split_fee

__all__ = ["Trips"]

_NOTHING: Final[dict[str, Decimal]] = {}
_NO_TRIPS: Final = TripTally()


class Trips:
    """The open trip of each position, and the closed ones of each account."""

    def __init__(self) -> None:
        self._open: dict[PositionKey, OpenTrip] = {}
        self.tallies: dict[str, TripTally] = {}
        """By account."""
        self._opening: Mapping[str, Decimal] = _NOTHING
        """What a flip paid for its opening leg, from `moved` to `close`."""

    def moved(
        self,
        key: PositionKey,
        state: PositionState,
        instrument: Instrument,
        currency: str,
        *,
        may_close: bool = True,
    ) -> bool:
        """Take the state that a position has now; `currency` is that of its P&L.

        It `may_close` a trip where an execution came, not where one changed or went. Return whether
        it does: then `close` is to be called.
        """
        trip = self._open.get(key)
        if trip is None:
            trip = self._open[key] = OpenTrip()
        before = trip.state
        trip.state = state
        trip.currency = currency
        is_flip = may_close and _is_flip(before.quantity, state.quantity)
        opening: dict[str, Decimal] = _NOTHING
        if state.realised != before.realised:
            trip.book(currency, subtract(state.realised, before.realised), ZERO, currency)
        if state.fees != before.fees:
            opening = _pay(trip, before, state, instrument, currency, is_flip=is_flip)
        if not may_close or not before.quantity or (state.quantity and not is_flip):
            return False
        self._opening = opening
        return True

    def currencies(self, key: PositionKey) -> list[str]:
        """Return what the open trip of a position has earned or paid in."""
        return [currency for currency, _ in self._open[key].amounts]

    def close(self, key: PositionKey, rates: Mapping[str, Decimal | None]) -> None:
        """Close the trip that `moved` has just found to close, at these rates to base currency."""
        trip = self._open[key]
        pnl = trip.close(rates)
        self.tallies[key[0]] = self.tallies.get(key[0], _NO_TRIPS).with_trip(pnl)
        for name, fee in self._opening.items():
            trip.book(name, ZERO, fee, name)
        self._opening = _NOTHING

    def open(self) -> Iterator[tuple[PositionKey, Mapping[str, Decimal]]]:
        """Yield what open trips have earned and paid, for a snapshot."""
        for key, trip in self._open.items():
            if amounts := trip.amounts:
                yield key, dict(amounts)

    def restore(
        self,
        states: Mapping[PositionKey, PositionState],
        trips: Mapping[PositionKey, Mapping[str, Decimal]],
        tallies: Mapping[str, TripTally],
    ) -> None:
        """Go on from what was kept, with the positions as they are."""
        self._open = {key: OpenTrip((), state) for key, state in states.items()}
        for key, amounts in trips.items():
            self._open[key] = OpenTrip(tuple(amounts.items()), states.get(key, FLAT))
        self.tallies = dict(tallies)


def _is_flip(before: Decimal, after: Decimal) -> bool:
    return bool(before and after) and before.is_signed() is not after.is_signed()


def _pay(
    trip: OpenTrip,
    before: PositionState,
    after: PositionState,
    instrument: Instrument,
    currency: str,
    *,
    is_flip: bool,
) -> dict[str, Decimal]:
    """Book what was paid, and return the part of it that a flip pays for its opening leg."""
    if not is_flip:
        charges = after.charges_since(before, instrument)
        fees = after.fees
        if len(fees) == 1 and len(charges) == 1 and charges[0] == fees[0]:
            trip.pay(fees)  # The first of the position: nothing else is made for it.
            return _NOTHING
        for name, fee in charges:
            trip.book(currency, ZERO, fee, name or currency)
        return _NOTHING
    opening: dict[str, Decimal] = {}
    closed = before.quantity.copy_abs()
    whole = add(closed, after.quantity.copy_abs())
    for name, fee in after.charges_since(before, instrument):
        paid_in = name or currency
        closing, rest = split_fee(fee, closed, whole)
        opening[paid_in] = add(opening.get(paid_in, ZERO), rest)
        trip.book(currency, ZERO, closing, paid_in)
    return opening
