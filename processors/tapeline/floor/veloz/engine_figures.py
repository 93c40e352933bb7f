"""What the engine tells of itself once in a while: positions, risk, memory, its event loop."""

import asyncio
import gc
import time
from collections.abc import Callable, Mapping
from typing import Final

from tapeline.floor.faults import Faults
from tapeline.floor.place import Place
from tapeline.floor.veloz.book import EQUITY_USD, Book, BookFigures, ratios, return_series
from tapeline.floor.veloz.engine_metrics import BookMetrics, EngineMetrics
from tapeline.floor.veloz.market import UPDATE_TYPES, Market
from tapeline.floor.veloz.orders import Order

__all__ = ["Figures"]

PERIOD_S: Final = 0.5
SETTLE_EVERY_S: Final = 60.0
MEBIBYTE: Final = 1024 * 1024
MEMORY_LIMIT_BYTES: Final = 1024 * MEBIBYTE
POOL_BYTES: Final = 256 * MEBIBYTE
BASE_BYTES: Final = 150 * MEBIBYTE
BYTES_PER_ORDER: Final = 4_096
BREAKERS: Final = ("position_limit", "drawdown", "order_rate")
# Labels that are known beforehand begin at 0: a rate needs a value before the first event.
KNOWN_ERRORS: Final = (("venue_error", "execution"), ("gateway_unreachable", "engine"))
KNOWN_REJECTIONS: Final = ("circuit_breaker", "position_limit", "order_size")


class Figures:
    """Keeps the engine's gauges up to date."""

    def __init__(
        self, metrics: EngineMetrics, faults: Faults, book: Book, market: Market, place: Place
    ) -> None:
        self._metrics = metrics
        self._faults = faults
        self._book = book
        self._market = market
        self._began = time.monotonic()
        self._settled_at = self._began
        self._returns = {
            crash: ratios(return_series(place.seed, crash=crash), float(EQUITY_USD))
            for crash in (False, True)
        }
        self._reconnects = 0
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        for kind, component in KNOWN_ERRORS:
            self._metrics.system.errors.labels(kind, component)
        for reason in KNOWN_REJECTIONS:
            self._metrics.risk.rejections.labels(reason)
            self._metrics.order.rejected.labels("BTCUSDT", reason)
        for kind in UPDATE_TYPES:
            self._metrics.market.updates.labels(kind)

    async def run(self, open_orders: Mapping[str, Order]) -> None:
        """Write the gauges twice a second until cancelled."""
        gc.callbacks.append(callback := _gc_callback(self._metrics.system.gc_duration.observe))
        try:
            while True:
                due = time.perf_counter() + PERIOD_S
                self.write(len(open_orders))
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                late_s = max(0.0, time.perf_counter() - due)
                self._metrics.system.task_latency.observe(late_s)
        finally:
            gc.callbacks.remove(callback)

    def write(self, open_orders: int) -> None:
        """Write every gauge once."""
        now = time.monotonic()
        mids = self._market.mids
        if now - self._settled_at >= SETTLE_EVERY_S:
            self._settled_at = now
            self._book.settle(mids)
        crash = self._faults.active("drawdown")
        breach = self._faults.active("risk_limit_breach")
        figures = self._book.figures(mids, breach=breach, crash=crash)
        _write_book(self._metrics.book, figures)
        self._write_risk(figures, crash=crash, breach=breach)
        self._write_system(now, open_orders)
        self._metrics.order.active.set(open_orders)
        self._metrics.market.lag_ms.set(self._market.lag_ms())

    def _write_risk(self, figures: BookFigures, *, crash: bool, breach: bool) -> None:
        risk, known = self._metrics.risk, self._returns[crash]
        risk.utilization.set(figures.utilization_percent)
        risk.var_95.set(known.var_95)
        risk.var_99.set(known.var_99)
        risk.max_drawdown.set(max(known.max_drawdown_percent, figures.drawdown_percent))
        risk.current_drawdown.set(figures.drawdown_percent)
        risk.sharpe.set(known.sharpe)
        risk.sortino.set(known.sortino)
        risk.calmar.set(known.calmar)
        risk.win_rate.set(known.win_rate_percent)
        risk.profit_factor.set(known.profit_factor)
        for breaker in BREAKERS:
            risk.breaker.labels(breaker).set(breach and breaker == BREAKERS[0])

    def _write_system(self, now: float, open_orders: int) -> None:
        system = self._metrics.system
        connected = not self._faults.active("venue_disconnect")
        self._reconnects += 0 if connected else 1
        system.uptime.set(now - self._began)
        system.websocket_connections.set(2 if connected else 0)
        system.websocket_reconnects.set(self._reconnects)
        used = BASE_BYTES + BYTES_PER_ORDER * open_orders + sum(gc.get_count())
        system.pool_used.set(used)
        system.pool_allocated.set(POOL_BYTES)
        system.memory_limit.set(MEMORY_LIMIT_BYTES)
        system.arena.labels("orders").set(BYTES_PER_ORDER * open_orders)
        system.arena.labels("market").set(used - BYTES_PER_ORDER * open_orders)
        tasks = len(asyncio.all_tasks())
        system.pending_tasks.set(tasks)
        system.queue_depth.labels("orders").set(open_orders)
        system.queue_depth.labels("events").set(tasks)


def _write_book(book: BookMetrics, figures: BookFigures) -> None:
    for symbol, each in figures.holdings.items():
        side, other = ("long", "short") if each.quantity >= 0 else ("short", "long")
        book.value.labels(symbol).set(float(each.value))
        book.size.labels(symbol, side).set(float(abs(each.quantity)))
        book.size.labels(symbol, other).set(0)
        book.pnl_unrealized.labels(symbol).set(float(each.unrealized))
        book.unrealized.labels(symbol).set(float(each.unrealized))
        book.realized.labels(symbol).set(float(each.realized))
        book.notional.labels(symbol).set(float(abs(each.value)))
    holdings = figures.holdings.values()
    book.total_unrealized.set(float(sum(each.unrealized for each in holdings)))
    book.total_realized.set(float(sum(each.realized for each in holdings)))
    book.gross.set(float(figures.gross))
    book.net.set(float(figures.net))
    book.long.set(float(figures.long))
    book.short.set(float(figures.short))
    book.leverage.set(figures.leverage)
    book.largest.set(figures.largest_percent)
    book.top3.set(figures.top3_percent)
    book.hhi.set(figures.hhi)
    book.count.set(sum(1 for each in holdings if each.quantity))


def _gc_callback(observe: Callable[[float], None]) -> Callable[[str, dict[str, int]], None]:
    """Return a callback for `gc.callbacks` that tells how long each collection took."""
    began = 0.0

    def callback(phase: str, _info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        elif began:
            observe(time.perf_counter() - began)

    return callback
