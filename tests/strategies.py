"""Hypothesis strategies for OTLP requests, shared by the tests of all folders.

`requests(signal)` draws parsed requests: each field of each message, by protobuf's own
descriptors, so a field that a newer opentelemetry-proto adds is drawn too. `payloads(signal)` draws
wire bytes that mean the same as some request, but not in the form that a serialiser would choose.
"""

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.message import Message
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.otlp.signals import Signal

REQUEST_TYPES: Final[dict[Signal, type[Message]]] = {
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}

# A field's or a message's descriptor: the type stubs know them by two unrelated names.
AnyField = Any
AnyDescriptor = Any

# An AnyValue may hold lists of AnyValues; deeper than this adds no new case.
_MAX_VALUE_DEPTH = 3
_NESTING_FIELDS = frozenset({"array_value", "kvlist_value"})
# These are always drawn, or most requests would have no records.
_TOWARDS_RECORDS = frozenset(
    {"resource_logs", "scope_logs", "log_records"}
    | {"resource_spans", "scope_spans", "spans"}
    | {"resource_metrics", "scope_metrics", "metrics", "data_points"}
)
_ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}

WIRE_LENGTH_DELIMITED = 2

_INTEGER_RANGES = {
    FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_SINT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_FIXED32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_SINT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.TYPE_FIXED64: (0, (1 << 64) - 1),
}


def texts() -> SearchStrategy[str]:
    """Strings as attributes hold them: empty, plain, and any Unicode that UTF-8 can carry."""
    return st.text(st.characters(codec="utf-8"), max_size=12)


def doubles() -> SearchStrategy[float]:
    """All doubles, with one NaN: JSON can't tell NaNs apart."""
    return st.one_of(st.floats(allow_nan=False), st.just(math.nan))


_OTHER_SCALARS: Final[dict[int, Callable[[], SearchStrategy[Any]]]] = {
    FieldDescriptor.TYPE_STRING: texts,
    FieldDescriptor.TYPE_BYTES: lambda: st.binary(max_size=12),
    FieldDescriptor.TYPE_DOUBLE: doubles,
    FieldDescriptor.TYPE_BOOL: st.booleans,
}


def _scalars(field: AnyField) -> SearchStrategy[Any]:
    if field.name in _ID_BYTES:
        size = _ID_BYTES[field.name]
        return st.one_of(st.just(b""), st.binary(min_size=size, max_size=size))
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type in _INTEGER_RANGES:
        return st.integers(*_INTEGER_RANGES[field.type])
    return _OTHER_SCALARS[field.type]()


def _fill(draw: DrawFn, message: Message, value_depth: int) -> None:
    """Set a drawn choice of the message's fields, at most one of each oneof."""
    descriptor = message.DESCRIPTOR
    chosen = [
        field
        for field in descriptor.fields
        if field.containing_oneof is None
        and (field.name in _TOWARDS_RECORDS or draw(st.booleans()))
    ]
    for oneof in descriptor.oneofs:
        fields = [
            field
            for field in oneof.fields
            if value_depth < _MAX_VALUE_DEPTH or field.name not in _NESTING_FIELDS
        ]
        drawn = draw(st.sampled_from([*fields, None]))
        if drawn is not None:
            chosen.append(drawn)
    for field in chosen:
        _set_field(draw, message, field, value_depth)


def _set_field(draw: DrawFn, message: Message, field: AnyField, value_depth: int) -> None:
    value_depth += field.name in _NESTING_FIELDS
    if field.is_repeated:
        values = getattr(message, field.name)
        if field.message_type is None:
            values.extend(draw(st.lists(_scalars(field), max_size=3)))
            return
        for _ in range(draw(st.integers(0, 3 if field.name in _TOWARDS_RECORDS else 2))):
            _fill(draw, values.add(), value_depth)
    elif field.message_type is None:
        setattr(message, field.name, draw(_scalars(field)))
    else:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _fill(draw, inner, value_depth)


@st.composite
def messages(draw: DrawFn, message_type: type[Message]) -> Any:
    """Draw a message of a protobuf type, any of its fields set."""
    message = message_type()
    _fill(draw, message, 0)
    return message


def requests(signal: Signal) -> SearchStrategy[Any]:
    """Draw Export requests of a signal, as parsed protobuf messages."""
    return messages(REQUEST_TYPES[signal])


@st.composite
def payloads(draw: DrawFn, signal: Signal) -> bytes:
    """Draw the bytes of an Export request in any form that the wire format allows.

    Parsed, they equal the request that they were made of but for unknown fields.
    """
    request = draw(requests(signal))
    seed = draw(st.integers(0, 2**32 - 1))
    if seed == 0:
        return bytes(request.SerializeToString())
    return disguise(request, Random(seed))  # noqa: S311 - a failure must be repeatable


