"""The metrics of b25's risk manager."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from tapeline.floor.b25.http_metrics import HttpMetrics, make_http_metrics

__all__ = ["RiskManagerMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class RiskManagerMetrics:
    """The service's instruments."""

    http: HttpMetrics
    utilization_ratio: Gauge
    violations: Counter
    emergency_stops: Counter
    emergency_stop_active: Gauge


def make_metrics(registry: CollectorRegistry) -> RiskManagerMetrics:
    """Return the instruments, registered."""
    return RiskManagerMetrics(
        http=make_http_metrics(registry),
        utilization_ratio=Gauge(
            "risk_manager_limit_utilization_ratio",
            "The part of a limit that is used; above 1 it is violated.",
            ("limit",),
            registry=registry,
        ),
        violations=Counter(
            "risk_manager_limit_violations_total",
            "Checks, one a second, that found a limit violated.",
            ("limit",),
            registry=registry,
        ),
        emergency_stops=Counter(
            "risk_manager_emergency_stops_total", "Emergency stops.", registry=registry
        ),
        emergency_stop_active=Gauge(
            "risk_manager_emergency_stop_active",
            "1 while an emergency stop holds.",
            registry=registry,
        ),
    )
