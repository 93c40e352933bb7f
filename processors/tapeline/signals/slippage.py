"""What an execution cost beside a benchmark: slippage, spreads and markouts.

Each is a figure of exact decimals or the reason why there is none; no input is replaced by another.
Definitions: docs/trading-convention.md, section 2. Effective and realised spread are those of Huang
and Stoll (1996), "Dealer versus auction markets", Journal of Financial Economics 41, signed, in
basis points of the mid at receipt, as Rule 605 of the SEC signs them. Pure.
"""

from decimal import Decimal, localcontext
from enum import StrEnum
from typing import Final, NamedTuple

from tapeline.signals.decimals import EXACT, ZERO, divide, exact_product, subtract
from tapeline.signals.events import Side
from tapeline.signals.instruments import Instrument

__all__ = [
    "Benchmark",
    "Missing",
    "MoneySlippage",
    "average_bps",
    "effective_spread_bps",
    "markout_bps",
    "money_slippage",
    "realized_spread_bps",
    "slippage_bps",
]

BASIS_POINTS: Final = Decimal(10_000)
_TWICE: Final = Decimal(20_000)


class Benchmark(StrEnum):
    """What a price is compared with, as `trading.benchmark` names it."""

    __hash__ = str.__hash__  # An enumeration's own one takes ten times as long.

    DECISION = "decision"
    ARRIVAL = "arrival"
    LIMIT = "limit"
    QUOTE = "quote"


class Missing(StrEnum):
    """Why a figure can't be given."""

    __hash__ = str.__hash__  # See above.

    SIDE = "no_side"
    QUANTITY = "no_quantity"
    BENCHMARK = "no_benchmark"
    NOT_POSITIVE = "benchmark_not_positive"
    PRICE_NOT_POSITIVE = "price_not_positive"
    MID_AT_RECEIPT = "no_mid_at_receipt"
    LATER_MID = "no_later_mid"
    DECISION_PRICE = "no_decision_price"
    ARRIVAL_PRICE = "no_arrival_price"
    CLOSE_MID = "no_mid_at_close"
    FEE_RATE = "no_rate_of_fee"
    NOT_ACCEPTED = "rejected_before_acceptance"
    COMPONENT = "no_component"


class MoneySlippage(NamedTuple):
    """What an execution cost or saved beside a benchmark, in the currency of its notional."""

    cost: Decimal
    improvement: Decimal
    notional: Decimal
    """The quantity at the benchmark's price."""


def slippage_bps(side: Side, price: Decimal, benchmark: Decimal | None) -> Decimal | Missing:
    """Return 1e4 · s · (price - B) / B: positive when it hurts."""
    fault = _fault(side, benchmark)
    if fault is not None or benchmark is None:
        return fault or Missing.BENCHMARK
    return _ratio(BASIS_POINTS, side, price, benchmark, benchmark)


def money_slippage(
    instrument: Instrument,
    side: Side,
    quantity: Decimal,
    price: Decimal,
    benchmark: Decimal | None,
) -> MoneySlippage | Missing:
    """Return s·q·m·(price - B), inverse s·q·m·(1/B - 1/price), as cost or improvement.

    The benchmark notional is q·m·B, inverse q·m/B.
    """
    fault = _fault(side, benchmark)
    if fault is not None or benchmark is None:
        return fault or Missing.BENCHMARK
    if instrument.is_inverse and price <= ZERO:
        return Missing.PRICE_NOT_POSITIVE
    amount = exact_product(quantity, instrument.multiplier)
    worse = subtract(price, benchmark) if side > 0 else subtract(benchmark, price)
    over = exact_product(amount, worse)
    if instrument.is_inverse:
        # One quotient of exact terms: a difference of two would lose digits.
        over = divide(over, exact_product(benchmark, price))
        notional = divide(amount, benchmark)
    else:
        notional = exact_product(amount, benchmark)
    if over > ZERO:
        return MoneySlippage(over, ZERO, notional)
    return MoneySlippage(ZERO, over.copy_abs(), notional)


def average_bps(cost: Decimal, improvement: Decimal, notional: Decimal) -> Decimal | None:
    """Return 1e4·(cost - improvement)/benchmark notional; None without any notional."""
    if notional <= ZERO:
        return None
    with localcontext(EXACT):
        return divide(BASIS_POINTS * (cost - improvement), notional)


def effective_spread_bps(
    side: Side, price: Decimal, receipt_mid: Decimal | None
) -> Decimal | Missing:
    """Return 1e4·2·s·(price - M)/M, M the mid when the order was received."""
    fault = _fault(side, receipt_mid, Missing.MID_AT_RECEIPT)
    if fault is not None or receipt_mid is None:
        return fault or Missing.MID_AT_RECEIPT
    return _ratio(_TWICE, side, price, receipt_mid, receipt_mid)


def realized_spread_bps(
    side: Side, price: Decimal, later_mid: Decimal | None, receipt_mid: Decimal | None
) -> Decimal | Missing:
    """Return 1e4·2·s·(price - mid(t+h))/M: what the effective spread leaves after the impact."""
    fault = _fault(side, receipt_mid, Missing.MID_AT_RECEIPT)
    if fault is not None or receipt_mid is None:
        return fault or Missing.MID_AT_RECEIPT
    if later_mid is None:
        return Missing.LATER_MID
    return _ratio(_TWICE, side, price, later_mid, receipt_mid)


def markout_bps(side: Side, price: Decimal, later_mid: Decimal | None) -> Decimal | Missing:
    """Return 1e4·s·(mid(t+h) - price)/price: positive, the market moved the trader's way."""
    if not side:
        return Missing.SIDE
    if later_mid is None:
        return Missing.LATER_MID
    if price <= ZERO:
        return Missing.PRICE_NOT_POSITIVE
    return _ratio(BASIS_POINTS, side, later_mid, price, price)


def _fault(
    side: Side, benchmark: Decimal | None, absent: Missing = Missing.BENCHMARK
) -> Missing | None:
    if not side:
        return Missing.SIDE
    if benchmark is None:
        return absent
    return None if benchmark > ZERO else Missing.NOT_POSITIVE


def _ratio(scale: Decimal, side: Side, first: Decimal, second: Decimal, base: Decimal) -> Decimal:
    over = subtract(first, second) if side > 0 else subtract(second, first)
    return divide(exact_product(scale, over), base)
