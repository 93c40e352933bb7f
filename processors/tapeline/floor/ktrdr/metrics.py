"""KTRDR's own figures, about operations and hosts; those of HTTP come from auto-instrumentation.

The document names the endpoint and no metric: these are what its alerts and dashboards need.
"""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = [
    "ApiMetrics",
    "IbHostMetrics",
    "KtrdrMetrics",
    "TrainingHostMetrics",
    "make_api_metrics",
    "make_ib_host_metrics",
    "make_metrics",
    "make_training_host_metrics",
]

OPERATION_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CALL_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
EPOCH_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


@dataclass(frozen=True, slots=True)
class ApiMetrics:
    """Operations, and the calls of host services that they need."""

    operations: Counter
    operation_durations: Histogram
    in_progress: Gauge
    host_calls: Counter
    host_call_durations: Histogram


@dataclass(frozen=True, slots=True)
class IbHostMetrics:
    """The broker's gateway, and what came from it."""

    connected: Gauge
    requests: Counter
    bars: Counter


@dataclass(frozen=True, slots=True)
class TrainingHostMetrics:
    """Epochs, the unit of the GPU's work."""

    epochs: Counter
    epoch_durations: Histogram


@dataclass(frozen=True, slots=True)
class KtrdrMetrics:
    """All of them, for whoever lists them; a service exposes its own part."""

    api: ApiMetrics
    ib_host: IbHostMetrics
    training_host: TrainingHostMetrics


def make_metrics(registry: CollectorRegistry) -> KtrdrMetrics:
    """Return the instruments of all three services, registered."""
    return KtrdrMetrics(
        make_api_metrics(registry),
        make_ib_host_metrics(registry),
        make_training_host_metrics(registry),
    )


def make_api_metrics(registry: CollectorRegistry) -> ApiMetrics:
    """Return the API's instruments, registered."""
    return ApiMetrics(
        operations=Counter(
            "ktrdr_operations_total",
            "Operations that ended, by type and by how: completed or failed.",
            ("operation_type", "status"),
            registry=registry,
        ),
        operation_durations=Histogram(
            "ktrdr_operation_duration_seconds",
            "Time from an operation's start to its end, failed ones among them.",
            ("operation_type",),
            buckets=OPERATION_BUCKETS_S,
            registry=registry,
        ),
        in_progress=Gauge(
            "ktrdr_operations_in_progress",
            "Operations that have begun and not ended.",
            ("operation_type",),
            registry=registry,
        ),
        host_calls=Counter(
            "ktrdr_host_calls_total",
            "Calls of host services by outcome: ok, failed (an answer with an error), unreachable.",
            ("host_service", "outcome"),
            registry=registry,
        ),
        host_call_durations=Histogram(
            "ktrdr_host_call_duration_seconds",
            "Time until a host service answered, or could not be reached.",
            ("host_service",),
            buckets=CALL_BUCKETS_S,
            registry=registry,
        ),
    )


def make_ib_host_metrics(registry: CollectorRegistry) -> IbHostMetrics:
    """Return the IB host's instruments, registered."""
    return IbHostMetrics(
        connected=Gauge(
            "ktrdr_ib_gateway_connected",
            "Whether IB Gateway accepts connections (1) or refuses them (0).",
            registry=registry,
        ),
        requests=Counter(
            "ktrdr_ib_requests_total",
            "Requests to IB Gateway by outcome: ok, refused.",
            ("outcome",),
            registry=registry,
        ),
        bars=Counter(
            "ktrdr_bars_downloaded_total",
            "Bars of historical data that came from IB Gateway.",
            ("timeframe",),
            registry=registry,
        ),
    )


def make_training_host_metrics(registry: CollectorRegistry) -> TrainingHostMetrics:
    """Return the training host's instruments, registered."""
    return TrainingHostMetrics(
        epochs=Counter(
            "ktrdr_training_epochs_total",
            "Epochs that were trained.",
            ("strategy",),
            registry=registry,
        ),
        epoch_durations=Histogram(
            "ktrdr_training_epoch_duration_seconds",
            "Time of one epoch.",
            ("strategy",),
            buckets=EPOCH_BUCKETS_S,
            registry=registry,
        ),
    )
