"""b25's order execution: sends orders to simulated exchanges, and reports fills."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from pydantic import BaseModel

from tapeline.floor.b25.market import (
    BOOKS,
    EXCHANGES,
    Book,
    Exchange,
    Strategy,
    Symbol,
)
from tapeline.floor.b25.order_execution_metrics import (
    ORDER_KINDS,
    STATUSES,
    OrderExecutionMetrics,
    make_metrics,
)
from tapeline.floor.b25.station import Station, run_station
from tapeline.floor.pace import every
from tapeline.floor.request_fields import Amount, OrderId, Side
from tapeline.instrument import trace_exemplar

__all__ = ["OrderExecution", "OrderIn", "main", "outcome_of"]

_DISCONNECTED: Final = frozenset({"binance", "bybit"})
_TAKER_EVERY: Final = 5  # so 80 % are maker orders, above the plan's 70 %
_MARKET_EVERY: Final = 10
_REJECTED_EVERY: Final = 50
_CANCELED_EVERY: Final = 20
_NEW_EVERY: Final = 35
_PARTIAL_EVERY: Final = 15
_REJECTED_SHARE: Final = 0.4  # while venues reject
_REASONS: Final = ("price_band", "post_only", "insufficient_margin", "rate_limit")
_LIMITED_EVERY: Final = 40
_SLIPPAGE_BPS: Final = 1.0
_SLIPPAGE_SPIKE_BPS: Final = 60.0
_LEAK_EVERY: Final = 4
_MS: Final = 1000.0


class OrderIn(BaseModel):
    """An order as the strategy engine makes it."""

    order_id: OrderId
    number: int
    exchange: Exchange
    symbol: Symbol
    strategy_id: Strategy
    side: Side
    quantity: Amount
    price: Amount


def outcome_of(number: int) -> str:
    """Return the status that an order of this number comes to while all is well.

    Counted, not drawn: of any 50 orders in a row one is rejected, so a quiet hour has no share of
    rejections that only chance made.
    """
    if number % _REJECTED_EVERY == 0:
        return "rejected"
    if number % _CANCELED_EVERY == 0:
        return "canceled"
    if number % _NEW_EVERY == 0:
        return "new"
    if number % _PARTIAL_EVERY == 0:
        return "partially_filled"
    return "filled"


class OrderExecution:
    """Orders in, fills out; positions of the exchanges are kept here."""

    def __init__(self, station: Station, metrics: OrderExecutionMetrics) -> None:
        self._station = station
        self._metrics = metrics
        self._waiting = 0
        self._positions = dict.fromkeys(BOOKS, 0.0)
        # Fills of a book are reported one after the other: its position only makes sense in order.
        self._reporting = {book: asyncio.Lock() for book in BOOKS}
        self._prepare()
        station.expose(metrics.http)
        station.app.add_api_route("/orders", self.order, methods=["POST"])

    def _prepare(self) -> None:
        """Make the series that a rate needs from 0 on."""
        metrics = self._metrics
        for book in BOOKS:
            for order_type, kind in ORDER_KINDS:
                for status in STATUSES:
                    metrics.orders.labels(book.exchange, book.symbol, order_type, kind, status)
            for side in ("buy", "sell"):
                metrics.volume_usd.labels(book.exchange, book.symbol, side)
        for exchange in EXCHANGES:
            metrics.submitted.labels(exchange)
            metrics.filled.labels(exchange)
            metrics.rate_limited.labels(exchange)
            metrics.breaker_state.labels(exchange).set(0)
            for reason in _REASONS:
                metrics.rejections.labels(exchange, reason)

    async def order(self, order: OrderIn) -> dict[str, object]:
        """Send an order to its exchange, and report what came of it."""
        self._waiting += 1
        try:
            with self._station.telemetry.tracer.start_as_current_span("execute order") as span:
                span.set_attributes(
                    {
                        "trading.order.id": order.order_id,
                        "trading.instrument": order.symbol,
                        "trading.venue": order.exchange,
                        "trading.side": order.side,
                        "trading.strategy": order.strategy_id,
                        "trading.order.quantity": str(order.quantity),
                    }
                )
                return await self._execute(order, span)
        finally:
            self._waiting -= 1

    async def _execute(self, order: OrderIn, span: trace.Span) -> dict[str, object]:
        station, metrics = self._station, self._metrics
        self._log(order, "info", "order sent", "pending")
        self._leak(order, span)
        if order.number % _LIMITED_EVERY == 0:
            metrics.rate_limited.labels(order.exchange).inc()
        metrics.submitted.labels(order.exchange).inc()
        submission_ms = station.latency_ms(3.0)
        metrics.submission_latency_ms.labels(order.exchange).observe(
            submission_ms, trace_exemplar()
        )
        status = outcome_of(order.number)
        if station.faults.active("rejected_orders") and (
            station.generator.random() < _REJECTED_SHARE
        ):
            status = "rejected"
        order_type, kind = self._kind(order.number)
        metrics.orders.labels(order.exchange, order.symbol, order_type, kind, status).inc()
        code = "400" if status == "rejected" else "200"
        metrics.api_requests.labels(order.exchange, "new_order", code).inc()
        span.set_attribute("trading.order.state", status)
        if status == "rejected":
            return self._reject(order)
        self._log(order, "info", "order acknowledged", "success")
        if status in ("canceled", "new"):
            return {"accepted": True, "filled": 0.0}
        quantity = order.quantity / 2 if status == "partially_filled" else order.quantity
        if status == "filled":
            metrics.filled.labels(order.exchange).inc()
        metrics.latency_ms.labels(order.exchange, order.symbol, order_type).observe(
            submission_ms + station.latency_ms(2.0), trace_exemplar()
        )
        await self._fill(order, kind, quantity)
        return {"accepted": True, "filled": quantity}

    def _reject(self, order: OrderIn) -> dict[str, object]:
        reason = _REASONS[order.number % len(_REASONS)]
        self._metrics.rejections.labels(order.exchange, reason).inc()
        self._log(order, "warn", f"order rejected: {reason}", "rejected")
        return {"accepted": False, "reason": reason, "filled": 0.0}

    async def _fill(self, order: OrderIn, kind: str, quantity: float) -> None:
        station = self._station
        spike = station.faults.active("slippage_spike")
        slippage_bps = station.generator.gauss(0.0, _SLIPPAGE_BPS) + (
            _SLIPPAGE_SPIKE_BPS if spike else 0.0
        )
        sign = 1 if order.side == "buy" else -1
        price = order.price * (1 + sign * slippage_bps / 10_000)
        self._metrics.slippage_bps.labels(order.exchange, order.symbol).observe(
            slippage_bps, trace_exemplar()
        )
        self._metrics.volume_usd.labels(order.exchange, order.symbol, order.side).inc(
            quantity * price
        )
        book = Book(order.exchange, order.symbol)
        async with self._reporting[book]:
            self._positions[book] += sign * quantity
            report = {
                "order_id": order.order_id,
                "number": order.number,
                "exchange": order.exchange,
                "symbol": order.symbol,
                "strategy_id": order.strategy_id,
                "side": order.side,
                "quantity": quantity,
                "price": price,
                "type": kind,
                "position_after": self._positions[book],
            }
            if await station.call("POST", "account-monitor", "/fills", report) is None:
                station.log("error", "fill not reported", {"order_id": order.order_id})

    @staticmethod
    def _kind(number: int) -> tuple[str, str]:
        if number % _MARKET_EVERY == _MARKET_EVERY - 1:
            return ORDER_KINDS[2]
        return ORDER_KINDS[1] if number % _TAKER_EVERY == _TAKER_EVERY - 1 else ORDER_KINDS[0]

    def _log(self, order: OrderIn, level: str, message: str, status: str) -> None:
        fields = {
            "status": status,
            "order_id": order.order_id,
            "symbol": order.symbol,
            "exchange": order.exchange,
            "strategy_id": order.strategy_id,
            "side": order.side,
            "quantity": str(order.quantity),
            "limit_price": str(order.price),
        }
        self._station.log(level, message, fields)

    def _leak(self, order: OrderIn, span: trace.Span) -> None:
        """Show credentials where careless services do, while that fault is on."""
        station = self._station
        if order.number % _LEAK_EVERY or not station.faults.active("leaked_credentials"):
            return
        secrets = station.secrets
        station.log("info", f"exchange login user=desk password={secrets.log_password}")
        station.log(
            "debug",
            "request to exchange",
            {"request": {"headers": {"Authorization": f"Bearer {secrets.bearer_token}"}}},
        )
        station.log("info", "session opened", {"api_key": secrets.api_key})
        span.set_attribute("http.request.header.authorization", f"Bearer {secrets.bearer_token}")
        self._metrics.api_requests.labels(order.exchange, "login", secrets.metric_token).inc()

    async def run(self) -> None:
        """Keep the gauges current, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._gauges())
            tasks.create_task(self._station.background())

    async def _gauges(self) -> None:
        station = self._station
        async for _ in every(1.0):
            # What waits besides are the orders of desks that are not simulated.
            others = station.generator.randint(0, 4)
            if station.faults.active("latency_spike"):
                others = station.generator.randint(130, 180)
            self._metrics.queue_depth.set(self._waiting + others)
            broken = station.faults.active("venue_disconnect")
            for exchange in EXCHANGES:
                state = 1 if broken and exchange in _DISCONNECTED else 0
                self._metrics.breaker_state.labels(exchange).set(state)


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_station(arguments, make_metrics, OrderExecution)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
