"""What each of b25's services stands on: its app, telemetry, log, faults and seeded randomness."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, ProcessCollector

from tapeline.demo.credentials import Credentials, credentials
from tapeline.floor.b25.http_metrics import HttpMetrics
from tapeline.floor.exposition import add_metrics
from tapeline.floor.faults import Faults
from tapeline.floor.log_line import LineWriter
from tapeline.floor.place import Place, place_from
from tapeline.floor.service import TELEMETRY_GRACE_MS, run_floor_service
from tapeline.instrument import Telemetry, setup, trace_exemplar, trace_ids

__all__ = ["CALL_TIMEOUT_S", "IN_FLIGHT_MAX", "Station", "run_station"]

CALL_TIMEOUT_S: Final = 10.0
"""Long: who gives up leaves work to be done for nobody, and a busy machine gets busier."""
IN_FLIGHT_MAX: Final = 64
"""Requests that a service works on at once; beyond that it answers 503."""

_ENVIRONMENT: Final = "production"
_QUIET_PATHS: Final = frozenset({"/health", "/metrics"})
_ERROR_SHARE: Final = 0.15  # of requests in an error burst, at each hop
_FLOOD_LINES_PER_S: Final = 100
_FLOOD_BATCHES_PER_S: Final = 10
_WARN_EVERY_S: Final = 1.0
_MS: Final = 1000.0
_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500
_UNAVAILABLE: Final = 503

Metrics = TypeVar("Metrics")


@dataclass(slots=True)
class Station:
    """One service's ground. Latencies are drawn, not measured: a busy machine changes none."""

    place: Place
    app: FastAPI
    registry: CollectorRegistry
    faults: Faults
    generator: random.Random
    telemetry: Telemetry
    lines: LineWriter
    client: httpx.AsyncClient
    secrets: Credentials
    in_flight: int = 0
    _warned_at_s: dict[str, float] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """The service's name as the plan has it."""
        return self.place.name.removeprefix("b25-")

    def log(self, level: str, message: str, fields: Mapping[str, object] | None = None) -> None:
        """Write a line of the plan's shape, with the current trace."""
        self.lines.write(
            {
                "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                "level": level,
                "message": message,
                "service_name": self.service,
                "environment": _ENVIRONMENT,
                **trace_ids(),
                **(fields or {}),
            }
        )

    def warn_seldom(self, message: str, fields: Mapping[str, object] | None = None) -> None:
        """Write a warning, but the same one at most once a second."""
        now_s = time.monotonic()
        if now_s - self._warned_at_s.get(message, float("-inf")) >= _WARN_EVERY_S:
            self._warned_at_s[message] = now_s
            self.log("warn", message, fields)

    def latency_ms(self, typical_ms: float) -> float:
        """Draw a latency around a typical one; in a latency spike, one of seconds."""
        if self._is_slow():
            return self.generator.uniform(1_100.0, 2_400.0)
        return min(typical_ms * self.generator.lognormvariate(0.0, 0.5), 10 * typical_ms)

    def _is_slow(self) -> bool:
        return self.faults.active("latency_spike")

    async def call(
        self, method: str, peer: str, path: str, body: object = None
    ) -> dict[str, Any] | None:
        """Ask another service of b25; None where it doesn't answer well, which is logged."""
        url = self.place.peers[f"b25-{peer}"] + path
        try:
            answer = await self.client.request(method, url, json=body)
            answer.raise_for_status()
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            reason = type(error).__name__
            self.warn_seldom(f"{peer} unreachable: {method} {path}", {"error": reason})
            return None
        return document if isinstance(document, dict) else None

    def expose(self, http: HttpMetrics) -> None:
        """Give the app /health and /metrics, and count what else is asked of it."""

        async def health() -> dict[str, str]:
            return {"status": "healthy", "service": self.service}

        async def measured(
            request: Request, call_next: Callable[[Request], Awaitable[Response]]
        ) -> Response:
            if request.url.path in _QUIET_PATHS:
                return await call_next(request)
            self.in_flight += 1
            try:
                return await self._measured(http, request, call_next)
            finally:
                self.in_flight -= 1

        self.app.add_api_route("/health", health)
        add_metrics(self.app, self.registry)
        self.app.middleware("http")(measured)

    async def _measured(
        self,
        http: HttpMetrics,
        request: Request,
        call_next: Callable[[Request], Awaitable[Response]],
    ) -> Response:
        duration_s = self.latency_ms(4.0) / _MS
        is_refused = self.in_flight > IN_FLIGHT_MAX
        if not is_refused and self.service == "order-execution" and self._is_slow():
            # It is the one that waits; whoever called it waits as well.
            self.warn_seldom("slow answer", {"duration_seconds": round(duration_s, 3)})
            await asyncio.sleep(duration_s)
        if is_refused:
            self.warn_seldom("request refused: too many at once")
            response: Response = JSONResponse({"error": "too many requests at once"}, _UNAVAILABLE)
        elif self.faults.active("error_burst") and self.generator.random() < _ERROR_SHARE:
            self.log("error", "request failed: internal error", {"path": request.url.path})
            response = JSONResponse({"error": "internal error"}, _SERVER_ERROR)
        else:
            response = await call_next(request)
        # A path that nobody serves is not a label: whoever scans for paths would make series.
        path = "other" if response.status_code == _NOT_FOUND else request.url.path
        http.requests.labels(request.method, path, str(response.status_code)).inc()
        http.durations.labels(request.method, path).observe(duration_s, trace_exemplar())
        return response

    async def background(self) -> None:
        """Do what every service does besides: flood the log, while that fault is on."""
        while True:
            await asyncio.sleep(1 / _FLOOD_BATCHES_PER_S)
            if self.faults.active("log_flood"):
                for _ in range(_FLOOD_LINES_PER_S // _FLOOD_BATCHES_PER_S):
                    self.log("error", "retry failed: resource temporarily unavailable")


class Work(Protocol):
    """What a service does beside answering."""

    async def run(self) -> None:
        """Work until cancelled."""


def run_station(
    arguments: Sequence[str],
    make_metrics: Callable[[CollectorRegistry], Metrics],
    make_work: Callable[[Station, Metrics], Work],
) -> int:
    """Run a service until a signal ends it; return the process's exit status."""
    place, registry = place_from(arguments), CollectorRegistry()
    with _open_station(place, registry) as station:
        work = make_work(station, make_metrics(registry))
        return run_floor_service(station.app, place, work.run)


@contextmanager
def _open_station(place: Place, registry: CollectorRegistry) -> Iterator[Station]:
    """Set up a service's process: telemetry to the place's endpoint, and the log file."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = place.otlp_endpoint
    # Metrics are scraped and logs are tailed: only traces go by OTLP.
    os.environ["OTEL_METRICS_EXPORTER"] = "none"
    os.environ["OTEL_LOGS_EXPORTER"] = "none"
    app = FastAPI(title=place.name, docs_url=None, redoc_url=None, openapi_url=None)
    ProcessCollector(registry=registry)
    telemetry = setup(
        place.name,
        environment=_ENVIRONMENT,
        attributes={"service.namespace": "b25", "service.instance.id": f"{place.name}-{place.run}"},
        app=app,
    )
    try:
        with LineWriter(place.log_path) as lines:
            yield Station(
                place=place,
                app=app,
                registry=registry,
                faults=Faults(place.fault_path),
                generator=random.Random(f"{place.seed}/{place.name}"),  # noqa: S311 - no secret
                telemetry=telemetry,
                lines=lines,
                client=httpx.AsyncClient(timeout=CALL_TIMEOUT_S),
                secrets=credentials(place.seed),
            )
    finally:
        telemetry.shutdown(TELEMETRY_GRACE_MS)
