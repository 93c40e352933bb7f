"""What the limits count about themselves. `metadata.yaml` lists it; a test holds the two equal.

A metric's name is text from outside, so only the metrics nearest to their limits are named, and the
rest is one. Names stand here as they leave the redaction, which comes first in the chain.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tapeline.cardinality.folding.outcome import REFUSALS, FoldOutcome
from tapeline.cardinality.label_text import name_text
from tapeline.cardinality.report import MetricFigures, Rest
from tapeline.cardinality.snapshot import ReadOutcome, WriteOutcome

__all__ = [
    "BOUNDS",
    "EVICTED",
    "LIMITED",
    "MAX_NAMED_METRICS",
    "OTHER_METRICS",
    "REFUSED",
    "RESULTS",
    "TEXT_KINDS",
    "CardinalityMetrics",
    "metrics_on",
]

MAX_NAMED_METRICS: Final = 50
_NO_REST: Final = Rest()
OTHER_METRICS: Final = "other"
"""The label of all metrics that are not among those. A metric of that name is one of them."""

REFUSED: Final = (
    *sorted(outcome.value for outcome in REFUSALS),
    "several_kinds",
    "too_many_producers",
)
"""Why a point beyond a limit could not be folded, and was dropped."""
RESULTS: Final = (
    "admitted",
    "passed",
    "dropped",
    "refused",
    *(outcome.value for outcome in FoldOutcome if outcome not in REFUSALS),
)
"""What became of a point."""
LIMITED: Final = (
    "series_limit",
    "label_limit",
    "resource_limit",
    "normalized",
    "identity",
    "uncertain",
)
"""Why a stream does not pass as it comes."""
EVICTED: Final = ("series", "folded_stream", "output", "label_value", "producer", "resource")
BOUNDS: Final = (
    "resources",
    "producers",
    "folded_streams",
    "label_values",
    "demand_metrics",
    "demand_labels",
)
"""The bounds on what is kept, beside the limits themselves."""
TEXT_KINDS: Final = ("log_label", "span_name", "span_attribute")


@dataclass(slots=True)
class _Row:
    """The gauges of one value of the label `metric`."""

    admitted: int = 0
    overflowed: int = 0
    demand: int = 0
    limit: int = 0
    ratio: float = 0.0

    def add(self, figures: MetricFigures) -> None:
        """Take another metric into this row: sums, and the worst ratio."""
        self.admitted += figures.state.admitted
        self.overflowed += figures.state.folded_streams
        self.demand += figures.demand
        self.limit += figures.state.limit
        self.ratio = max(self.ratio, figures.ratio)

    def add_rest(self, rest: Rest) -> None:
        """Take many metrics into this row."""
        self.admitted += rest.admitted
        self.overflowed += rest.folded_streams
        self.demand += rest.demand
        self.limit += rest.limit
        self.ratio = max(self.ratio, rest.ratio)


class _MetricGauges(Collector):
    """Gauges whose label values change: a scrape sees all of one moment, and none that is gone."""

    def __init__(self) -> None:
        self.rows: Mapping[str, _Row] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        rows = self.rows
        for name, text, read in (
            ("admitted_series", "Series that have a place below their limits.", "admitted"),
            ("overflowed_streams", "Streams beyond a limit that are being folded.", "overflowed"),
            ("demand_series", "Series that there would be without limits, estimated.", "demand"),
            ("series_limit", "Series that there may be.", "limit"),
            ("limit_ratio", "Demand by limit; of several metrics, the worst.", "ratio"),
        ):
            family = GaugeMetricFamily(f"tapeline_cardinality_{name}", text, labels=["metric"])
            for metric, row in rows.items():
                family.add_metric([metric], getattr(row, read))
            yield family


class CardinalityMetrics:
    """The metrics of `metadata.yaml`, on a registry. Counters are there from the start, at 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = _MetricGauges()
        registry.register(self._gauges)
        self._global_ratio = Gauge(
            "tapeline_cardinality_global_limit_ratio",
            "Admitted series of all metrics, by global_limit.",
            registry=registry,
        )
        self._state_bytes = Gauge(
            "tapeline_cardinality_state_bytes",
            "What is kept in memory, estimated.",
            registry=registry,
        )
        self._points = _labelled(
            registry, "points", "Data points, by what became of them.", "result", RESULTS
        )
        self._refused = _labelled(
            registry,
            "refused_points",
            "Data points beyond a limit that were dropped because they can't be folded.",
            "reason",
            REFUSED,
        )
        self._limited = _labelled(
            registry,
            "limited_streams",
            "New streams that do not pass as they come; one that is dropped is new each time.",
            "reason",
            LIMITED,
        )
        self._texts = _labelled(
            registry,
            "texts",
            "Limited texts of logs and traces that were read.",
            "kind",
            TEXT_KINDS,
        )
        self._replaced_texts = _labelled(
            registry,
            "replaced_texts",
            "Texts of logs and traces that were beyond a limit, and replaced.",
            "kind",
            TEXT_KINDS,
        )
        self._evictions = _labelled(
            registry, "evictions", "What was forgotten, idle or to make room.", "kind", EVICTED
        )
        self._bound_hits = _labelled(
            registry, "bound_hits", "What found no room in a bounded table.", "bound", BOUNDS
        )
        self._conflicts = Counter(
            "tapeline_cardinality_conflicts",
            "Outputs that differ from another in nothing that Prometheus keeps.",
            registry=registry,
        )
        self._reads = _labelled(
            registry,
            "snapshot_reads",
            "Readings of the state's file, at starts.",
            "outcome",
            ReadOutcome,
        )
        self._writes = _labelled(
            registry, "snapshot_writes", "Writings of the state's file.", "outcome", WriteOutcome
        )

    def show(
        self,
        figures: Sequence[MetricFigures],
        *,
        global_limit: int,
        state_bytes: int,
        rest: Rest = _NO_REST,
    ) -> None:
        """Set the gauges; `figures` with the highest ratio first, as `figures_of` returns them."""
        rows: dict[str, _Row] = {}
        for one in figures:
            name = name_text(one.state.metric)
            if name not in rows and len(rows) >= MAX_NAMED_METRICS:
                name = OTHER_METRICS
            rows.setdefault(name, _Row()).add(one)
        if rest.metrics:
            rows.setdefault(OTHER_METRICS, _Row()).add_rest(rest)
        self._gauges.rows = rows
        admitted = sum(one.state.admitted for one in figures) + rest.admitted
        self._global_ratio.set(admitted / max(global_limit, 1))
        self._state_bytes.set(state_bytes)

    def count_points(self, results: Mapping[str, int]) -> None:
        """Count points by what became of them: RESULTS, and REFUSED for those that were refused."""
        for result, count in results.items():
            refused = self._refused.get(result)
            if refused is not None:
                refused.inc(count)
            self._points["refused" if refused is not None else result].inc(count)

    def count_limited(self, reasons: Mapping[str, int]) -> None:
        """Count new streams that do not pass as they come, by LIMITED."""
        for reason, count in reasons.items():
            self._limited[reason].inc(count)

    def count_texts(self, kind: str, read: int, replaced: int) -> None:
        """Count texts of one of TEXT_KINDS."""
        self._texts[kind].inc(read)
        self._replaced_texts[kind].inc(replaced)

    def count_evictions(self, kind: str, count: int) -> None:
        """Count what was forgotten, by EVICTED."""
        self._evictions[kind].inc(count)

    def count_bound_hits(self, bound: str, count: int) -> None:
        """Count what found no room, by BOUNDS."""
        self._bound_hits[bound].inc(count)

    def count_conflicts(self, outputs: int) -> None:
        """Count outputs that collide with another one in Prometheus."""
        self._conflicts.inc(outputs)

    def count_read(self, outcome: ReadOutcome) -> None:
        """Count a reading of the state's file."""
        self._reads[outcome].inc()

    def count_written(self, outcome: WriteOutcome) -> None:
        """Count a writing of the state's file."""
        self._writes[outcome].inc()


def _labelled(
    registry: CollectorRegistry, name: str, text: str, label: str, values: Iterable[str]
) -> dict[str, Counter]:
    counter = Counter(f"tapeline_cardinality_{name}", text, [label], registry=registry)
    return {str(value): counter.labels(str(value)) for value in values}


_METRICS: WeakKeyDictionary[CollectorRegistry, CardinalityMetrics] = WeakKeyDictionary()


def metrics_on(registry: CollectorRegistry) -> CardinalityMetrics:
    """Return the metrics of a registry, made once."""
    metrics = _METRICS.get(registry)
    if metrics is None:
        metrics = _METRICS[registry] = CardinalityMetrics(registry)
    return metrics
