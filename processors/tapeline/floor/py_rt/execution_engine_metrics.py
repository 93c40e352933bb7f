"""The metrics of py_rt's execution engine, under its document's names."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tapeline.floor.py_rt.resource_metrics import ResourceMetrics, make_resource_metrics

__all__ = ["ExecutionEngineMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class ExecutionEngineMetrics:
    """The service's instruments."""

    order_submission_latency: Histogram
    routing_latency: Histogram
    api_call_latency: Histogram
    retry_delay: Histogram
    orders_submitted: Counter
    order_rejections: Counter
    api_failures: Counter
    daily_volume: Gauge
    slippage: Histogram
    fill_rate: Gauge
    connection_pool_size: Gauge
    resources: ResourceMetrics


def make_metrics(registry: CollectorRegistry) -> ExecutionEngineMetrics:
    """Register the instruments.

    Where a threshold is the document's top bucket there is one above it: a quantile can't be found
    beyond the top.
    """
    submission, routing, api_call, retry = _make_latencies(registry)
    submitted, rejections, failures = _make_counters(registry)
    return ExecutionEngineMetrics(
        order_submission_latency=submission,
        routing_latency=routing,
        api_call_latency=api_call,
        retry_delay=retry,
        orders_submitted=submitted,
        order_rejections=rejections,
        api_failures=failures,
        # The document has a counter that begins anew at midnight, without `_total`.
        daily_volume=Gauge(
            "trading_daily_volume_usd",
            "What was traded since midnight UTC.",
            ("symbol",),
            registry=registry,
        ),
        slippage=Histogram(
            "trading_slippage_bps",
            "Fill against the decision's price; 0 where it was better.",
            ("symbol", "order_type"),
            buckets=(0, 1, 5, 10, 25, 50, 100, 250),
            registry=registry,
        ),
        fill_rate=Gauge(
            "trading_order_fill_rate",
            "Filled of what was ordered within the last minute, 0 to 1.",
            ("symbol", "order_type"),
            registry=registry,
        ),
        connection_pool_size=Gauge(
            "system_connection_pool_size",
            "Connections that may be open.",
            ("service", "pool_type"),
            registry=registry,
        ),
        resources=make_resource_metrics(registry),
    )


def _make_latencies(
    registry: CollectorRegistry,
) -> tuple[Histogram, Histogram, Histogram, Histogram]:
    return (
        Histogram(
            "execution_engine_order_submission_latency_us",
            "From the signal to the call of the venue, in microseconds.",
            ("exchange", "order_type"),
            buckets=(25, 50, 100, 250, 500, 1000, 2500, 5000, 10000),
            registry=registry,
        ),
        Histogram(
            "execution_engine_routing_latency_us",
            "Deciding where an order goes, in microseconds.",
            ("routing_strategy",),
            buckets=(5, 10, 25, 50, 100, 250),
            registry=registry,
        ),
        Histogram(
            "execution_engine_api_call_latency_ms",
            "One call of the venue's API, in milliseconds.",
            ("endpoint", "method", "status_code"),
            buckets=(10, 25, 50, 100, 250, 500, 1000, 2500),
            registry=registry,
        ),
        Histogram(
            "execution_engine_retry_delay_ms",
            "Waiting before a further attempt, in milliseconds.",
            ("retry_attempt",),
            buckets=(100, 250, 500, 1000, 2500, 5000),
            registry=registry,
        ),
    )


def _make_counters(registry: CollectorRegistry) -> tuple[Counter, Counter, Counter]:
    return (
        Counter(
            "execution_engine_orders_submitted_total",
            "Orders that reached the venue, or failed to.",
            ("order_type", "status", "exchange"),
            registry=registry,
        ),
        Counter(
            "execution_engine_order_rejections_total",
            "Orders that the venue rejected.",
            ("rejection_reason", "symbol"),
            registry=registry,
        ),
        Counter(
            "execution_engine_api_failures_total",
            "Calls of the venue's API that failed.",
            ("endpoint", "status_code", "error_message"),
            registry=registry,
        ),
    )
