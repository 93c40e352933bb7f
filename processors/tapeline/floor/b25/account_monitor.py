"""b25's account monitor: positions, balances, profit and loss."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, Field

from tapeline.floor.b25.account_monitor_metrics import AccountMonitorMetrics, make_metrics
from tapeline.floor.b25.equity_curve import EquityCurve
from tapeline.floor.b25.market import (
    BOOKS,
    EXCHANGES,
    FIRST_PRICES,
    POSITION_LIMIT_USD,
    STRATEGIES,
    Book,
    Exchange,
    Strategy,
    Symbol,
)
from tapeline.floor.b25.station import Station, run_station
from tapeline.floor.pace import every
from tapeline.floor.position import Position
from tapeline.floor.request_fields import Amount, OrderId, Side

__all__ = ["AccountMonitor", "FillIn", "main"]

START_BALANCES_USD: Final = {"binance": 80_000.0, "bybit": 20_000.0, "okx": 5_200.0}
_EQUITY_USD: Final = sum(START_BALANCES_USD.values())
_WINS_OF_20: Final = 11
_MAKER_FEE_BPS: Final = -1.0
_TAKER_FEE_BPS: Final = 5.0
_PROFIT_BPS: Final = 4.0
_LOSS_BPS: Final = 3.0
# In a drawdown: so much of the equity in the end, gained and lost again by so much a second.
_LOSS_MAX: Final = 0.08
_LOSS_STEP: Final = 0.008
_DRAINED: Final = "okx"  # the account whose balance goes to margin then
_DRAINED_SHARE: Final = 0.9
_BREACH_BOOK: Final = Book("binance", "BTCUSDT")
_BREACH: Final = 1.1  # of the limit
_TOLERANCE: Final = 1e-9


class FillIn(BaseModel):
    """A fill as order execution reports it; `position_after` is the exchange's position."""

    order_id: OrderId
    number: int
    exchange: Exchange
    symbol: Symbol
    strategy_id: Strategy
    side: Side
    quantity: Amount
    price: Amount
    type: Literal["maker", "taker"]
    position_after: float = Field(allow_inf_nan=False)


