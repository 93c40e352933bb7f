"""Implementation shortfall of an order: what it cost beside a paper portfolio, and where.

Perold (1988), "The implementation shortfall: paper versus reality", Journal of Portfolio Management
14(3), split into delay, execution, opportunity and fees as Wagner and Edwards (1993) do, in basis
points of ordered quantity at the decision price. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import NamedTuple

from tapeline.signals.decimals import EXACT, ZERO, divide
from tapeline.signals.events import Side
from tapeline.signals.instruments import Instrument
from tapeline.signals.slippage import BASIS_POINTS, Missing

__all__ = ["Filled", "Shortfall", "ShortfallInput", "filled_total", "shortfall"]


class Filled(NamedTuple):
    """What an order and its descendants executed."""

    quantity: Decimal
    average_price: Decimal | None
    """None where nothing was executed."""
    fees: Decimal | None
    """In the currency of the notional, at the rates of the executions; None: one was missing."""


@dataclass(frozen=True, slots=True)
class ShortfallInput:
    """What is known of a root order that has closed."""

    instrument: Instrument
    side: Side
    quantity: Decimal | None
    """The last in force."""
    decision_price: Decimal | None
    arrival_price: Decimal | None
    close_mid: Decimal | None
    filled: Filled


class Shortfall(NamedTuple):
    """The components, each with a figure or the reason why there is none; positive hurts."""

    delay: Decimal | Missing
    execution: Decimal | Missing
    opportunity: Decimal | Missing
    fees: Decimal | Missing
    total: Decimal | Missing


def shortfall(known: ShortfallInput) -> Shortfall:
    """Return the components of an order's shortfall.

    A component whose quantity is 0 is 0 and needs no price. An order that executed more than was
    in force counts as one of what it executed, as FIX amends the quantity to what is done (D12).
    """
    filled, decision = known.filled, known.decision_price
    fault = _fault(known)
    if fault is not None or decision is None:
        reason = fault or Missing.DECISION_PRICE
        return Shortfall(reason, reason, reason, reason, reason)
    with localcontext(EXACT):
        quantity = max(known.quantity or ZERO, filled.quantity)
        whole = quantity * decision
        done = BASIS_POINTS * known.side * filled.quantity
        missed = BASIS_POINTS * known.side * (quantity - filled.quantity)
        arrival = known.arrival_price
        components = (
            _cost(done, arrival, decision, whole, Missing.ARRIVAL_PRICE),
            _cost(done, filled.average_price, arrival, whole, Missing.ARRIVAL_PRICE),
            _cost(missed, known.close_mid, decision, whole, Missing.CLOSE_MID),
            _fees(known.instrument, filled.fees, quantity, decision),
        )
        total = ZERO
        for component in components:
            if isinstance(component, Missing):
                return Shortfall(*components, Missing.COMPONENT)
            total += component
    return Shortfall(*components, total)


def filled_total(
    instrument: Instrument, fills: Iterable[tuple[Decimal, Decimal, Decimal | None]]
) -> Filled:
    """Return quantity, average price and fees of fills (quantity, price, fee).

    The average of an inverse contract is harmonic: it is what the quantity was worth.
    """
    quantity, worth = ZERO, ZERO
    fees: Decimal | None = ZERO
    with localcontext(EXACT):
        for amount, price, fee in fills:
            quantity += amount
            worth += divide(amount, price) if instrument.is_inverse else amount * price
            fees = None if fees is None or fee is None else fees + fee
        if not quantity:
            return Filled(quantity, None, fees)
        if instrument.is_inverse:
            return Filled(quantity, divide(quantity, worth), fees)
        return Filled(quantity, divide(worth, quantity), fees)


def _fees(
    instrument: Instrument, fees: Decimal | None, quantity: Decimal, decision: Decimal
) -> Decimal | Missing:
    """Return 1e4·fees/(Q·m·Pd), inverse 1e4·fees·Pd/(Q·m)."""
    if fees is None:
        return Missing.FEE_RATE
    amount = quantity * instrument.multiplier
    if instrument.is_inverse:
        return divide(BASIS_POINTS * fees * decision, amount)
    return divide(BASIS_POINTS * fees, amount * decision)


def _fault(known: ShortfallInput) -> Missing | None:
    if not known.side:
        return Missing.SIDE
    if known.quantity is None or max(known.quantity, known.filled.quantity) <= ZERO:
        return Missing.QUANTITY
    if known.decision_price is None:
        return Missing.DECISION_PRICE
    return None if known.decision_price > ZERO else Missing.NOT_POSITIVE


def _cost(
    weight: Decimal, price: Decimal | None, before: Decimal | None, whole: Decimal, absent: Missing
) -> Decimal | Missing:
    """Return weight·(price - before)/whole; what has no weight costs nothing at any price."""
    if not weight:
        return ZERO
    if price is None or before is None:
        return absent
    return divide(weight * (price - before), whole)
