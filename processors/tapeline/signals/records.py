"""Log records and spans read from the wire, with as few Python objects as may be.

upb, the C parser behind Python's protobuf, is given message types built at run time in which an
attribute, a body, a resource and a scope are plain bytes: most attributes of a trading record are
the same as those of the record before, so they are looked up by their bytes and not parsed again.

Source of the field numbers: opentelemetry-proto, logs/v1/logs.proto, trace/v1/trace.proto and
common/v1/common.proto. Pure.
"""

import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import LONG_VARINT, MalformedRequestError

__all__ = [
    "AMBIGUOUS",
    "EVENT_ATTRIBUTES",
    "NAME_ATTRIBUTE",
    "NOTHING",
    "Pair",
    "PairReader",
    "Value",
    "any_value",
    "attributes_of",
    "one_of_two",
    "parse_request",
    "read_resource",
    "read_scope",
    "without_doubles",
]

Value = Any
"""A text, an integer, a double or a boolean; bytes, a list or a mapping, which no event takes."""
Pair = tuple[str, Value]

NAME_ATTRIBUTE: Final = "event.name"
"""The attribute that names a record's event where its `event_name` field doesn't."""

_REPEATING: Final = (
    "trading.account",
    "trading.execution.fee_currency",
    "trading.execution.kind",
    "trading.execution.liquidity",
    "trading.cash.currency",
    "trading.instrument",
    "trading.order.state",
    "trading.side",
    "trading.strategy",
    "trading.venue",
    NAME_ATTRIBUTE,
)
_CHANGING: Final = (
    "trading.cash.amount",
    "trading.cash.id",
    "trading.execution.fee",
    "trading.execution.id",
    "trading.execution.price",
    "trading.execution.quantity",
    "trading.execution.ref_id",
    "trading.mark.price",
    "trading.order.arrival_price",
    "trading.order.decision_price",
    "trading.order.id",
    "trading.order.limit_price",
    "trading.order.parent_id",
    "trading.order.quantity",
    "trading.order.reject_reason",
    "trading.quote.ask",
    "trading.quote.bid",
    "trading.sequence",
)
EVENT_ATTRIBUTES: Final = frozenset((*_REPEATING, *_CHANGING)) - {NAME_ATTRIBUTE}
"""Every attribute that an event is read from."""


