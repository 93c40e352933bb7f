"""py_rt's market data service: messages of a feed, and quotes for the signal bridge."""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count, cycle, islice
from typing import Final

from opentelemetry.trace import Status, StatusCode

from tapeline.floor.py_rt.draws import Taken
from tapeline.floor.py_rt.limits import (
    EXCHANGE,
    FIRST_PRICES,
    MESSAGES_PER_SYMBOL_PER_S,
    SYMBOLS,
)
from tapeline.floor.py_rt.market_data_metrics import MarketDataMetrics, make_metrics
from tapeline.floor.py_rt.surroundings import (
    Every,
    PeerError,
    Service,
    Surroundings,
    post,
    run_process,
)
from tapeline.floor.tape import Quote, tape_of
from tapeline.instrument import span

__all__ = ["MarketData", "main"]

NAME: Final = "market_data"
TARGET: Final = "market_data"
SIGNAL_BRIDGE: Final = "py-rt-signal-bridge"

# Of every ten messages; a snapshot is rare, most updates of a book are deltas.
_TYPES: Final = ("quote", "quote", "orderbook", "trade", "quote") * 2
_TOPICS: Final = {"quote": "quotes", "trade": "trades", "orderbook": "orderbook"}
_ERROR_TYPES: Final = ("timeout", "auth", "network")
_SNAPSHOT_EVERY: Final = 51
_QUOTES_A_BATCH: Final = 5

_WEBSOCKET_US: Final = Taken(3.0, 9.0)
_ORDERBOOK_US: Final = Taken(2.0, 9.0)
_PUBLISH_US: Final = Taken(30.0, 200.0)

_TICK_S: Final = 0.05
_CATCH_UP_S: Final = 5.0
_CALLS_MAX: Final = 16
# A backlog grows while everything is slow, to less than the document's 10000.
_BACKLOG_GROWTH_PER_S: Final = 800.0
_BACKLOG_MAX: Final = 9_000.0


class MarketData:
    """Processes the feed and publishes quotes, at rates of its own."""

    def __init__(self, around: Surroundings, metrics: MarketDataMetrics) -> None:
        self._around = around
        self._metrics = metrics
        place = around.place
        tape = tape_of(place.seed, place.tape_path)
        self._quotes: dict[str, Iterator[Quote]] = {
            symbol: tape.quotes(symbol, price) for symbol, price in FIRST_PRICES.items()
        }
        self._turns = cycle(SYMBOLS)
        self._numbers = count(1)
        self._owed_messages = 0.0
        self._owed_batches = 0.0
        self._backlog = 0.0
        self._calls: set[asyncio.Task[None]] = set()
        self._retry = Every(2.0)
        self._complain = Every(5.0)
        self._sample = Every(1.0)
        self._dump = Every(10.0)
        for error_type in _ERROR_TYPES:
            metrics.connection_failures.labels(EXCHANGE, error_type)

    def service(self) -> Service:
        """Return what the process runs."""
        connected = {"websocket": lambda: not self._around.faults.active("venue_disconnect")}
        return Service(routes={}, checks=connected, work=self.run)

    async def run(self) -> None:
        """Take the feed's messages as they are due, until cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            self._step(min(now - last, _CATCH_UP_S))
            last = now

    def _step(self, elapsed_s: float) -> None:
        faults = self._around.faults
        self._set_backlog(elapsed_s, spike=faults.active("latency_spike"))
        if faults.active("venue_disconnect"):
            self._fail_to_connect()
            return
        if faults.active("feed_stall"):
            if self._complain.due():
                self._around.log.write(
                    "WARN", TARGET, "No market data received", exchange=EXCHANGE, silent_s=5
                )
            return
        self._owed_messages += elapsed_s * MESSAGES_PER_SYMBOL_PER_S
        while self._owed_messages >= 1:
            self._owed_messages -= 1
            for symbol in SYMBOLS:
                self._process(symbol, next(self._numbers))
        self._owed_batches += elapsed_s * self._around.place.rate_per_s
        while self._owed_batches >= 1:
            self._owed_batches -= 1
            self._publish(next(self._turns))

    def _process(self, symbol: str, number: int) -> None:
        """Process one message of the feed."""
        metrics, draws = self._metrics, self._around.draws
        spike = self._around.faults.active("latency_spike")
        kind = _TYPES[number // len(SYMBOLS) % len(_TYPES)]
        took_us = draws.taken(_WEBSOCKET_US, spike=spike)
        metrics.websocket_latency.labels(EXCHANGE, kind, symbol).observe(took_us)
        metrics.messages_processed.labels(kind, symbol, EXCHANGE).inc()
        if kind == "orderbook":
            update = "delta" if number % _SNAPSHOT_EVERY else "snapshot"
            update_us = draws.taken(_ORDERBOOK_US, spike=spike)
            metrics.orderbook_update_latency.labels(symbol, update).observe(update_us)
        topic = _TOPICS[kind]
        metrics.zmq_publish_latency.labels(topic).observe(draws.taken(_PUBLISH_US, spike=spike))
        metrics.zmq_messages_published.labels(NAME, topic).inc()
        if self._sample.due():
            self._around.log.write(
                "DEBUG",
                TARGET,
                "Received market data message",
                symbol=symbol,
                message_type=kind,
                latency_us=round(took_us),
            )
        if self._dump.due():
            self._around.log.write(
                "TRACE", TARGET, f'ZMQ message payload: {{"topic": "{topic}", "n": {number}}}'
            )

    def _publish(self, symbol: str) -> None:
        """Hand quotes of a symbol to the signal bridge, if not too many calls wait already."""
        if len(self._calls) >= _CALLS_MAX:
            return
        mids = [float(each.mid) for each in islice(self._quotes[symbol], _QUOTES_A_BATCH)]
        call = asyncio.create_task(self._call(symbol, mids))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _call(self, symbol: str, mids: list[float]) -> None:
        attributes: dict[str, str | int] = {
            "symbol": symbol,
            "exchange": EXCHANGE,
            "quotes": len(mids),
        }
        with span("publish_quotes", attributes) as current:
            try:
                await post(self._around, SIGNAL_BRIDGE, "/quotes", {"symbol": symbol, "mids": mids})
            except PeerError as error:
                current.set_status(Status(StatusCode.ERROR, str(error)))
                if self._complain.due():
                    self._around.log.write(
                        "WARN", TARGET, "Quotes were not taken", symbol=symbol, error=str(error)
                    )

    def _fail_to_connect(self) -> None:
        if not self._retry.due():
            return
        error_type = self._around.draws.pick(_ERROR_TYPES)
        self._metrics.connection_failures.labels(EXCHANGE, error_type).inc()
        log = self._around.log
        log.write("WARN", TARGET, "WebSocket disconnected", exchange=EXCHANGE)
        log.write(
            "ERROR",
            TARGET,
            "Failed to connect to WebSocket",
            exchange=EXCHANGE,
            error_type=error_type,
        )

    def _set_backlog(self, elapsed_s: float, *, spike: bool) -> None:
        change = _BACKLOG_GROWTH_PER_S * elapsed_s * (1 if spike else -3)
        self._backlog = min(max(self._backlog + change, 0.0), _BACKLOG_MAX)
        depth = round(self._backlog) + len(self._calls)
        self._metrics.zmq_queue_depth.labels(NAME, "outbound").set(depth)


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_process(NAME, arguments, make_metrics, MarketData)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
