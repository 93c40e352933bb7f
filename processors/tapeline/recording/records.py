"""What telemetry says, apart from how it was batched: records in a plain, canonical form.

A record is a log record, a span, or one data point of a metric, together with its resource and its
scope. Its fields are found by protobuf's own descriptors, so one that a newer OTLP defines takes
part by itself, and one that this version does not know takes part as it stands on the wire.

What has no order in OTLP has none here: resources, scopes, records, attributes, entities,
exemplars, quantiles. Lists in values, events, links, buckets and their bounds keep theirs. An empty
message means what an absent one means, and so does an attribute or a body without a value.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final, TypeAlias

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recording.ignoring import NOTHING, Ignored

__all__ = ["Fields", "Marked", "Record", "Value", "encoded", "records_of"]

Value: TypeAlias = Any
"""None, bool, int, float, str, bytes, a tuple of values, a Mapping of them by text, or Marked."""
Fields: TypeAlias = Mapping[str, Value]

# Generated messages and descriptors of many types: what is done here is by reflection.
AnyMessage = Any

_ENCLOSING: Final[dict[Signal, tuple[str, str, str]]] = {
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
}
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_UNORDERED: Final = frozenset(
    {"entity_refs", "id_keys", "description_keys", "exemplars", "quantile_values"}
)
_ENUM_PREFIXES: Final = {
    "kind": "SPAN_KIND_",
    "code": "STATUS_CODE_",
    "aggregation_temporality": "AGGREGATION_TEMPORALITY_",
}
_POINT_VALUES: Final = frozenset({"as_int", "as_double"})
_NAN: Final = struct.pack(">d", float("nan"))
_UNKNOWN: Final = "unknown_fields"


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """Values that stand where OTLP has no one plain value.

    `mark` is "several" for a key that stands there more than once, which OTLP forbids; the values
    have no order then. Or it is the name of a field that only other signals define.
    """

    mark: str
    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Record:
    """A log record, a span or a data point, in plain values.

    `content` has the names of OTLP's own fields, with the metric's beside its point's. Ids are
    texts of hexadecimal digits; kinds, codes and temporalities are OTLP's names without their
    prefix; a point's `value` is an int or a float, as it was on the wire; `type` is the name of
    the metric's kind. Two records are equal where nothing that was not ignored tells them apart.
    """

    signal: Signal
    resource: Fields
    scope: Fields
    content: Fields
    digest: bytes = field(repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def attributes(self) -> Fields:
        """The record's own attributes, by key."""
        found: Fields = self.content.get("attributes", {})
        return found

    @property
    def resource_attributes(self) -> Fields:
        """The attributes of its resource, by key."""
        found: Fields = self.resource.get("attributes", {})
        return found

    @property
    def name(self) -> str:
        """The name of a span or a metric, or a log record's event name."""
        key = "event_name" if self.signal is Signal.LOGS else "name"
        return str(self.content.get(key, ""))

    @property
    def body(self) -> Value:
        """A log record's body; None where it has none."""
        return self.content.get("body")

    @property
    def value(self) -> int | float | None:
        """The value of a point of a gauge or a sum; None where there is none."""
        found: int | float | None = self.content.get("value")
        return found

    @property
    def time_unix_nano(self) -> int:
        """A log's time (its observed time where it has none), a span's start, a point's time."""
        content = self.content
        if self.signal is Signal.TRACES:
            return int(content.get("start_time_unix_nano", 0))
        return int(content.get("time_unix_nano", content.get("observed_time_unix_nano", 0)))

    @property
    def tree(self) -> Fields:
        """The whole record: its content's fields beside `resource` and `scope`."""
        return {"resource": self.resource, "scope": self.scope, **self.content}

    @cached_property
    def order(self) -> tuple[str | int | bytes, ...]:
        """What records are sorted by: signal, service, resource, scope, metric, time, content."""
        service = self.resource_attributes.get("service.name", "")
        return (
            self.signal.value,
            str(service),
            encoded(self.resource),
            str(self.scope.get("name", "")),
            encoded(self.scope),
            self.name if self.signal is Signal.METRICS else "",
            self.time_unix_nano,
            encoded(self.content),
        )