class _Ambiguous:
    """Two values under one key: it is neither a text nor a number, so no event takes it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "AMBIGUOUS"


AMBIGUOUS: Final = _Ambiguous()
NOTHING: Final[Pair] = ("", "")
"""What an attribute of no interest, or without a value, is read as."""

_MAX_CACHED: Final = 4096
_MAX_CACHED_BYTES: Final = 96
_KEY_TAG: Final = 1 << 3 | 2
_VALUE_TAG: Final = 2 << 3 | 2
_TEXT_TAG: Final = 1 << 3 | 2
_INTEGER_TAG: Final = 3 << 3
_DOUBLE_TAG: Final = 4 << 3 | 1
_DOUBLE_BYTES: Final = 8
_LEAST: Final = 4
"""Bytes of a pair with a key and a value, be they empty."""
_SHORT: Final = 2
"""Bytes of a value that is a tag and one byte more: the shortest that holds anything."""
_double: Final = struct.Struct("<d").unpack_from


class PairReader:
    """Reads the attributes that events are made of from KeyValue messages; skips all others."""

    def __init__(self) -> None:
        # Tag and length of the key, the key, and the tag of the value: how most of them begin.
        self._beginnings: dict[bytes, tuple[str, bool]] = {
            b"%c%c%b%c" % (_KEY_TAG, len(name), name.encode(), _VALUE_TAG): (name, repeats)
            for names, repeats in ((_REPEATING, True), (_CHANGING, False))
            for name in names
        }
        # All that stands before a short text, its length included: the name, and the pair's size.
        # There are at most as many as names times lengths.
        self._heads: dict[bytes, tuple[str, int]] = {}
        self.known: dict[bytes, Pair] = {}
        """Attributes by their bytes, so far; look here before calling `read`."""

    def read(self, pair: bytes) -> Pair:
        """Return an attribute's name and value, NOTHING of those that don't count.

        An empty text, or no value at all, counts as absent. Raises MalformedRequestError.
        """
        size = len(pair)
        if size < _LEAST:
            return self._by_protobuf(pair)
        begin = pair[1] + 6
        head = self._heads.get(pair[:begin])
        if head is not None and head[1] == size:
            return head[0], _text(pair[begin:])
        return self._by_wire(pair, begin - 2, size)

    def _by_wire(self, pair: bytes, begin: int, size: int) -> Pair:
        """Read a key and a value of less than 128 bytes each, where they are nothing unusual."""
        value_size = size - begin
        if not _SHORT <= value_size < LONG_VARINT or pair[begin - 1] != value_size:
            return self._by_protobuf(pair)
        found = self._beginnings.get(pair[: begin - 1])
        if found is None:
            is_plain = pair[0] == _KEY_TAG and pair[1] < LONG_VARINT
            is_plain = is_plain and pair[begin - 2] == _VALUE_TAG
            return NOTHING if is_plain else self._by_protobuf(pair)
        name, repeats = found
        tag = pair[begin]
        value: Value = None
        if tag == _TEXT_TAG and pair[begin + 1] == value_size - 2:
            value = _text(pair[begin + 2 :])
            if value and not repeats:
                self._heads[pair[: begin + 2]] = (name, size)
        elif tag == _INTEGER_TAG and value_size == _SHORT and pair[begin + 1] < LONG_VARINT:
            value = pair[begin + 1]
        elif tag == _DOUBLE_TAG and value_size == _DOUBLE_BYTES + 1:
            value = _double(pair, begin + 1)[0]
        if value is None or value == "":
            return self._by_protobuf(pair)
        return self._remembered(pair, (name, value)) if repeats else (name, value)

    def _remembered(self, pair: bytes, result: Pair) -> Pair:
        if len(pair) <= _MAX_CACHED_BYTES:
            if len(self.known) >= _MAX_CACHED:
                self.known.clear()
            self.known[pair] = result
        return result

    def _by_protobuf(self, pair: bytes) -> Pair:
        name, value = _parsed_pair(pair)
        is_known = name in EVENT_ATTRIBUTES or name == NAME_ATTRIBUTE
        return NOTHING if not is_known or value is None or value == "" else (name, value)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _malformed(error) from error


def any_value(parts: Iterable[bytes]) -> Value:
    """Return what an AnyValue holds, None for nothing; raise MalformedRequestError.

    A field that stands several times on the wire is one message whose bytes are concatenated.
    """
    try:
        return _plain(AnyValue.FromString(b"".join(parts)))
    except DecodeError as error:
        raise _malformed(error) from error


def _parsed_pair(pair: bytes) -> Pair:
    try:
        parsed = KeyValue.FromString(pair)
    except DecodeError as error:
        raise _malformed(error) from error
    return parsed.key, _plain(parsed.value)


def _plain(value: AnyValue) -> Value:
    """Return a parsed value as Python has it. Parsers refuse more than about 30 levels."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return without_doubles((pair.key, _plain(pair.value)) for pair in value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)


def without_doubles(pairs: Iterable[Pair]) -> dict[str, Value]:
    """Return attributes by name; what has two values is AMBIGUOUS, what has none is absent."""
    found: dict[str, Value] = {}
    for name, value in pairs:
        if value is None or value == "":
            continue
        found[name] = one_of_two(found[name], value) if name in found else value
    return found


def one_of_two(one: Value, other: Value) -> Value:
    """Return the value of an attribute that stands twice: AMBIGUOUS unless both are the same."""
    return one if type(one) is type(other) and one == other else AMBIGUOUS


def attributes_of(pairs: Iterable[bytes]) -> dict[str, Value]:
    """Return all attributes of a record, of any name; raise MalformedRequestError."""
    return without_doubles(_parsed_pair(pair) for pair in pairs)


