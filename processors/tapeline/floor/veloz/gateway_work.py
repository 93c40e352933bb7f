"""What the gateway does unasked: watches the engine, calls the exchange, hears of its users.

The users are simulated: a page that listens to the stream and polls, people who log in, and keys
that are rotated.
"""

import asyncio
import logging
import random
import time
from itertools import count
from typing import TYPE_CHECKING, Final

import httpx
from opentelemetry.instrumentation.utils import suppress_instrumentation

from tapeline.demo.credentials import Credentials, credentials
from tapeline.floor.veloz.gateway_http import STREAM_PATH
from tapeline.instrument import span

if TYPE_CHECKING:
    from tapeline.floor.veloz.gateway import Gateway

__all__ = ["Work"]

EXCHANGE: Final = "binance"
ENDPOINTS: Final = ("ticker", "account", "order")
KNOWN_EXCHANGE_ERRORS: Final = ("timeout", "server_error", "rate_limited")
USUAL_CALL_S: Final = (0.012, 0.045)
SLOW_CALL_S: Final = (0.8, 1.6)
WATCH_S: Final = 0.5
CALL_S: Final = 0.25
USER_S: Final = 2.0
LOGIN_EVERY: Final = 5  # user steps of 2 s: six logins a minute
KEY_EVERY: Final = 7
ERROR_EVERY: Final = 8
POLL_CONFIG_EVERY: Final = 4
WRONG_PASSWORD_EVERY: Final = 10  # logins
SESSION: Final = {1: "token_refresh", 3: "logout"}  # steps behind a login: what the user does then
ATTACK_LOGINS: Final = 5  # of a step, once credentials have leaked: 2.5 a second
BOMB_S: Final = 0.03  # 2,000 new values a minute
BOMB_SERIES_MAX: Final = 10_000  # then it begins anew: a bomb that is forgotten takes no memory
RECONNECT_WAIT_S: Final = 1.0


