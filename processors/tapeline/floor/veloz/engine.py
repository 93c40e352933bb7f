"""VeloZ's engine: market data in, signals, risk checks, orders to a simulated exchange."""

import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from tapeline.floor.exposition import add_metrics
from tapeline.floor.faults import Faults
from tapeline.floor.log_line import LineWriter
from tapeline.floor.place import Place, place_from
from tapeline.floor.service import TELEMETRY_GRACE_MS, run_floor_service
from tapeline.floor.veloz.book import EQUITY_USD, Book
from tapeline.floor.veloz.engine_figures import Figures
from tapeline.floor.veloz.engine_metrics import EngineMetrics, make_metrics
from tapeline.floor.veloz.events import VENUE, VERSION, EngineLog, Events
from tapeline.floor.veloz.market import Market
from tapeline.floor.veloz.mishaps import Mishaps
from tapeline.floor.veloz.orders import (
    Conditions,
    Order,
    OrderError,
    Outcome,
    order_from,
    respond,
)
from tapeline.floor.veloz.strategies import Strategies
from tapeline.instrument import health_routes, setup, span, trace_exemplar

__all__ = ["Engine", "main"]

OPEN_ORDERS_MAX: Final = 1_000
CHECKS: Final = ("order_size", "position_limit")


@dataclass(slots=True)
class Engine:
    """What the exchange makes of orders; market, strategies, figures and mishaps run beside.

    `tasks` are the cancellations that resting orders wait for.
    """

    place: Place
    metrics: EngineMetrics
    log: EngineLog
    faults: Faults
    events: Events
    market: Market
    luck: random.Random
    book: Book = field(default_factory=Book)
    open_orders: dict[str, Order] = field(default_factory=dict)
    number: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Work until cancelled."""
        system = self.metrics.system
        figures = Figures(self.metrics, self.faults, self.book, self.market, self.place)
        strategies = Strategies(self.place, self.market, self.book, system, self.log, self.luck)
        self.book.open(self.market.mids)
        self.events.deposit(self.place.run, EQUITY_USD)
        self.log.write("INFO", "Engine started", ("main.cpp", 31, "main"), event_type="start")
        async with asyncio.TaskGroup() as group:
            group.create_task(self.market.run())
            group.create_task(strategies.run())
            group.create_task(figures.run(self.open_orders))
            group.create_task(Mishaps(self.faults, self.log, system).run())

    def conditions(self) -> Conditions:
        """Return what goes wrong for orders now."""
        return Conditions(
            slow=self.faults.active("latency_spike"),
            far=self.faults.active("slippage_spike"),
            rejecting=self.faults.active("rejected_orders"),
            breaker_open=self.faults.active("risk_limit_breach"),
            disconnected=self.faults.active("venue_disconnect"),
        )

    async def command(self, content: dict[str, object]) -> dict[str, object]:
        """Do what the gateway asks: place an order. Raises OrderError for what is none."""
        self.number += 1
        order = order_from(content, f"web-{self.place.run}-{self.number:06d}")
        quote = self.market.quotes[order.symbol]
        touch = quote.ask if order.side == "BUY" else quote.bid
        outcome = respond(order, touch, self.number, self.conditions(), self.luck)
        metrics = self.metrics.order
        metrics.total.labels(order.side, order.type).inc()
        metrics.placed.labels(order.symbol, order.side, order.type).inc()
        self.events.order(order, "decided")
        if not self._risk_passes(order, outcome):
            return self._reject(order, outcome.risk_reason or "risk")
        return await self._place(order, outcome)

    def _risk_passes(self, order: Order, outcome: Outcome) -> bool:
        for check in CHECKS:
            failed = outcome.risk_reason == check or (
                check == CHECKS[-1] and outcome.risk_reason is not None
            )
            result = "fail" if failed else "pass"
            with span("risk.check", {"check.name": check, "check.result": result}) as current:
                current.set_attribute("trading.order.id", order.order_id)
            self.metrics.risk.checks.labels(check, result).inc()
            if failed:
                self.metrics.risk.rejections.labels(outcome.risk_reason or check).inc()
                return False
        return True

    async def _place(self, order: Order, outcome: Outcome) -> dict[str, object]:
        attributes = {
            "order.symbol": order.symbol,
            "order.side": order.side,
            "order.type": order.type,
            "trading.order.id": order.order_id,
        }
        with span("order.place", attributes) as current:
            self.events.order(order, "submitted")
            await asyncio.sleep(outcome.latency_s)
            # By the exchange's stamps, which are simulated: what a busy machine adds to the sleep
            # is in the span, and in the event loop's own latency.
            latency_s = outcome.latency_s
            self.metrics.order.latency.observe(latency_s, exemplar=trace_exemplar())
            if outcome.venue_reason is not None:
                current.set_status(trace.StatusCode.ERROR, outcome.venue_reason)
                return self._reject(order, outcome.venue_reason)
            self.events.order(order, "acknowledged")
            self._log_placed(order, latency_s)
            if outcome.price is None:
                self._rest(order, outcome.rest_s)
                return self._answer(order, "acknowledged", latency_s)
            self._execute(order, outcome.price)
            return self._answer(order, "filled", latency_s, price=str(outcome.price))

    def _execute(self, order: Order, price: Decimal) -> None:
        attributes = {
            "order.id": order.order_id,
            "venue.name": VENUE,
            "trading.order.id": order.order_id,
        }
        with span("order.execute", attributes):
            self.events.execution(order, price)
            self.book.fill(order.symbol, order.sign * order.quantity, price)
            self.metrics.order.filled.labels(order.symbol, order.side).inc()
            self.metrics.order.fills.labels(order.side).inc()
            self.log.write(
                "INFO",
                "Order filled",
                ("execution.cpp", 214, "on_fill"),
                event_type="order.filled",
                order_id=order.order_id,
                symbol=order.symbol,
                side=order.side,
                price=str(price),
            )

    def _log_placed(self, order: Order, latency_s: float) -> None:
        shape: dict[str, Any] = {
            "order_id": order.order_id,
            "symbol": order.symbol,
            "side": order.side,
        }
        self.log.write(
            "INFO",
            "Order placed successfully",
            ("order_router.cpp", 142, "place_order"),
            attributes=shape | {"quantity": float(order.quantity)},
            event_type="order.placed",
        )
        self.log.write(
            "INFO",
            "Order processed",
            ("order_router.cpp", 167, "on_acknowledgement"),
            event_type="order.processed",
            latency_ms=round(1_000 * latency_s, 3),
            **shape,
        )

    def _rest(self, order: Order, rest_s: float) -> None:
        """Let an order rest at the exchange, and cancel it a moment later; at once if it is full.

        No order stays open for ever: whoever follows them would hold it as long.
        """

        async def cancel_later() -> None:
            await asyncio.sleep(rest_s)
            del self.open_orders[order.order_id]
            self._cancel(order)

        if len(self.open_orders) >= OPEN_ORDERS_MAX:
            self._cancel(order)
            return
        self.open_orders[order.order_id] = order
        task = asyncio.create_task(cancel_later())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _cancel(self, order: Order) -> None:
        self.metrics.order.cancels.inc()
        self.events.order(order, "canceled")

    def _reject(self, order: Order, reason: str) -> dict[str, object]:
        self.metrics.order.rejected.labels(order.symbol, reason).inc()
        if reason == "venue_unavailable":
            self.metrics.system.errors.labels("venue_error", "execution").inc()
        self.events.order(order, "rejected", reject_reason=reason)
        self.log.write(
            "WARN",
            "Order rejected",
            ("order_router.cpp", 181, "on_reject"),
            attributes={"order_id": order.order_id, "symbol": order.symbol, "reason": reason},
            event_type="order.rejected",
            order_id=order.order_id,
        )
        return self._answer(order, "rejected", 0.0, reason=reason)

    @staticmethod
    def _answer(order: Order, state: str, latency_s: float, **more: str) -> dict[str, object]:
        return {
            "ok": state != "rejected",
            "order_id": order.order_id,
            "symbol": order.symbol,
            "side": order.side,
            "state": state,
            "latency_ms": round(1_000 * latency_s, 3),
            **more,
        }


def make_engine(place: Place, registry: CollectorRegistry, lines: LineWriter) -> Engine:
    """Return the engine of a place, with its metrics in a registry."""
    metrics = make_metrics(registry)
    faults = Faults(place.fault_path)
    log, events = EngineLog(lines), Events()
    market = Market(place, metrics.market, faults, events, log)
    luck = random.Random(f"{place.seed}/veloz/orders")  # noqa: S311 - a simulation
    return Engine(place, metrics, log, faults, events, market, luck)


def make_app(engine: Engine, registry: CollectorRegistry) -> FastAPI:
    """Return the engine's HTTP API: commands, metrics, health."""
    app = FastAPI(title="veloz-engine", openapi_url=None)
    add_metrics(app, registry)

    def venue() -> str:
        return "disconnected" if engine.faults.active("venue_disconnect") else "connected"

    health_routes(app, components={"engine": lambda: True, "venue": venue}, version=VERSION)

    @app.post("/command")
    async def command(request: Request) -> JSONResponse:
        try:
            return JSONResponse(await engine.command(dict(await request.json())))
        except (OrderError, ValueError, TypeError, RecursionError) as error:
            return JSONResponse({"ok": False, "error": str(error)}, status_code=400)

    @app.get("/market")
    async def market() -> JSONResponse:
        return JSONResponse(engine.market.last())

    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the engine until a signal ends it."""
    place = place_from(sys.argv[1:] if arguments is None else arguments)
    telemetry = setup(place.name, version=VERSION, log_to_stderr=False)
    registry = CollectorRegistry()
    try:
        with LineWriter(place.log_path) as lines:
            engine = make_engine(place, registry, lines)
            app = make_app(engine, registry)
            telemetry.instrument_app(app)
            return run_floor_service(app, place, engine.run)
    finally:
        telemetry.shutdown(TELEMETRY_GRACE_MS)


if __name__ == "__main__":
    sys.exit(main())
