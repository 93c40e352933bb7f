"""The message types of an Export request as tables, for what reads and writes lines in one pass.

Made from protobuf's own descriptors, so that a field that a newer opentelemetry-proto adds is in
them. What the tables don't cover (a type of field that OTLP does not use so far) is of the kind
RARE, and whoever meets it leaves the request to the plain way.
"""

from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.otlp.json_values import converter_for
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import WireType, encode_varint

__all__ = [
    "BOOL",
    "BYTES",
    "DOUBLE",
    "FIXED32",
    "FIXED64",
    "HEX",
    "INT64",
    "MAX_FAST_DEPTH",
    "MAX_TABLE_TAG",
    "MESSAGE",
    "PACKED_DOUBLE",
    "PACKED_FIXED64",
    "PACKED_UINT64",
    "PAIR",
    "RARE",
    "SFIXED64",
    "SHAPES",
    "SINT32",
    "SMALL",
    "TEXT",
    "UINT32",
    "Entry",
    "Shape",
    "UnusualError",
]

# Kinds, in an order by which readers tell groups: length-delimited, of fixed size, varints, packed.
RARE: Final = 0
MESSAGE: Final = 1
TEXT: Final = 2
HEX: Final = 3
BYTES: Final = 4
DOUBLE: Final = 5
FIXED32: Final = 6
FIXED64: Final = 7
SFIXED64: Final = 8
BOOL: Final = 9
INT64: Final = 10
UINT32: Final = 11
SINT32: Final = 12
SMALL: Final = 13
"""An enum or int32."""
PACKED_FIXED64: Final = 14
PACKED_DOUBLE: Final = 15
PACKED_UINT64: Final = 16

MAX_TABLE_TAG: Final = 1 << 8
"""Tags below this are looked up in a table; OTLP's greatest is 133."""

MAX_FAST_DEPTH: Final = 80
"""Messages within each other; what nests deeper, up to the parsers' 100, takes the plain way."""

_T = FieldDescriptor
_VARINT: Final = int(WireType.VARINT)
_SINGLE: Final = {
    _T.TYPE_MESSAGE: (MESSAGE, 2),
    _T.TYPE_STRING: (TEXT, 2),
    _T.TYPE_BYTES: (BYTES, 2),
    _T.TYPE_BOOL: (BOOL, _VARINT),
    _T.TYPE_DOUBLE: (DOUBLE, 1),
    _T.TYPE_FIXED32: (FIXED32, 5),
    _T.TYPE_FIXED64: (FIXED64, 1),
    _T.TYPE_SFIXED64: (SFIXED64, 1),
    _T.TYPE_INT64: (INT64, _VARINT),
    _T.TYPE_UINT32: (UINT32, _VARINT),
    _T.TYPE_SINT32: (SINT32, _VARINT),
    _T.TYPE_INT32: (SMALL, _VARINT),
    _T.TYPE_ENUM: (SMALL, _VARINT),
}
"""Kind and wire type by protobuf's type."""
_PACKED: Final = {
    _T.TYPE_FIXED64: PACKED_FIXED64,
    _T.TYPE_DOUBLE: PACKED_DOUBLE,
    _T.TYPE_UINT64: PACKED_UINT64,
}
_REPEATABLE: Final = frozenset({MESSAGE, TEXT})


class UnusualError(Exception):
    """What is met is legal but rare, or wrong: the plain way decides, and has the words for it."""


class Entry:
    """A field: its place in the order of numbers, its kind, its tag, its JSON key with the colon.

    `oneof` is a bit of its own for each group of fields that exclude each other, 0 for none.
    """

    def __init__(self, slot: int, kind: int, tag: int, *, repeated: bool) -> None:
        self.slot = slot
        self.kind = kind
        self.tag = tag
        self.tag_bytes = encode_varint(tag)
        self.is_repeated = repeated
        self.key = ""
        self.has_presence = False
        self.oneof = 0
        self.shape: Shape | None = None
        self.convert: Any = None


class Shape:
    """A message type: its fields by number's order, by tag, by JSON key."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.by_tag: list[Entry | None] = [None] * MAX_TABLE_TAG
        self.by_key: dict[str, Entry] = {}
        self.original_names: set[str] = set()
        """Names that protobuf's parsers take as well; where one is met, the plain way reads."""
        self.has_repeated = False


def _kind_of(field: Any) -> tuple[int, int]:
    if field.is_repeated and field.is_packed:
        return _PACKED.get(field.type, RARE), WireType.LENGTH_DELIMITED
    kind, wire_type = _SINGLE.get(field.type, (RARE, WireType.LENGTH_DELIMITED))
    if field.is_repeated and kind not in _REPEATABLE:
        return RARE, wire_type
    if kind == BYTES and converter_for(field).write == bytes.hex:
        kind = HEX
    return kind, wire_type


def _shape_of(descriptor: Any, known: dict[str, Shape]) -> Shape:
    """Return the table of a message type; `known` ends the recursion of AnyValue."""
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    shape = known[descriptor.full_name] = Shape()
    bits: dict[str, int] = {}
    for slot, field in enumerate(sorted(descriptor.fields, key=lambda each: int(each.number))):
        kind, wire_type = _kind_of(field)
        tag = int(field.number) << 3 | wire_type
        entry = Entry(slot, kind, tag, repeated=bool(field.is_repeated))
        entry.key = f'"{field.json_name}":'
        entry.has_presence = bool(field.has_presence)
        oneof = field.containing_oneof
        if oneof is not None and len(oneof.fields) > 1:
            entry.oneof = bits.setdefault(oneof.name, 1 << len(bits))
        if field.message_type is not None:
            entry.shape = _shape_of(field.message_type, known)
        else:
            entry.convert = converter_for(field)
        shape.entries.append(entry)
        shape.has_repeated = shape.has_repeated or entry.is_repeated
        shape.by_key[field.json_name] = entry
        if field.name != field.json_name:
            shape.original_names.add(field.name)
        if tag < MAX_TABLE_TAG:
            shape.by_tag[tag] = entry
    return shape


def _shapes() -> dict[Signal, Shape]:
    known: dict[str, Shape] = {}
    requests: dict[Signal, Any] = {
        Signal.LOGS: ExportLogsServiceRequest,
        Signal.TRACES: ExportTraceServiceRequest,
        Signal.METRICS: ExportMetricsServiceRequest,
    }
    return {signal: _shape_of(kind.DESCRIPTOR, known) for signal, kind in requests.items()}


SHAPES: Final = _shapes()


def _pair_shape() -> Shape:
    """Return the table of a log record's attributes."""
    shape: Shape | None = SHAPES[Signal.LOGS]
    for key in ("resourceLogs", "scopeLogs", "logRecords", "attributes"):
        if shape is not None:
            shape = shape.by_key[key].shape
    if shape is None:
        raise TypeError("a log record has attributes")
    return shape


PAIR: Final = _pair_shape()
"""The table of KeyValue: most of what a request has are attributes that hold strings."""
