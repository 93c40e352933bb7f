"""What each of KTRDR's services stands on: its app, telemetry, faults and seeded randomness."""

import asyncio
import logging
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from tapeline.demo.credentials import Credentials, credentials
from tapeline.floor.exposition import add_metrics
from tapeline.floor.faults import Faults
from tapeline.floor.place import Place
from tapeline.floor.service import TELEMETRY_GRACE_MS
from tapeline.instrument import Check, Telemetry, health_routes, setup

__all__ = ["VERSION", "Ground", "open_ground"]

VERSION: Final = "1.0.0"
ENVIRONMENT: Final = "production"

_FLOOD_LINES_PER_S: Final = 300
_FLOOD_BATCHES_PER_S: Final = 10


@dataclass(frozen=True, slots=True)
class Ground:
    """One service's ground."""

    place: Place
    app: FastAPI
    registry: CollectorRegistry
    faults: Faults
    generator: random.Random
    telemetry: Telemetry
    secrets: Credentials

    @property
    def log(self) -> logging.Logger:
        """The service's logger; its lines go out by OTLP."""
        return self.telemetry.log

    def expose(self, components: Mapping[str, Check]) -> None:
        """Give the app its health endpoints, and /metrics."""
        health_routes(self.app, components=components, version=VERSION)
        add_metrics(self.app, self.registry)

    async def flood(self) -> None:
        """Log errors by the hundred, while that fault is on; never returns."""
        while True:
            await asyncio.sleep(1 / _FLOOD_BATCHES_PER_S)
            if self.faults.active("log_flood"):
                for _ in range(_FLOOD_LINES_PER_S // _FLOOD_BATCHES_PER_S):
                    self.log.error("Cache lookup failed", extra={"status": "in_progress"})


@contextmanager
def open_ground(place: Place, registry: CollectorRegistry) -> Iterator[Ground]:
    """Set up a service's process: all three signals to the place's endpoint."""
    os.environ["OTLP_ENDPOINT"] = place.otlp_endpoint
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = place.otlp_endpoint
    # The document has the old names of HTTP attributes, dashboards the new ones.
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http/dup"
    # Its lines are sent: on stderr they would fill the run's folder in a flood.
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.CRITICAL)
    logging.getLogger().addHandler(terminal)
    app = FastAPI(title=place.name, docs_url=None, redoc_url=None, openapi_url=None)
    # Without service.namespace: Prometheus' job is then the name, as for what is scraped.
    telemetry = setup(
        place.name,
        version=VERSION,
        environment=ENVIRONMENT,
        attributes={"service.instance.id": f"{place.name}-{place.run}"},
        app=app,
        log_to_stderr=False,
    )
    try:
        yield Ground(
            place=place,
            app=app,
            registry=registry,
            faults=Faults(place.fault_path),
            generator=random.Random(f"{place.seed}/{place.name}"),  # noqa: S311 - no secret
            telemetry=telemetry,
            secrets=credentials(place.seed),
        )
    finally:
        telemetry.shutdown(TELEMETRY_GRACE_MS)
