"""Outputs that Prometheus can't tell apart are counted."""

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from label_streams import pair
from tapeline.cardinality.conflicts import Conflicts
from tapeline.cardinality.folding.outputs import MetricIdentity, OutputIdentity

OVERFLOW = (pair("otel.metric.overflow", "true"),)


def resource(**attributes: str) -> bytes:
    """Return an encoded resource; `__` in a name stands for a dot."""
    return Resource(
        attributes=[
            KeyValue(key=key.replace("__", "."), value=AnyValue(string_value=value))
            for key, value in attributes.items()
        ]
    ).SerializeToString()


BASE = resource(service__name="gateway", service__instance__id="a", host__name="h1")


def output(
    content: bytes = BASE,
    *,
    name: str = "orders",
    unit: str = "1",
    kind: int = 7,
    is_monotonic: bool = True,
    pairs: tuple[bytes, ...] = OVERFLOW,
) -> OutputIdentity:
    """Return an output's identity."""
    metric = MetricIdentity(name, unit, kind, temporality=2, is_monotonic=is_monotonic)
    return OutputIdentity(content, b"", b"scope", b"", metric, pairs)


@pytest.mark.parametrize(
    "other",
    [
        output(unit="ms"),
        output(is_monotonic=False),
        output(resource(service__name="gateway", service__instance__id="a", host__name="h2")),
    ],
)
def test_what_prometheus_shows_as_one_series_collides(other: OutputIdentity) -> None:
    """The second and every further one; the same one again does not."""
    conflicts = Conflicts()

    assert [conflicts.note(one) for one in (output(), other, output())] == [False, True, False]
    assert conflicts.count == 1


@pytest.mark.parametrize(
    "other",
    [
        output(name="fills"),
        output(kind=5),
        output(pairs=(pair("side", "buy"),)),
        output(resource(service__name="gateway", service__instance__id="b", host__name="h1")),
        output(resource(service__name="risk", service__instance__id="a", host__name="h1")),
        output(b"\xff\xff"),
    ],
)
def test_what_prometheus_tells_apart_does_not(other: OutputIdentity) -> None:
    """By name, type, labels, job and instance."""
    conflicts = Conflicts()

    assert [conflicts.note(one) for one in (output(), other)] == [False, False]


def test_the_order_of_labels_and_attributes_makes_no_difference() -> None:
    """Neither is part of an identity."""
    conflicts = Conflicts()
    labels = (pair("a", "1"), pair("b", "2"))
    turned = resource(host__name="h1", service__instance__id="a", service__name="gateway")
    conflicts.note(output(pairs=labels))

    assert not conflicts.note(output(pairs=labels[::-1]))
    assert conflicts.note(output(turned, pairs=labels, unit="ms"))


def test_it_watches_so_many_and_no_more() -> None:
    """Memory is bounded; those that it knows are still told."""
    conflicts = Conflicts(max_watched=2)
    for name in ("a", "b", "c"):
        conflicts.note(output(name=name))

    assert conflicts.note(output(name="b", unit="ms"))
    assert not conflicts.note(output(name="c", unit="ms"))
