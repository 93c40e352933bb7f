"""What py_rt's services send each other."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from tapeline.floor.py_rt.limits import STRATEGIES, SYMBOLS
from tapeline.floor.request_fields import Amount, OrderId, Side, one_of

__all__ = ["Check", "Fill", "Order", "OrderType", "QuoteBatch"]

OrderType = Literal["market", "limit"]
QUOTES_MAX: Final = 100

Symbol = Annotated[str, one_of(*SYMBOLS)]
Strategy = Annotated[str, one_of(*STRATEGIES)]


class QuoteBatch(BaseModel):
    """Mids of a symbol since the last batch, the newest last."""

    symbol: Symbol
    mids: list[Amount] = Field(min_length=1, max_length=QUOTES_MAX)


class Check(BaseModel):
    """An order that the risk manager is asked about."""

    order_id: OrderId
    symbol: Symbol
    side: Side
    notional_usd: Amount
    price: Amount


class Order(BaseModel):
    """An order that passed its checks. `number` counts the orders of a run."""

    order_id: OrderId
    number: int
    symbol: Symbol
    side: Side
    order_type: OrderType
    quantity: Amount
    price: Amount
    strategy: Strategy


class Fill(BaseModel):
    """An execution, as the risk manager books it."""

    order_id: OrderId
    symbol: Symbol
    side: Side
    quantity: Amount
    price: Amount
    strategy: Strategy
