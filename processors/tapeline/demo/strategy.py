"""The demo's strategy: takes quotes, decides, sends orders, hears of executions."""

import asyncio
import json
import math
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from typing import Final

import aiohttp
from aiohttp import web

from tapeline.demo.credentials import Leak, credentials, leak_at
from tapeline.demo.events import cash_event, order_event, order_id
from tapeline.demo.messages import Settings, decision_to_json, step_from_json
from tapeline.demo.service import HOST, ServiceError, run_service, settings_from
from tapeline.demo.tape import Decision, Step, decide
from tapeline.demo.telemetry import Telemetry, start_telemetry

__all__ = ["main"]

DEPOSIT: Final = Decimal(1_000_000)
CALL_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)
GATEWAY_WAIT_S: Final = 10.0
LAST_FILLS_S: Final = 1.0  # after the last order: three fills, 40 ms each, and some air


class Strategy:
    """Sends one order a step, at a steady rate, each in a trace of its own."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._credentials = credentials(settings.seed)
        self._gateway = f"http://{HOST}:{settings.gateway_port}"
        meter = telemetry.meter
        self._sent = meter.create_counter(
            "strategy.orders.sent", unit="{order}", description="Orders sent to the gateway."
        )
        self._errors = meter.create_counter(
            "strategy.errors", unit="{error}", description="Steps that failed."
        )
        self._renewals = meter.create_counter(
            "strategy.session.renewals", unit="{renewal}", description="Logons to the gateway."
        )
        self._net = meter.create_up_down_counter(
            "strategy.executions.net",
            unit="{execution}",
            description="Executions that bought minus those that sold.",
        )
        self._round_trip = meter.create_histogram(
            "strategy.order.round_trip", unit="s", description="Order sent to answer received."
        )

    def application(self) -> web.Application:
        """Return the HTTP application."""
        application = web.Application()
        application.router.add_post("/executions", self._on_execution)
        return application

    async def run(self) -> None:
        """Send as many orders as the rate makes of the duration (0: until a signal).

        They are counted, not timed, so that a run does not depend on how busy the machine is.
        """
        settings = self._settings
        orders = math.ceil(settings.duration_s * settings.rate_per_s)
        async with aiohttp.ClientSession(timeout=CALL_TIMEOUT) as session:
            await self._wait_for_gateway(session)
            self._telemetry.emit(cash_event(self._settings.run, DEPOSIT))
            started = time.monotonic()
            for number in range(1, orders + 1) if orders else count(1):
                await self._step(session, number)
                due = started + number / self._settings.rate_per_s
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await asyncio.sleep(LAST_FILLS_S)

    async def _wait_for_gateway(self, session: aiohttp.ClientSession) -> None:
        until = time.monotonic() + GATEWAY_WAIT_S
        while True:
            try:
                async with session.get(f"{self._gateway}/health") as answer:
                    answer.raise_for_status()
            except (aiohttp.ClientError, TimeoutError) as error:
                if time.monotonic() > until:
                    raise ServiceError(
                        f"the gateway at {self._gateway} did not answer within "
                        f"{GATEWAY_WAIT_S:g} s: {error}"
                    ) from error
                await asyncio.sleep(0.1)
            else:
                return

    async def _step(self, session: aiohttp.ClientSession, number: int) -> None:
        """Take one step; a gateway that fails costs that step, not the strategy."""
        leak = leak_at(number)
        with self._telemetry.tracer.start_as_current_span("trade") as span:
            try:
                step = await self._quotes(session, leak)
                decision = decide(self._settings.seed, step)
                span.set_attribute(
                    "trading.order.id", order_id(self._settings.run, decision.number)
                )
                self._emit_state(decision, "decided")
                await self._order(session, decision)
                await self._leak(session, leak)
            except (aiohttp.ClientError, TimeoutError) as error:
                self._errors.add(1, {"error.type": type(error).__name__})
                self._telemetry.log.warning("step %d failed: %s", number, type(error).__name__)

    async def _quotes(self, session: aiohttp.ClientSession, leak: Leak | None) -> Step:
        query = {"api_key": self._credentials.api_key} if leak is Leak.QUERY_PARAMETER else {}
        async with session.get(f"{self._gateway}/quotes/next", params=query) as answer:
            answer.raise_for_status()
            return step_from_json(await answer.json())

    async def _order(self, session: aiohttp.ClientSession, decision: Decision) -> None:
        attributes = {"instrument": decision.instrument.name, "side": decision.side.value}
        content = decision_to_json(decision)
        self._emit_state(decision, "submitted")
        started = time.monotonic()
        async with session.post(f"{self._gateway}/orders", json=content) as answer:
            answer.raise_for_status()
            accepted = (await answer.json())["state"] == "acknowledged"
        self._round_trip.record(time.monotonic() - started, attributes)
        self._sent.add(1, attributes)
        if accepted and decision.replacement_price is not None:
            url = f"{self._gateway}/orders/{decision.number}"
            async with session.put(url, json=content) as answer:
                answer.raise_for_status()

    def _emit_state(self, decision: Decision, state: str) -> None:
        self._telemetry.emit(order_event(self._settings.run, decision, state))

    async def _leak(self, session: aiohttp.ClientSession, leak: Leak | None) -> None:
        """Make the mistake that is due now, where it is the strategy's to make."""
        secrets = self._credentials
        log = self._telemetry.log
        if leak is Leak.LOG_BODY:
            log.warning("feed login failed: user=strategy password=%s", secrets.log_password)
        elif leak is Leak.NESTED_JSON:
            inner = json.dumps({"venue": "XDEMO", "client_secret": secrets.nested_secret})
            log.info(json.dumps({"message": "config reloaded", "config": inner}))
        elif leak is Leak.METRIC_ATTRIBUTE:
            self._renewals.add(1, {"venue": "XDEMO", "token": secrets.metric_token})
        elif leak is Leak.REQUEST_HEADER:
            headers = {"Authorization": f"Bearer {secrets.bearer_token}"}
            async with session.post(f"{self._gateway}/session", headers=headers) as answer:
                answer.raise_for_status()
            self._renewals.add(1, {"venue": "XDEMO"})

    async def _on_execution(self, request: web.Request) -> web.Response:
        report = await request.json()
        sign = 1 if report["side"] == "BUY" else -1
        self._net.add(sign, {"instrument": report["symbol"]})
        self._telemetry.log.info("execution %s received", report["fill_id"])
        return web.json_response({"received": report["fill_id"]})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service for its duration, or until a signal ends it."""
    settings = settings_from(sys.argv[1:] if arguments is None else arguments)
    telemetry = start_telemetry("strategy", settings.run)
    strategy = Strategy(settings, telemetry)
    try:
        return run_service(strategy.application(), settings.strategy_port, strategy.run)
    finally:
        telemetry.stop()


if __name__ == "__main__":
    sys.exit(main())
