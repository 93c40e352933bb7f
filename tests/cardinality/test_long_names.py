"""Names of services and metrics that are long: each is told apart, and none is kept for ever."""

import tracemalloc

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.rules import Rules
from tapeline.cardinality.text_labels import TextLabels
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch

LENGTH = 100_000
COUNT = 50


def _long(number: int) -> str:
    return f"{number:04d}".ljust(LENGTH, "x")


def _spans(service: str, names: str) -> Batch:
    request = ExportTraceServiceRequest()
    container = request.resource_spans.add()
    container.resource.attributes.add(key="service.name").value.string_value = service
    scope = container.scope_spans.add()
    for name in names:
        scope.spans.add(name=name)
    return Batch(Signal.TRACES, request.SerializeToString())


def _names(labels: TextLabels, batch: Batch) -> list[str]:
    payload = labels.process(batch, 0).batch.payload
    [container] = ExportTraceServiceRequest.FromString(payload).resource_spans
    return [span.name for span in container.scope_spans[0].spans]


def _growth_bytes(before: int) -> int:
    return tracemalloc.get_traced_memory()[0] - before


def test_long_names_of_services_are_told_apart_and_not_kept() -> None:
    """Each has its own room for names of spans; what is kept of each is far below its length."""
    section = {"traces": {"span_names": {"limit": 1}}}
    labels = TextLabels(CardinalityConfig.model_validate(section))
    assert _names(labels, _spans("short", "ab")) == ["a", "__other__"]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(COUNT):
            assert _names(labels, _spans(_long(number), "ab")) == ["a", "__other__"]
        assert _growth_bytes(before) < COUNT * LENGTH / 10
    finally:
        tracemalloc.stop()
    assert _names(labels, _spans(_long(0), "ba")) == ["__other__", "a"]


def test_rules_of_long_names_are_found_and_the_names_not_kept() -> None:
    """What holds for a metric is the same object each time, kept or not."""
    section = {"metrics": [{"match": "0007*", "limit": 7}]}
    rules = Rules(CardinalityConfig.model_validate(section))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        limits = [rules.for_metric(_long(number)).limit for number in range(COUNT)]
        assert _growth_bytes(before) < COUNT * LENGTH / 10
    finally:
        tracemalloc.stop()
    assert limits == [7 if number == 7 else 2000 for number in range(COUNT)]
    assert rules.for_metric(_long(7)) is rules.for_metric(_long(7))
