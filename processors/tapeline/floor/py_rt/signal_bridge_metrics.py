"""The metrics of py_rt's signal bridge, under its document's names."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tapeline.floor.py_rt.resource_metrics import ResourceMetrics, make_resource_metrics
from tapeline.floor.py_rt.zmq_metrics import make_messages_published, make_queue_depth

__all__ = ["SignalBridgeMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class SignalBridgeMetrics:
    """The service's instruments."""

    inference_latency: Histogram
    feature_computation: Histogram
    signal_generation_latency: Histogram
    signals_generated: Counter
    inference_errors: Counter
    zmq_messages_published: Counter
    zmq_queue_depth: Gauge
    resources: ResourceMetrics


def make_metrics(registry: CollectorRegistry) -> SignalBridgeMetrics:
    """Register the instruments.

    Where a threshold is the document's top bucket there is one above it: a quantile can't be found
    beyond the top.
    """
    return SignalBridgeMetrics(
        inference_latency=Histogram(
            "signal_bridge_inference_latency_us",
            "One inference, in microseconds.",
            ("model_name", "input_features_count"),
            buckets=(10, 25, 50, 100, 250, 500, 1000, 5000),
            registry=registry,
        ),
        feature_computation=Histogram(
            "signal_bridge_feature_computation_us",
            "Computing the features of one quote, in microseconds.",
            ("feature_set",),
            buckets=(5, 10, 25, 50, 100, 250, 500),
            registry=registry,
        ),
        signal_generation_latency=Histogram(
            "signal_bridge_signal_generation_latency_us",
            "From a quote to its signal, in microseconds.",
            ("symbol", "signal_type"),
            buckets=(50, 100, 250, 500, 1000, 2500, 5000, 10000),
            registry=registry,
        ),
        signals_generated=Counter(
            "signal_bridge_signals_generated_total",
            "Signals.",
            ("signal_type", "symbol", "confidence_bucket"),
            registry=registry,
        ),
        inference_errors=Counter(
            "signal_bridge_inference_errors_total",
            "Inferences that failed.",
            ("error_type", "model_name"),
            registry=registry,
        ),
        zmq_messages_published=make_messages_published(registry),
        zmq_queue_depth=make_queue_depth(registry),
        resources=make_resource_metrics(registry),
    )
