"""The metrics of b25's dashboard server."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

from tapeline.floor.b25.http_metrics import HttpMetrics, make_http_metrics

__all__ = ["DashboardServerMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class DashboardServerMetrics:
    """The service's instruments."""

    http: HttpMetrics
    clients: Gauge


def make_metrics(registry: CollectorRegistry) -> DashboardServerMetrics:
    """Return the instruments, registered."""
    return DashboardServerMetrics(
        http=make_http_metrics(registry),
        clients=Gauge("dashboard_server_clients", "Screens that are served.", registry=registry),
    )
