"""What log records, spans and data points have in common: one record of a request, viewed.

A view parses its record when something of it is first asked for, and notes whether anything was
changed: only then are new bytes made of it.
"""

from typing import Any, ClassVar

from google.protobuf.message import DecodeError, Message

from tapeline.kit.attributes import Attributes
from tapeline.kit.derived import Derive
from tapeline.kit.surroundings import Resource, Scope, Surroundings
from tapeline.otlp.index import RecordIndex
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError

__all__ = ["Record", "RequestContext"]


class RequestContext:
    """What the views of one request's records share."""

    __slots__ = ("derive", "index", "now_unix_nano", "payload", "surroundings")

    def __init__(
        self, payload: bytes, index: RecordIndex, derive: Derive, now_unix_nano: int
    ) -> None:
        self.payload = payload
        self.index = index
        self.derive = derive
        self.now_unix_nano = now_unix_nano
        self.surroundings = Surroundings(payload, index)


class Record:
    """A log record, span or data point. Use it while your function runs; it is not kept after."""

    __slots__ = ("_changed", "_context", "_dropped", "_lent", "_number", "_parsed")

    signal: ClassVar[Signal]

    def __init__(self, context: RequestContext, number: int) -> None:
        """View a record of a request by its number; parse nothing yet."""
        self._context = context
        self._number = number
        # Any: each kind of record has a message type of its own.
        self._parsed: Any = None
        self._changed = False
        self._dropped = False
        self._lent = False

    @property
    def attributes(self) -> Attributes:
        """The record's own attributes, which can be changed."""
        return Attributes(self._read().attributes, self._note_change)

    @property
    def resource(self) -> Resource:
        """Whose record it is: the attributes of the service, host and so on, to read."""
        return self._context.surroundings.resource(self._number)

    @property
    def scope(self) -> Scope:
        """The library that made the record, to read."""
        return self._context.surroundings.scope(self._number)

    @property
    def derive(self) -> Derive:
        """Where derived metrics go: `record.derive.count("rejections", 1, {"venue": venue})`."""
        return self._context.derive

    @property
    def now_unix_nano(self) -> int:
        """The time of processing in nanoseconds since the epoch; offline, that of the data.

        Use it in place of a clock: then a replay gives what the live run gave.
        """
        return self._context.now_unix_nano

    @property
    def is_dropped(self) -> bool:
        """Whether it was dropped."""
        return self._dropped

    @property
    def is_changed(self) -> bool:
        """Whether anything in it differs from what came."""
        if self._lent and not self._changed:
            # Somebody had the message itself: only a comparison tells.
            before = self._message_type().FromString(self._content())
            self._changed = before.SerializeToString() != self._parsed.SerializeToString()
        return self._changed

    def drop(self) -> None:
        """Take the record out of the request. What else is done to it makes no difference."""
        self._dropped = True

    def encoded(self) -> bytes:
        """Return the record's bytes: those that came, where nothing was changed."""
        content: bytes = self._parsed.SerializeToString() if self.is_changed else self._content()
        return content

    def _message_type(self) -> type[Message]:
        raise NotImplementedError

    def _content(self) -> bytes:
        index, number = self._context.index, self._number
        return self._context.payload[index.record_begins[number] : index.record_ends[number]]

    def _read(self) -> Any:
        """Return the record's message; raises MalformedRequestError where it does not parse."""
        if self._parsed is not None:
            return self._parsed
        message_type = self._message_type()
        try:
            self._parsed = message_type.FromString(self._content())
        except DecodeError as error:
            name = message_type.DESCRIPTOR.name
            raise MalformedRequestError(f"a {name} does not parse as OTLP") from error
        return self._parsed

    def _lend(self) -> Any:
        message = self._read()
        self._lent = True
        return message

    def _set(self, field: str, value: object) -> None:
        message = self._read()
        if getattr(message, field) != value:
            setattr(message, field, value)
            self._changed = True

    def _set_id(self, field: str, text: str, size_bytes: int) -> None:
        content = bytes.fromhex(text)
        if len(content) not in (0, size_bytes):
            raise ValueError(f"{field} has {size_bytes * 2} hexadecimal digits, or none")
        self._set(field, content)

    def _note_change(self) -> None:
        self._changed = True
