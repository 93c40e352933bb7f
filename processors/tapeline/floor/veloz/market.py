"""VeloZ's market data: quotes of the tape, as they come from the exchange's feed."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import cycle
from typing import Final

from tapeline.floor.faults import Faults
from tapeline.floor.place import Place
from tapeline.floor.tape import Quote, tape_of
from tapeline.floor.veloz.book import SYMBOLS
from tapeline.floor.veloz.engine_metrics import MarketMetrics
from tapeline.floor.veloz.events import EngineLog, Events
from tapeline.instrument import span

__all__ = ["UPDATE_TYPES", "Market"]

QUOTES_PER_ORDER: Final = 6
QUOTES_PER_S_MIN: Final = 4.0  # well above the one a second below which the guide alerts
BATCH_S: Final = 0.25
UPDATE_TYPES: Final = ("quote", "orderbook", "trade")
USUAL_LATENCY_S: Final = (0.001, 0.008)
SPIKE_LATENCY_S: Final = (0.2, 0.3)
SKEW_S: Final = 2.0
STALL_LAG_MIN_S: Final = 2.0  # without an update for so long, the last one counts as late
DEPTH_LEVELS: Final = (80, 120)


@dataclass(slots=True)
class Market:
    """The feed: the last quote of each symbol, and how late it was."""

    place: Place
    metrics: MarketMetrics
    faults: Faults
    events: Events
    log: EngineLog
    quotes: dict[str, Quote] = field(default_factory=dict)
    latency_s: float = 0.0
    received_at: float = field(default_factory=time.monotonic)
    received_ns: int = field(default_factory=time.time_ns)
    _streams: dict[str, Iterator[Quote]] = field(init=False)
    _luck: random.Random = field(init=False)
    _turns: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        tape = tape_of(self.place.seed, self.place.tape_path)
        self._streams = {
            symbol: tape.quotes(symbol, first, tick) for symbol, (first, tick, _) in SYMBOLS.items()
        }
        self._luck = random.Random(f"{self.place.seed}/veloz/market")  # noqa: S311 - no secret
        self._turns = cycle(SYMBOLS)
        for symbol in SYMBOLS:
            self.quotes[symbol] = next(self._streams[symbol])

    @property
    def mids(self) -> dict[str, Decimal]:
        """The middle of each symbol's last quote."""
        return {symbol: quote.mid for symbol, quote in self.quotes.items()}

    def lag_ms(self) -> float:
        """Return how old the last update is, in milliseconds; more, the longer none comes."""
        waited_s = time.monotonic() - self.received_at
        stalled_s = waited_s if waited_s > STALL_LAG_MIN_S else 0.0
        return 1_000 * (self.latency_s + stalled_s)

    def last(self) -> dict[str, object]:
        """Return the last quote of the first symbol, as /api/market answers."""
        quote = self.quotes[next(iter(SYMBOLS))]
        return {
            "symbol": quote.symbol,
            "price": float(quote.mid),
            "bid": float(quote.bid),
            "ask": float(quote.ask),
            "ts_ns": self.received_ns,
        }

    async def run(self) -> None:
        """Receive quotes until cancelled; none while the feed is away."""
        per_batch = max(QUOTES_PER_ORDER * self.place.rate_per_s, QUOTES_PER_S_MIN) * BATCH_S
        owed = 0.0
        while True:
            owed += per_batch
            if self.faults.active("feed_stall") or self.faults.active("venue_disconnect"):
                owed = 0.0
            if count := int(owed):
                self._receive(count)
                owed -= count
            await asyncio.sleep(BATCH_S)

    def _receive(self, count: int) -> None:
        began = time.perf_counter()
        symbol, kind = "", ""
        with span("market.process", {"event.type": "quote"}) as current:
            for _ in range(count):
                symbol, kind = next(self._turns), self._luck.choice(UPDATE_TYPES)
                self._update(symbol, kind)
            current.set_attribute("event.type", kind)
            current.set_attribute("symbol", symbol)
        self.received_at, self.received_ns = time.monotonic(), time.time_ns()
        took_s = time.perf_counter() - began
        for _ in range(count):
            self.metrics.processing_latency.observe(took_s / count)

    def _update(self, symbol: str, kind: str) -> None:
        quote = self.quotes[symbol] = next(self._streams[symbol])
        self.events.quote(quote)
        spiking = self.faults.active("latency_spike")
        self.latency_s = self._luck.uniform(*(SPIKE_LATENCY_S if spiking else USUAL_LATENCY_S))
        if self.faults.active("clock_skew"):
            self.latency_s += SKEW_S
            self.log.write(
                "WARN",
                "Exchange timestamp is behind the local clock",
                ("market_feed.cpp", 118, "on_message"),
                event_type="market.clock_skew",
                symbol=symbol,
            )
        metrics = self.metrics
        metrics.latency.labels(symbol).observe(self.latency_s)
        metrics.updates.labels(kind).inc()
        metrics.events.labels(symbol, kind).inc()
        if kind == "orderbook":
            metrics.orderbook_updates.inc()
            metrics.orderbook_depth.set(self._luck.randint(*DEPTH_LEVELS))
        elif kind == "trade":
            metrics.trade_updates.inc()
