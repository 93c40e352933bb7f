"""VeloZ's orders, and what the simulated exchange makes of each. Pure: luck is an argument."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from tapeline.floor.request_fields import short_text
from tapeline.floor.veloz.book import SYMBOLS

__all__ = [
    "SIDES",
    "TYPES",
    "Conditions",
    "Order",
    "OrderError",
    "Outcome",
    "order_from",
    "respond",
]

SIDES: Final = ("BUY", "SELL")
TYPES: Final = ("LIMIT", "MARKET")
REJECT_EVERY: Final = 400  # orders; a healthy desk's rejections are far below the 1 % of the SLO
REST_SHARE: Final = 0.1  # of limit orders: not filled, canceled some seconds later
RISK_REJECT_SHARE: Final = 0.75
VENUE_REJECT_SHARE: Final = 0.5
USUAL_LATENCY_S: Final = (0.002, 0.012)
SLOW_LATENCY_S: Final = (0.65, 0.95)
REST_S: Final = (2.0, 5.0)
FAR_BPS: Final = (60, 150)
BASIS_POINTS: Final = 10_000
FEE_BPS: Final = Decimal(4)


class OrderError(ValueError):
    """A request that is no order; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. `decision_price` is the mid that the strategy saw."""

    order_id: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal
    decision_price: Decimal
    strategy: str

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self.side == "BUY" else -1


@dataclass(frozen=True, slots=True)
class Conditions:
    """What goes wrong when the order comes; `breaker_open` lets nothing through."""

    slow: bool = False
    far: bool = False
    rejecting: bool = False
    breaker_open: bool = False
    disconnected: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of an order.

    `risk_reason` and `venue_reason` exclude a fill. `price` is the fill's, None for an order that
    rests for `rest_s` and is canceled then.
    """

    latency_s: float
    risk_reason: str | None = None
    venue_reason: str | None = None
    price: Decimal | None = None
    rest_s: float = 0.0


def order_from(content: Mapping[str, object], order_id: str) -> Order:
    """Return the order of a request's JSON; raises OrderError where it is none."""
    symbol, side = content.get("symbol"), content.get("side")
    kind = content.get("type", "LIMIT")
    if symbol not in SYMBOLS or not isinstance(symbol, str):
        raise OrderError(f"symbol {symbol!r} is not traded: one of {', '.join(SYMBOLS)}")
    if side not in SIDES or kind not in TYPES:
        raise OrderError(f"side is one of {', '.join(SIDES)}, type one of {', '.join(TYPES)}")
    quantity, price = (_number(content, name) for name in ("quantity", "price"))
    decided = _number(content, "decision_price") if "decision_price" in content else price
    strategy = short_text(content.get("strategy", "manual"), 40)
    return Order(order_id, symbol, str(side), str(kind), quantity, price, decided, strategy)


def _number(content: Mapping[str, object], name: str) -> Decimal:
    try:
        number = Decimal(str(content.get(name)))
    except InvalidOperation as error:
        raise OrderError(f"{name} {content.get(name)!r} is no number") from error
    if not (number.is_finite() and 0 < number < 1_000_000_000):  # noqa: PLR2004 - a sane size
        raise OrderError(f"{name} {number} must be above 0 and below 1,000,000,000")
    return number


def respond(
    order: Order, touch: Decimal, number: int, conditions: Conditions, luck: random.Random
) -> Outcome:
    """Return what the exchange does with the order of this number; `touch` is what it would pay."""
    latency_s = luck.uniform(*(SLOW_LATENCY_S if conditions.slow else USUAL_LATENCY_S))
    risk_reason = _risk_reason(number, conditions, luck)
    if risk_reason is not None:
        return Outcome(latency_s, risk_reason=risk_reason)
    venue_reason = _venue_reason(number, conditions, luck)
    if venue_reason is not None:
        return Outcome(latency_s, venue_reason=venue_reason)
    if order.type == "LIMIT" and luck.random() < REST_SHARE:
        return Outcome(latency_s, rest_s=luck.uniform(*REST_S))
    price = touch
    if conditions.far:
        price += order.sign * touch * luck.randint(*FAR_BPS) / BASIS_POINTS
    return Outcome(latency_s, price=price.quantize(SYMBOLS[order.symbol][1]))


def _risk_reason(number: int, conditions: Conditions, luck: random.Random) -> str | None:
    if conditions.breaker_open:
        return "circuit_breaker"
    if conditions.rejecting and luck.random() < RISK_REJECT_SHARE:
        return "position_limit"
    return "order_size" if number % (2 * REJECT_EVERY) == 0 else None


def _venue_reason(number: int, conditions: Conditions, luck: random.Random) -> str | None:
    if conditions.disconnected:
        return "venue_unavailable"
    if conditions.rejecting and luck.random() < VENUE_REJECT_SHARE:
        return "insufficient_balance"
    return "price_band" if number % (2 * REJECT_EVERY) == REJECT_EVERY else None
