"""The metrics of b25's configuration service."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from tapeline.floor.b25.http_metrics import HttpMetrics, make_http_metrics

__all__ = ["ConfigServiceMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class ConfigServiceMetrics:
    """The service's instruments."""

    http: HttpMetrics
    changes: Counter
    version: Gauge


def make_metrics(registry: CollectorRegistry) -> ConfigServiceMetrics:
    """Return the instruments, registered."""
    return ConfigServiceMetrics(
        http=make_http_metrics(registry),
        changes=Counter(
            "config_service_changes_total",
            "New configurations deployed.",
            ("source",),
            registry=registry,
        ),
        version=Gauge(
            "config_service_version", "Number of the configuration in force.", registry=registry
        ),
    )
