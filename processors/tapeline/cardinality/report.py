"""What `/cardinality` tells: the state of every limit, the worst labels, and what would fix them.

A report is plain data, JSON as it is. Each worker makes its own, and the parent merges them. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from tapeline.cardinality.demand import Demand, LabelDemand, Look
from tapeline.cardinality.fixes import WideLabel, fix_of
from tapeline.cardinality.label_text import name_text

__all__ = [
    "MAX_METRICS",
    "LabelState",
    "LimitsState",
    "MetricFigures",
    "MetricState",
    "Report",
    "Rest",
    "TextState",
    "figures_of",
    "prepare_report",
]

Report: TypeAlias = dict[str, Any]

MAX_METRICS: Final = 100
MAX_LABELS: Final = 5
MAX_SAMPLES: Final = 5
_FEW_VALUES: Final = 10
_SHARE_OF_LIMIT: Final = 50
"""A label needs no fix below a fiftieth of its metric's limit, or below _FEW_VALUES."""


@dataclass(frozen=True, slots=True)
class LabelState:
    """A label with a limit on its values."""

    label: str
    limit: int
    policy: str
    admitted: int


@dataclass(frozen=True, slots=True)
class MetricState:
    """What the limiter knows of one metric name: all of its resources, tenants and types.

    `folded_streams` are those whose last value is remembered now because they are part of an
    output. `has_rule` says that a rule of the configuration gives the limit. `state_bytes` is an
    estimate.
    """

    metric: str
    limit: int
    policy: str
    admitted: int
    folded_streams: int = 0
    has_rule: bool = False
    evictions: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    state_bytes: int = 0
    labels: tuple[LabelState, ...] = ()


@dataclass(frozen=True, slots=True)
class Rest:
    """Metrics of which nothing is told but their sums: `ratio` is the highest of them."""

    metrics: int = 0
    admitted: int = 0
    folded_streams: int = 0
    demand: int = 0
    limit: int = 0
    ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class TextState:
    """A limited text of logs or traces: `kind` is `log_label`, `span_name` or `span_attribute`."""

    kind: str
    name: str
    limit: int
    admitted: int
    replaced: int


@dataclass(frozen=True, slots=True)
class LimitsState:
    """What the limiter knows as a whole, of now; `counts` are whatever it counts besides.

    `metrics` are those nearest to their limits, `rest` all others.
    """

    mode: str
    metrics: Sequence[MetricState]
    global_limit: int
    counts: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    state_bytes: int = 0
    texts: Sequence[TextState] = ()
    rest: Rest = Rest()


@dataclass(frozen=True, slots=True)
class MetricFigures:
    """A metric's figures. `demand` is how many series there would be without the limit on them.

    That is the admitted ones, exactly, and those beyond by HyperLogLog: of the last idle_ttl, so it
    falls when a flood is over, however long folded streams are remembered. `ratio` is demand by
    limit: above 1 there are more than there may be.
    """

    state: MetricState
    demand: int

    @property
    def ratio(self) -> float:
        """Demand by limit."""
        return self.demand / max(self.state.limit, 1)


def figures_of(state: LimitsState, demand: Demand) -> list[MetricFigures]:
    """Return every metric's figures, the highest ratio first."""
    figures = [
        MetricFigures(metric, metric.admitted + demand.refused_streams(metric.metric))
        for metric in state.metrics
    ]
    return sorted(figures, key=lambda one: (-one.ratio, one.state.metric))


def prepare_report(
    state: LimitsState, demand: Demand, *, max_metrics: int = MAX_METRICS
) -> Callable[[], Report]:
    """Look at everything now, and return what makes the report of it, in any thread.

    Looking is quick, so that it can be done between two batches; making texts and YAML is not. The
    report has the metrics with the highest ratios, and totals.
    """
    figures = figures_of(state, demand)
    shown = [(one, demand.look_at(one.state.metric)) for one in figures[:max_metrics]]
    rest = state.rest
    whole: Report = {
        "mode": state.mode,
        "metrics_left_out": max(len(figures) - max_metrics, 0) + rest.metrics,
        "texts": [_text(text) for text in state.texts],
        "totals": {
            "metrics": len(figures) + rest.metrics,
            "admitted": sum(one.state.admitted for one in figures) + rest.admitted,
            "limit": state.global_limit,
            "overflowed_streams": sum(one.state.folded_streams for one in figures)
            + rest.folded_streams,
            "demand": sum(one.demand for one in figures) + rest.demand,
            "state_bytes": state.state_bytes,
            "refused": dict(state.refused),
            "counts": {
                **state.counts,
                "streams_not_watched": demand.streams_not_watched,
                "values_not_watched": demand.values_not_watched,
            },
        },
    }
    return lambda: {**whole, "metrics": [_metric(one, look) for one, look in shown]}


def _metric(figures: MetricFigures, look: Look) -> Report:
    state = figures.state
    known = look.read(MAX_SAMPLES)
    limited = {label.label: label for label in state.labels}
    return {
        "metric": name_text(state.metric),
        "limit": state.limit,
        "policy": state.policy,
        "admitted": state.admitted,
        "overflowed_streams": state.folded_streams,
        "demand": figures.demand,
        "ratio": round(figures.ratio, 3),
        "evictions": state.evictions,
        "refused": dict(state.refused),
        "state_bytes": state.state_bytes,
        "labels": [
            _label(state, label, known.new_streams, limited.get(label.key))
            for label in known.labels[:MAX_LABELS]
        ],
    }


def _label(
    metric: MetricState, known: LabelDemand, new_streams: int, limited: LabelState | None
) -> Report:
    report: Report = {
        "label": known.key,
        "distinct_values": known.distinct_values,
        "samples": list(known.samples),
        "top_offenders": [
            {"value": offender.value, "streams": offender.streams} for offender in known.offenders
        ],
        "fix": None,
    }
    if limited is not None:
        report["limit"] = limited.limit
        report["policy"] = limited.policy
        report["admitted_values"] = limited.admitted
        return report  # It has a rule already: what it lets through is what was asked for.
    if known.distinct_values > max(_FEW_VALUES, metric.limit // _SHARE_OF_LIMIT):
        fix = fix_of(
            WideLabel(
                metric.metric,
                known.key,
                known.distinct_values,
                new_streams,
                known.samples,
                metric.limit,
                metric.has_rule,
            )
        )
        if fix is not None:
            report["fix"] = {"kind": fix.kind, "why": fix.why, "yaml": fix.yaml}
    return report


def _text(text: TextState) -> Report:
    return {
        "kind": text.kind,
        "name": name_text(text.name),
        "limit": text.limit,
        "admitted": text.admitted,
        "replaced": text.replaced,
    }