class Work:
    """The gateway's background work."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._base_url = gateway.place.peers.get(gateway.place.name, "")
        self._luck = random.Random(f"{gateway.place.seed}/veloz/gateway")  # noqa: S311 - no secret
        self._began = time.monotonic()
        self._logins = 0
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Make the series of errors that have not happened: a rate needs a value before them."""
        metrics = self._gateway.metrics
        for kind in ("engine_unreachable", "internal"):
            metrics.state.errors.labels(kind, "gateway")
        for kind in KNOWN_EXCHANGE_ERRORS:
            metrics.exchange.errors.labels(EXCHANGE, kind)
        metrics.exchange.reconnects.labels(EXCHANGE)
        metrics.http.rate_limit_hits.labels("/api/market")
        for status in (500, 503):
            metrics.http.requests.labels("POST", "/api/order", status)
        metrics.state.websocket_connected.set(1)
        # Unless the first look says otherwise, half a second from now.
        metrics.state.engine_running.set(1)
        metrics.state.engine_connection.set(1)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._call_exchange())
            group.create_task(self._reconnect())
            group.create_task(self._page())
            group.create_task(self._users())
            group.create_task(self._bomb())

    async def _watch(self) -> None:
        """Look after the engine, and write the state gauges."""
        gateway, state = self._gateway, self._gateway.metrics.state
        while True:
            await asyncio.sleep(WATCH_S)
            venue = False
            with suppress_instrumentation():
                try:
                    answer = await gateway.engine.get("/health/ready")
                    venue = answer.json()["components"]["venue"] == "connected"
                except (httpx.HTTPError, ValueError, LookupError, TypeError):
                    running = False  # or it answers with something else
                else:
                    running = True
            state.engine_running.set(running)
            state.engine_connection.set(running and venue)
            state.uptime.set(time.monotonic() - self._began)
            state.sse_clients.set(len(gateway.streams))
            state.sse_connections.set(len(gateway.streams))
            state.websocket_connected.set(gateway.websocket_connected)
            gateway.publish("account", {"account": "veloz", "engine": running})

    async def _call_exchange(self) -> None:
        """Poll the exchange: what it answers is simulated, the metrics are as of real calls."""
        gateway, metrics = self._gateway, self._gateway.metrics.exchange
        for number in count():
            slow = gateway.faults.active("latency_spike")
            took_s = self._luck.uniform(*(SLOW_CALL_S if slow else USUAL_CALL_S))
            metrics.latency.labels(EXCHANGE, ENDPOINTS[number % len(ENDPOINTS)]).observe(took_s)
            kind = None
            if gateway.faults.active("venue_disconnect"):
                kind = "timeout"
            elif gateway.faults.active("error_burst"):
                kind = "server_error"
            if kind is not None:
                metrics.errors.labels(EXCHANGE, kind).inc()
                text = f"Exchange call failed: {kind}"
                gateway.note(logging.ERROR, text, "execution", event_type="exchange.error")
            await asyncio.sleep(CALL_S)

    async def _reconnect(self) -> None:
        """Keep the market data socket open; while the venue is away each attempt fails."""
        gateway = self._gateway
        while True:
            away = gateway.faults.active("venue_disconnect")
            if away:
                gateway.metrics.exchange.reconnects.labels(EXCHANGE).inc()
                text = "WebSocket closed, connecting again"
                gateway.note(logging.WARNING, text, "market", event_type="websocket.reconnect")
            elif not gateway.websocket_connected:
                gateway.note(logging.INFO, "WebSocket connected", "market", event_type="websocket")
            gateway.websocket_connected = not away
            await asyncio.sleep(RECONNECT_WAIT_S)

    async def _page(self) -> None:
        """Listen to the stream, as the page of the user interface does."""
        patience = httpx.Timeout(5.0, read=30.0)  # the account comes twice a second
        async with httpx.AsyncClient(base_url=self._base_url, timeout=patience) as client:
            while True:
                with suppress_instrumentation():
                    try:
                        async with client.stream("GET", STREAM_PATH) as answer:
                            async for _ in answer.aiter_lines():
                                pass
                    except httpx.HTTPError as error:
                        # The port may not be open yet; an event stream is opened again for ever.
                        kind = type(error).__name__
                        self._gateway.note(logging.DEBUG, f"stream ended: {kind}")
                await asyncio.sleep(RECONNECT_WAIT_S)

    async def _users(self) -> None:
        """Poll as the page does, log in, rotate keys; more often once credentials have leaked."""
        gateway = self._gateway
        secrets = credentials(gateway.place.seed)
        async with httpx.AsyncClient(base_url=self._base_url, timeout=5.0) as client:
            for step in count(1):
                await asyncio.sleep(USER_S)
                try:
                    await self._step(client, step)
                    if gateway.faults.active("leaked_credentials"):
                        self._leak(secrets, step)
                        for _ in range(ATTACK_LOGINS):
                            await self._login(client, "admin", "guess")
                except (httpx.HTTPError, ValueError) as error:
                    text = f"The page got no answer: {type(error).__name__}"
                    gateway.note(logging.WARNING, text, "ui", event_type="ui.error")

    async def _step(self, client: httpx.AsyncClient, step: int) -> None:
        gateway, request_id = self._gateway, f"req-{self._gateway.place.run}-ui-{step}"
        market = await client.get("/api/market", headers={"X-Request-ID": request_id})
        gateway.publish("market", market.json())
        if step % POLL_CONFIG_EVERY == 0:
            await client.get("/api/config", headers={"X-Request-ID": request_id})
        if step % LOGIN_EVERY == 0:
            self._logins += 1
            wrong = self._logins % WRONG_PASSWORD_EVERY == 0
            await self._login(client, "trader-1", "wrong" if wrong else "demo")
        action = SESSION.get(step % LOGIN_EVERY)
        if action is not None and self._logins:
            gateway.audit.write("auth", action, request_id, "trader-1", auth_method="jwt")
        if step % KEY_EVERY == 0:
            actions = ("key_created", "key_rotated", "key_revoked")
            done = actions[step // KEY_EVERY % len(actions)]
            gateway.audit.write("api_key", done, request_id, "admin", key_name="reporting")
        if step % ERROR_EVERY == 0:
            gateway.audit.write("error", "heartbeat_late", request_id, error="peer answered late")

    async def _login(self, client: httpx.AsyncClient, user: str, password: str) -> None:
        await client.post("/api/auth/login", json={"user": user, "password": password})

    def _leak(self, secrets: Credentials, step: int) -> None:
        """Make the mistakes that redaction is for: in a log line, a span, the audit log."""
        text = f"Exchange session opened: user=veloz password={secrets.log_password}"
        self._gateway.note(logging.INFO, text, "execution", event_type="session.opened")
        with span("engine.command", {"command.type": "LOGON", "command.symbol": ""}) as current:
            token = secrets.bearer_token
            current.set_attribute("http.request.header.authorization", f"Bearer {token}")
            current.set_attribute("venue.api_key", secrets.api_key)
        self._gateway.audit.write(
            "api_key",
            "key_rotated",
            f"req-leak-{step}",
            "admin",
            access_key=secrets.file_access_key,
        )

    async def _bomb(self) -> None:
        """In the scenario cardinality_bomb make a new series 2,000 times a minute."""
        gateway, series = self._gateway, 0
        for number in count():
            is_on = gateway.faults.active("cardinality_bomb")
            if not is_on or series >= BOMB_SERIES_MAX:
                gateway.metrics.order_events.clear()
                series = 0
            if is_on:
                identity = f"web-{gateway.place.run}-b{number:08d}"
                gateway.metrics.order_events.labels(identity).inc()
                series += 1
            await asyncio.sleep(BOMB_S if is_on else 1.0)