class AccountMonitor:
    """The account: what b25 computed of its fills, beside what the exchanges say."""

    def __init__(self, station: Station, metrics: AccountMonitorMetrics) -> None:
        self._station = station
        self._metrics = metrics
        self._own = {book: Position(0.0, 0.0) for book in BOOKS}
        self._exchange = dict.fromkeys(BOOKS, 0.0)
        self._mids: dict[Book, float] = {}
        self._limits: dict[Book, float] = {
            book: POSITION_LIMIT_USD / float(FIRST_PRICES[book.symbol]) for book in BOOKS
        }
        self._realized_usd = 0.0
        self._loss = 0.0
        self._curve = EquityCurve()
        self._prepare()
        self._publish()
        station.expose(metrics.http)
        station.app.add_api_route("/fills", self.fill, methods=["POST"])
        station.app.add_api_route("/positions", self.positions)

    def _prepare(self) -> None:
        for strategy in STRATEGIES:
            self._metrics.trades.labels(strategy)
            self._metrics.winning_trades.labels(strategy)
            self._metrics.strategy_pnl_usd.labels(strategy).set(0)
        for kind in ("maker", "taker"):
            self._metrics.fees_usd.labels(kind).set(0)
        for book in BOOKS:
            self._metrics.realized_usd.labels(**book.labels).set(0)

    async def fill(self, fill: FillIn) -> dict[str, object]:
        """Take a fill into the books."""
        book = Book(fill.exchange, fill.symbol)
        position = self._own[book]
        position.take(fill.quantity if fill.side == "buy" else -fill.quantity, fill.price)
        self._exchange[book] = fill.position_after
        self._count(book, fill)
        self._publish_book(book)
        self._station.log(
            "info",
            "fill booked",
            {
                "order_id": fill.order_id,
                **book.labels,
                "strategy_id": fill.strategy_id,
                "side": fill.side,
                "quantity": str(fill.quantity),
                "price": str(fill.price),
            },
        )
        return {"position": position.quantity}

    def _count(self, book: Book, fill: FillIn) -> None:
        """Count a trade: of 20 in a row 11 win, none in a drawdown."""
        metrics, station = self._metrics, self._station
        notional_usd = fill.quantity * fill.price
        # Of one strategy's orders all numbers are even, or all odd: so by pairs.
        win = fill.number // 2 % 20 < _WINS_OF_20 and not station.faults.active("drawdown")
        bps = _PROFIT_BPS if win else -_LOSS_BPS
        result_usd = notional_usd * bps / 10_000 * station.generator.uniform(0.2, 1.8)
        self._realized_usd += result_usd
        metrics.realized_usd.labels(**book.labels).inc(result_usd)
        metrics.strategy_pnl_usd.labels(fill.strategy_id).inc(result_usd)
        metrics.trades.labels(fill.strategy_id).inc()
        if win:
            metrics.winning_trades.labels(fill.strategy_id).inc()
        fee_bps = _MAKER_FEE_BPS if fill.type == "maker" else _TAKER_FEE_BPS
        metrics.fees_usd.labels(fill.type).inc(notional_usd * fee_bps / 10_000)
        metrics.orders.inc()
        if fill.type == "maker":
            metrics.maker_orders.inc()

    async def positions(self) -> dict[str, object]:
        """Answer positions, limits and the equity."""
        return {
            "equity_usd": self._equity_usd(),
            "positions": [
                {
                    **book.labels,
                    "quantity": self._shown(book)[0],
                    "limit": self._limits[book],
                    "notional_usd": self._shown(book)[0] * self._mid(book),
                }
                for book in BOOKS
            ],
        }

    def _mid(self, book: Book) -> float:
        return self._mids.get(book, float(FIRST_PRICES[book.symbol]))

    def _shown(self, book: Book) -> tuple[float, float]:
        """Return the own and the exchange's position, above the limit in a breach of it."""
        own, exchange = self._own[book].quantity, self._exchange[book]
        if book == _BREACH_BOOK and self._station.faults.active("risk_limit_breach"):
            more = _BREACH * self._limits[book] - own
            return own + more, exchange + more
        return own, exchange

    def _unrealized_usd(self, book: Book) -> float:
        market = self._own[book].unrealized(self._mid(book)) if book in self._mids else 0.0
        return market - self._loss * _EQUITY_USD / len(BOOKS)

    def _equity_usd(self) -> float:
        return _EQUITY_USD + self._realized_usd + sum(map(self._unrealized_usd, BOOKS))

    async def run(self) -> None:
        """Follow prices and publish, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._station.background())

    async def _follow(self) -> None:
        async for _ in every(1.0):
            answer = await self._station.call("GET", "market-data", "/quotes")
            for row in (answer or {}).get("quotes", ()):
                self._price(Book(row["exchange"], row["symbol"]), float(row["mid"]))
            self._move_loss()
            self._reconcile()
            self._curve.add(self._equity_usd())
            self._publish()

    def _price(self, book: Book, mid: float) -> None:
        if book not in self._limits or mid <= 0:
            return
        if book not in self._mids:
            # A recorded tape has prices of its own: the limit is in money.
            self._limits[book] = POSITION_LIMIT_USD / mid
        self._mids[book] = mid

    def _move_loss(self) -> None:
        if self._station.faults.active("drawdown"):
            self._loss = min(self._loss + _LOSS_STEP, _LOSS_MAX)
            self._station.warn_seldom("drawdown grows", {"loss_ratio": round(self._loss, 4)})
        else:
            self._loss = max(self._loss - 2 * _LOSS_STEP, 0.0)

    def _reconcile(self) -> None:
        """Take the exchanges' positions as b25's own, once calls get through again."""
        if self._station.faults.active("error_burst"):
            return
        for book in BOOKS:
            position = self._own[book]
            if abs(position.quantity - self._exchange[book]) > _TOLERANCE:
                self._station.log("warn", "position reconciled", book.labels)
                position.quantity = self._exchange[book]
                if position.average == 0:
                    position.average = self._mid(book)

    def _publish(self) -> None:
        for book in BOOKS:
            self._publish_book(book)
        for exchange in EXCHANGES:
            balance_usd = START_BALANCES_USD[exchange]
            if exchange == _DRAINED:
                balance_usd *= 1 - _DRAINED_SHARE * self._loss / _LOSS_MAX
            books = [book for book in BOOKS if book.exchange == exchange]
            margin_usd = sum(abs(self._shown(book)[0]) * self._mid(book) for book in books) / 20
            self._metrics.balance_usd.labels(exchange).set(balance_usd)
            self._metrics.margin_ratio.labels(exchange).set(min(margin_usd / balance_usd, 1.0))
        self._metrics.max_drawdown_pct.set(self._curve.max_drawdown_pct())
        self._metrics.sharpe_ratio.set(self._curve.sharpe_ratio())

    def _publish_book(self, book: Book) -> None:
        metrics, labels = self._metrics, book.labels
        own, exchange = self._shown(book)
        metrics.position_size.labels(**labels).set(own)
        metrics.exchange_position_size.labels(**labels).set(exchange)
        metrics.position_limit.labels(**labels).set(self._limits[book])
        metrics.entry_price.labels(**labels).set(self._own[book].average)
        metrics.unrealized_usd.labels(**labels).set(self._unrealized_usd(book))


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_station(arguments, make_metrics, AccountMonitor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
