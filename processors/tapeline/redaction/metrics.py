"""What the redaction counts about itself. No label and no value ever holds a matched text."""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter

from tapeline.otlp.signals import Signal
from tapeline.redaction.core import Hit

__all__ = ["RedactionMetrics", "metrics_on"]


class RedactionMetrics:
    """The counters of `metadata.yaml`, on a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "tapeline_redaction_requests_total",
            "Export requests that the redaction looked at, by what became of them.",
            ("signal", "outcome"),
            registry=registry,
        )
        self._records = Counter(
            "tapeline_redaction_records_total",
            "Log records, spans and metric data points that the redaction looked at.",
            ("signal",),
            registry=registry,
        )
        self._hits = Counter(
            "tapeline_redaction_hits_total",
            "Secrets found, by the rule that found them, where they stood and what was done.",
            ("rule", "field_class", "signal", "action"),
            registry=registry,
        )

    def count_request(self, signal: Signal, outcome: str) -> None:
        """Count a request by its outcome, one of those that `metadata.yaml` lists."""
        self._requests.labels(signal, outcome).inc()

    def count_records(self, signal: Signal, record_count: int) -> None:
        """Count records that were looked at."""
        self._records.labels(signal).inc(record_count)

    def count_hits(self, signal: Signal, hits: Mapping[Hit, int], *, observed: bool) -> None:
        """Count what was found; `observed` says that nothing was done about it."""
        for hit, count in hits.items():
            action = "observe" if observed else hit.action
            self._hits.labels(hit.rule, hit.field_class, signal, action).inc(count)


_METRICS: WeakKeyDictionary[CollectorRegistry, RedactionMetrics] = WeakKeyDictionary()


def metrics_on(registry: CollectorRegistry) -> RedactionMetrics:
    """Return the metrics of a registry, made once: counters go on over a reload of the config."""
    metrics = _METRICS.get(registry)
    if metrics is None:
        metrics = _METRICS[registry] = RedactionMetrics(registry)
    return metrics
