"""What py_rt trades, and the limits that its rules name as numbers (config/prometheus/rules)."""

from decimal import Decimal
from types import MappingProxyType
from typing import Final

__all__ = [
    "CAPITAL_USD",
    "EXCHANGE",
    "FIRST_PRICES",
    "MAX_DAILY_LOSS_USD",
    "MAX_OPEN_POSITIONS",
    "MAX_POSITION_USD",
    "MESSAGES_PER_SYMBOL_PER_S",
    "MODEL",
    "OPENING_BOOK_USD",
    "ORDER_USD",
    "STRATEGIES",
    "STRATEGY_OF",
    "SYMBOLS",
]

EXCHANGE: Final = "alpaca"
MODEL: Final = "strategy_v1"
STRATEGIES: Final = ("momentum", "mean_reversion")

FIRST_PRICES: Final = MappingProxyType(
    {
        "AAPL": Decimal("175.23"),
        "MSFT": Decimal("410.10"),
        "GOOG": Decimal("141.80"),
        "NVDA": Decimal("121.50"),
    }
)
SYMBOLS: Final = tuple(FIRST_PRICES)
STRATEGY_OF: Final = MappingProxyType(
    {symbol: STRATEGIES[at % len(STRATEGIES)] for at, symbol in enumerate(SYMBOLS)}
)
"""Which strategy trades a symbol; each has one."""

# Positions that the day begins with: it has P&L from the first quote.
OPENING_BOOK_USD: Final = MappingProxyType(
    {"AAPL": 3000.0, "MSFT": -2000.0, "GOOG": 2500.0, "NVDA": 1500.0}
)
# Fractions of shares: a slippage spike at the floor's highest rate must not become a drawdown.
ORDER_USD: Final = 100.0

# The document's rule is about fewer than 100 a second.
MESSAGES_PER_SYMBOL_PER_S: Final = 160.0

# The document's daily loss is 5000 USD and its drawdown 5 % of the capital; one makes the other.
CAPITAL_USD: Final = 100_000.0
MAX_DAILY_LOSS_USD: Final = 5_000.0
# Configurable in the document, without a value.
MAX_POSITION_USD: Final = 25_000.0
MAX_OPEN_POSITIONS: Final = 10
