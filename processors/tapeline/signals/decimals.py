"""Exact numbers: read from attributes, and calculated with so that no cent is lost.

Sums and products are exact, quotients have 34 digits. A number that is read has at most 34
significant digits (what IEEE 754 decimal128 holds) and lies between 1e-24 and 1e24, or is 0. So its
last digit stands at 1e-57 or before it, a product of three (quantity, multiplier, price) has digits
between 1e72 and 1e-171 only, and a sum of 1e50 of those fits the 300 digits of EXACT: it is never
rounded. A quotient can't be exact; with 34 digits the error is 5e-35 of it: in a ledger of 1e15, a
million quotients add up to less than 1e-13 of a currency unit, where a double would show 0.1.
Pure.
"""

import math
import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Final

__all__ = [
    "EXACT",
    "MAX_DIGITS",
    "MAX_MAGNITUDE",
    "QUOTIENT_DIGITS",
    "ZERO",
    "Amounts",
    "NumberFault",
    "add",
    "added",
    "divide",
    "exact_product",
    "multiply",
    "negated",
    "number",
    "rounded",
    "subtract",
]

MAX_DIGITS: Final = 34
"""Significant digits of a number that is read."""
MAX_MAGNITUDE: Final = 24
"""A number that is read is 0, or from 10**-24 up to, but not including, 10**24."""
QUOTIENT_DIGITS: Final = 34
EXACT: Final = Context(prec=300, rounding=ROUND_HALF_EVEN)
"""For `with localcontext(EXACT)`: + - * of what was read are exact; never divide in it."""
ZERO: Final = Decimal(0)

_QUOTIENT: Final = Context(prec=QUOTIENT_DIGITS, rounding=ROUND_HALF_EVEN)
_MAX_TEXT: Final = 128
_SHORT_TEXT: Final = 16
_SHORT_TEXTS: Final = 16_384
_LIMIT: Final = 10**MAX_MAGNITUDE
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_NOT_FINITE: Final = frozenset({"nan", "inf", "infinity"})

divide = _QUOTIENT.divide
"""Return a quotient of 34 digits, whatever context is set; the divisor is not 0."""

multiply = _QUOTIENT.multiply
"""Return a product rounded to 34 digits: of a quotient, which is not exact anyway."""

add = EXACT.add
"""Return an exact sum, whatever context is set: in a third of the time that setting one takes."""

subtract = EXACT.subtract
"""Return an exact difference, as `add`."""

exact_product = EXACT.multiply
"""Return an exact product, as `add`."""

negated = EXACT.minus
"""Return a number with the other sign, exactly, as `add`; 0 has none."""

rounded = _QUOTIENT.plus
"""Return a number with at most 34 digits, as a quotient has them."""


Amounts = tuple[tuple[str, Decimal], ...]
"""By currency. There are one or two: a tuple takes a third of what a dict of them would."""


def added(amounts: Amounts, currency: str, amount: Decimal) -> Amounts:
    """Return amounts with one more, exactly."""
    if not amounts:
        return ((currency, amount),)
    if len(amounts) == 1 and amounts[0][0] == currency:
        return ((currency, add(amounts[0][1], amount)),)
    totals = dict(amounts)
    totals[currency] = add(totals[currency], amount) if currency in totals else amount
    return tuple(totals.items())


class NumberFault(StrEnum):
    """Why a value is not a number to calculate with."""

    NOT_A_NUMBER = "not_a_number"
    NOT_FINITE = "not_finite"
    TOO_MANY_DIGITS = "too_many_digits"
    OUT_OF_RANGE = "out_of_range"


def number(value: object) -> Decimal | NumberFault:
    """Return the number that an attribute holds, exactly, or why it can't be taken.

    A text is taken as it is written, a double by its shortest decimal form (the one that reads back
    as the same double). A boolean is no number. Minus zero is zero.
    """
    if isinstance(value, str):
        return _of_short_text(value) if len(value) <= _SHORT_TEXT else _of_text(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return NumberFault.NOT_FINITE
        return _within_limits(Decimal(repr(value)), MAX_DIGITS)
    if isinstance(value, int) and not isinstance(value, bool):
        if not -_LIMIT < value < _LIMIT:
            return NumberFault.OUT_OF_RANGE
        return Decimal(value)
    return NumberFault.NOT_A_NUMBER


@lru_cache(maxsize=_SHORT_TEXTS)
def _of_short_text(text: str) -> Decimal | NumberFault:
    """Return the same as `_of_text`: prices and quantities come again, and one object does."""
    return _of_text(text)


def _of_text(text: str) -> Decimal | NumberFault:
    if len(text) > _MAX_TEXT:
        is_number = _NUMBER.fullmatch(text) is not None
        return NumberFault.TOO_MANY_DIGITS if is_number else NumberFault.NOT_A_NUMBER
    if _NUMBER.fullmatch(text) is None:
        is_special = text.lstrip("+-").lower() in _NOT_FINITE
        return NumberFault.NOT_FINITE if is_special else NumberFault.NOT_A_NUMBER
    return _within_limits(Decimal(text), len(text))


def _within_limits(value: Decimal, max_digits: int) -> Decimal | NumberFault:
    """Return a finite number; `max_digits` is a bound of its digits that is known already."""
    if not value:
        return ZERO
    if not -MAX_MAGNITUDE <= value.adjusted() < MAX_MAGNITUDE:
        return NumberFault.OUT_OF_RANGE
    if max_digits > MAX_DIGITS:
        value = value.normalize(EXACT)
        if len(value.as_tuple().digits) > MAX_DIGITS:
            return NumberFault.TOO_MANY_DIGITS
    return value
