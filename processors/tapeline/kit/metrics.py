"""What every processor of the kit counts of itself. No label and no value ever holds data."""

from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter

from tapeline.kit.core import OnFailure, Outcome

__all__ = ["KitMetrics", "metrics_on"]


class KitMetrics:
    """The counters of `metadata.yaml`, on a registry, for all processors of the kit."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"tapeline_kit_{name}", what, ("processor", *labels), registry=registry)

        self._seen = counter("records_seen", "Records that a processor was called with.")
        self._changed = counter("records_changed", "Records that a processor changed.")
        self._dropped = counter("records_dropped", "Records that a processor took out.")
        self._failed = counter(
            "records_failed",
            "Records on which a processor failed, by what the configuration says of them.",
            "on_failure",
        )
        self._seconds = counter("seconds", "Time spent in a processor and around it.")
        self._ticks = counter("ticks", "Calls of a processor's tick or close.")
        self._ticks_failed = counter("ticks_failed", "Calls of tick or close that failed.")
        self._derived = counter("derived", "Values that a processor derived.")
        self._derived_left_out = counter(
            "derived_left_out", "Derived values beyond max_series, or of two kinds or units."
        )

    def begin(self, processor: str) -> None:
        """Show every counter of a processor from its start, as 0."""
        for each in (
            self._seen, self._changed, self._dropped, self._seconds, self._ticks,
            self._ticks_failed, self._derived, self._derived_left_out,
        ):  # fmt: skip
            each.labels(processor)
        for policy in OnFailure:
            self._failed.labels(processor, policy)

    def count(self, processor: str, outcome: Outcome, policy: OnFailure, took_s: float) -> None:
        """Count what became of a request."""
        self._seen.labels(processor).inc(outcome.seen)
        self._changed.labels(processor).inc(outcome.changed)
        self._dropped.labels(processor).inc(outcome.dropped)
        self._failed.labels(processor, policy).inc(outcome.failed)
        self._seconds.labels(processor).inc(took_s)

    def count_derived(self, processor: str, noted: int, left_out: int) -> None:
        """Count derived values; some were left out."""
        self._derived.labels(processor).inc(noted)
        self._derived_left_out.labels(processor).inc(left_out)

    def count_tick(self, processor: str, *, failed: bool) -> None:
        """Count a call of `tick` or `close`."""
        self._ticks.labels(processor).inc()
        self._ticks_failed.labels(processor).inc(failed)


_METRICS: WeakKeyDictionary[CollectorRegistry, KitMetrics] = WeakKeyDictionary()


def metrics_on(registry: CollectorRegistry) -> KitMetrics:
    """Return the metrics of a registry, made once for all processors of the kit."""
    metrics = _METRICS.get(registry)
    if metrics is None:
        metrics = _METRICS[registry] = KitMetrics(registry)
    return metrics
