"""OTLP/JSON: one Export request a line, as the collector's file exporter writes it.

The mapping is that of the OTLP specification (opentelemetry.io/docs/specs/otlp, "JSON Protobuf
Encoding"): protobuf's JSON mapping, but with trace and span ids in hexadecimal and enums as
integers. What comes in may also use what protobuf's own JSON parsers take: original field names,
enum names, integers as numbers or strings. What goes out is always the same for the same request.

What OTLP's own writers write goes one fast way (`line_reader`, `line_writer`). All else, and with
it every error, is left to the plain way by reflection, which stands here.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.otlp.json_values import Converter, UnfitValueError, converter_for
from tapeline.otlp.line_reader import payload_of
from tapeline.otlp.line_shapes import UnusualError
from tapeline.otlp.line_writer import line_of
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MAX_DEPTH, MalformedRequestError

__all__ = ["MalformedLineError", "request_from_json", "request_to_json"]

# Generated protobuf messages and descriptors of many types: what is done here is by reflection.
AnyMessage = Any
AnyDescriptor = Any

_REQUEST_TYPES: Final[dict[Signal, Any]] = {
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}
_SIGNAL_KEYS: Final = {
    key: signal
    for signal, message_type in _REQUEST_TYPES.items()
    for field in message_type.DESCRIPTOR.fields
    for key in (field.json_name, field.name)
}

_FIRST_STEPS: Final = 12
_LAST_STEPS: Final = 4
"""Of a path, how many are shown."""


class MalformedLineError(MalformedRequestError):
    """The line is not an OTLP/JSON request.

    The message says at which byte of the line, or in which field, and never quotes a value: it
    could be a secret.
    """


@dataclass(frozen=True, slots=True)
class _Field:
    """A field's two JSON names, its oneof if it has one, and what turns its values."""

    name: str
    json_name: str
    is_repeated: bool
    oneof: str | None
    message: AnyDescriptor | None
    convert: Converter | None


@dataclass(frozen=True, slots=True)
class _Table:
    """The fields of a message type, as they are looked up: by JSON key and by number."""

    by_key: dict[str, _Field]
    by_number: dict[int, _Field]


@cache
def _table(descriptor: AnyDescriptor) -> _Table:
    """Return the table of a message type; there are about thirty types, so the cache is small."""
    by_key = {}
    by_number = {}
    for described in descriptor.fields:
        oneof = described.containing_oneof
        field = _Field(
            name=described.name,
            json_name=described.json_name,
            is_repeated=described.is_repeated,
            oneof=oneof.name if oneof is not None and len(oneof.fields) > 1 else None,
            message=described.message_type,
            convert=None if described.message_type else converter_for(described),
        )
        by_number[described.number] = by_key[field.json_name] = by_key[field.name] = field
    return _Table(by_key, by_number)


def request_from_json(line: bytes) -> tuple[Signal, bytes]:
    """Return the signal of an OTLP/JSON line and its request's wire bytes.

    The signal is told by the top-level key. An empty object, which names none, is taken as a
    logs request without records: that is what a request without records of any signal is written
    as. Unknown fields are ignored, but an object of nothing else is refused, since it is a line
    of some other format. Raises MalformedLineError.
    """
    document = _parse(line)
    keys = [key for key in document if key in _SIGNAL_KEYS]
    signals = {_SIGNAL_KEYS[key] for key in keys}
    if not document:
        return Signal.LOGS, b""
    if not signals:
        raise MalformedLineError(
            "the line is JSON, but not an OTLP request: it has none of resourceLogs, "
            "resourceSpans and resourceMetrics"
        )
    if len(signals) > 1:
        raise MalformedLineError(f"the line mixes signals: it has {' and '.join(sorted(keys))}")
    signal = signals.pop()
    try:
        return signal, payload_of(signal, document)
    except UnusualError:
        return signal, plain_payload(signal, document)


def plain_payload(signal: Signal, document: dict[str, Any]) -> bytes:
    """Return the request's bytes the plain way; raises MalformedLineError."""
    request = _REQUEST_TYPES[signal]()
    try:
        _read_message(document, request, 0)
    except UnfitValueError as error:
        raise MalformedLineError(f"{_shown(error.path)}: {error.complaint}") from error
    return bytes(request.SerializeToString())


