"""A data point on the wire: where its attributes are, and what else decides where it goes.

Nothing here makes message objects. `attribute_tail` is the quick look, which most points pass;
`read_point` takes every layout that protobuf allows.

Source of the field numbers: opentelemetry-proto, metrics/v1/metrics.proto.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from tapeline.otlp.wire import (
    FIRST_TAG,
    LONG_VARINT,
    WireType,
    read_slice,
    read_tag,
    read_varint,
    skip_value,
)

__all__ = [
    "EXPONENTIAL_HISTOGRAM",
    "GAUGE",
    "HISTOGRAM",
    "KINDS",
    "NO_RECORDED_VALUE",
    "SUM",
    "SUMMARY",
    "Point",
    "PointKind",
    "attribute_tail",
    "plain_times",
    "read_point",
    "short_attributes",
]

GAUGE: Final = 5
SUM: Final = 7
HISTOGRAM: Final = 9
EXPONENTIAL_HISTOGRAM: Final = 10
SUMMARY: Final = 11
"""The kinds of points, by the field number that their data has in Metric."""

NO_RECORDED_VALUE: Final = 1
"""The flag of a point that only says that its series has ended."""

START_TAG: Final = 2 << 3 | WireType.FIXED64
TIME_TAG: Final = 3 << 3 | WireType.FIXED64
_FIXED64_FIELD_BYTES: Final = 9
LONG_HEAD_BYTES: Final = 3 * _FIXED64_FIELD_BYTES
SHORT_HEAD_BYTES: Final = 2 * _FIXED64_FIELD_BYTES
"""What stands before the attributes of most number points: start (or not), time and value."""

# Where a point stands in a request: resource, scope, metric, data and the point itself.
_DEPTH: Final = 5


class PointKind(NamedTuple):
    """The tags, of one byte each, that one kind of points has for what all kinds have."""

    attributes: int
    exemplars: int
    flags: int


class Point(NamedTuple):
    """What decides a point's way: its attributes as KeyValue contents, in the order of the wire.

    Times are in nanoseconds since the Unix epoch, 0 where absent.
    """

    pairs: tuple[bytes, ...]
    flags: int
    start_unix_nano: int
    time_unix_nano: int
    has_exemplars: bool


def _kind(attributes: int, exemplars: int, flags: int) -> PointKind:
    return PointKind(
        attributes << 3 | WireType.LENGTH_DELIMITED,
        exemplars << 3 | WireType.LENGTH_DELIMITED,
        flags << 3 | WireType.VARINT,
    )


_NO_FIELD: Final = 0  # summaries have no exemplars
KINDS: Final[Mapping[int, PointKind]] = MappingProxyType(
    {
        GAUGE: _kind(7, 5, 8),
        SUM: _kind(7, 5, 8),
        HISTOGRAM: _kind(9, 8, 10),
        EXPONENTIAL_HISTOGRAM: _kind(1, 11, 10),
        SUMMARY: _kind(7, _NO_FIELD, 8),
    }
)

# What may follow a histogram's attributes without being flags: min (11) and max (12), doubles.
_HISTOGRAM_EXTREMES: Final = (12 << 3 | WireType.FIXED64, 11 << 3 | WireType.FIXED64)
# The one number in varint form that decides nothing: an exponential histogram's scale.
_SCALE_TAG: Final = 6 << 3 | WireType.VARINT


def attribute_tail(payload: bytes, begin: int, end: int, kind: int) -> bytes | None:
    """Return the bytes of a point's attributes, tags and lengths included, if they lie together.

    None for every other layout, and where flags are set. The bytes may hold more than attributes;
    but whoever finds them equal to a known run of attributes knows that they don't, and that the
    point has no others: what stands around them was looked at here.
    """
    wanted = KINDS[kind].attributes
    position = begin
    while position < end and payload[position] != wanted:
        position = _skip_plain_field(payload, position, end)
        if not position:
            return None
    if kind == EXPONENTIAL_HISTOGRAM:
        return _leading_attributes(payload, position, end, wanted)
    if kind == HISTOGRAM:
        # A serialiser that goes by the fields' numbers puts them last.
        for tag in _HISTOGRAM_EXTREMES:
            before = end - _FIXED64_FIELD_BYTES
            if before >= position and payload[before] == tag:
                end = before
    return payload[position:end]


def _leading_attributes(payload: bytes, begin: int, end: int, wanted: int) -> bytes | None:
    """Return the attributes of an exponential histogram: a serialiser may put them first."""
    position = begin
    while position < end and payload[position] == wanted:
        position = _skip_plain_field(payload, position, end)
        if not position:
            return None
    stop = position
    while position < end:
        if payload[position] == wanted:
            return None
        position = _skip_plain_field(payload, position, end)
        if not position:
            return None
    return payload[begin:stop]


def _skip_plain_field(payload: bytes, position: int, end: int) -> int:
    """Return where a field ends that can't be flags; 0 where it is anything unusual."""
    tag = payload[position]
    if not FIRST_TAG <= tag < LONG_VARINT:
        return 0
    if tag & 7 == WireType.FIXED64:
        position += _FIXED64_FIELD_BYTES
    elif tag & 7 == WireType.LENGTH_DELIMITED and position + 2 < end:
        length = payload[position + 1]
        if length < LONG_VARINT:
            position += 2 + length
        elif payload[position + 2] < LONG_VARINT:
            position += 3 + length - LONG_VARINT + (payload[position + 2] << 7)
        else:
            return 0
    elif tag == _SCALE_TAG and position + 1 < end and payload[position + 1] < LONG_VARINT:
        position += 2
    else:
        return 0
    return position if position <= end else 0


