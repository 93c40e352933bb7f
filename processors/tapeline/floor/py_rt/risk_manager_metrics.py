"""The metrics of py_rt's risk manager, under its document's names."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tapeline.floor.py_rt.resource_metrics import ResourceMetrics, make_resource_metrics
from tapeline.floor.py_rt.zmq_metrics import make_messages_published

__all__ = ["RiskManagerMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class RiskManagerMetrics:
    """The service's instruments."""

    pretrade_check_latency: Histogram
    position_update_latency: Histogram
    pnl_calculation_latency: Histogram
    checks_performed: Counter
    risk_failures: Counter
    zmq_messages_published: Counter
    position_value: Gauge
    realized_pnl: Gauge
    unrealized_pnl: Gauge
    portfolio_value: Gauge
    open_positions: Gauge
    resources: ResourceMetrics


def make_metrics(registry: CollectorRegistry) -> RiskManagerMetrics:
    """Register the instruments.

    Where a threshold is the document's top bucket there is one above it: a quantile can't be found
    beyond the top.
    """
    latencies = _make_latencies(registry)
    return RiskManagerMetrics(
        pretrade_check_latency=latencies[0],
        position_update_latency=latencies[1],
        pnl_calculation_latency=latencies[2],
        checks_performed=Counter(
            "risk_manager_checks_performed_total",
            "Checks before a trade.",
            ("check_type", "result"),
            registry=registry,
        ),
        risk_failures=Counter(
            "risk_manager_risk_failures_total",
            "Limits that were hit.",
            ("failure_type", "symbol"),
            registry=registry,
        ),
        zmq_messages_published=make_messages_published(registry),
        position_value=Gauge(
            "trading_position_value_usd",
            "What a position is worth, below zero where it is short.",
            ("symbol", "side"),
            registry=registry,
        ),
        # The document has a counter; it goes down with every loss.
        realized_pnl=Gauge(
            "trading_realized_pnl_usd",
            "P&L of what was closed.",
            ("symbol", "strategy"),
            registry=registry,
        ),
        unrealized_pnl=Gauge(
            "trading_unrealized_pnl_usd",
            "P&L of what is open.",
            ("symbol",),
            registry=registry,
        ),
        portfolio_value=Gauge("trading_portfolio_value_usd", "Capital and P&L.", registry=registry),
        open_positions=Gauge(
            "trading_open_positions_count", "Positions that are open.", registry=registry
        ),
        resources=make_resource_metrics(registry),
    )


def _make_latencies(registry: CollectorRegistry) -> tuple[Histogram, Histogram, Histogram]:
    return (
        Histogram(
            "risk_manager_pretrade_check_latency_us",
            "One check before a trade, in microseconds.",
            ("check_type",),
            buckets=(5, 10, 25, 50, 100, 250, 500, 1000),
            registry=registry,
        ),
        Histogram(
            "risk_manager_position_update_latency_us",
            "Booking one execution, in microseconds.",
            ("symbol",),
            buckets=(10, 25, 50, 100, 250, 500),
            registry=registry,
        ),
        Histogram(
            "risk_manager_pnl_calculation_latency_us",
            "Calculating P&L, in microseconds.",
            ("calculation_type",),
            buckets=(10, 25, 50, 100, 250, 500, 1000),
            registry=registry,
        ),
    )
