"""Exact numbers as a reader wants them: grouped, with the places of their currency. Pure."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

__all__ = ["NOTHING", "bps", "exact", "grouped", "money", "places_of", "price", "quantity", "ratio"]

NOTHING: Final = "\N{EN DASH}"
"""Stands where there is no figure."""

_CENTS: Final = 2
_CENT: Final = Decimal("0.01")
_SMALL: Final = 4
_FINE: Final = 8
_FINE_CURRENCIES: Final = frozenset({"BTC", "XBT", "ETH"})
_PRICE_DIGITS: Final = 8
_ROUNDING: Final = Context(prec=400, rounding=ROUND_HALF_EVEN)


def exact(value: Decimal) -> str:
    """Return a number with all its digits, without an exponent or needless zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def places_of(currency: str, amounts: Iterable[str | None]) -> int:
    """Return the places for amounts of a currency: cents; eight for bitcoin and ether.

    Where no amount reaches one unit there are four, and where none reaches a cent, eight.
    """
    greatest = max((abs(Decimal(each)) for each in amounts if each is not None), default=Decimal())
    if currency in _FINE_CURRENCIES or 0 < greatest < _CENT:
        return _FINE
    return _SMALL if 0 < greatest < 1 else _CENTS


def money(amount: str | None, places: int = _CENTS) -> str:
    """Return an amount rounded half to even; NOTHING where there is none."""
    return NOTHING if amount is None else grouped(_rounded(Decimal(amount), places))


def price(value: str | None) -> str:
    """Return a price with eight significant digits, two places at least."""
    if value is None:
        return NOTHING
    number = Decimal(value)
    places = max(_CENTS, _PRICE_DIGITS - 1 - number.adjusted()) if number else _CENTS
    text = f"{_rounded(number, places):f}"
    whole, _, fraction = text.partition(".")
    return grouped(Decimal(f"{whole}.{fraction.rstrip('0').ljust(_CENTS, '0')}"))


def quantity(value: str) -> str:
    """Return a quantity with at most eight places, without needless zeros."""
    return grouped(Decimal(exact(_rounded(Decimal(value), _FINE))))


def bps(value: str | None) -> str:
    """Return basis points with two places."""
    return money(value)


def ratio(value: float | str | None, places: int = 2) -> str:
    """Return a ratio; one that is too large for that is spelt with an exponent."""
    if value is None:
        return NOTHING
    number = float(value)
    return f"{number:,.{places}f}" if abs(number) < 1e9 else f"{number:.3g}"  # noqa: PLR2004


def grouped(value: Decimal) -> str:
    """Return a number with commas between thousands."""
    text = f"{value:,f}"
    return text[1:] if text.startswith("-") and not value else text


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), context=_ROUNDING)
