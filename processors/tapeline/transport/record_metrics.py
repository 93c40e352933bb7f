"""The metrics of recordings; `metadata.yaml` lists them."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from tapeline.otlp.signals import Signal

__all__ = ["RecordMetrics"]

_DROPS: Final = ("queue_full", "disk", "unfit")


class RecordMetrics:
    """What is recorded, and what is not."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make every series, at 0."""
        self.offered = Counter(
            "tapeline_record_batches", "Batches to be recorded.", registry=registry
        )
        records = Counter(
            "tapeline_record_records",
            "Records that are in a recording, on disk.",
            ["signal"],
            registry=registry,
        )
        self.records = {signal: records.labels(signal.value) for signal in Signal}
        dropped = Counter(
            "tapeline_record_dropped_batches",
            "Batches that are in no recording, though they should be.",
            ["reason"],
            registry=registry,
        )
        self.dropped = {reason: dropped.labels(reason) for reason in _DROPS}
        self.file_failures = Counter(
            "tapeline_record_file_failures",
            "Times that a recording could not be closed, or an old one removed.",
            registry=registry,
        )
        self.files = Counter(
            "tapeline_record_files", "Recordings that were begun.", registry=registry
        )
        self.waiting_bytes = Gauge(
            "tapeline_record_waiting_bytes", "Bytes that wait to be recorded.", registry=registry
        )
