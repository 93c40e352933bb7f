"""The total that stands behind an output, by the kind of its points."""

from collections.abc import Callable, Mapping
from typing import Final

from tapeline.cardinality.folding.exponential import ExponentialTotal
from tapeline.cardinality.folding.gauges import ContributorGauge, LastGauge
from tapeline.cardinality.folding.histograms import HistogramTotal
from tapeline.cardinality.folding.outputs import GaugeFold, OutputIdentity, PointKind
from tapeline.cardinality.folding.summaries import SummaryTotal
from tapeline.cardinality.folding.sums import MonotonicSum, NonMonotonicSum
from tapeline.cardinality.folding.totals import Total

__all__ = ["EXEMPLAR_FIELDS", "new_total"]

EXEMPLAR_FIELDS: Final[Mapping[int, int]] = {
    PointKind.GAUGE: 5,
    PointKind.SUM: 5,
    PointKind.HISTOGRAM: 8,
    PointKind.EXPONENTIAL_HISTOGRAM: 11,
    PointKind.SUMMARY: 0,
}
"""The field of the exemplars in the points of each kind (metrics.proto); a summary has none."""

_TOTALS: Final[Mapping[int, Callable[[], Total]]] = {
    PointKind.HISTOGRAM: HistogramTotal,
    PointKind.EXPONENTIAL_HISTOGRAM: ExponentialTotal,
    PointKind.SUMMARY: SummaryTotal,
}


def new_total(identity: OutputIdentity, contributor_ns: int) -> Total:
    """Return an empty total for an output; its gauges count for so long after they were seen.

    Raises ValueError for a kind that does not exist.
    """
    metric = identity.metric
    if metric.kind == PointKind.SUM:
        return MonotonicSum() if metric.is_monotonic else NonMonotonicSum()
    if metric.kind == PointKind.GAUGE:
        if identity.gauge == GaugeFold.LAST:
            return LastGauge()
        return ContributorGauge(identity.gauge, contributor_ns)
    if metric.kind in _TOTALS:
        return _TOTALS[metric.kind]()
    raise ValueError(f"metric {metric.name!r}: a metric of kind {metric.kind} can't be folded")
