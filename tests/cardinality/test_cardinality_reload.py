"""What a reload must not forget beside the sums: what the page and the gauges tell."""

from prometheus_client import CollectorRegistry

from cardinality_steps import fills
from metric_requests import at
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.processor import CardinalityProcessor, build
from tapeline.pipeline.registry import ProcessorContext


def _built(registry: CollectorRegistry) -> CardinalityProcessor:
    processor = build(CardinalityConfig(default_limit=2), ProcessorContext(registry))
    assert isinstance(processor, CardinalityProcessor)
    return processor


def test_a_reload_keeps_the_worst_labels_and_the_demand() -> None:
    """Streams that go on tell nothing new: the page would be empty until new ones come."""
    flood = {f"order-{number}": 1 for number in range(50)}
    before, registry = _built(CollectorRegistry()), CollectorRegistry()
    before.process(fills(flood, 1), at(1))
    (metric,) = before.report()()["metrics"]
    before.close(at(2))

    after = _built(registry)
    after.take_over(before)

    (kept,) = after.report()()["metrics"]
    assert [label["label"] for label in kept["labels"]] == ["id"]
    assert kept["labels"] == metric["labels"]
    demand = registry.get_sample_value(
        "tapeline_cardinality_demand_series", {"metric": kept["metric"]}
    )
    assert demand == kept["demand"] > 2
