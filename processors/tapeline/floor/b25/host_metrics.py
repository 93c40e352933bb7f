"""The metrics of b25's server: node_exporter's that the plan uses, and blackbox_exporter's."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

__all__ = ["PROBE_LABELS", "HostMetrics", "make_metrics"]

PROBE_LABELS: Final = ("job", "instance", "module", "service")
"""A probe's `instance` is its target, as the plan relabels it; scraping keeps both labels."""


@dataclass(frozen=True, slots=True)
class HostMetrics:
    """The instruments of the server and of its prober."""

    cpu_seconds: Counter
    memory_total: Gauge
    memory_available: Gauge
    disk_size: Gauge
    disk_available: Gauge
    received: Counter
    transmitted: Counter
    receive_errors: Counter
    probe_success: Gauge
    probe_duration_s: Gauge
    probe_status: Gauge


def make_metrics(registry: CollectorRegistry) -> HostMetrics:
    """Return the instruments, registered."""

    def gauge(name: str, what: str, *labels: str) -> Gauge:
        return Gauge(name, what, labels, registry=registry)

    def counter(name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=registry)

    disk = ("device", "fstype", "mountpoint")
    return HostMetrics(
        cpu_seconds=counter("node_cpu_seconds_total", "CPU time by mode.", "cpu", "mode"),
        memory_total=gauge("node_memory_MemTotal_bytes", "Memory."),
        memory_available=gauge("node_memory_MemAvailable_bytes", "Memory that can be had."),
        disk_size=gauge("node_filesystem_size_bytes", "Size of a file system.", *disk),
        disk_available=gauge("node_filesystem_avail_bytes", "Free space for users.", *disk),
        received=counter("node_network_receive_bytes_total", "Bytes received.", "device"),
        transmitted=counter("node_network_transmit_bytes_total", "Bytes sent.", "device"),
        receive_errors=counter("node_network_receive_errs_total", "Broken packets.", "device"),
        probe_success=gauge("probe_success", "1 if the probe succeeded.", *PROBE_LABELS),
        probe_duration_s=gauge("probe_duration_seconds", "How long the probe took.", *PROBE_LABELS),
        probe_status=gauge(
            "probe_http_status_code", "HTTP status that the probe got; 0 for none.", *PROBE_LABELS
        ),
    )
