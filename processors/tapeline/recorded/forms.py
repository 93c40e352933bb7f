"""The forms of a recording: how one Export request stands in a file.

They are those of the collector's `file` exporter (v0.159, by its source and by running it):

- JSON: one request a line;
- protobuf: 4 bytes of length, big-endian, then the message;
- compressed, either of them: 4 bytes of length, then one zstd frame that holds the message (a
  compressed line has no newline);
- with its feature gate `exporter.file.nativeCompression`: the first two forms, and the file as a
  whole is a zstd stream. `zstd FILE` makes the same.

Nothing in a file says of which signal a protobuf message is: `signal_of` finds it out.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tapeline.pipeline.batch import Batch

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

__all__ = [
    "LENGTH_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_WINDOW_BYTES",
    "SUFFIXES",
    "ZSTD_MAGIC",
    "Compression",
    "Format",
    "MessageError",
    "decompressed",
    "encoder",
]

LENGTH_BYTES: Final = 4
"""A message's length comes before it: unsigned, big-endian."""

MAX_MESSAGE_BYTES: Final = 256 * 1024 * 1024
"""The longest message, as it is stored and decompressed: 64 MiB of protobuf, OTLP's recommended
limit, as JSON with room to spare. Below the first byte of a JSON line or of a zstd frame read as a
length, so that the three can't be taken for each other."""

MAX_WINDOW_BYTES: Final = 1 << 27
"""What a zstd frame may make its reader remember: what `zstd` itself takes without being asked."""

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"

# The collector's level, in the numbers of zstd.
_LEVEL: Final = 3
# A block of zstd takes 4 bytes or more and makes 128 KiB at most, so this much of a hostile frame
# makes 64 MiB.
_STEP_BYTES: Final = 2048


class Format(StrEnum):
    """How a request is written down."""

    JSON = "json"
    PROTO = "proto"


class Compression(StrEnum):
    """What is done to each message after that."""

    NONE = "none"
    ZSTD = "zstd"


SUFFIXES: Final[dict[tuple[Format, Compression], str]] = {
    (Format.JSON, Compression.NONE): ".otlp.jsonl",
    (Format.PROTO, Compression.NONE): ".otlp.pb",
    (Format.JSON, Compression.ZSTD): ".otlp.json.zst-messages",
    (Format.PROTO, Compression.ZSTD): ".otlp.pb.zst-messages",
}
"""How files are called. For people alone: the form of a file is found by its content. What is
compressed by messages is not called `.zst`: `zstd -d` can't read it."""


class MessageError(ValueError):
    """A message that can't be had; the message says why, and never quotes it."""


def encoder(form: Format, compression: Compression) -> Callable[[Batch], bytes]:
    """Return what makes the bytes to append for a batch: its newline or length are part of them.

    Those raise MessageError for a message longer than MAX_MESSAGE_BYTES, and JSON raises
    MalformedRequestError where the payload does not parse. Each encoder is for one thread.
    """
    written = _json if form is Format.JSON else _payload
    if compression is Compression.ZSTD:
        import zstandard  # noqa: PLC0415 - it is loaded where something is compressed

        # As the collector: with a checksum and the size of the content.
        compress = zstandard.ZstdCompressor(_LEVEL, write_checksum=True).compress
        return lambda batch: _framed(compress(_checked(written(batch))))
    if form is Format.JSON:
        return lambda batch: _checked(_json(batch)) + b"\n"
    return lambda batch: _framed(_payload(batch))


def _json(batch: Batch) -> bytes:
    from tapeline.otlp.json_lines import request_to_json  # noqa: PLC0415 - for JSON alone

    return request_to_json(batch.signal, batch.payload)


def _payload(batch: Batch) -> bytes:
    return batch.payload


def _framed(message: bytes) -> bytes:
    return len(_checked(message)).to_bytes(LENGTH_BYTES, "big") + message


def _checked(message: bytes) -> bytes:
    if len(message) > MAX_MESSAGE_BYTES:
        raise MessageError(
            f"a message of {len(message)} bytes is longer than {MAX_MESSAGE_BYTES // 2**20} MiB, "
            "the most that a recording takes"
        )
    return message


def decompressed(message: bytes) -> bytes:
    """Return what a message that is one zstd frame holds; raises MessageError.

    No more than MAX_MESSAGE_BYTES are ever made of it, whatever it says of itself.
    """
    import zstandard  # noqa: PLC0415 - it is loaded where something is compressed

    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    try:
        said_bytes = zstandard.frame_content_size(message)
        if said_bytes > MAX_MESSAGE_BYTES:
            raise _too_long()
        if said_bytes > 0:
            return decompressor.decompress(message, allow_extra_data=False)
        return _decompressed_by_steps(decompressor.decompressobj(), message)
    except zstandard.ZstdError as error:
        raise MessageError(f"its zstd frame is damaged: {error}") from error


def _decompressed_by_steps(frame: "ZstdDecompressionObj", message: bytes) -> bytes:
    pieces = []
    size_bytes = 0
    for begin in range(0, len(message), _STEP_BYTES):
        if frame.eof:
            raise MessageError("its zstd frame ends before the message does")
        piece = frame.decompress(message[begin : begin + _STEP_BYTES])
        size_bytes += len(piece)
        if size_bytes > MAX_MESSAGE_BYTES:
            raise _too_long()
        pieces.append(piece)
    if not frame.eof:
        raise MessageError("its zstd frame is not whole")
    if frame.unused_data:
        raise MessageError("its zstd frame ends before the message does")
    return b"".join(pieces)


def _too_long() -> MessageError:
    return MessageError(
        f"decompressed it is longer than {MAX_MESSAGE_BYTES // 2**20} MiB, the most that is read"
    )
