"""What b25 trades, and the pace at which it does: shared by its services."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

__all__ = [
    "BOOKS",
    "EXCHANGES",
    "FIRST_PRICES",
    "POSITION_LIMIT_USD",
    "STRATEGIES",
    "SYMBOLS",
    "Book",
    "every",
]

EXCHANGES: Final = ("binance", "bybit", "okx")
FIRST_PRICES: Final[Mapping[str, Decimal]] = MappingProxyType(
    {"BTCUSDT": Decimal(64_000), "ETHUSDT": Decimal(3_400)}
)
SYMBOLS: Final = tuple(FIRST_PRICES)
STRATEGIES: Final = ("scalper_v1", "arbitrage_v2")
POSITION_LIMIT_USD: Final = 10_000.0
"""Of one book, at the price at which its tape begins."""

_BEHIND_MAX_S: Final = 1.0


@dataclass(frozen=True, slots=True, order=True)
class Book:
    """A symbol on an exchange."""

    exchange: str
    symbol: str

    @property
    def labels(self) -> dict[str, str]:
        """The metric labels that name it."""
        return {"exchange": self.exchange, "symbol": self.symbol}


BOOKS: Final = tuple(Book(exchange, symbol) for exchange in EXCHANGES for symbol in SYMBOLS)


async def every(interval_s: float) -> AsyncIterator[int]:
    """Yield 0, 1, 2, … in equal distances, for ever; ticks more than 1 s late are left out."""
    number = 0
    due_s = time.monotonic()
    while True:
        yield number
        number += 1
        now_s = time.monotonic()
        due_s = max(due_s + interval_s, now_s - _BEHIND_MAX_S)
        await asyncio.sleep(max(0.0, due_s - now_s))