def varint(value: int, padding_bytes: int = 0) -> bytes:
    """Return a varint, made longer than need be by so many bytes that add nothing to it."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    groups.extend([0] * padding_bytes)
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def disguise(message: Message, random: Random) -> bytes:
    """Serialise a message in an unusual but equal way.

    Fields in any order, numbers longer than need be, messages that occur once split in two which
    parsers merge, values that a later one replaces, and unknown fields of every wire type.
    """
    return b"".join(_disguised_fields(message, random))


def _disguised_fields(message: Message, random: Random) -> list[bytes]:
    descriptor = message.DESCRIPTOR
    queues: dict[int, list[bytes]] = {}
    for tag, value in canonical_fields(message.SerializeToString()):
        field = descriptor.fields_by_number[tag >> 3]
        queues.setdefault(field.number, []).extend(_disguise_field(field, tag, value, random))
    for number in _unknown_numbers(descriptor, random):
        queues[number] = [_unknown_field(number, random, 0)]
    return _shuffle_together(list(queues.values()), random)


def canonical_fields(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and value of each field, of bytes that protobuf itself serialised."""
    fields = []
    position = 0
    while position < len(data):
        tag, position = _canonical_varint(data, position)
        begin = position
        wire_type = tag & 7
        if wire_type == WIRE_LENGTH_DELIMITED:
            length, begin = _canonical_varint(data, position)
            position = begin + length
        elif wire_type == 0:
            position = _canonical_varint(data, position)[1]
        else:
            position += {1: 8, 5: 4}[wire_type]
        fields.append((tag, data[begin:position]))
    return fields


def _canonical_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while data[position] & 0x80:
        value |= (data[position] & 0x7F) << shift
        shift += 7
        position += 1
    return value | data[position] << shift, position + 1


def _shuffle_together(queues: list[list[bytes]], random: Random) -> list[bytes]:
    """Mix the queues; what is in one queue keeps its order, as a repeated field's values must."""
    order = [index for index, queue in enumerate(queues) for _ in queue]
    if random.random() < 0.7:
        random.shuffle(order)
    heads = [iter(queue) for queue in queues]
    return [next(heads[index]) for index in order]


def _disguise_field(field: AnyField, tag: int, value: bytes, random: Random) -> list[bytes]:
    if field.message_type is None:
        body = _length(value, random) + value if tag & 7 == WIRE_LENGTH_DELIMITED else value
        pieces = [_tag(tag, random) + body]
        if not field.is_repeated and random.random() < 0.1:
            pieces.insert(0, _replaced_value(tag, value, random))
        return pieces
    message_type = message_factory.GetMessageClass(field.message_type)
    parts = _disguised_fields(message_type.FromString(value), random)
    contents = [b"".join(parts)]
    if not field.is_repeated and random.random() < 0.2:
        # Any cut between two fields gives two messages that merge into the whole.
        cut = random.randint(0, len(parts))
        contents = [b"".join(parts[:cut]), b"".join(parts[cut:])]
    return [_tag(tag, random) + _length(content, random) + content for content in contents]


def _replaced_value(tag: int, value: bytes, random: Random) -> bytes:
    """Return an earlier occurrence of a scalar field, which the real one then replaces."""
    if tag & 7 != WIRE_LENGTH_DELIMITED:
        return _tag(tag, random) + value
    other = b"replaced by the next one"
    return _tag(tag, random) + _length(other, random) + other


def _padding(random: Random, most: int) -> int:
    return random.randint(1, most) if most and random.random() < 0.1 else 0


def _tag(tag: int, random: Random) -> bytes:
    return varint(tag, _padding(random, 5 - len(varint(tag))))


def _length(content: bytes, random: Random) -> bytes:
    return varint(len(content), _padding(random, 5 - len(varint(len(content)))))


def _unknown_numbers(descriptor: AnyDescriptor, random: Random) -> list[int]:
    if random.random() < 0.8:
        return []
    candidates = (4, 13, 31, 99, 1000, 20_000, (1 << 29) - 1)
    taken = {*descriptor.fields_by_number, *_reserved_numbers(descriptor)}
    unknown = [number for number in candidates if number not in taken]
    return random.sample(unknown, random.randint(1, 2))


def _reserved_numbers(descriptor: AnyDescriptor) -> Iterator[int]:
    """Yield the numbers that no version of the schema may use again."""
    plain = DescriptorProto()
    descriptor.CopyToProto(plain)
    for reserved in plain.reserved_range:
        yield from range(reserved.start, reserved.end)


def _unknown_field(number: int, random: Random, depth: int) -> bytes:
    wire_type = random.choice((0, 1, 2, 3, 5) if depth < 3 else (0, 1, 2, 5))
    tag = _tag(number << 3 | wire_type, random)
    if wire_type == 0:
        return tag + varint(random.getrandbits(63), random.choice((0, 0, 1)))
    if wire_type == 1:
        return tag + random.randbytes(8)
    if wire_type == 5:
        return tag + random.randbytes(4)
    if wire_type == 2:
        content = random.randbytes(random.choice((0, 3, 200)))
        return tag + _length(content, random) + content
    count = random.randint(0, 2)
    inner = [_unknown_field(random.randint(1, 9), random, depth + 1) for _ in range(count)]
    return tag + b"".join(inner) + _tag(number << 3 | 4, random)
