"""Spans, as a processor sees them."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, ClassVar

from google.protobuf.message import Message
from opentelemetry.proto.trace.v1 import trace_pb2

from tapeline.kit.attributes import Attributes
from tapeline.kit.record import Record
from tapeline.otlp.signals import Signal

__all__ = ["Span", "SpanEvent", "SpanKind", "StatusCode"]


class SpanKind(IntEnum):
    """What a span is to others: opentelemetry-proto, trace/v1, Span.SpanKind."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class StatusCode(IntEnum):
    """How a span ended: opentelemetry-proto, trace/v1, Status.StatusCode."""

    UNSET = 0
    OK = 1
    ERROR = 2


class SpanEvent:
    """Something that happened in a span."""

    __slots__ = ("_changed", "_message")

    def __init__(self, message: Any, changed: Callable[[], None]) -> None:
        """View an event of a span; `changed` is called at each change."""
        self._message = message
        self._changed = changed

    @property
    def name(self) -> str:
        """The event's name."""
        name: str = self._message.name
        return name

    @name.setter
    def name(self, name: str) -> None:
        if self._message.name != name:
            self._message.name = name
            self._changed()

    @property
    def time_unix_nano(self) -> int:
        """When it happened."""
        return int(self._message.time_unix_nano)

    @property
    def attributes(self) -> Attributes:
        """The event's attributes, which can be changed."""
        return Attributes(self._message.attributes, self._changed)


class Span(Record):
    """A span. Times are nanoseconds since the epoch, as integers; ids are hexadecimal texts."""

    __slots__ = ()

    signal: ClassVar[Signal] = Signal.TRACES

    @property
    def name(self) -> str:
        """What was done."""
        name: str = self._read().name
        return name

    @name.setter
    def name(self, name: str) -> None:
        self._set("name", name)

    @property
    def kind(self) -> int:
        """One of `SpanKind`, or a number that OTLP added since."""
        return int(self._read().kind)

    @property
    def start_time_unix_nano(self) -> int:
        """When it began."""
        return int(self._read().start_time_unix_nano)

    @property
    def end_time_unix_nano(self) -> int:
        """When it ended."""
        return int(self._read().end_time_unix_nano)

    @property
    def duration_ns(self) -> int:
        """How long it took, in nanoseconds; less than 0 where the clocks were wrong."""
        return self.end_time_unix_nano - self.start_time_unix_nano

    @property
    def status(self) -> int:
        """One of `StatusCode`, or a number that OTLP added since."""
        return int(self._read().status.code)

    @property
    def status_message(self) -> str:
        """Why it ended so."""
        text: str = self._read().status.message
        return text

    def set_status(self, code: int, message: str = "") -> None:
        """Say how it ended."""
        if (self.status, self.status_message) != (code, message):
            status = self._read().status
            status.code, status.message = code, message
            self._changed = True

    @property
    def trace_id(self) -> str:
        """The trace's id."""
        text: str = self._read().trace_id.hex()
        return text

    @property
    def span_id(self) -> str:
        """The span's own id."""
        text: str = self._read().span_id.hex()
        return text

    @property
    def parent_span_id(self) -> str:
        """The id of the span around it; empty at the root."""
        text: str = self._read().parent_span_id.hex()
        return text

    @property
    def events(self) -> tuple[SpanEvent, ...]:
        """What happened in it; names and attributes can be changed."""
        return tuple(SpanEvent(event, self._note_change) for event in self._read().events)

    @property
    def message(self) -> trace_pb2.Span:
        """The protobuf message itself, for what has no name here (links). It may be changed."""
        message: trace_pb2.Span = self._lend()
        return message

    def _message_type(self) -> type[Message]:
        return trace_pb2.Span
