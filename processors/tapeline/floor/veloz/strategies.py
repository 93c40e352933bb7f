"""VeloZ's strategies: orders at the floor's rate, sent by the gateway's HTTP API."""

import asyncio
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import httpx
from opentelemetry.instrumentation.utils import suppress_instrumentation

from tapeline.floor.pace import every
from tapeline.floor.place import Place
from tapeline.floor.veloz.book import SYMBOLS, Book
from tapeline.floor.veloz.engine_metrics import SystemMetrics
from tapeline.floor.veloz.events import EngineLog
from tapeline.floor.veloz.market import Market
from tapeline.instrument import span

__all__ = ["STRATEGIES", "Strategies"]

STRATEGIES: Final = ("momentum", "mean_reversion")
ORDER_USD: Final = Decimal(2_000)
IN_FLIGHT_MAX: Final = 200  # orders that have no answer yet; beyond it none is sent
CALL_TIMEOUT_S: Final = 5.0
START_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Strategies:
    """Two strategies that take turns; each order brings a position nearer to what is wanted."""

    place: Place
    market: Market
    book: Book
    system: SystemMetrics
    log: EngineLog
    luck: random.Random

    async def run(self) -> None:
        """Send orders at the floor's rate, each in a trace of its own, by the gateway's API."""
        gateway = self.place.peers.get("veloz-gateway", "")
        async with httpx.AsyncClient(base_url=gateway, timeout=CALL_TIMEOUT_S) as client:
            await _until_up(client)
            sending: set[asyncio.Task[None]] = set()
            async for number in every(1 / self.place.rate_per_s):
                if len(sending) < IN_FLIGHT_MAX:
                    task = asyncio.create_task(self._signal(client, number + 1))
                    sending.add(task)
                    task.add_done_callback(sending.discard)

    async def _signal(self, client: httpx.AsyncClient, number: int) -> None:
        symbol = self.luck.choice(tuple(SYMBOLS))
        quote = self.market.quotes[symbol]
        side = "BUY" if self.book.wants_to_buy(symbol, quote.mid) else "SELL"
        strategy = STRATEGIES[number % len(STRATEGIES)]
        tick = SYMBOLS[symbol][1]
        touch = quote.ask if side == "BUY" else quote.bid
        request = {
            "symbol": symbol,
            "side": side,
            "type": "MARKET" if number % 4 == 0 else "LIMIT",
            "quantity": str((ORDER_USD / quote.mid).quantize(Decimal("0.0001"))),
            "price": str(touch + tick if side == "BUY" else touch - tick),
            "decision_price": str(quote.mid),
            "strategy": strategy,
        }
        self.system.signals.labels(strategy, side.lower()).inc()
        attributes = {"strategy.name": strategy, "signal.type": side.lower()}
        with span("strategy.signal", attributes):
            try:
                await client.post(
                    "/api/order",
                    json=request,
                    headers={
                        "X-Request-ID": f"req-{self.place.run}-{number}",
                        "X-Correlation-ID": f"flow-{strategy}",
                    },
                )
            except httpx.HTTPError as error:
                self.system.errors.labels("gateway_unreachable", "engine").inc()
                self.log.write(
                    "ERROR",
                    f"Gateway unreachable: {type(error).__name__}",
                    ("strategy_runner.cpp", 88, "send_order"),
                    event_type="gateway.unreachable",
                )


async def _until_up(client: httpx.AsyncClient) -> None:
    """Wait for the first start of the gateway: what it is not there for yet is no error."""
    with suppress_instrumentation():
        while True:
            try:
                await client.get("/health")
            except httpx.TransportError:
                await asyncio.sleep(START_POLL_S)
            else:
                return
