"""b25's strategy engine: makes signals of quotes, and orders for the risk manager of signals."""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel

from tapeline.floor.b25.market import (
    BOOKS,
    POSITION_LIMIT_USD,
    STRATEGIES,
    SYMBOLS,
    Book,
    Exchange,
    Symbol,
)
from tapeline.floor.b25.station import Station, run_station
from tapeline.floor.b25.strategy_engine_metrics import StrategyEngineMetrics, make_metrics
from tapeline.floor.pace import every
from tapeline.floor.request_fields import Amount
from tapeline.instrument import trace_exemplar

__all__ = ["QuoteIn", "StrategyEngine", "main"]

_STALE_S: Final = 10.0
_ORDER_USD: Final = 0.02 * POSITION_LIMIT_USD
_LEAN_FROM: Final = 0.3  # of a limit: from there orders reduce the position
_CONFIG_EVERY: Final = 5  # turns of the loop, of a second each


class QuoteIn(BaseModel):
    """A quote as market data hands it on."""

    exchange: Exchange
    symbol: Symbol
    bid: Amount
    ask: Amount


class StrategyEngine:
    """Two strategies that trade every quote, kept within a third of the limits."""

    def __init__(self, station: Station, metrics: StrategyEngineMetrics) -> None:
        self._station = station
        self._metrics = metrics
        self._stopped = False
        self._quoted_s = time.monotonic()
        self._number = 0
        self._used = dict.fromkeys(BOOKS, 0.0)
        metrics.active.set(len(STRATEGIES))
        for strategy in STRATEGIES:
            for symbol in SYMBOLS:
                metrics.position_size.labels(strategy, symbol).set(0)
                for side in ("buy", "sell"):
                    metrics.signals.labels(strategy, symbol, side)
        station.expose(metrics.http)
        station.app.add_api_route("/quotes", self.quote, methods=["POST"])
        station.app.add_api_route("/stop", self.stop, methods=["POST"])
        station.app.add_api_route("/start", self.start, methods=["POST"])

    async def stop(self) -> dict[str, object]:
        """Stop all strategies."""
        if not self._stopped:
            self._station.log("warn", "strategies stopped")
        self._stopped = True
        return {"active": 0}

    async def start(self) -> dict[str, object]:
        """Start all strategies."""
        if self._stopped:
            self._station.log("info", "strategies started")
        self._stopped = False
        return {"active": len(STRATEGIES)}

    async def quote(self, quote: QuoteIn) -> dict[str, object]:
        """Decide on a quote, and send the order on."""
        self._quoted_s = time.monotonic()
        if self._stopped:
            return {"order": None}
        self._number += 1
        strategy = STRATEGIES[self._number % len(STRATEGIES)]
        side = self._side(Book(quote.exchange, quote.symbol))
        self._metrics.signals.labels(strategy, quote.symbol, side).inc()
        self._metrics.signal_to_order_ms.labels(strategy).observe(
            self._station.latency_ms(1.5), trace_exemplar()
        )
        price = quote.ask if side == "buy" else quote.bid
        order = {
            "order_id": f"{self._station.place.run}-b25-{self._number}",
            "number": self._number,
            "exchange": quote.exchange,
            "symbol": quote.symbol,
            "strategy_id": strategy,
            "side": side,
            "quantity": round(_ORDER_USD / price, 6),
            "price": price,
        }
        self._station.log("info", "signal generated", order)
        answer = await self._station.call("POST", "risk-manager", "/orders", order)
        filled = float(answer.get("filled", 0.0)) if answer else 0.0
        signed = filled if side == "buy" else -filled
        self._metrics.position_size.labels(strategy, quote.symbol).inc(signed)
        return {"order": order["order_id"]}

    def _side(self, book: Book) -> str:
        used = self._used[book]
        if abs(used) > _LEAN_FROM:
            return "sell" if used > 0 else "buy"
        return self._station.generator.choice(("buy", "sell"))

    async def run(self) -> None:
        """Follow positions and configuration, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._station.background())

    async def _follow(self) -> None:
        async for number in every(1.0):
            stale = time.monotonic() - self._quoted_s > _STALE_S
            if stale:
                self._station.warn_seldom("strategies paused: no quotes")
            self._metrics.active.set(0 if self._stopped or stale else len(STRATEGIES))
            if number % _CONFIG_EVERY == 0:
                await self._station.call("GET", "config-service", "/config")
            answer = await self._station.call("GET", "account-monitor", "/positions")
            for row in (answer or {}).get("positions", ()):
                self._used[Book(row["exchange"], row["symbol"])] = row["quantity"] / row["limit"]


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_station(arguments, make_metrics, StrategyEngine)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
