"""What the limiter knows of each metric, in the words of the report."""

from collections import Counter
from typing import Final

from tapeline.cardinality.admission import BYTES_A_SERIES
from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.report import LabelState, MetricState
from tapeline.cardinality.router import Router
from tapeline.cardinality.rules import NO_RULE, MetricRule
from tapeline.cardinality.sources import Sources

__all__ = ["metric_states"]

_BYTES_A_FOLDED_STREAM: Final = 250


def metric_states(sources: Sources, router: Router, folder: Folder | None) -> list[MetricState]:
    """Return what is known of each metric. Bytes are estimates: this is asked between batches."""
    folded: Counter[str] = Counter()
    for producer in () if folder is None else folder.producer_table.items():
        source = None if producer is None else sources.of_producer(producer.key)
        if producer is not None and source is not None:
            folded[source.metric.name] += producer.streams
    return [
        MetricState(
            metric=name,
            limit=state.rule.limit,
            policy=state.rule.policy.value,
            admitted=state.room.admitted,
            folded_streams=folded[name],
            has_rule=state.rule.number != NO_RULE,
            evictions=state.evictions,
            refused=dict(state.refused),
            state_bytes=BYTES_A_SERIES * state.room.admitted
            + _BYTES_A_FOLDED_STREAM * folded[name],
            labels=_labels(name, state.rule, router),
        )
        for name, state in sources.metrics.items()
    ]


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
