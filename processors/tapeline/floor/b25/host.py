"""b25's server, simulated: what its node_exporter would tell, its PostgreSQL, and a prober.

The prober asks the services' /health for real, in the way of blackbox_exporter's `http_2xx`, and
connects to a port that stands for PostgreSQL in the way of `tcp_connect`.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx

from tapeline.floor.b25.host_metrics import HostMetrics, make_metrics
from tapeline.floor.b25.station import Station, run_station
from tapeline.floor.exposition import add_metrics
from tapeline.floor.pace import every
from tapeline.floor.service import HOST

__all__ = ["Host", "main"]

PROBED: Final = (
    "market-data",
    "order-execution",
    "strategy-engine",
    "account-monitor",
    "risk-manager",
)
"""As the plan's blackbox job lists them."""

_CPUS: Final = ("0", "1", "2", "3")
_MEMORY_BYTES: Final = 64 * 2**30
_DISK_BYTES: Final = 500 * 10**9
_DISK: Final = ("/dev/nvme0n1p2", "ext4", "/")
_DEVICES: Final = ("eth0", "lo")
_DATABASE: Final = "postgresql:5432"
_PROBE_EVERY_S: Final = 2.0
_PROBE_TIMEOUT_S: Final = 5.0
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class _Load:
    """What share of each thing is in use, and broken packets a second."""

    cpu: float
    memory: float
    disk: float
    broken_per_s: float


class Host:
    """The machine, and what is probed from it."""

    def __init__(self, station: Station, metrics: HostMetrics) -> None:
        self._station = station
        self._metrics = metrics
        self._database: asyncio.Server | None = None
        self._database_port: int | None = None
        metrics.memory_total.set(_MEMORY_BYTES)
        metrics.disk_size.labels(*_DISK).set(_DISK_BYTES)
        for device in _DEVICES:
            metrics.receive_errors.labels(device)
        self._tick(0.0)
        station.app.add_api_route("/health", self._health)
        add_metrics(station.app, station.registry)

    @staticmethod
    async def _health() -> dict[str, str]:
        return {"status": "healthy", "service": "node-exporter"}

    async def run(self) -> None:
        """Be the machine and its prober, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._live())
                tasks.create_task(self._probe_services())
                tasks.create_task(self._probe_database())
        finally:
            await self._stop_database()

    def _load(self) -> _Load:
        active, draw = self._station.faults.active, self._station.generator.uniform
        full = active("disk_pressure")
        return _Load(
            cpu=draw(0.95, 0.98) if active("latency_spike") else draw(0.25, 0.45),
            memory=draw(0.93, 0.95) if full else draw(0.5, 0.62),
            disk=0.95 if full else 0.38,
            broken_per_s=draw(20, 30) if active("venue_disconnect") else draw(0, 0.02),
        )

    async def _live(self) -> None:
        before_s = time.monotonic()
        async for _ in every(1.0):
            now_s = time.monotonic()
            self._tick(now_s - before_s)
            before_s = now_s
            await self._run_database()

    def _tick(self, passed_s: float) -> None:
        metrics, load = self._metrics, self._load()
        for cpu in _CPUS:
            shares = {
                "user": 0.75 * load.cpu,
                "system": 0.2 * load.cpu,
                "iowait": 0.05 * load.cpu,
                "idle": 1 - load.cpu,
            }
            for mode, share in shares.items():
                metrics.cpu_seconds.labels(cpu, mode).inc(passed_s * share)
        metrics.memory_available.set(_MEMORY_BYTES * (1 - load.memory))
        metrics.disk_available.labels(*_DISK).set(_DISK_BYTES * (1 - load.disk))
        traffic_bytes = passed_s * self._station.generator.uniform(2e6, 6e6)
        metrics.received.labels("eth0").inc(traffic_bytes)
        metrics.transmitted.labels("eth0").inc(traffic_bytes / 4)
        metrics.received.labels("lo").inc(traffic_bytes / 2)
        metrics.transmitted.labels("lo").inc(traffic_bytes / 2)
        metrics.receive_errors.labels("eth0").inc(passed_s * load.broken_per_s)

    async def _run_database(self) -> None:
        """PostgreSQL stops when its disk is full, and starts when it isn't."""
        full = self._station.faults.active("disk_pressure")
        if full and self._database is not None:
            self._station.log("error", "postgresql stopped: no space left on device")
            await self._stop_database()
        elif not full and self._database is None:
            server = await asyncio.start_server(_hang_up, HOST, 0)
            self._database = server
            self._database_port = server.sockets[0].getsockname()[1]
            self._station.log("info", "postgresql started")

    async def _stop_database(self) -> None:
        if self._database is not None:
            self._database.close()
            await self._database.wait_closed()
            self._database = None

    async def _probe_services(self) -> None:
        async with httpx.AsyncClient(timeout=_PROBE_TIMEOUT_S) as client:
            async for _ in every(_PROBE_EVERY_S):
                for service in PROBED:
                    await self._probe(client, service)

    async def _probe(self, client: httpx.AsyncClient, service: str) -> None:
        url = self._station.place.peers[f"b25-{service}"] + "/health"
        began_s = time.monotonic()
        status = 0
        with suppress(httpx.HTTPError):  # A probe that gets no answer has the status 0.
            status = (await client.get(url)).status_code
        labels = ("blackbox", url, "http_2xx", service)
        self._record(labels, time.monotonic() - began_s, succeeded=status == _OK)
        self._metrics.probe_status.labels(*labels).set(status)
        if status != _OK:
            self._station.warn_seldom(f"probe of {service} failed", {"status": status})

    async def _probe_database(self) -> None:
        labels = ("blackbox", _DATABASE, "tcp_connect", "postgresql")
        async for _ in every(_PROBE_EVERY_S):
            if self._database_port is None:
                continue  # it has not been started yet
            began_s = time.monotonic()
            succeeded = await _accepts(self._database_port)
            self._record(labels, time.monotonic() - began_s, succeeded=succeeded)
            if not succeeded:
                self._station.warn_seldom("probe of postgresql failed")

    def _record(
        self, labels: tuple[str, str, str, str], duration_s: float, *, succeeded: bool
    ) -> None:
        self._metrics.probe_success.labels(*labels).set(succeeded)
        self._metrics.probe_duration_s.labels(*labels).set(duration_s)


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _accepts(port: int) -> bool:
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(HOST, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def main(arguments: Sequence[str]) -> int:
    """Run the host until a signal ends it."""
    return run_station(arguments, make_metrics, Host)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