def short_attributes(payload: bytes, begin: int, end: int, tag: int) -> tuple[bytes, ...] | None:
    """Return the attributes that lie from `begin` to `end`; None where it is not so simple.

    That is where one is longer than 127 bytes, or where there is anything else.
    """
    pairs = []
    position = begin
    while position < end:
        length = payload[position + 1]
        if payload[position] != tag or length >= LONG_VARINT:
            return None
        first = position + 2
        position = first + length
        pairs.append(payload[first:position])
    return tuple(pairs) if position == end else None


def plain_times(payload: bytes, begin: int, head_bytes: int) -> tuple[int, int]:
    """Return the start and the time of a number point of one of the usual layouts."""
    start = time = 0
    for field in range(begin, begin + head_bytes, _FIXED64_FIELD_BYTES):
        if payload[field] == START_TAG:
            start = int.from_bytes(payload[field + 1 : field + 9], "little")
        elif payload[field] == TIME_TAG:
            time = int.from_bytes(payload[field + 1 : field + 9], "little")
    return start, time


def read_point(payload: bytes, begin: int, end: int, kind: int) -> Point:
    """Return what a point holds in any layout; raises MalformedRequestError where it has none.

    Of a number that occurs twice the last counts, as parsers have it.
    """
    tags = KINDS[kind]
    pairs: list[bytes] = []
    numbers = {START_TAG: 0, TIME_TAG: 0}
    flags = 0
    has_exemplars = False
    position = begin
    while position < end:
        tag = payload[position]
        position += 1
        if not FIRST_TAG <= tag < LONG_VARINT:
            tag, position = read_tag(payload, position - 1, end)
        if tag == tags.attributes:
            first, position = read_slice(payload, position, end)
            pairs.append(payload[first:position])
        elif tag == tags.flags:
            flags, position = read_varint(payload, position, end)
        else:
            value = position
            position = skip_value(payload, tag, position, end, _DEPTH)
            if tag in numbers:
                numbers[tag] = int.from_bytes(payload[value:position], "little")
            elif tag == tags.exemplars:
                has_exemplars = True
    # A 32-bit number: parsers drop the bits beyond.
    flags &= 0xFFFFFFFF
    return Point(tuple(pairs), flags, numbers[START_TAG], numbers[TIME_TAG], has_exemplars)
