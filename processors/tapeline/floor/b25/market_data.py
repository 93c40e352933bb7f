"""b25's market data service: feeds into order books, and a quote for each order to the strategies.

Every trace begins here: a quote goes to the strategy engine, its order through the risk manager to
order execution, and the fill to the account monitor.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from tapeline.floor.b25.market import BOOKS, EXCHANGES, FIRST_PRICES, Book
from tapeline.floor.b25.market_data_metrics import MarketDataMetrics, make_metrics
from tapeline.floor.b25.station import Station, run_station
from tapeline.floor.pace import every
from tapeline.floor.tape import Quote, tape_of
from tapeline.instrument import trace_exemplar

__all__ = ["MarketData", "main"]

QUOTES_PER_ORDER: Final = 6
_DISCONNECTED: Final = frozenset({"binance", "bybit"})  # in the fault venue_disconnect
_SKEW_MS: Final = 1_500.0
_LIVE_S: Final = 2.0
_PUBLISHED_MAX: Final = 16  # quotes on their way at once; others are not handed on
_TRADING: Final = ("account-monitor", "order-execution", "risk-manager", "strategy-engine")
_OPENING_POLL_S: Final = 0.5
_RECONNECT_S: Final = 2.0
_DEPTH_LEVELS: Final = 20


class MarketData:
    """Keeps the books, and hands quotes on."""

    def __init__(self, station: Station, metrics: MarketDataMetrics) -> None:
        self._station = station
        self._metrics = metrics
        place = station.place
        tape = tape_of(place.seed, place.tape_path)
        self._tapes: dict[Book, Iterator[Quote]] = {
            book: tape.quotes(f"{book.exchange}/{book.symbol}", FIRST_PRICES[book.symbol])
            for book in BOOKS
        }
        started_s = time.monotonic()
        self._updated_s = dict.fromkeys(BOOKS, started_s)
        self._quotes = {book: next(self._tapes[book]) for book in BOOKS}
        self._publishing: set[asyncio.Task[None]] = set()
        for book in BOOKS:
            metrics.book_age_s.labels(**book.labels).set_function(partial(self._age, book))
        for exchange in EXCHANGES:
            metrics.messages.labels(exchange)
            metrics.reconnections.labels(exchange)
            metrics.gaps.labels(exchange)
            metrics.connected.labels(exchange, "connected").set(1)
        station.expose(metrics.http)
        station.app.add_api_route("/quotes", self.quotes)

    def _age(self, book: Book) -> float:
        return time.monotonic() - self._updated_s[book]

    async def quotes(self) -> dict[str, object]:
        """Answer the mid of each book."""
        return {
            "quotes": [
                {**book.labels, "mid": float(quote.mid)} for book, quote in self._quotes.items()
            ]
        }

    async def run(self) -> None:
        """Take quotes and hand some on, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feed())
            tasks.create_task(self._connections())
            tasks.create_task(self._publish())
            tasks.create_task(self._station.background())

    def _cut_off(self, exchange: str) -> bool:
        return exchange in _DISCONNECTED and self._station.faults.active("venue_disconnect")

    async def _feed(self) -> None:
        async for number in every(1 / (self._station.place.rate_per_s * QUOTES_PER_ORDER)):
            book = BOOKS[number % len(BOOKS)]
            if self._cut_off(book.exchange):
                continue
            if self._station.faults.active("feed_stall"):
                if any(self._age(each) > _LIVE_S for each in BOOKS):
                    self._station.warn_seldom("no quotes from any exchange, connections are up")
                continue
            self._take(book, next(self._tapes[book]))

    def _take(self, book: Book, quote: Quote) -> None:
        station, metrics = self._station, self._metrics
        self._quotes[book] = quote
        self._updated_s[book] = time.monotonic()
        socket_ms = station.latency_ms(2.0)
        if station.faults.active("clock_skew"):
            socket_ms += _SKEW_MS
            station.warn_seldom("exchange clock behind", {"skew_ms": _SKEW_MS})
        metrics.websocket_latency_ms.labels(book.exchange).observe(socket_ms)
        metrics.message_latency_ms.labels(**book.labels).observe(socket_ms + 0.2)
        metrics.messages.labels(book.exchange).inc()
        for side in ("bid", "ask"):
            levels = _DEPTH_LEVELS - station.generator.randint(0, 3)
            metrics.depth_levels.labels(**book.labels, side=side).set(levels)

    async def _connections(self) -> None:
        """Try to connect again, and note it when a feed is back."""
        away: set[str] = set()
        async for _ in every(_RECONNECT_S):
            for exchange in EXCHANGES:
                cut_off = self._cut_off(exchange)
                self._metrics.connected.labels(exchange, "connected").set(0 if cut_off else 1)
                if cut_off:
                    away.add(exchange)
                    self._metrics.reconnections.labels(exchange).inc()
                    self._station.log(
                        "error", f"websocket disconnected from {exchange}", {"exchange": exchange}
                    )
                elif exchange in away:
                    away.remove(exchange)
                    self._metrics.gaps.labels(exchange).inc()  # what was sent meanwhile is missing
                    self._station.log(
                        "info", f"websocket connected to {exchange}", {"exchange": exchange}
                    )

    async def _publish(self) -> None:
        # Trading opens when all that an order goes through is there.
        for service in _TRADING:
            async for _ in every(_OPENING_POLL_S):
                if await self._station.call("GET", service, "/health") is not None:
                    break
        async for number in every(1 / self._station.place.rate_per_s):
            live = [book for book in BOOKS if self._age(book) < _LIVE_S]
            if not live or len(self._publishing) >= _PUBLISHED_MAX:
                continue
            task = asyncio.create_task(self._hand_on(live[number % len(live)]))
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)

    async def _hand_on(self, book: Book) -> None:
        quote = self._quotes[book]
        with self._station.telemetry.tracer.start_as_current_span("market data quote") as span:
            span.set_attribute("trading.instrument", book.symbol)
            span.set_attribute("trading.venue", book.exchange)
            latency_ms = self._station.latency_ms(2.0)
            # Exemplars come from the observations that have a trace.
            self._metrics.message_latency_ms.labels(**book.labels).observe(
                latency_ms, trace_exemplar()
            )
            self._station.log("info", "quote handed on", {**book.labels, "bid": str(quote.bid)})
            await self._station.call(
                "POST",
                "strategy-engine",
                "/quotes",
                {**book.labels, "bid": float(quote.bid), "ask": float(quote.ask)},
            )


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_station(arguments, make_metrics, MarketData)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
