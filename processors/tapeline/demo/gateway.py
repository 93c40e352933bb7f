"""The demo's exchange: publishes quotes, acknowledges orders, fills them, sometimes errs."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import aiohttp
from aiohttp import web

from tapeline.demo.credentials import Leak, credentials, leak_at
from tapeline.demo.events import (
    execution_event,
    execution_id,
    mark_event,
    order_event,
    order_id,
    quote_event,
    revision_event,
)
from tapeline.demo.messages import Settings, decision_from_json, step_to_json
from tapeline.demo.service import HOST, run_service, settings_from
from tapeline.demo.tape import Decision, Fill, Outcome, respond, steps
from tapeline.demo.telemetry import Telemetry, start_telemetry

__all__ = ["main"]

OPEN_ORDERS_MAX: Final = 1_000  # beyond it an order is refused, as a real exchange throttles
MARK_EVERY: Final = 20  # steps
CALL_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)
DRAIN_S: Final = 2.0


class Gateway:
    """Answers orders as the tape says, and tells the other two parts about executions."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._credentials = credentials(settings.seed)
        self._steps = steps(settings.seed)
        self._matching: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        meter = telemetry.meter
        self._executions = meter.create_counter(
            "gateway.executions", unit="{execution}", description="Executions reported."
        )
        self._open = meter.create_up_down_counter(
            "gateway.orders.open", unit="{order}", description="Orders accepted and not ended."
        )
        self._matching_time = meter.create_histogram(
            "gateway.matching.duration", unit="s", description="Acceptance to end of an order."
        )

    def application(self) -> web.Application:
        """Return the HTTP application."""
        application = web.Application()
        application.router.add_post("/session", self._logon)
        application.router.add_get("/quotes/next", self._next_quotes)
        application.router.add_post("/orders", self._new_order)
        application.router.add_put("/orders/{number}", self._replace_order)
        return application

    async def run(self) -> None:
        """Hold the client session until the end, then let open orders finish for a moment."""
        async with aiohttp.ClientSession(timeout=CALL_TIMEOUT) as session:
            self._session = session
            try:
                await asyncio.Event().wait()
            finally:
                if self._matching:
                    await asyncio.wait(self._matching, timeout=DRAIN_S)

    async def _logon(self, _: web.Request) -> web.Response:
        # The request's authorization header is on this handler's span: the leak is the SDK's.
        self._telemetry.log.info("session renewed")
        return web.json_response({"session": "renewed"})

    async def _next_quotes(self, _: web.Request) -> web.Response:
        step = next(self._steps)
        for quote in step.quotes:
            self._telemetry.emit(quote_event(quote, step.number))
            if step.number % MARK_EVERY == 0:
                self._telemetry.emit(mark_event(quote, step.number))
        return web.json_response(step_to_json(step))

    async def _new_order(self, request: web.Request) -> web.Response:
        try:
            decision = decision_from_json(await request.json())
        except (KeyError, ValueError) as error:
            return web.json_response({"error": f"not an order: {error!r}"}, status=400)
        outcome = respond(self._settings.seed, decision)
        reason = outcome.reject_reason
        if len(self._matching) >= OPEN_ORDERS_MAX:
            reason = "throttled"
        identity = order_id(self._settings.run, decision.number)
        if reason is not None:
            self._emit_state(decision, "rejected", reject_reason=reason)
            self._telemetry.log.warning("order %s rejected: %s", identity, reason)
            return web.json_response({"id": identity, "state": "rejected", "reason": reason})
        self._emit_state(decision, "acknowledged")
        self._telemetry.log.info("order %s acknowledged", identity)
        # The task inherits this request's context, so its spans are in the order's trace.
        task = asyncio.create_task(self._match(decision, outcome))
        self._matching.add(task)
        task.add_done_callback(self._matching.discard)
        return web.json_response({"id": identity, "state": "acknowledged"})

    async def _replace_order(self, request: web.Request) -> web.Response:
        try:
            decision = decision_from_json(await request.json())
        except (KeyError, ValueError) as error:
            return web.json_response({"error": f"not an order: {error!r}"}, status=400)
        self._emit_state(decision, "replaced")
        return web.json_response({"state": "replaced"})

    def _emit_state(self, decision: Decision, state: str, **further: str) -> None:
        self._telemetry.emit(order_event(self._settings.run, decision, state, **further))

    async def _match(self, decision: Decision, outcome: Outcome) -> None:
        """Fill an order piece by piece, then end it: what the tape says, a moment later."""
        attributes = {"instrument": decision.instrument.name}
        started = time.monotonic()
        self._open.add(1, attributes)
        with self._telemetry.tracer.start_as_current_span("match order") as span:
            span.set_attribute("trading.order.id", order_id(self._settings.run, decision.number))
            for position, fill in enumerate(outcome.fills):
                await asyncio.sleep(outcome.delay_s)
                await self._execute(decision, position, fill)
            if outcome.revision is not None:
                self._telemetry.emit(
                    revision_event(self._settings.run, decision, outcome.revision, outcome.revised)
                )
                self._telemetry.log.warning("execution taken back: %s", outcome.revision.value)
            if outcome.remainder is not None:
                self._emit_state(decision, outcome.remainder)
            if leak_at(decision.number) is Leak.EXCEPTION_MESSAGE:
                self._fail_to_store()
            self._matching_time.record(time.monotonic() - started, attributes)
        self._open.add(-1, attributes)

    async def _execute(self, decision: Decision, position: int, fill: Fill) -> None:
        identity = execution_id(self._settings.run, decision.number, position)
        self._telemetry.emit(execution_event(self._settings.run, decision, position, fill))
        self._executions.add(
            1, {"instrument": decision.instrument.name, "side": decision.side.value}
        )
        self._telemetry.log.info(
            "execution %s: %s %s at %s", identity, decision.side.value, fill.quantity, fill.price
        )
        report = {
            "number": decision.number,
            "fill_id": identity,
            "order_id": order_id(self._settings.run, decision.number),
            "symbol": decision.instrument.name,
            "side": decision.side.value.upper(),
            "quantity": str(fill.quantity),
            "price": str(fill.price),
        }
        await self._tell(self._settings.strategy_port, "/executions", report)
        await self._tell(self._settings.back_office_port, "/drop-copy", report)

    async def _tell(self, port: int, path: str, report: dict[str, object]) -> None:
        """Report to another part; one that is gone is a warning here, never the end of matching."""
        if self._session is None:
            return
        try:
            async with self._session.post(f"http://{HOST}:{port}{path}", json=report) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._telemetry.log.warning("report to %s failed: %s", path, type(error).__name__)

    def _fail_to_store(self) -> None:
        """Fail as a database client does: the span and the log record get its exception."""
        with (
            suppress(ConnectionError),
            self._telemetry.tracer.start_as_current_span("store executions"),
        ):
            try:
                _connect(self._credentials.database_password)
            except ConnectionError:
                self._telemetry.log.exception("executions not stored, will try again")
                raise


def _connect(password: str) -> None:
    """Stand for a database client that puts its whole address into the exception."""
    raise ConnectionError(
        f"cannot connect to postgresql://ledger:{password}@db.internal:5432/trades"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until a signal ends it."""
    settings = settings_from(sys.argv[1:] if arguments is None else arguments)
    telemetry = start_telemetry("gateway", settings.run)
    gateway = Gateway(settings, telemetry)
    try:
        return run_service(gateway.application(), settings.gateway_port, gateway.run)
    finally:
        telemetry.stop()


if __name__ == "__main__":
    sys.exit(main())
