"""A position in money: what it is worth, what it earned, natively and in base currency. Pure."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import NamedTuple

from tapeline.signals.decimals import EXACT, ZERO
from tapeline.signals.instruments import Instrument
from tapeline.signals.positions import PositionState
from tapeline.signals.valuation import PriceSource, ValuationPrice

__all__ = ["Convert", "PositionFigures", "figures_of"]

Convert = Callable[[Decimal, str], Decimal | None]
"""Makes an amount of a currency one of base currency; None where a rate is missing."""


class PositionFigures(NamedTuple):
    """Of one strategy's position in an instrument; None where an input lacks."""

    value: Decimal | None
    """Signed, at the valuation price, in the currency of the P&L."""
    unrealised: Decimal | None
    source: PriceSource | None
    base_value: Decimal | None
    base_net_pnl: Decimal | None
    """Realised - fees + unrealised, in base currency."""


def figures_of(
    state: PositionState,
    instrument: Instrument,
    currency: str,
    price: ValuationPrice | None,
    convert: Convert,
) -> PositionFigures:
    """Return the figures of a position at a price; `currency` is that of its P&L."""
    value = unrealised = None
    if not state.quantity:
        value = unrealised = ZERO
    elif price is not None and (price.price > ZERO or not instrument.is_inverse):
        value = instrument.value(state.quantity, price.price)
        with localcontext(EXACT):
            gain = value - state.cost
            unrealised = -gain if instrument.is_inverse else gain
    return PositionFigures(
        value,
        unrealised,
        None if price is None else price.source,
        None if value is None else convert(value, currency),
        _net_pnl(state, instrument, currency, unrealised, convert),
    )


def _net_pnl(
    state: PositionState,
    instrument: Instrument,
    currency: str,
    unrealised: Decimal | None,
    convert: Convert,
) -> Decimal | None:
    """Return what is left of native totals after fees, each total converted once."""
    if unrealised is None:
        return None
    amounts = {currency: ZERO}
    with localcontext(EXACT):
        amounts[currency] = state.realised + unrealised
        if state.fees:
            for name, fee in state.charges(instrument).items():
                paid_in = name or currency
                amounts[paid_in] = amounts.get(paid_in, ZERO) - fee
        total = ZERO
        for name, amount in amounts.items():
            converted = convert(amount, name) if amount else ZERO
            if converted is None:
                return None
            total += converted
    return total
