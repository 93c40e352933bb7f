"""VeloZ's gateway: the HTTP API in front of the engine, its audit log and its event stream."""

import asyncio
import hmac
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import httpx
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from tapeline.floor.exposition import add_metrics
from tapeline.floor.faults import Faults
from tapeline.floor.log_line import LineWriter
from tapeline.floor.place import Place, place_from
from tapeline.floor.request_fields import short_text
from tapeline.floor.service import TELEMETRY_GRACE_MS, run_floor_service
from tapeline.floor.veloz.audit import AuditLog, AuditQuery
from tapeline.floor.veloz.book import SYMBOLS
from tapeline.floor.veloz.events import VERSION
from tapeline.floor.veloz.gateway_http import STREAM_PATH, TEXT_MAX, RequestWatch
from tapeline.floor.veloz.gateway_metrics import GatewayMetrics, make_metrics
from tapeline.floor.veloz.gateway_work import Work
from tapeline.instrument import health_routes, setup, span
from tapeline.instrument.environment import QUIET_URLS

__all__ = ["Gateway", "main", "make_app"]

CALL_TIMEOUT_S: Final = 5.0
STREAM_QUEUE_MAX: Final = 100  # a client that reads slower than that loses the oldest events
STREAM_CLIENTS_MAX: Final = 200
SLOW_S: Final = (0.5, 0.8)
MARKET_PER_S_MAX: Final = 20
_JSON: Final = {"Content-Type": "application/json"}
DEMO_PASSWORD: Final = "demo"  # noqa: S105  # The floor's only login; it opens nothing.


