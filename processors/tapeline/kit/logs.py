"""Log records, as a processor sees them."""

from typing import Any, ClassVar, Final

from google.protobuf.message import Message
from opentelemetry.proto.logs.v1 import logs_pb2

from tapeline.kit.record import Record
from tapeline.kit.values import Settable, Value, python_value, replace_value, text_of
from tapeline.otlp.signals import Signal

__all__ = ["LogRecord"]

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8


class LogRecord(Record):
    """A log record, or event. Times are nanoseconds since the epoch, as integers; 0: not known."""

    __slots__ = ()

    signal: ClassVar[Signal] = Signal.LOGS

    @property
    def body(self) -> Value:
        """What was logged: a text mostly, or a map where the service logs structures."""
        return python_value(self._read().body)

    @body.setter
    def body(self, value: Settable) -> None:
        if replace_value(self._read().body, value):
            self._changed = True

    @property
    def body_text(self) -> str | None:
        """The body where it is a text, else None."""
        return text_of(self._read().body)

    @property
    def event_name(self) -> str:
        """The event's name; empty where the record is no event."""
        name: str = self._read().event_name
        return name

    @event_name.setter
    def event_name(self, name: str) -> None:
        self._set("event_name", name)

    @property
    def severity(self) -> str:
        """The severity as the service spells it."""
        text: str = self._read().severity_text
        return text

    @severity.setter
    def severity(self, text: str) -> None:
        self._set("severity_text", text)

    @property
    def severity_number(self) -> int:
        """The severity as a number: 1 trace, 5 debug, 9 info, 13 warn, 17 error, 21 fatal."""
        return int(self._read().severity_number)

    @severity_number.setter
    def severity_number(self, number: int) -> None:
        self._set("severity_number", number)

    @property
    def time_unix_nano(self) -> int:
        """When it happened."""
        return int(self._read().time_unix_nano)

    @time_unix_nano.setter
    def time_unix_nano(self, time_unix_nano: int) -> None:
        self._set("time_unix_nano", time_unix_nano)

    @property
    def observed_time_unix_nano(self) -> int:
        """When it was collected."""
        return int(self._read().observed_time_unix_nano)

    @observed_time_unix_nano.setter
    def observed_time_unix_nano(self, time_unix_nano: int) -> None:
        self._set("observed_time_unix_nano", time_unix_nano)

    @property
    def trace_id(self) -> str:
        """The trace's id in hexadecimal; empty where there is none."""
        return _hex(self._read().trace_id)

    @trace_id.setter
    def trace_id(self, text: str) -> None:
        self._set_id("trace_id", text, _TRACE_ID_BYTES)

    @property
    def span_id(self) -> str:
        """The span's id in hexadecimal; empty where there is none."""
        return _hex(self._read().span_id)

    @span_id.setter
    def span_id(self, text: str) -> None:
        self._set_id("span_id", text, _SPAN_ID_BYTES)

    @property
    def message(self) -> logs_pb2.LogRecord:
        """The protobuf message itself, for what has no name here. It may be changed."""
        message: logs_pb2.LogRecord = self._lend()
        return message

    def _message_type(self) -> type[Message]:
        return logs_pb2.LogRecord


def _hex(content: Any) -> str:
    text: str = content.hex()
    return text
