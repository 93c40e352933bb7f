"""The limits as a step of a chain, and what they count, for the tests that run them."""

import uuid
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from metric_requests import Series, at, batch_of, counted, points_by_labels
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.processor import build
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor
from tapeline.pipeline.registry import ProcessorContext

PREFIX = "tapeline_cardinality_"


def limits(
    config: Mapping[str, Any],
    registry: CollectorRegistry | None = None,
    *,
    live: bool = True,
    worker_count: int = 1,
) -> Processor:
    """Build the processor of a section."""
    context = ProcessorContext(
        registry or CollectorRegistry(), live=live, worker_count=worker_count
    )
    return build(CardinalityConfig.model_validate(config), context)


def counts(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Return what a registry shows: name without prefix and label values, with the value."""
    return {
        (sample.name.removeprefix(PREFIX), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if sample.name.startswith(PREFIX) and not sample.name.endswith("_created")
    }


def fills(values: Mapping[str, int], time: float, start: float | None = 0.0) -> Batch:
    """Return a batch of one counter: a point of each id, in seconds after NOW_NS."""
    points = [counted({"id": name}, value, time, start) for name, value in values.items()]
    return batch_of(Series("fills", points))


def run(step: Processor, batch: Batch, time: float) -> Batch:
    """Let a processor work on a batch, and return what may leave."""
    result = step.process(batch, at(time)).batch
    assert result is not None
    return result


def totals(batch: Batch) -> dict[str, int]:
    """Return the value of each id, and of the overflow as +, as a batch has them last."""
    return {
        dict(labels).get("id", "+"): point.as_int
        for (_, labels), point in points_by_labels(batch).items()
    }


def fake_uuid(number: int) -> str:
    """Return a UUID that is always the same for a number."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
