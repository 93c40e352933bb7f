"""Positions as nautilus_trader has them: an oracle for linear ones without flips."""

from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.enums import LiquiditySide, OrderSide, OrderType
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import (
    AccountId,
    ClientOrderId,
    PositionId,
    StrategyId,
    TradeId,
    TraderId,
    VenueOrderId,
)
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.model.position import Position
from nautilus_trader.test_kit.providers import TestInstrumentProvider

from tapeline.signals.events import Execution

PERPETUAL = TestInstrumentProvider.btcusdt_perp_binance()


def opened(execution: Execution) -> Any:
    """Return the position that an execution opens."""
    return Position(PERPETUAL, filled(execution))


def unrealised(position: Any, price: Decimal) -> Decimal:
    """Return the unrealised P&L at a price."""
    money: Decimal = position.unrealized_pnl(Price(price, 1)).as_decimal()
    return money


def filled(execution: Execution) -> Any:
    """Return an execution as nautilus_trader has it."""
    return OrderFilled(
        TraderId("T-1"),
        StrategyId("S-1"),
        PERPETUAL.id,
        ClientOrderId(f"O-{execution.id}"),
        VenueOrderId(f"V-{execution.id}"),
        AccountId("A-1"),
        TradeId(execution.id),
        PositionId("P-1"),
        OrderSide.BUY if execution.side > 0 else OrderSide.SELL,
        OrderType.MARKET,
        Quantity(execution.quantity, 3),
        Price(execution.price, 1),
        USDT,
        Money(execution.fee, USDT),
        LiquiditySide.TAKER,
        UUID4(),
        execution.time_ns,
        execution.time_ns,
    )
