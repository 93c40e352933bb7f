"""Reads recordings: any of the forms, and a file that holds several of them.

The form is found by the bytes, never by a file's name: at each message's beginning, since the
collector appends to a file in another form when its configuration has changed. `{` begins a line of
JSON, zstd's magic number a stream of zstd, and anything else is a length. As lengths the first two
would be above the limit on a message.

Sans I/O but for the reads of the file that is handed in.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from tapeline.otlp.json_lines import request_from_json
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import (
    LENGTH_BYTES,
    MAX_MESSAGE_BYTES,
    ZSTD_MAGIC,
    MessageError,
    decompressed,
)
from tapeline.recorded.signal_of import possible_signals
from tapeline.recorded.stored import StoredBytes, StreamDamagedError

__all__ = ["Flaw", "RecordedBatch", "read_recording"]

_WHITESPACE: Final = b" \t\r\n"
_LOOK_AHEAD_BYTES: Final = LENGTH_BYTES + len(ZSTD_MAGIC)
_MAX_LEADING_SPACE: Final = 4096
_GZIP_MAGIC: Final = b"\x1f\x8b"
_LIMIT_MIB: Final = MAX_MESSAGE_BYTES // 2**20
_REQUEST_TAG: Final = 0x0A
"""What each Export request that holds something begins with: field 1, length-delimited."""


@dataclass(frozen=True, slots=True)
class RecordedBatch:
    """A request of a recording.

    `number` counts the messages of the file from 1, the flawed ones too. `offset_bytes` is where it
    begins in the file as stored: in a file that is a zstd stream, where the frame begins in which
    it was met. The batch's framing has been checked.
    """

    batch: Batch
    number: int
    offset_bytes: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """A message that can't be used, and why; `fatal`: nothing after it can be read."""

    number: int
    offset_bytes: int
    reason: str
    fatal: bool


class _UnusableError(ValueError):
    """A message that is there but can't be used; the message says why, and quotes no value."""


class _FatalError(ValueError):
    """The place of the next message is not known."""


def read_recording(
    source: BinaryIO, *, signal: Signal | None = None
) -> Iterator[RecordedBatch | Flaw]:
    """Yield each request of a recording, and a Flaw for each message that can't be used.

    `signal` is that of protobuf messages whose own bytes don't tell. What is whole is used, up to
    the first byte that is not; nothing is raised but OSError. Memory does not depend on the file's
    size, but on that of its largest message.
    """
    reader = _Reader(StoredBytes(source), signal)
    while True:
        try:
            if not reader.seek_message():
                return
            yield reader.read()
        except _FatalError as error:
            yield Flaw(reader.number, reader.begins, str(error), fatal=True)
            return
        except StreamDamagedError as error:
            yield Flaw(reader.number, error.offset_bytes, str(error), fatal=True)
            return
        except (_UnusableError, MessageError, MalformedRequestError) as error:
            yield Flaw(reader.number, reader.begins, str(error), fatal=False)


