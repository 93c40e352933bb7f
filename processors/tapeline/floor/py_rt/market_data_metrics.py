"""The metrics of py_rt's market data service, under its document's names."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tapeline.floor.py_rt.resource_metrics import ResourceMetrics, make_resource_metrics
from tapeline.floor.py_rt.zmq_metrics import make_messages_published, make_queue_depth

__all__ = ["MarketDataMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class MarketDataMetrics:
    """The service's instruments."""

    websocket_latency: Histogram
    orderbook_update_latency: Histogram
    zmq_publish_latency: Histogram
    messages_processed: Counter
    connection_failures: Counter
    zmq_messages_published: Counter
    zmq_queue_depth: Gauge
    resources: ResourceMetrics


def make_metrics(registry: CollectorRegistry) -> MarketDataMetrics:
    """Register the instruments."""
    return MarketDataMetrics(
        websocket_latency=Histogram(
            "market_data_websocket_latency_us",
            "Processing of one WebSocket message, in microseconds.",
            ("exchange", "message_type", "symbol"),
            buckets=(1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000),
            registry=registry,
        ),
        orderbook_update_latency=Histogram(
            "market_data_orderbook_update_latency_us",
            "One update of an order book, in microseconds.",
            ("symbol", "update_type"),
            buckets=(1, 2, 5, 10, 25, 50, 100),
            registry=registry,
        ),
        zmq_publish_latency=Histogram(
            "market_data_zmq_publish_latency_us",
            "Publishing one message, in microseconds.",
            ("topic",),
            buckets=(10, 25, 50, 100, 250, 500, 1000),
            registry=registry,
        ),
        messages_processed=Counter(
            "market_data_messages_processed_total",
            "Messages of the feed.",
            ("message_type", "symbol", "exchange"),
            registry=registry,
        ),
        connection_failures=Counter(
            "market_data_websocket_connection_failures_total",
            "Connections to a feed that failed.",
            ("exchange", "error_type"),
            registry=registry,
        ),
        zmq_messages_published=make_messages_published(registry),
        zmq_queue_depth=make_queue_depth(registry),
        resources=make_resource_metrics(registry),
    )
