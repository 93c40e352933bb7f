"""The wire format's primitives, against protobuf's own and at their limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

from strategies import varint
from tapeline.otlp.wire import (
    MAX_DEPTH,
    MalformedRequestError,
    encode_varint,
    read_slice,
    read_tag,
    read_varint,
    skip_value,
)


@given(st.integers(0, 2**64 - 1))
def test_varints_are_written_as_protobuf_writes_them(value: int) -> None:
    """encode_varint gives the bytes of protobuf's serialiser for an unsigned 64-bit number."""
    buckets = ExponentialHistogramDataPoint.Buckets(bucket_counts=[value])
    content = buckets.SerializeToString()[2:]

    assert encode_varint(value) == content


@given(st.integers(0, 2**64 - 1), st.data())
def test_varints_are_read_in_any_length(value: int, data: st.DataObject) -> None:
    """A varint with bytes that add nothing reads as the same number, and ends where it ends."""
    shortest = len(varint(value))
    encoded = varint(value, data.draw(st.integers(0, 10 - shortest)))

    assert read_varint(b"\xff" + encoded + b"\x01", 1, len(encoded) + 2) == (
        value,
        1 + len(encoded),
    )


@pytest.mark.parametrize("value", [-1, 2**64])
def test_numbers_that_no_varint_holds_are_refused(value: int) -> None:
    """encode_varint raises ValueError outside of the unsigned 64-bit range."""
    with pytest.raises(ValueError, match="varint"):
        encode_varint(value)


def test_a_varint_that_never_ends_is_refused() -> None:
    """The eleventh byte of a varint is never read."""
    with pytest.raises(MalformedRequestError, match="longer than 10 bytes"):
        read_varint(b"\x80" * 11 + b"\x00", 0, 12)


def test_a_varint_stops_at_the_end_of_its_message() -> None:
    """A varint may not go on into the bytes behind the message that it is in."""
    with pytest.raises(MalformedRequestError, match="runs past byte 1"):
        read_varint(b"\x80\x00", 0, 1)


@pytest.mark.parametrize(
    ("encoded", "complaint"),
    [
        (varint(7), "is 0"),
        (varint(1 << 32), "above"),
        (varint(10, 5), "longer than 5 bytes"),
    ],
)
def test_tags_outside_of_their_range_are_refused(encoded: bytes, complaint: str) -> None:
    """A field number is from 1 to 2^29 - 1, in at most five bytes."""
    with pytest.raises(MalformedRequestError, match=complaint):
        read_tag(encoded, 0, len(encoded))


@pytest.mark.parametrize("padding_bytes", [0, 1, 3])
def test_a_slice_ends_within_its_message(padding_bytes: int) -> None:
    """A length is accepted up to the enclosing message's last byte, and not one byte more."""
    length = varint(5, padding_bytes)
    data = length + b"12345"

    assert read_slice(data, 0, len(data)) == (len(length), len(data))
    with pytest.raises(MalformedRequestError, match="the length at byte 0 is 5 bytes"):
        read_slice(data, 0, len(data) - 1)


def test_groups_are_skipped_with_all_that_is_in_them() -> None:
    """A group may hold any field and further groups; the position after it is returned."""
    inner = b"\x12\x02hi" + b"\x0d1234" + b"\x091234567" + b"8" + b"\x08\x80\x01"
    group = inner + b"\x1b" + inner + b"\x1c" + b"\x0c"

    assert skip_value(group + b"rest", 0x0B, 0, len(group) + 4, 0) == len(group)


def test_field_number_0_passes_within_a_group_only() -> None:
    """A group that is skipped is not looked into, as upb does not."""
    assert skip_value(b"\x02\x01x\x0c", 0x0B, 0, 4, 0) == 4
    with pytest.raises(MalformedRequestError, match="is 0"):
        read_tag(b"\x02\x01x", 0, 3)


@pytest.mark.parametrize("end", [b"\x14", b"", b"\x0f"])
def test_a_group_must_end_as_it_began(end: bytes) -> None:
    """A group that ends with another number, not at all, or in a wire type unknown is refused."""
    with pytest.raises(MalformedRequestError):
        skip_value(b"\x08\x01" + end, 0x0B, 0, 2 + len(end), 0)


def test_groups_nest_to_a_limit() -> None:
    """One level more than MAX_DEPTH is refused, the messages around the group included."""
    deepest = MAX_DEPTH - 3
    groups = b"\x0b" * (deepest - 1) + b"\x0c" * deepest
    too_deep = b"\x0b" * deepest + b"\x0c" * (deepest + 1)

    assert skip_value(groups, 0x0B, 0, len(groups), 3) == len(groups)
    with pytest.raises(MalformedRequestError, match="nest deeper"):
        skip_value(too_deep, 0x0B, 0, len(too_deep), 3)
