"""Points on the wire: what is read of them is what a parser reads, in every layout."""

from random import Random
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)

from backward_encoding import backwards
from strategies import disguise, messages
from tapeline.cardinality.point_keys import key_of_one, point_keys, time_of
from tapeline.cardinality.point_layout import (
    EXPONENTIAL_HISTOGRAM,
    GAUGE,
    HISTOGRAM,
    KINDS,
    SUM,
    SUMMARY,
    attribute_tail,
    plain_times,
    read_point,
    short_attributes,
)
from tapeline.cardinality.series_keys import attribute_bytes
from tapeline.otlp.wire import MalformedRequestError, encode_varint

_TYPES: dict[int, type[Message]] = {
    GAUGE: NumberDataPoint,
    SUM: NumberDataPoint,
    HISTOGRAM: HistogramDataPoint,
    EXPONENTIAL_HISTOGRAM: ExponentialHistogramDataPoint,
    SUMMARY: SummaryDataPoint,
}


@st.composite
def _points(draw: st.DrawFn) -> tuple[int, bytes]:
    """Draw a kind and a point of it as bytes: forwards, backwards or disguised."""
    kind = draw(st.sampled_from(sorted(_TYPES)))
    message = draw(messages(_TYPES[kind]))
    if draw(st.booleans()) and hasattr(message, "flags"):
        message.flags = 0
    if draw(st.booleans()) and hasattr(message, "exemplars"):
        del message.exemplars[:]
    form = draw(st.sampled_from(["forwards", "backwards", "disguised"]))
    if form == "forwards":
        return kind, message.SerializeToString()
    if form == "backwards":
        return kind, backwards(message)
    return kind, disguise(message, Random(draw(st.integers(0, 2**32))))  # noqa: S311 - a choice


def _attributes(kind: int, data: bytes) -> list[bytes]:
    message: Any = _TYPES[kind].FromString(data)
    return [pair.SerializeToString(deterministic=True) for pair in message.attributes]


@settings(max_examples=300, deadline=None)
@given(_points(), st.binary(max_size=4), st.binary(max_size=4))
def test_a_point_is_read_as_a_parser_reads_it(
    drawn: tuple[int, bytes], before: bytes, behind: bytes
) -> None:
    """Attributes, flags, times, and whether there are exemplars; whatever stands around it."""
    kind, data = drawn
    message: Any = _TYPES[kind].FromString(data)

    point = read_point(before + data + behind, len(before), len(before) + len(data), kind)

    assert point.flags == message.flags
    assert point.start_unix_nano == message.start_time_unix_nano
    assert point.time_unix_nano == message.time_unix_nano
    assert point.has_exemplars == bool(kind != SUMMARY and message.exemplars)
    tag = KINDS[kind].attributes
    assert _attributes(kind, attribute_bytes(tag, point.pairs)) == _attributes(kind, data)
    assert time_of(data, 0, len(data), kind) == message.time_unix_nano


@settings(max_examples=300, deadline=None)
@given(_points())
def test_a_tail_of_attributes_alone_has_all_of_them(drawn: tuple[int, bytes]) -> None:
    """So whoever knows the tail knows the point's identity, and that it has no flags."""
    kind, data = drawn
    tail = attribute_tail(data, 0, len(data), kind)
    if tail is None:
        return
    alone: Any = _TYPES[kind].FromString(tail)
    alone.ClearField("attributes")
    if alone.ByteSize() == 0:
        assert _attributes(kind, tail) == _attributes(kind, data)
        assert read_point(data, 0, len(data), kind).flags == 0


@pytest.mark.parametrize("kind", sorted(_TYPES))
@pytest.mark.parametrize("written", ["forwards", "as the collector does"])
def test_usual_layouts_are_known_at_a_glance(kind: int, written: str) -> None:
    """The SDKs' order, and the collector's: last what the .proto declares first."""
    message: Any = _TYPES[kind](start_time_unix_nano=1, time_unix_nano=2)
    message.attributes.add(key="id").value.string_value = "a"
    attributes = type(message)(attributes=message.attributes).SerializeToString()
    if kind in (GAUGE, SUM):
        message.as_double = 2.5
    else:
        message.count, message.sum = 3, 4.0
    if kind == HISTOGRAM:
        message.bucket_counts.extend([1, 2])
        message.explicit_bounds.append(1.0)
    if kind in (HISTOGRAM, EXPONENTIAL_HISTOGRAM):
        message.min, message.max = 1.0, 2.0
    if kind == EXPONENTIAL_HISTOGRAM:
        message.scale, message.zero_count = -3, 1
        message.positive.bucket_counts.extend([1, 1])
    data = message.SerializeToString()
    if written != "forwards":
        message.ClearField("attributes")
        data = backwards(message) + attributes

    assert attribute_tail(data, 0, len(data), kind) == attributes