def records_of(batch: Batch, ignored: Ignored = NOTHING) -> Iterator[Record]:
    """Yield the records of a batch, in its order, without what is ignored.

    Raises MalformedRequestError where the batch does not parse.
    """
    request: AnyMessage = batch.request
    reader = _Reader(ignored, has_unknown=_has_unknown(request))
    resources, scopes, records = _ENCLOSING[batch.signal]
    for resource_part in getattr(request, resources):
        resource = reader.outer(resource_part, "resource", scopes)
        for scope_part in getattr(resource_part, scopes):
            scope = reader.outer(scope_part, "scope", records)
            place = blake2b(batch.signal.encode(), digest_size=16)
            place.update(encoded(resource))
            place.update(encoded(scope))
            for message in getattr(scope_part, records):
                for content in reader.contents(batch.signal, message):
                    digest = place.copy()
                    digest.update(encoded(content))
                    yield Record(batch.signal, resource, scope, content, digest.digest())


def encoded(value: Value) -> bytes:
    """Return bytes that two values share exactly where they are the same value of the same type.

    All NaNs are one value, since OTLP/JSON has one name for them; 0.0 and -0.0 are two.
    """
    parts: list[bytes] = []
    _encode(value, parts)
    return b"".join(parts)


def _encode(value: Value, parts: list[bytes]) -> None:
    # Tests by exact type: True is an int to isinstance. The depth is bounded by that of messages.
    kind = type(value)
    if kind is str:
        text = value.encode()
        parts.append(b"s%d:%b" % (len(text), text))
    elif kind is int:
        parts.append(b"i%d;" % value)
    elif kind is float:
        parts.append(b"d" + (struct.pack(">d", value) if value == value else _NAN))  # noqa: PLR0124 - only a NaN differs from itself.
    elif kind is bool:
        parts.append(b"t" if value else b"f")
    elif kind is bytes:
        parts.append(b"x%d:%b" % (len(value), value))
    elif value is None:
        parts.append(b"n")
    elif kind is tuple:
        _encode_all(b"l", value, parts)
    elif kind is Marked:
        parts.append(b"m%b" % value.mark.encode())
        _encode_all(b":", value.values, parts)
    else:
        parts.append(b"{%d:" % len(value))
        for key in sorted(value):
            _encode(key, parts)
            _encode(value[key], parts)


def _encode_all(begin: bytes, values: Sequence[Value], parts: list[bytes]) -> None:
    parts.append(b"%b%d:" % (begin, len(values)))
    for value in values:
        _encode(value, parts)


def _has_unknown(request: Message) -> bool:
    known = type(request)()
    known.CopyFrom(request)
    known.DiscardUnknownFields()
    return known.ByteSize() != request.ByteSize()


