"""What the limiter knows of each metric, in the words of the report."""

from collections import Counter
from heapq import nlargest
from typing import Final, TypeAlias

from tapeline.cardinality.admission import BYTES_A_SERIES
from tapeline.cardinality.demand import Demand
from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.report import LabelState, MetricState, Rest
from tapeline.cardinality.router import Router
from tapeline.cardinality.rules import NO_RULE, MetricRule
from tapeline.cardinality.source import MetricState as Known
from tapeline.cardinality.sources import Sources

__all__ = ["nearest_metrics"]

_BYTES_A_FOLDED_STREAM: Final = 250

Parts: TypeAlias = tuple[Sources, Router, Folder | None, Demand]


def nearest_metrics(parts: Parts, most: int) -> tuple[list[MetricState], Rest]:
    """Return what is known of so many metrics, the nearest to their limits, and of the rest.

    Bytes are estimates: batches wait meanwhile. There may be 100,000 metrics, so only what is told
    is looked at closely.
    """
    sources, router, folder, demand = parts
    metrics = sources.metrics
    folded = _folded(sources, folder)
    if most >= len(metrics):
        return [_state(name, one, folded[name], router) for name, one in metrics.items()], Rest()
    names = list(metrics)
    admitted = [state.room.admitted for state in metrics.values()]
    limits = [state.rule.limit for state in metrics.values()]
    asked = admitted.copy()
    watched = set(demand.metrics)
    for number in [number for number, name in enumerate(names) if name in watched]:
        asked[number] += demand.refused_streams(names[number])
    ratios = [one / (limit or 1) for one, limit in zip(asked, limits, strict=True)]
    shown = nlargest(most + 1, range(len(names)), ratios.__getitem__)
    highest = ratios[shown.pop()]
    states = [_state(names[one], metrics[names[one]], folded[names[one]], router) for one in shown]
    return states, Rest(
        metrics=len(names) - most,
        admitted=sum(admitted) - sum(one.admitted for one in states),
        folded_streams=folded.total() - sum(one.folded_streams for one in states),
        demand=sum(asked) - sum(asked[one] for one in shown),
        limit=sum(limits) - sum(limits[one] for one in shown),
        ratio=highest,
    )


def _folded(sources: Sources, folder: Folder | None) -> Counter[str]:
    folded: Counter[str] = Counter()
    for producer in () if folder is None else folder.producer_table.items():
        source = None if producer is None else sources.of_producer(producer.key)
        if producer is not None and source is not None:
            folded[source.metric.name] += producer.streams
    return folded


def _state(name: str, state: Known, folded: int, router: Router) -> MetricState:
    return MetricState(
        metric=name,
        limit=state.rule.limit,
        policy=state.rule.policy.value,
        admitted=state.room.admitted,
        folded_streams=folded,
        has_rule=state.rule.number != NO_RULE,
        evictions=state.evictions,
        refused=dict(state.refused),
        state_bytes=BYTES_A_SERIES * state.room.admitted + _BYTES_A_FOLDED_STREAM * folded,
        labels=_labels(name, state.rule, router),
    )


def _labels(name: str, rule: MetricRule, router: Router) -> tuple[LabelState, ...]:
    return tuple(
        LabelState(
            label=label,
            limit=limit,
            policy=(rule.resource_labels if is_resource else rule.labels)[
                label.encode()
            ].policy.value,
            admitted=admitted,
        )
        for (label, is_resource), (admitted, limit) in router.counts(name).items()
    )
