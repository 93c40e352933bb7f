"""What py_rt's services send each other."""

from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["Check", "Fill", "Order", "OrderType", "QuoteBatch", "Side"]

Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit"]
QUOTES_MAX = 100


class QuoteBatch(BaseModel):
    """Mids of a symbol since the last batch, the newest last."""

    symbol: str
    mids: list[float] = Field(min_length=1, max_length=QUOTES_MAX)


class Check(BaseModel):
    """An order that the risk manager is asked about."""

    order_id: str
    symbol: str
    side: Side
    notional_usd: float
    price: float


class Order(BaseModel):
    """An order that passed its checks. `number` counts the orders of a run."""

    order_id: str
    number: int
    symbol: str
    side: Side
    order_type: OrderType
    quantity: float
    price: float
    strategy: str


class Fill(BaseModel):
    """An execution, as the risk manager books it."""

    order_id: str
    symbol: str
    side: Side
    quantity: float
    price: float
    strategy: str
