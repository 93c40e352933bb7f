"""What every service of py_rt has around it: place, log, faults, draws, health, metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from tapeline.floor.exposition import add_metrics
from tapeline.floor.faults import Faults
from tapeline.floor.log_line import LineWriter
from tapeline.floor.place import Place, place_from
from tapeline.floor.py_rt.draws import Draws
from tapeline.floor.py_rt.resource_metrics import ResourceMeter, ResourceMetrics
from tapeline.floor.py_rt.tracing_log import TracingLog
from tapeline.floor.service import TELEMETRY_GRACE_MS, run_floor_service
from tapeline.instrument import health_routes, setup
from tapeline.instrument.health import Check

__all__ = ["Every", "PeerError", "Service", "Surroundings", "post", "run_process", "surroundings"]

VERSION: Final = "1.0.0"
# A machine that is busy with other things is no error; callers wait for few calls at a time.
CALL_TIMEOUT_S: Final = 15.0
_MEASURE_INTERVAL_S: Final = 1.0

Metrics = TypeVar("Metrics", bound="ServiceMetrics")


class PeerError(Exception):
    """Another service did not answer, or answered with an error."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a service is given. `name` is the document's name of it: `market_data`."""

    name: str
    place: Place
    log: TracingLog
    faults: Faults
    draws: Draws
    client: httpx.AsyncClient
    registry: CollectorRegistry


@dataclass(frozen=True, slots=True)
class Service:
    """What is particular of a service: its routes (POST), health of its parts, and own work."""

    routes: Mapping[str, Callable[..., Awaitable[object]]]
    checks: Mapping[str, Check]
    work: Callable[[], Coroutine[object, object, None]]


def surroundings(name: str, place: Place, writer: LineWriter) -> Surroundings:
    """Return what a service is given; telemetry isn't begun yet."""
    return Surroundings(
        name=name,
        place=place,
        log=TracingLog(writer),
        faults=Faults(place.fault_path),
        draws=Draws(place.seed, place.name),
        client=httpx.AsyncClient(timeout=CALL_TIMEOUT_S),
        registry=CollectorRegistry(),
    )


async def post(around: Surroundings, peer: str, path: str, content: object) -> dict[str, object]:
    """Call another service of py_rt; raises PeerError where it can't be had."""
    url = f"{around.place.peers[peer]}{path}"
    try:
        answer = await around.client.post(url, json=content)
        answer.raise_for_status()
        document = answer.json()
    except (httpx.HTTPError, ValueError) as error:  # the latter: no JSON
        raise PeerError(f"{peer}{path}: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise PeerError(f"{peer}{path}: answered with no object")
    return document


class ServiceMetrics(Protocol):
    """A service's own metrics, and those that each of the four has."""

    @property
    def resources(self) -> ResourceMetrics:
        """CPU, memory and tasks."""


class Program(Protocol):
    """What one of the four is."""

    def service(self) -> Service:
        """Return what the process runs."""


def run_process(
    name: str,
    arguments: Sequence[str],
    make_metrics: Callable[[CollectorRegistry], Metrics],
    make_program: Callable[[Surroundings, Metrics], Program],
) -> int:
    """Run a service until a signal ends it; return the process's exit status."""
    place = place_from(arguments)
    with LineWriter(place.log_path) as writer:
        around = surroundings(name, place, writer)
        metrics = make_metrics(around.registry)
        return _run(around, metrics.resources, make_program(around, metrics).service())


def _run(around: Surroundings, resources: ResourceMetrics, service: Service) -> int:
    app = FastAPI(openapi_url=None)
    telemetry = setup(around.place.name, version=VERSION, app=app)
    health_routes(app, components=service.checks, version=VERSION)
    add_metrics(app, around.registry)
    for path, handler in service.routes.items():
        app.add_api_route(path, handler, methods=["POST"], response_model=None)
    try:
        return run_floor_service(app, around.place, lambda: _work(around, resources, service))
    finally:
        telemetry.shutdown(TELEMETRY_GRACE_MS)


async def _work(around: Surroundings, resources: ResourceMetrics, service: Service) -> None:
    target = around.name
    around.log.write("INFO", target, "Service started", version=VERSION, port=around.place.port)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_measure(around, resources))
            tasks.create_task(service.work())
    finally:
        around.log.write("INFO", target, "Service stopped")
        await around.client.aclose()


async def _measure(around: Surroundings, resources: ResourceMetrics) -> None:
    meter = ResourceMeter(resources, around.name)
    while True:
        await asyncio.sleep(_MEASURE_INTERVAL_S)
        meter.measure()


class Every:
    """Tells when something is due again; what was missed meanwhile is not made up for."""

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._next_at = float("-inf")

    def due(self) -> bool:
        """Return True once an interval."""
        now = self._clock()
        if now < self._next_at:
            return False
        self._next_at = now + self._interval_s
        return True
