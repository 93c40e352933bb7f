"""Records as the tap shows them: each with its resource and scope, as fields of plain text. Pure.

Fields are found by protobuf's own descriptors, so what OTLP adds shows by itself; what this
version of the messages does not know does not show.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tapeline.otlp.signals import Signal
from tapeline.pipeline.time_text import iso_from_unix_nano

__all__ = ["MAX_FIELDS", "MAX_VALUE_CHARACTERS", "RecordView", "cut", "views_of"]

MAX_FIELDS: Final = 256
"""Fields of one record that are looked at; real records have a tenth of it."""
MAX_VALUE_CHARACTERS: Final = 2000
_MAX_DEPTH: Final = 16
_LEVELS: Final = {
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
}
_DATA: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_POINTS: Final = "data_points"


@dataclass(frozen=True)
class RecordView:
    """A log record, a span or a data point (with its metric), of a parsed request."""

    signal: Signal
    group: Message
    """The container of the resource."""
    scoped: Message
    """The container of the scope."""
    record: Message
    metric: Message | None = None

    @cached_property
    def service(self) -> str:
        """The resource's service.name; empty where there is none."""
        for pair in getattr(self.group, "resource").attributes:  # noqa: B009 - by reflection
            if pair.key == "service.name":
                return _text(pair.value, 0)
        return ""

    @property
    def name(self) -> str:
        """The span's, metric's or event's name; empty where a log has none."""
        if self.signal is Signal.LOGS:
            return str(getattr(self.record, "event_name", ""))
        return str(getattr(self.metric or self.record, "name"))  # noqa: B009 - by reflection

    @property
    def body(self) -> str:
        """The text of a log's body; empty for all else."""
        return _text(getattr(self.record, "body"), 0) if self.signal is Signal.LOGS else ""  # noqa: B009

    @property
    def identity(self) -> tuple[object, ...]:
        """What a processor leaves alone: by this a record is known again."""
        record: Any = self.record
        if self.signal is Signal.TRACES:
            return (record.trace_id, record.span_id)
        if self.signal is Signal.LOGS:
            times = (record.time_unix_nano, record.observed_time_unix_nano)
            return (*times, record.severity_number, record.trace_id, record.span_id)
        return (self.name, record.time_unix_nano, record.DESCRIPTOR.name)

    @property
    def time_unix_nano(self) -> int:
        """When it was: a span's end, a log's observation where it has no time of its own."""
        record: Any = self.record
        if self.signal is Signal.TRACES:
            return int(record.end_time_unix_nano)
        observed = getattr(record, "observed_time_unix_nano", 0)
        return int(record.time_unix_nano or observed)

    @property
    def wire(self) -> tuple[bytes, ...]:
        """All that is shown of it, as bytes: equal where nothing was changed."""
        group: Any = self.group
        scoped: Any = self.scoped
        parts = [group.resource, scoped.scope, self.record]
        texts = [group.schema_url, scoped.schema_url]
        if self.metric is not None:
            metric: Any = self.metric
            texts += [metric.name, metric.description, metric.unit]
            parts += metric.metadata
        messages = (part.SerializeToString(deterministic=True) for part in parts)
        return (*messages, *(text.encode() for text in texts))

    @cached_property
    def fields(self) -> dict[str, str]:
        """Its fields by path, in the order of the messages; at most MAX_FIELDS."""
        found: dict[str, str] = {}
        for path, text in self._walk():
            if len(found) >= MAX_FIELDS:
                break
            # A key may stand twice; both must be seen.
            number = 1
            place = path
            while place in found:
                number += 1
                place = f"{path} ({number})"
            found[place] = text
        return found

    def _walk(self) -> Iterator[tuple[str, str]]:
        group: Any = self.group
        scoped: Any = self.scoped
        if self.metric is not None:
            metric: Any = self.metric
            yield from _fields_of(metric, "", skip=_DATA)
        yield from _fields_of(self.record, "")
        yield from _fields_of(scoped.scope, "scope.")
        yield from _fields_of(group.resource, "resource.")
        for prefix, container in (("scope.", scoped), ("resource.", group)):
            if container.schema_url:
                yield f"{prefix}schema_url", container.schema_url


def views_of(signal: Signal, request: Message) -> list[RecordView]:
    """Return every record of a parsed Export request, in its order."""
    outer, inner, leaf = _LEVELS[signal]
    found: list[RecordView] = []
    for group in getattr(request, outer):
        for scoped in getattr(group, inner):
            for one in getattr(scoped, leaf):
                if signal is not Signal.METRICS:
                    found.append(RecordView(signal, group, scoped, one))
                    continue
                found.extend(
                    RecordView(signal, group, scoped, point, one) for point in _points(one)
                )
    return found


def cut(text: str) -> str:
    """Return a text that is not too long to be shown."""
    if len(text) <= MAX_VALUE_CHARACTERS:
        return text
    return f"{text[:MAX_VALUE_CHARACTERS]}… ({len(text)} characters)"


def _points(metric: Message) -> Iterable[Message]:
    member = metric.WhichOneof("data")
    return getattr(getattr(metric, member), _POINTS) if member in _DATA else ()


def _fields_of(
    message: Message, prefix: str, depth: int = 0, skip: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    for descriptor, value in message.ListFields():
        name = descriptor.name
        if name in skip:
            continue
        if not descriptor.is_repeated:
            yield from _one(descriptor, value, f"{prefix}{name}", depth)
        elif descriptor.message_type is KeyValue.DESCRIPTOR:
            of_resource = prefix == "resource." and name == "attributes"
            path = prefix if of_resource else f"{prefix}{name}."
            for pair in value:
                yield f"{path}{pair.key}", _text(pair.value, depth)
        elif descriptor.message_type is None:
            yield f"{prefix}{name}", f"[{', '.join(map(str, value[:MAX_FIELDS]))}]"
        else:
            for number, part in enumerate(value[:MAX_FIELDS]):
                yield from _one(descriptor, part, f"{prefix}{name}[{number}]", depth)


def _one(
    descriptor: FieldDescriptor, value: Any, path: str, depth: int
) -> Iterator[tuple[str, str]]:
    if descriptor.message_type is AnyValue.DESCRIPTOR:
        yield path, _text(value, depth)
    elif descriptor.message_type is not None:
        if depth < _MAX_DEPTH:
            yield from _fields_of(value, f"{path}.", depth + 1)
    elif descriptor.enum_type is not None:
        known = descriptor.enum_type.values_by_number.get(value)
        yield path, str(value) if known is None else known.name
    elif path.endswith("_unix_nano"):
        yield path, iso_from_unix_nano(value)
    elif isinstance(value, bytes):
        # Only ids are bytes here, of 8 or 16; more is nothing to read.
        yield path, value.hex() if len(value) <= 16 else f"{len(value)} bytes"  # noqa: PLR2004
    else:
        yield path, str(value)


def _text(value: AnyValue, depth: int) -> str:
    """Return a value as text: strings as they are, the rest as JSON would look."""
    member = value.WhichOneof("value")
    if member is None or depth > _MAX_DEPTH:
        return "" if member is None else "…"
    match member:
        case "bytes_value":
            return f"{len(value.bytes_value)} bytes"
        case "array_value":
            parts = (_text(one, depth + 1) for one in value.array_value.values)
            return f"[{', '.join(parts)}]"
        case "kvlist_value":
            pairs = (
                f"{one.key}: {_text(one.value, depth + 1)}" for one in value.kvlist_value.values
            )
            return f"{{{', '.join(pairs)}}}"
        case _:
            return str(getattr(value, member))
