"""The layout of the state: whoever changes it gives it a number, and no other one is believed."""

import random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry
from xxhash import xxh3_64_hexdigest

from metric_requests import Series, at, batch_of, counted
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.keeper import BROKEN, STATE_VERSION
from tapeline.cardinality.processor import Limits
from tapeline.cardinality.snapshot_format import decode, encode
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.registry import ProcessorContext

LAYOUTS: Final = {2: "f88e2436159be857"}
"""The digest of what `_shape` says of each version."""

SECTION: Final = {
    "default_limit": 1,
    "max_resources": 1,
    "idle_ttl": "60s",
    "metrics": [
        {"match": "routes", "labels": {"id": {"limit": 1, "policy": "replace_value"}}},
        {"match": "gauges", "gauge": "max"},
    ],
    "traces": {"span_names": {"limit": 2}},
}


def _limits() -> Limits:
    context = ProcessorContext(CollectorRegistry(), live=False)
    return Limits(CardinalityConfig.model_validate(SECTION), context)


def _batches() -> list[Batch]:
    """Return something of everything that is kept."""
    points = [counted({"id": one}, 5, 1, 0.5) for one in "abc"]
    histogram = {"count": 1, "sum": 1.0, "bucket_counts": [1, 0], "explicit_bounds": [1.0]}
    exponential = {"count": 1, "sum": 1.0, "scale": 0, "zero_count": 1}
    others = {
        kind: [({"id": one}, {**points[0][1], **fields}) for one in "abc"]
        for kind, fields in (("histogram", histogram), ("exponential_histogram", exponential))
    }
    for of_kind in others.values():
        for _, fields in of_kind:
            del fields["as_int"]
    summary = [({"id": one}, {"count": 1, "sum": 1.0, "time_unix_nano": at(1)}) for one in "abc"]
    spans = ExportTraceServiceRequest()
    scoped = spans.resource_spans.add().scope_spans.add()
    for name in "ab":
        scoped.spans.add(name=name)
    return [
        batch_of(Series("sums", [])),
        batch_of(
            Series("sums", points),
            Series("routes", points),
            Series("levels", points, is_monotonic=False),
            Series("deltas", points, temporality=1),
            Series("gauges", points, kind="gauge"),
            Series("histograms", others["histogram"], kind="histogram"),
            Series("exponentials", others["exponential_histogram"], kind="exponential_histogram"),
            Series("summaries", summary, kind="summary"),
            Series("sums", points, resource={"service.name": "fills", "pod": "2"}),
        ),
        Batch(Signal.TRACES, spans.SerializeToString()),
    ]


def _dumped() -> Any:
    limits = _limits()
    for second, batch in enumerate(_batches(), 1):
        if batch.signal is Signal.METRICS:
            limits.metrics.process(batch, at(second))
        else:
            limits.texts.process(batch, at(second))
    return decode(encode(limits.dump(), STATE_VERSION), STATE_VERSION)


def _shape(data: Any) -> Any:
    """Return the types of data, with the keys of dictionaries where they are names."""
    if isinstance(data, dict):
        if all(isinstance(key, str) for key in data):
            return {key: _shape(value) for key, value in sorted(data.items())}
        return {"*": _shapes(data.values())}
    if isinstance(data, list):
        shapes = [_shape(value) for value in data]
        return shapes if len({repr(shape) for shape in shapes}) > 1 else shapes[:1]
    return type(data).__name__


def _shapes(values: Any) -> list[Any]:
    return sorted({repr(_shape(value)) for value in values})


def test_a_layout_that_changed_has_a_new_version() -> None:
    """Else another build's state is read for what it is not: raise STATE_VERSION in keeper.py."""
    assert LAYOUTS[STATE_VERSION] == xxh3_64_hexdigest(repr(_shape(_dumped())).encode())


def _places(data: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in list(items):
        found.append((data, key))
        if isinstance(value, dict | list):
            _places(value, found)
    return found


_OTHERS = [None, "", "x", b"", b"\x01" * 8, b"\xff" * 9, [], [1], {}, {"a": 1}, -1, 3, 1 << 70, 0.5]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_no_other_layout_stops_the_gate(seed: int) -> None:
    """What can't be used is refused in a way that the keeper takes for that."""
    choices = random.Random(seed)  # noqa: S311 - a test's choices
    data = _dumped()
    for _ in range(choices.choice([1, 1, 3])):
        container, key = choices.choice(_places(data, []))
        if choices.random() < 0.2 and isinstance(container, dict | list):
            del container[key]
        else:
            container[key] = choices.choice(_OTHERS)
    limits = _limits()
    try:
        limits.load(data, is_clean=choices.random() < 0.8)
    except BROKEN:
        limits.forget(was_lost=True)
        limits.metrics.process(_batches()[1], at(9))
