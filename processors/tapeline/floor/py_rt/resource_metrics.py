"""The metrics of a process that all four services have: section 2.5 of py_rt's document."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

__all__ = ["ResourceMeter", "ResourceMetrics", "make_resource_metrics"]

_STATM: Final = Path("/proc/self/statm")
_BYTES_PER_MB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ResourceMetrics:
    """CPU, memory and tasks of a service."""

    cpu_usage: Gauge
    memory_usage: Gauge
    workers_active: Gauge


def make_resource_metrics(registry: CollectorRegistry) -> ResourceMetrics:
    """Register the instruments."""
    service = ("service",)
    return ResourceMetrics(
        cpu_usage=Gauge(
            "system_cpu_usage_percent",
            "CPU time of the service's process, of one core.",
            service,
            registry=registry,
        ),
        memory_usage=Gauge(
            "system_memory_usage_mb",
            "Resident memory of the service's process, in MB of 1024 squared bytes.",
            service,
            registry=registry,
        ),
        workers_active=Gauge(
            "system_tokio_workers_active",
            "Tasks of the service's event loop, which stands for Tokio's workers.",
            service,
            registry=registry,
        ),
    )


class ResourceMeter:
    """Measures this process, really, and sets the gauges; the only figures that aren't drawn."""

    def __init__(self, metrics: ResourceMetrics, service: str) -> None:
        self._cpu = metrics.cpu_usage.labels(service)
        self._memory = metrics.memory_usage.labels(service)
        self._workers = metrics.workers_active.labels(service)
        self._wall_s = time.monotonic()
        self._cpu_s = time.process_time()

    def measure(self) -> None:
        """Set the gauges; CPU is over the time since the last call."""
        wall_s, cpu_s = time.monotonic(), time.process_time()
        if wall_s > self._wall_s:
            self._cpu.set(100 * (cpu_s - self._cpu_s) / (wall_s - self._wall_s))
        self._wall_s, self._cpu_s = wall_s, cpu_s
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        self._memory.set(pages * os.sysconf("SC_PAGESIZE") / _BYTES_PER_MB)
        self._workers.set(len(asyncio.all_tasks()))