def read_resource(parts: Iterable[bytes]) -> dict[str, Value]:
    """Return a resource's attributes; raise MalformedRequestError."""
    return _enclosing(Resource, parts)[1]


def read_scope(parts: Iterable[bytes]) -> tuple[str, dict[str, Value]]:
    """Return a scope's name and its attributes; raise MalformedRequestError."""
    return _enclosing(InstrumentationScope, parts)


def _enclosing(message_type: Any, parts: Iterable[bytes]) -> tuple[str, dict[str, Value]]:
    try:
        message = message_type.FromString(b"".join(parts))
    except DecodeError as error:
        raise _malformed(error) from error
    attributes = without_doubles((pair.key, _plain(pair.value)) for pair in message.attributes)
    return getattr(message, "name", ""), attributes


def parse_request(signal: Signal, payload: bytes) -> Any:
    """Return a request of logs or traces with the fields of `_FIELDS`.

    Raises MalformedRequestError.
    """
    try:
        return _REQUESTS[signal].FromString(payload)
    except DecodeError as error:
        raise _malformed(error) from error


def _malformed(error: Exception) -> MalformedRequestError:
    return MalformedRequestError(f"the request does not parse as OTLP: {error}")


_BYTES: Final = "bytes"
_MANY_BYTES: Final = "many bytes"
_TIME: Final = "fixed64"
_TEXT: Final = "string"
_FIELDS: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "Logs": {"resource_logs": (1, "ResourceLogs")},
    "ResourceLogs": {"resource": (1, _MANY_BYTES), "scope_logs": (2, "ScopeLogs")},
    "ScopeLogs": {"scope": (1, _MANY_BYTES), "log_records": (2, "LogRecord")},
    "LogRecord": {
        "time_unix_nano": (1, _TIME),
        "body": (5, _MANY_BYTES),
        "attributes": (6, _MANY_BYTES),
        "trace_id": (9, _BYTES),
        "span_id": (10, _BYTES),
        "observed_time_unix_nano": (11, _TIME),
        "event_name": (12, _TEXT),
    },
    "Traces": {"resource_spans": (1, "ResourceSpans")},
    "ResourceSpans": {"resource": (1, _MANY_BYTES), "scope_spans": (2, "ScopeSpans")},
    "ScopeSpans": {"scope": (1, _MANY_BYTES), "spans": (2, "Span")},
    "Span": {
        "trace_id": (1, _BYTES),
        "span_id": (2, _BYTES),
        "name": (5, _TEXT),
        "end_time_unix_nano": (8, _TIME),
        "attributes": (9, _MANY_BYTES),
        "events": (11, "SpanEvent"),
    },
    "SpanEvent": {
        "time_unix_nano": (1, _TIME),
        "name": (2, _TEXT),
        "attributes": (3, _MANY_BYTES),
    },
}
"""The fields that are read, by message. A field of another message's type is repeated; bytes are,
too, where what stands several times on the wire has to be merged."""


def _message_types() -> Mapping[str, Any]:
    package = "tapeline_signal_records"
    file = descriptor_pb2.FileDescriptorProto(name=package, package=package, syntax="proto3")
    described = descriptor_pb2.FieldDescriptorProto
    scalars = {
        _BYTES: described.TYPE_BYTES,
        _MANY_BYTES: described.TYPE_BYTES,
        _TIME: described.TYPE_FIXED64,
        _TEXT: described.TYPE_STRING,
    }
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number)
            is_single = kind in scalars and kind != _MANY_BYTES
            field.label = described.LABEL_OPTIONAL if is_single else described.LABEL_REPEATED
            field.type = scalars.get(kind, described.TYPE_MESSAGE)
            if kind not in scalars:
                field.type_name = f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in _FIELDS
    }


_TYPES: Final = _message_types()
_REQUESTS: Final[Mapping[Signal, Any]] = MappingProxyType(
    {Signal.LOGS: _TYPES["Logs"], Signal.TRACES: _TYPES["Traces"]}
)
