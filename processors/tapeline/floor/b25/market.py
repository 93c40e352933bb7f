"""What b25 trades: shared by its services."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final

from tapeline.floor.request_fields import one_of

__all__ = [
    "BOOKS",
    "EXCHANGES",
    "FIRST_PRICES",
    "POSITION_LIMIT_USD",
    "STRATEGIES",
    "SYMBOLS",
    "Book",
    "Exchange",
    "Strategy",
    "Symbol",
]

EXCHANGES: Final = ("binance", "bybit", "okx")
FIRST_PRICES: Final[Mapping[str, Decimal]] = MappingProxyType(
    {"BTCUSDT": Decimal(64_000), "ETHUSDT": Decimal(3_400)}
)
SYMBOLS: Final = tuple(FIRST_PRICES)
STRATEGIES: Final = ("scalper_v1", "arbitrage_v2")
POSITION_LIMIT_USD: Final = 10_000.0
"""Of one book, at the price at which its tape begins."""


# Of requests.
Exchange = Annotated[str, one_of(*EXCHANGES)]
Symbol = Annotated[str, one_of(*SYMBOLS)]
Strategy = Annotated[str, one_of(*STRATEGIES)]


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
