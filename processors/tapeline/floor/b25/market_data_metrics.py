"""The metrics of b25's market data service."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tapeline.floor.b25.http_metrics import LATENCY_MS_BUCKETS, HttpMetrics, make_http_metrics

__all__ = ["MarketDataMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class MarketDataMetrics:
    """The service's instruments."""

    http: HttpMetrics
    websocket_latency_ms: Histogram
    message_latency_ms: Histogram
    connected: Gauge
    depth_levels: Gauge
    book_age_s: Gauge
    messages: Counter
    reconnections: Counter
    gaps: Counter


def make_metrics(registry: CollectorRegistry) -> MarketDataMetrics:
    """Return the instruments, registered."""
    return MarketDataMetrics(
        http=make_http_metrics(registry),
        websocket_latency_ms=Histogram(
            "market_data_websocket_latency_ms",
            "From the exchange's send time to the socket, in milliseconds.",
            ("exchange",),
            buckets=LATENCY_MS_BUCKETS,
            registry=registry,
        ),
        message_latency_ms=Histogram(
            "market_data_message_latency_ms",
            "From the exchange's send time to the order book, in milliseconds.",
            ("exchange", "symbol"),
            buckets=LATENCY_MS_BUCKETS,
            registry=registry,
        ),
        connected=Gauge(
            "market_data_websocket_connected",
            "1 while the exchange's feed is connected.",
            ("exchange", "status"),
            registry=registry,
        ),
        depth_levels=Gauge(
            "market_data_orderbook_depth_levels",
            "Price levels held of an order book's side.",
            ("exchange", "symbol", "side"),
            registry=registry,
        ),
        book_age_s=Gauge(
            "market_data_orderbook_age_seconds",
            "Time since an order book's last update, when scraped.",
            ("exchange", "symbol"),
            registry=registry,
        ),
        messages=Counter(
            "market_data_messages_processed_total",
            "Messages taken from an exchange's feed.",
            ("exchange",),
            registry=registry,
        ),
        reconnections=Counter(
            "market_data_reconnections_total",
            "Attempts to connect again after a feed broke.",
            ("exchange",),
            registry=registry,
        ),
        gaps=Counter(
            "market_data_gaps_detected_total",
            "Missing sequence numbers found in a feed.",
            ("exchange",),
            registry=registry,
        ),
    )
