"""What the gateway does with every request: the span `http.request`, metrics, an access entry."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from opentelemetry import trace

from tapeline.floor.request_fields import short_text
from tapeline.floor.veloz.audit import AuditLog
from tapeline.floor.veloz.gateway_metrics import HttpMetrics
from tapeline.instrument import span, trace_exemplar

__all__ = ["STREAM_PATH", "TEXT_MAX", "RequestWatch"]

STREAM_PATH: Final = "/api/stream"
PATH_MAX: Final = 200
_PROBES: Final = ("/metrics", "/health")
_ERRORS_FROM: Final = 500
TEXT_MAX: Final = 80
"""Characters that are kept of what a client says in a header or field."""

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


class RequestWatch:
    """ASGI middleware. The SSE stream is only counted as a connection: it has no end to wait for.

    Probes and scrapes have metrics, but no span and no entry of the access log.
    """

    def __init__(self, app: App, metrics: HttpMetrics, audit: AuditLog) -> None:
        self._app = app
        self._metrics = metrics
        self._audit = audit

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request, and note how."""
        if scope["type"] != "http" or scope["path"] == STREAM_PATH:
            await self._app(scope, receive, send)
            return
        self._metrics.active.inc()
        try:
            if scope["path"].startswith(_PROBES):
                await self._measured(scope, receive, send)
            else:
                await self._traced(scope, receive, send)
        finally:
            self._metrics.active.dec()

    async def _traced(self, scope: Any, receive: Receive, send: Send) -> None:
        host, port = scope["server"]
        attributes = {
            "http.method": scope["method"],
            "http.url": f"http://{host}:{port}{scope['path']}",
        }
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        for header, name in (
            ("x-request-id", "request.id"),
            ("x-correlation-id", "correlation.id"),
        ):
            if header in headers:
                attributes[name] = headers[header][:TEXT_MAX]
        status = _ERRORS_FROM  # of a handler that raises
        try:
            with span("http.request", attributes) as current:
                status = await self._measured(scope, receive, send)
                current.set_attribute("http.status_code", status)
                if status >= _ERRORS_FROM:
                    current.set_status(trace.StatusCode.ERROR)
        finally:
            self._audit.write(
                "access",
                "request",
                headers.get("x-request-id", "none")[:TEXT_MAX],
                user_id=headers.get("x-user-id", "anonymous")[:TEXT_MAX],
                method=scope["method"],
                path=short_text(scope["path"], PATH_MAX),
                status=status,
            )

    async def _measured(self, scope: Any, receive: Receive, send: Send) -> int:
        sizes = {"received": 0, "sent": 0}
        status = _ERRORS_FROM
        began = time.perf_counter()

        async def counted_receive() -> Any:
            message = await receive()
            sizes["received"] += len(message.get("body", b""))
            return message

        async def counted_send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            sizes["sent"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counted_receive, counted_send)
        finally:
            self._note(scope, status, time.perf_counter() - began, sizes)
        return status

    def _note(self, scope: Any, status: int, took_s: float, sizes: dict[str, int]) -> None:
        # The route's path: what the client wrote would be a label without bound.
        method, route = scope["method"], getattr(scope.get("route"), "path", "unmatched")
        metrics = self._metrics
        metrics.requests.labels(method, route, status).inc()
        metrics.duration.labels(method, route).observe(took_s, exemplar=trace_exemplar())
        metrics.request_size.labels(method, route).observe(sizes["received"])
        metrics.response_size.labels(method, route).observe(sizes["sent"])
