"""The tap's own metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

__all__ = ["DOOR_REFUSALS", "DROP_REASONS", "DoorMetrics", "TapMetrics"]

DROP_REASONS: Final = ("busy", "rate_limit", "slow_reader", "too_large")
DOOR_REFUSALS: Final = (
    "missing_token", "wrong_token", "throttled", "no_tokens", "filter", "too_many", "not_ready",
)  # fmt: skip


class TapMetrics:
    """What the tap takes of the traffic. One each in every worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "tapeline_tap_records",
            "Records that passed while somebody looked at the tap.",
            registry=registry,
        )
        self.shown = Counter(
            "tapeline_tap_shown_records",
            "Records handed to a reader of the tap, once for each reader.",
            registry=registry,
        )
        dropped = Counter(
            "tapeline_tap_dropped_records",
            "Records that the tap did not show; they went downstream all the same.",
            ["reason"],
            registry=registry,
        )
        self.dropped = {reason: dropped.labels(reason) for reason in DROP_REASONS}
        self.withheld = Counter(
            "tapeline_tap_withheld_records",
            "Records that the tap did not show because behind the redaction stood a secret.",
            registry=registry,
        )
        self.failures = Counter(
            "tapeline_tap_failures",
            "Batches of which the tap showed nothing because it could not mask or read them.",
            registry=registry,
        )


class DoorMetrics:
    """Who asks to look. Only where readers come to: in the one process, or in the parent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.readers = Gauge(
            "tapeline_tap_readers", "Readers that look at the tap now.", registry=registry
        )
        self.attempts = Counter(
            "tapeline_tap_requests", "Requests for the events of the tap.", registry=registry
        )
        refused = Counter(
            "tapeline_tap_refused_requests",
            "Requests for the events of the tap that were refused.",
            ["reason"],
            registry=registry,
        )
        self.refused = {reason: refused.labels(reason) for reason in DOOR_REFUSALS}
