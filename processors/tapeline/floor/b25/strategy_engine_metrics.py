"""The metrics of b25's strategy engine."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tapeline.floor.b25.http_metrics import LATENCY_MS_BUCKETS, HttpMetrics, make_http_metrics

__all__ = ["StrategyEngineMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class StrategyEngineMetrics:
    """The service's instruments."""

    http: HttpMetrics
    signals: Counter
    active: Gauge
    signal_to_order_ms: Histogram
    position_size: Gauge


def make_metrics(registry: CollectorRegistry) -> StrategyEngineMetrics:
    """Return the instruments, registered."""
    return StrategyEngineMetrics(
        http=make_http_metrics(registry),
        signals=Counter(
            "strategy_engine_signals_generated_total",
            "Decisions to trade.",
            ("strategy_id", "symbol", "side"),
            registry=registry,
        ),
        active=Gauge(
            "strategy_engine_active_strategies",
            "Strategies that are running, neither stopped nor without quotes.",
            registry=registry,
        ),
        signal_to_order_ms=Histogram(
            "strategy_engine_signal_to_order_latency_ms",
            "From a strategy's decision to the order's submission, in milliseconds.",
            ("strategy_id",),
            buckets=LATENCY_MS_BUCKETS,
            registry=registry,
        ),
        position_size=Gauge(
            "strategy_engine_position_size",
            "What a strategy's fills add up to, in units of the symbol; negative is short.",
            ("strategy_id", "symbol"),
            registry=registry,
        ),
    )
