"""The metrics of py_rt's messages between services, which on the floor go by HTTP."""

from prometheus_client import CollectorRegistry, Counter, Gauge

__all__ = ["make_messages_published", "make_queue_depth"]


def make_messages_published(registry: CollectorRegistry) -> Counter:
    """Register the messages that a service handed on, by topic."""
    return Counter(
        "zmq_messages_published_total",
        "Messages handed to the next service.",
        ("service", "topic"),
        registry=registry,
    )


def make_queue_depth(registry: CollectorRegistry) -> Gauge:
    """Register the messages that wait in a service, by queue."""
    return Gauge(
        "system_zmq_queue_depth",
        "Messages that wait.",
        ("service", "queue"),
        registry=registry,
    )