def _number(message: NumberDataPoint, *, is_backward: bool) -> bytes:
    attributes = NumberDataPoint(attributes=message.attributes).SerializeToString()
    rest = NumberDataPoint()
    rest.CopyFrom(message)
    rest.ClearField("attributes")
    return (backwards(rest) if is_backward else rest.SerializeToString()) + attributes


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.text("ab", max_size=2))),
    st.booleans(),
)
def test_plain_points_have_the_key_of_their_attributes(
    drawn: list[tuple[bool, bool, bool, str]],
    is_uniform: bool,  # noqa: FBT001 - drawn
) -> None:
    """With or without start, of either type, in either order, alone or with others."""
    points = []
    for has_start, is_int, is_backward, label in drawn:
        message = NumberDataPoint(time_unix_nano=77)
        if has_start or is_uniform:
            message.start_time_unix_nano = 66
        if is_int:
            message.as_int = 5
        else:
            message.as_double = 5.0
        for letter in label:
            message.attributes.add(key=letter).value.string_value = label
        points.append((_number(message, is_backward=is_backward), message))
    payload = b""
    begins, ends = [], []
    for data, _ in points:
        payload += b"\x0a" + encode_varint(len(data))
        begins.append(len(payload))
        payload += data
        ends.append(len(payload))

    found = point_keys(payload, begins, ends, SUM, seed=4)

    found_keys: dict[bytes, int | None] = {}
    for (_, message), key, begin, end in zip(points, found.keys, begins, ends, strict=True):
        attributes = NumberDataPoint(attributes=message.attributes).SerializeToString()
        assert found_keys.setdefault(attributes, key) == key
        assert key_of_one(payload, begin, end, 4) == key
        if found.head_bytes:
            expected = (message.start_time_unix_nano, message.time_unix_nano)
            assert plain_times(payload, begin, found.head_bytes) == expected
            tag = KINDS[SUM].attributes
            pairs = short_attributes(payload, begin + found.head_bytes, end, tag)
            assert pairs == tuple(pair.SerializeToString() for pair in message.attributes)
    assert len(set(found_keys.values())) == len(found_keys)
    assert None not in found_keys.values()


def test_flags_have_32_bits_and_the_last_ones_count() -> None:
    """As parsers have it."""
    for data, flags in ((b"\x40\x81\x80\x80\x80\x10", 1), (b"\x40\x01\x40\x00", 0)):
        message: Any = NumberDataPoint.FromString(data)
        assert read_point(data, 0, len(data), SUM).flags == message.flags == flags


def test_flags_are_never_overlooked() -> None:
    """Wherever they stand, the point is none that a glance knows."""
    plain = NumberDataPoint(time_unix_nano=2, as_int=1)
    plain.attributes.add(key="id").value.string_value = "a"
    flagged = NumberDataPoint()
    flagged.CopyFrom(plain)
    flagged.flags = 1
    known = plain.SerializeToString()
    [key] = point_keys(known, [0], [len(known)], SUM, 1).keys
    for data in (flagged.SerializeToString(), backwards(flagged), b"\x40\x01" + known):
        [other] = point_keys(data, [0], [len(data)], SUM, 1).keys
        assert other != key


@pytest.mark.parametrize("data", [b"\x3a\x05a", b"\x11\x01", b"\x3a", b"\x07\x01", b"\xff" * 11])
def test_what_does_not_parse_is_refused(data: bytes) -> None:
    """A length beyond the point, a number cut short, a tag that is none."""
    with pytest.raises(MalformedRequestError):
        read_point(data, 0, len(data), SUM)


@given(st.binary(max_size=40), st.sampled_from(sorted(_TYPES)))
def test_a_glance_at_any_bytes_stays_within_them(data: bytes, kind: int) -> None:
    """A tail is a piece of the point, or None; and nothing else is raised."""
    tail = attribute_tail(data + b"\x3a" * 9, 0, len(data), kind)

    assert tail is None or tail in data