def _shown(path: str) -> str:
    """Return a path for a message: of one through a deeply nested value, where it goes in and ends.

    The longest to a value that nests nothing, of an exemplar's attribute, has 9 steps.
    """
    steps = path.split(".")
    if len(steps) > _FIRST_STEPS + _LAST_STEPS:
        steps = [*steps[:_FIRST_STEPS], "…", *steps[-_LAST_STEPS:]]
    return ".".join(steps) or "the line"


def _parse(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise MalformedLineError(f"byte {error.start}: not UTF-8") from error
    except json.JSONDecodeError as error:
        position = len(error.doc[: error.pos].encode("utf-8"))
        raise MalformedLineError(f"byte {position}: not JSON: {error.msg}") from error
    except UnfitValueError as error:
        raise MalformedLineError(f"not JSON: {error.complaint}") from error
    except RecursionError as error:
        raise MalformedLineError("not an OTLP request: it nests too deep") from error
    except ValueError as error:
        # Python refuses to convert integers of thousands of digits.
        raise MalformedLineError("not an OTLP request: a number in it is too long") from error
    if not isinstance(document, dict):
        raise MalformedLineError("byte 0: not an OTLP request, which is an object: {...}")
    return document


def _refuse_constant(name: str) -> Any:
    raise UnfitValueError(f"{name} must be in quotes")


def _read_message(source: Any, message: AnyMessage, depth: int) -> None:
    """Set the message's fields from a JSON object; the path of a bad value grows on the way out."""
    if not isinstance(source, dict):
        raise UnfitValueError("must be an object")
    if depth > MAX_DEPTH:
        raise UnfitValueError(f"nests deeper than {MAX_DEPTH} messages, the most that parsers take")
    by_key = _table(message.DESCRIPTOR).by_key
    for key, value in source.items():
        field = by_key.get(key)
        if field is None or value is None:
            continue
        try:
            if key != field.json_name:
                _refuse_second_name(field, source)
            _read_field(field, value, message, depth)
        except UnfitValueError as error:
            error.enclose(field.json_name)
            raise


def _refuse_second_name(field: _Field, source: dict[str, Any]) -> None:
    if field.json_name in source:
        raise UnfitValueError(f"is there twice, also as {field.name}")


def _read_field(field: _Field, value: Any, message: AnyMessage, depth: int) -> None:
    if field.oneof and message.WhichOneof(field.oneof):
        raise UnfitValueError("excludes another field that is there too")
    if field.is_repeated:
        _read_items(field, value, getattr(message, field.name), depth)
    elif field.convert is None:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _read_message(value, inner, depth + 1)
    else:
        setattr(message, field.name, field.convert.read(value))


def _read_items(field: _Field, values: Any, items: Any, depth: int) -> None:
    if not isinstance(values, list):
        raise UnfitValueError("must be a list")
    for number, value in enumerate(values):
        try:
            if field.convert is None:
                _read_message(value, items.add(), depth + 1)
            else:
                items.append(field.convert.read(value))
        except UnfitValueError as error:
            error.enclose(f"[{number}]")
            raise


def request_to_json(signal: Signal, payload: bytes) -> bytes:
    """Return a request as an OTLP/JSON line, without the line's end.

    The same request gives the same bytes: fields in the order of their numbers, no spaces, ids in
    lower case, fields that are not set left out. Fields that OTLP does not define, which JSON
    has no place for, are left out too. Raises MalformedRequestError if `payload` doesn't parse.
    """
    try:
        return line_of(signal, payload).encode("utf-8")
    except UnusualError:
        return plain_line(signal, payload)


def plain_line(signal: Signal, payload: bytes) -> bytes:
    """Return the line the plain way; raises MalformedRequestError."""
    try:
        request = _REQUEST_TYPES[signal].FromString(payload)
    except DecodeError as error:
        raise MalformedRequestError(f"the {signal} request does not parse: {error}") from error
    document = _write_message(request)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")


def _write_message(message: AnyMessage) -> dict[str, Any]:
    by_number = _table(message.DESCRIPTOR).by_number
    document = {}
    for descriptor, value in message.ListFields():
        field = by_number[descriptor.number]
        write = _write_message if field.convert is None else field.convert.write
        document[field.json_name] = (
            [write(item) for item in value] if field.is_repeated else write(value)
        )
    return document
