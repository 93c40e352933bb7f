"""The figures of an account: equity, exposure, leverage, concentration.

All in the account's base currency. What lacks an input has no figure: a missing rate takes equity
and exposure away, never a part of them. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final

from tapeline.signals.decimals import EXACT, ZERO, divide

__all__ = ["Holding", "Portfolio", "portfolio"]

_LARGEST: Final = 3


@dataclass(frozen=True, slots=True)
class Holding:
    """One strategy's position in an instrument, and what it earned; None where it is unknown."""

    instrument: str
    quantity: Decimal
    value: Decimal | None
    """Signed, in base currency at the price that unrealised P&L is measured with."""
    net_pnl: Decimal | None
    """Realised - fees + unrealised, in base currency."""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """What `portfolio` finds; None where an input lacks, or a ratio has no meaning."""

    net_pnl: Decimal | None
    equity: Decimal | None
    gross: Decimal | None
    net: Decimal | None
    leverage: Decimal | None
    hhi: Decimal | None
    """The Herfindahl-Hirschman index of the shares of gross exposure: 1 is one instrument."""
    top3: Decimal | None
    """The share of the three largest."""
    open_positions: int


def portfolio(
    starting_equity: Decimal, cash: Decimal | None, holdings: Iterable[Holding]
) -> Portfolio:
    """Return the figures of an account: positions are netted over strategies per instrument."""
    quantities: dict[str, Decimal] = {}
    values: dict[str, Decimal | None] = {}
    net_pnl: Decimal | None = ZERO
    with localcontext(EXACT):
        for holding in holdings:
            name = holding.instrument
            quantities[name] = quantities.get(name, ZERO) + holding.quantity
            values[name] = _sum(values.get(name, ZERO), holding.value)
            net_pnl = _sum(net_pnl, holding.net_pnl)
        equity = _sum(_sum(net_pnl, cash), starting_equity)
        # What nets to nothing is no exposure, whatever prices its strategies have.
        values |= {name: ZERO for name, quantity in quantities.items() if not quantity}
        known = [value for value in values.values() if value is not None]
        is_known = len(known) == len(values)
        sizes = sorted((abs(value) for value in known), reverse=True)
        gross = sum(sizes, ZERO) if is_known else None
        has_equity = equity is not None and equity > ZERO
        return Portfolio(
            net_pnl=net_pnl,
            equity=equity,
            gross=gross,
            net=sum(known, ZERO) if is_known else None,
            leverage=divide(gross, equity) if gross and equity and has_equity else None,
            hhi=_over(sum((size * size for size in sizes), ZERO), gross and gross * gross),
            top3=_over(sum(sizes[:_LARGEST], ZERO), gross),
            open_positions=sum(1 for quantity in quantities.values() if quantity),
        )


def _sum(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return None if first is None or second is None else first + second


def _over(value: Decimal, whole: Decimal | None) -> Decimal | None:
    return divide(value, whole) if whole else None
