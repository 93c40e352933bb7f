"""The fast check that a request is well-formed protobuf down to its records.

upb, the C parser behind Python's protobuf, does the work: it is given message types built at run
time that go down to the records and no further, so that no message object is made of a record.
"""

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from tapeline.otlp.index import index_records
from tapeline.otlp.layout import LEVELS, Level, SliceKind, check_counts
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError

__all__ = ["Framing", "MalformedRequestError", "check_framing"]


@dataclass(frozen=True, slots=True)
class Framing:
    """What the fast check learns of a request.

    `record_count` counts log records, spans or data points. `longest_bytes` is the size of the
    largest record, resource, scope, schema URL or metric header: no value in one of those is
    longer. Each occurrence on the wire counts, also one that a parser would merge with another
    or replace by another.
    """

    record_count: int
    longest_bytes: int


@dataclass(frozen=True, slots=True)
class _Slicer:
    """A level's message type in which each field is `repeated bytes`, and its fields' names."""

    # Any: the type is built at run time, so its fields are unknown to a type checker.
    message_type: Any
    containers: tuple[str, ...]
    records: tuple[str, ...]
    headers: tuple[str, ...]


def _field_name(number: int) -> str:
    return f"field_{number}"


def _message_types(levels: tuple[Level, ...], package: str, *, nested: bool) -> list[Any]:
    """Return a message type for each level; `nested`: it goes on into the level below.

    Every field is repeated, so that the parser keeps each occurrence: of a field that may occur
    once it would keep the last, and what the others hold would never be looked at.
    """
    file = descriptor_pb2.FileDescriptorProto(name=package, package=package, syntax="proto3")
    for depth, level in enumerate(levels):
        message = file.message_type.add(name=level.name)
        for number, kind in level.slices.items():
            field = message.field.add(name=_field_name(number), number=number)
            field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
            field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
            if nested and kind is SliceKind.CONTAINER:
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{package}.{levels[depth + 1].name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = [f"{package}.{level.name}" for level in levels]
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names]


def _slicers(signal: Signal) -> tuple[_Slicer, ...]:
    levels = LEVELS[signal]
    types = _message_types(levels, f"tapeline_slices_{signal}", nested=False)
    slicers = []
    for level, message_type in zip(levels, types, strict=True):
        names: dict[str, list[str]] = {"containers": [], "records": [], "headers": []}
        group_of = {SliceKind.CONTAINER: "containers", SliceKind.RECORD: "records"}
        for number, kind in level.slices.items():
            names[group_of.get(kind, "headers")].append(_field_name(number))
        slicers.append(_Slicer(message_type, **{key: tuple(of) for key, of in names.items()}))
    return tuple(slicers)


_SKELETONS: Final[dict[Signal, Any]] = {
    signal: _message_types(LEVELS[signal], f"tapeline_skeleton_{signal}", nested=True)[0]
    for signal in Signal
}
_SLICERS: Final = {signal: _slicers(signal) for signal in Signal}


def check_framing(signal: Signal, payload: bytes) -> Framing:
    """Return what the request holds; raise MalformedRequestError unless it is well-formed.

    Well-formed means: down to each record, and to each resource, scope and metric header, every
    tag, length and number is whole and within the message that encloses it. What is inside these
    slices is not looked at.
    """
    try:
        _SKELETONS[signal].FromString(payload)
    except DecodeError as error:
        # The plain index walks the same bytes in Python, and can say where they go wrong.
        index_records(signal, payload)
        raise MalformedRequestError(f"the {signal} request is not protobuf: {error}") from error
    return _measure(signal, payload)


def _measure(signal: Signal, payload: bytes) -> Framing:
    """Count the records and find the longest slice of a request known to be well-formed.

    Protobuf merges messages whose bytes are concatenated. So a level's messages are joined and
    parsed as one, which takes no Python step for each: a metrics request often has as many
    metrics as points.
    """
    joined = payload
    header_count = container_count = record_count = longest_bytes = 0
    for slicer in _SLICERS[signal]:
        message = slicer.message_type.FromString(joined)
        containers = [getattr(message, name) for name in slicer.containers]
        records = [getattr(message, name) for name in slicer.records]
        headers = [getattr(message, name) for name in slicer.headers]
        container_count += sum(map(len, containers))
        record_count += sum(map(len, records))
        header_count += sum(map(len, headers))
        check_counts(record_count, header_count, container_count)
        for slices in (*records, *headers):
            longest_bytes = max(longest_bytes, max(map(len, slices), default=0))
        joined = b"".join(b"".join(slices) for slices in containers)
    return Framing(record_count, longest_bytes)