class _Reader:
    """Goes from message to message."""

    def __init__(self, stored: StoredBytes, signal: Signal | None) -> None:
        self._stored = stored
        self._signal = signal
        self._in_lines = False
        self.number = 0
        self.begins = 0

    def seek_message(self) -> bool:
        """Go to where the next message begins; False at the end."""
        self.number += 1
        if self.number == 1:
            self._begin_file()
        while True:
            head = self._stored.peek(_LOOK_AHEAD_BYTES)
            if self._in_lines and head[:1] and head[0] in _WHITESPACE:
                self._stored.take(1)
            elif head.startswith(ZSTD_MAGIC) and not self._stored.is_compressed:
                self._stored.enter_stream()
                self._begin_content()
            else:
                break
        self.begins = self._stored.offset_bytes
        return bool(head)

    def _begin_file(self) -> None:
        if self._stored.peek(len(ZSTD_MAGIC)) != ZSTD_MAGIC:
            self._begin_content()

    def _begin_content(self) -> None:
        """Tell lines, which may begin with blank ones, from lengths."""
        if self._stored.peek(len(BOM_UTF8)) == BOM_UTF8:
            # Some editors begin a UTF-8 file with a byte order mark; it is no part of the text.
            self._stored.take(len(BOM_UTF8))
        count = 1
        while not (head := self._stored.peek(count).lstrip(_WHITESPACE)):
            # A pipe is not waited for longer than it takes to know.
            if count >= _MAX_LEADING_SPACE or len(self._stored.peek(count)) < count:
                break
            count += 1
        self._in_lines = head.startswith(b"{")

    def read(self) -> RecordedBatch:
        """Return the message that begins here."""
        head = self._stored.peek(_LOOK_AHEAD_BYTES)
        if head.startswith(b"{") or (self._in_lines and not _begins_with_length(head)):
            self._in_lines = True
            batch = self._read_line()
        else:
            self._in_lines = False
            batch = self._read_framed(head)
        # Checked here, so that a damaged message is a flaw of the file; it is checked only once.
        _ = batch.framing
        return RecordedBatch(batch, self.number, self.begins)

    def _read_line(self) -> Batch:
        line = self._stored.take_line(MAX_MESSAGE_BYTES + 1)
        if len(line) > MAX_MESSAGE_BYTES and not line.endswith(b"\n"):
            self._skip_line()
            raise _UnusableError(f"the line is longer than {_LIMIT_MIB} MiB")
        try:
            return self._of_json(line)
        except MalformedRequestError as error:
            if line.endswith(b"\n"):
                raise
            raise _FatalError(f"the file ends within a line: {error}") from error

    def _skip_line(self) -> None:
        if self._stored.is_compressed:
            # A few bytes may make terabytes.
            raise _FatalError(f"a line is longer than {_LIMIT_MIB} MiB, and is not read to its end")
        while rest := self._stored.take_line(MAX_MESSAGE_BYTES):
            if rest.endswith(b"\n"):
                return

    def _read_framed(self, head: bytes) -> Batch:
        length = int.from_bytes(head[:LENGTH_BYTES], "big")
        if len(head) < LENGTH_BYTES:
            raise _FatalError(f"the file ends within a message's length: {len(head)} of 4 bytes")
        if length > MAX_MESSAGE_BYTES:
            raise _FatalError(_no_message(head, length, self.number))
        self._stored.take(LENGTH_BYTES)
        if not length:
            self._skip_zeros()
            raise _UnusableError("an empty message; a hole or a torn end is full of them")
        message = self._stored.take(length)
        if len(message) < length:
            raise _FatalError(
                f"the file ends within a message: {len(message)} of its {length} bytes are there"
            )
        if message.startswith(ZSTD_MAGIC):
            message = decompressed(message)
        if message.startswith(b"{"):
            return self._of_json(message)
        return Batch(self._signal_of(message), message)

    def _skip_zeros(self) -> None:
        """Go over further empty messages: a disk that was cut off may leave gigabytes of zeros."""
        nothing = bytes(_MAX_LEADING_SPACE)
        while self._stored.peek(len(nothing)) == nothing:
            self._stored.take(len(nothing))
        while self._stored.peek(LENGTH_BYTES) == bytes(LENGTH_BYTES):
            self._stored.take(LENGTH_BYTES)

    def _of_json(self, text: bytes) -> Batch:
        signal, payload = request_from_json(text)
        if not payload and self._signal:
            signal = self._signal
        return Batch(signal, payload)

    def _signal_of(self, message: bytes) -> Signal:
        possible = possible_signals(message)
        if len(possible) == 1:
            return next(iter(possible))
        if not possible:
            raise _UnusableError("its records are neither log records nor spans nor metrics")
        if self._signal in possible:
            return self._signal
        names = " or ".join(signal for signal in Signal if signal in possible)
        told = f", and not of {self._signal}, as was said" if self._signal else ""
        raise _UnusableError(f"nothing in it tells whether it is of {names}{told}; say which")


def _begins_with_length(head: bytes) -> bool:
    """Tell whether, after lines, a length and its message follow rather than a damaged line."""
    length = int.from_bytes(head[:LENGTH_BYTES], "big")
    message = head[LENGTH_BYTES:]
    return 0 < length <= MAX_MESSAGE_BYTES and (
        message[:1] == bytes([_REQUEST_TAG]) or message == ZSTD_MAGIC
    )


def _no_message(head: bytes, length: int, number: int) -> str:
    if head.startswith(_GZIP_MAGIC):
        return "the file is compressed with gzip: decompress it first"
    said = f"a length of {length} bytes is above the limit of {_LIMIT_MIB} MiB"
    if number == 1:
        return f"not a recording: no line of JSON, and {said}"
    return f"{said}: what comes before it is damaged, or the file is no recording"
