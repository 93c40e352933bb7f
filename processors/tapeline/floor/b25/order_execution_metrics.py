"""The metrics of b25's order execution service."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tapeline.floor.b25.http_metrics import LATENCY_MS_BUCKETS, HttpMetrics, make_http_metrics

__all__ = ["ORDER_KINDS", "STATUSES", "OrderExecutionMetrics", "make_metrics"]

STATUSES: Final = ("new", "partially_filled", "filled", "canceled", "rejected")
ORDER_KINDS: Final = (("limit", "maker"), ("limit", "taker"), ("market", "taker"))
"""Pairs of the labels `order_type` and `type` that occur."""

_ORDER_LABELS: Final = ("exchange", "symbol", "order_type", "type", "status")
_SLIPPAGE_BUCKETS: Final = (-25, -10, -5, -2, -1, 0, 1, 2, 5, 10, 25, 50, 100, 250)


@dataclass(frozen=True, slots=True)
class OrderExecutionMetrics:
    """The service's instruments."""

    http: HttpMetrics
    latency_ms: Histogram
    submission_latency_ms: Histogram
    slippage_bps: Histogram
    orders: Counter
    submitted: Counter
    filled: Counter
    volume_usd: Counter
    rejections: Counter
    rate_limited: Counter
    api_requests: Counter
    queue_depth: Gauge
    breaker_state: Gauge


def make_metrics(registry: CollectorRegistry) -> OrderExecutionMetrics:
    """Return the instruments, registered."""

    def gauge(name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"order_execution_{name}", what, labels, registry=registry)

    def counter(name: str, what: str, *labels: str) -> Counter:
        return Counter(f"order_execution_{name}_total", what, labels, registry=registry)

    def latency(name: str, what: str, *labels: str) -> Histogram:
        return Histogram(
            f"order_execution_{name}_ms",
            f"{what}, in milliseconds.",
            labels,
            buckets=LATENCY_MS_BUCKETS,
            registry=registry,
        )

    return OrderExecutionMetrics(
        http=make_http_metrics(registry),
        latency_ms=latency("latency", "From arrival to fill", "exchange", "symbol", "order_type"),
        submission_latency_ms=latency(
            "submission_latency", "From submission to the exchange's answer", "exchange"
        ),
        slippage_bps=Histogram(
            "order_execution_slippage_bps",
            "Fill price against the price decided on, in basis points; positive when it costs.",
            ("exchange", "symbol"),
            buckets=_SLIPPAGE_BUCKETS,
            registry=registry,
        ),
        orders=counter(
            "orders", "Orders, each once, with the state that it came to.", *_ORDER_LABELS
        ),
        submitted=counter("submitted_orders", "Orders sent to an exchange.", "exchange"),
        filled=counter("filled_orders", "Orders filled as a whole.", "exchange"),
        volume_usd=counter(
            "volume_usd", "Volume filled, in US dollars.", "exchange", "symbol", "side"
        ),
        rejections=counter("rejections", "Orders that were rejected.", "exchange", "reason"),
        rate_limited=counter("rate_limited", "Orders held back by the rate limiter.", "exchange"),
        api_requests=counter(
            "exchange_api_requests", "Calls of an exchange's API.", "exchange", "endpoint", "status"
        ),
        queue_depth=gauge("queue_depth", "Orders that wait for their turn."),
        breaker_state=gauge(
            "circuit_breaker_state",
            "An exchange's circuit breaker: 0 closed (normal), 1 open (tripped), 2 half open.",
            "exchange",
        ),
    )