@dataclass(slots=True)
class Gateway:
    """What the routes share. `streams` are the queues of the SSE clients."""

    place: Place
    metrics: GatewayMetrics
    audit: AuditLog
    faults: Faults
    log: logging.Logger
    engine: httpx.AsyncClient
    streams: set[asyncio.Queue[str]] = field(default_factory=set)
    websocket_connected: bool = True
    orders: int = 0
    market_second: int = 0
    market_count: int = 0

    def note(
        self, level: int, message: str, component: str = "gateway", **fields: str | float
    ) -> None:
        """Log by OTLP, with the fields of the guide's lines as attributes."""
        name = logging.getLevelName(level)
        self.log.log(level, message, extra={"level": name, "component": component, **fields})

    def publish(self, kind: str, content: object) -> None:
        """Send an event to all clients of the stream."""
        text = f"event: {kind}\ndata: {json.dumps(content)}\n\n"
        for queue in self.streams:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(text)

    async def command(self, kind: str, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Have the engine do something; return an HTTP status and what to answer."""
        try:
            symbol = short_text(content.get("symbol", ""), TEXT_MAX)
            # json.loads takes what no engine could read: NaN, half a surrogate pair, any depth.
            body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            return 400, {"ok": False, "error": f"can't be sent on: {type(error).__name__}"}
        attributes = {"command.type": kind, "command.symbol": symbol}
        with span("engine.command", attributes, trace.SpanKind.CLIENT) as current:
            try:
                reply = await self.engine.post("/command", content=body, headers=_JSON)
                return reply.status_code, _answer_of(reply)
            except (httpx.HTTPError, ValueError) as error:  # or an answer that is none
                current.set_status(trace.StatusCode.ERROR, type(error).__name__)
                self.fail("engine_unreachable", f"Engine unreachable: {type(error).__name__}")
                return 503, {"ok": False, "error": "engine unreachable"}

    def fail(self, kind: str, message: str) -> None:
        """Count and log an error, and tell the stream."""
        self.metrics.state.errors.labels(kind, "gateway").inc()
        self.note(logging.ERROR, message, event_type="error", error_type=kind)
        self.publish("error", {"type": kind, "message": message})

    def market_limited(self) -> bool:
        """Count a request for the market; tell whether it is one too many in this second."""
        second = int(time.monotonic())
        if second != self.market_second:
            self.market_second, self.market_count = second, 0
        self.market_count += 1
        return self.market_count > MARKET_PER_S_MAX


def make_app(gateway: Gateway, registry: CollectorRegistry) -> FastAPI:
    """Return the gateway's HTTP API."""
    app = FastAPI(title="veloz-gateway", openapi_url=None)
    app.add_middleware(RequestWatch, metrics=gateway.metrics.http, audit=gateway.audit)
    add_metrics(app, registry)
    _health(app, gateway)
    _orders(app, gateway)
    _facts(app, gateway)
    _audit(app, gateway)

    @app.get(STREAM_PATH)
    async def stream() -> Response:
        if len(gateway.streams) >= STREAM_CLIENTS_MAX:
            return JSONResponse({"ok": False, "error": "too many clients"}, status_code=503)
        return StreamingResponse(_events(gateway), media_type="text/event-stream")

    return app


async def _events(gateway: Gateway) -> AsyncIterator[str]:
    queue: asyncio.Queue[str] = asyncio.Queue(STREAM_QUEUE_MAX)
    gateway.streams.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        gateway.streams.discard(queue)


def _health(app: FastAPI, gateway: Gateway) -> None:
    async def engine() -> bool:
        answer = await gateway.engine.get("/health")
        return answer.is_success

    health_routes(
        app,
        components={
            "engine": engine,
            "websocket": lambda: "connected" if gateway.websocket_connected else "disconnected",
            "database": gateway.place.log_path.parent.is_dir,
        },
        version=VERSION,
    )


def _orders(app: FastAPI, gateway: Gateway) -> None:
    @app.post("/api/order")
    async def order(
        request: Request, x_request_id: Annotated[str, Header()] = "none"
    ) -> JSONResponse:
        gateway.orders += 1
        if gateway.faults.active("error_burst") and gateway.orders % 2:
            gateway.fail("internal", "Order handler failed: KeyError('account')")
            return JSONResponse({"ok": False, "error": "internal error"}, status_code=500)
        if gateway.faults.active("latency_spike"):
            await asyncio.sleep(SLOW_S[gateway.orders % len(SLOW_S)])
        content = await _object_of(request)
        if content is None:
            return _no_object()
        x_request_id = x_request_id[:TEXT_MAX]
        began = time.perf_counter()
        status, answer = await gateway.command("ORDER", content)
        took_ms = round(1_000 * (time.perf_counter() - began), 3)
        _note_order(gateway, answer, took_ms, x_request_id)
        return JSONResponse(answer, status_code=status, headers={"X-Request-ID": x_request_id})


async def _object_of(request: Request) -> dict[str, Any] | None:
    """Return a request's JSON object, or None where its body is something else."""
    try:
        content = await request.json()
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _answer_of(reply: httpx.Response) -> dict[str, Any]:
    """Return the object that the engine answers; raises ValueError for something else."""
    content = reply.json()
    if not isinstance(content, dict):
        raise ValueError(f"no object, but {type(content).__name__}")  # noqa: TRY004  # Not a bug.
    return content


def _no_object() -> JSONResponse:
    return JSONResponse({"ok": False, "error": "not a JSON object"}, status_code=400)


def _note_order(gateway: Gateway, answer: dict[str, Any], took_ms: float, request_id: str) -> None:
    state = str(answer.get("state", "failed"))
    identity = str(answer.get("order_id", "none"))
    fields: dict[str, Any] = {
        "event_type": f"order.{state}",
        "order_id": identity,
        "symbol": str(answer.get("symbol", "")),
        "side": str(answer.get("side", "")),
        "latency_ms": took_ms,
        "duration_ms": took_ms,
    }
    level = logging.INFO if answer.get("ok") else logging.WARNING
    gateway.note(level, f"Order {state}", **fields)
    gateway.audit.write("order", f"order_{state}", request_id, "strategy", order_id=identity)
    gateway.publish("order_update", {"order_id": identity, "state": state})
    if state == "filled":
        gateway.publish("fill", {"order_id": identity, "price": answer.get("price")})
    if gateway.faults.active("cardinality_bomb"):
        gateway.metrics.order_events.labels(identity).inc()


def _facts(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/api/config")
    async def config() -> dict[str, object]:
        return {
            "market_source": "binance_rest",
            "market_symbol": next(iter(SYMBOLS)),
            "execution_mode": "binance_testnet_spot",
            "binance_trade_enabled": True,
            "binance_user_stream_connected": gateway.websocket_connected,
            "auth_enabled": True,
        }

    @app.get("/api/execution/ping")
    async def ping() -> JSONResponse:
        if gateway.websocket_connected:
            return JSONResponse({"ok": True, "result": {}})
        return JSONResponse({"ok": False, "error": "exchange unreachable"}, status_code=502)

    @app.get("/api/market")
    async def market() -> JSONResponse:
        if gateway.market_limited():
            gateway.metrics.http.rate_limit_hits.labels("/api/market").inc()
            return JSONResponse({"ok": False, "error": "too many requests"}, status_code=429)
        try:
            content = (await gateway.engine.get("/market")).json()
        except (httpx.HTTPError, ValueError) as error:
            gateway.fail("engine_unreachable", f"Engine unreachable: {type(error).__name__}")
            return JSONResponse({"ok": False, "error": "engine unreachable"}, status_code=503)
        return JSONResponse(content)

    @app.post("/api/auth/login")
    async def login(request: Request, user_agent: Annotated[str, Header()] = "") -> JSONResponse:
        content = await _object_of(request)
        if content is None:
            return _no_object()
        user = short_text(content.get("user", ""), 40)
        given = short_text(content.get("password", ""), TEXT_MAX)
        well = hmac.compare_digest(given.encode(), DEMO_PASSWORD.encode())
        result = "success" if well else "failure"
        gateway.metrics.http.auth_attempts.labels(result).inc()
        gateway.audit.write(
            "auth",
            "login_success" if well else "login_failed",
            request.headers.get("x-request-id", "none")[:TEXT_MAX],
            user,
            auth_method="jwt",
            user_agent=user_agent[:TEXT_MAX],
        )
        if not well:
            gateway.note(logging.WARNING, "Login failed", event_type="auth.failed")
        return JSONResponse({"ok": well}, status_code=200 if well else 401)


def _audit(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/api/audit/logs")
    async def logs(  # noqa: PLR0913, PLR0917  # The guide's seven parameters.
        log_type: str | None = None,
        limit: int = 100,
        offset: int = 0,
        start_time: float | None = None,
        end_time: float | None = None,
        user_id: str | None = None,
        action: str | None = None,
    ) -> dict[str, object]:
        return gateway.audit.find(
            AuditQuery(log_type, limit, offset, start_time, end_time, user_id, action)
        )

    @app.get("/api/audit/stats")
    async def stats() -> dict[str, object]:
        return gateway.audit.stats()

    @app.post("/api/audit/archive")
    async def archive() -> dict[str, object]:
        return gateway.audit.archive()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gateway until a signal ends it."""
    place = place_from(sys.argv[1:] if arguments is None else arguments)
    # The stream's span would end with the client, hours later.
    os.environ.setdefault("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", f"{QUIET_URLS},{STREAM_PATH}$")
    telemetry = setup(place.name, version=VERSION, log_to_stderr=False)
    registry = CollectorRegistry()
    engine = httpx.AsyncClient(base_url=place.peers.get("veloz-engine", ""), timeout=CALL_TIMEOUT_S)
    try:
        with LineWriter(place.log_path) as lines:
            gateway = Gateway(
                place,
                make_metrics(registry),
                AuditLog(lines),
                Faults(place.fault_path),
                telemetry.log,
                engine,
            )
            app = make_app(gateway, registry)
            telemetry.instrument_app(app)
            return run_floor_service(app, place, Work(gateway).run)
    finally:
        telemetry.shutdown(TELEMETRY_GRACE_MS)


if __name__ == "__main__":
    sys.exit(main())