def _unordered(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(sorted(values, key=encoded))


class _Reader:
    """Turns messages into plain values, without what is ignored."""

    def __init__(self, ignored: Ignored, *, has_unknown: bool) -> None:
        self._ignored = ignored
        self._skipped = ignored.names
        self._has_unknown = has_unknown and _UNKNOWN not in ignored.names

    def outer(self, message: AnyMessage, inner: str, children: str) -> Fields:
        """Return a resource or a scope with what stands beside it in its enclosing message."""
        beside = self._message(message, leaving_out=frozenset({inner, children}))
        within = self._message(getattr(message, inner))
        unknown = [part[_UNKNOWN] for part in (within, beside) if _UNKNOWN in part]
        fields = within | beside
        if len(unknown) > 1:
            fields[_UNKNOWN] = tuple(unknown)
        pruned: Fields = self._pruned({inner: fields}).get(inner, {})
        return pruned

    def contents(self, signal: Signal, message: AnyMessage) -> Iterator[Fields]:
        """Yield the content of a log record or a span, or that of each point of a metric."""
        if signal is not Signal.METRICS:
            yield self._pruned(self._message(message))
            return
        member = message.WhichOneof("data")
        if member is None:
            return
        kind = getattr(message, member)
        metric = self._message(message, leaving_out=frozenset({member}))
        metric |= self._message(kind, leaving_out=frozenset({"data_points"}))
        metric["type"] = member
        for point in kind.data_points:
            # An unknown field of the point must not hide one of the metric.
            content = self._message(point)
            if _UNKNOWN in metric and _UNKNOWN in content:
                content[_UNKNOWN] = (metric[_UNKNOWN], content[_UNKNOWN])
            yield self._pruned(metric | content)

    def _pruned(self, fields: Fields) -> Fields:
        if not self._ignored.paths:
            return fields
        pruned = self._ignored.prune(fields)
        # What was taken out may have been what they were sorted by.
        for part in (pruned, pruned.get("resource", {})):
            for name in _UNORDERED & part.keys():
                part[name] = _unordered(part[name])
        return pruned

    def _message(
        self, message: AnyMessage, leaving_out: frozenset[str] = frozenset()
    ) -> dict[str, Value]:
        fields: dict[str, Value] = {}
        for descriptor, value in message.ListFields():
            name = descriptor.name
            if name in leaving_out or name in self._skipped:
                continue
            plain = self._field(descriptor, name, value)
            if name in _POINT_VALUES:
                fields["value"] = plain
            elif plain is not None and plain != {}:
                fields[name] = plain
        if self._has_unknown:
            self._add_unknown(message, fields)
        return fields

    def _field(self, descriptor: Any, name: str, value: Any) -> Value:
        inner = descriptor.message_type
        if inner is None:
            if descriptor.is_repeated:
                return _unordered(value) if name in _UNORDERED else tuple(value)
            return _scalar(descriptor, name, value)
        if inner.name == "KeyValue":
            return self._attributes(value)
        if inner.name == "AnyValue":
            return self._any(value)
        if descriptor.is_repeated:
            items = (self._message(item) for item in value)
            return _unordered(items) if name in _UNORDERED else tuple(items)
        return self._message(value)

    def _attributes(self, pairs: Iterable[AnyMessage]) -> dict[str, Value]:
        found: dict[str, list[Value]] = {}
        for pair in pairs:
            value = self._any(pair.value)
            # `value` and `key` are done; what else the pair has stands beside them.
            rest = self._message(pair, leaving_out=frozenset({"key", "value"}))
            found.setdefault(pair.key, []).append(Marked("key", (rest, value)) if rest else value)
        return {
            key: values[0] if len(values) == 1 else Marked("several", _unordered(values))
            for key, values in found.items()
        }

    def _any(self, value: AnyMessage) -> Value:
        member = value.WhichOneof("value")
        if self._has_unknown and len(UnknownFieldSet(value)):
            fields: dict[str, Value] = {}
            self._add_unknown(value, fields)
            return Marked("value", (fields, self._member(value, member)))
        return self._member(value, member)

    def _member(self, value: AnyMessage, member: str | None) -> Value:
        if member is None:
            return None
        held = getattr(value, member)
        if member == "array_value":
            return tuple(self._any(item) for item in held.values)
        if member == "kvlist_value":
            return self._attributes(held.values)
        return Marked(member, (held,)) if member == "string_value_strindex" else held

    def _add_unknown(self, message: Message, fields: dict[str, Value]) -> None:
        unknown = _unordered(_unknown_fields(UnknownFieldSet(message)))
        if unknown:
            fields[_UNKNOWN] = unknown


def _unknown_fields(found: Any) -> Iterator[Value]:
    """Yield number, wire type and what each field holds; a group holds fields itself."""
    for unknown in found:
        data = unknown.data
        if not isinstance(data, int | bytes):
            data = _unordered(_unknown_fields(data))
        yield (unknown.field_number, unknown.wire_type, data)


def _scalar(descriptor: Any, name: str, value: Any) -> Value:
    if name in _IDS:
        return value.hex()
    if name in _ENUM_PREFIXES and descriptor.enum_type is not None:
        known = descriptor.enum_type.values_by_number.get(value)
        return known.name.removeprefix(_ENUM_PREFIXES[name]) if known else value
    return value
