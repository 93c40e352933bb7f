"""The bytes of a recording as they are read: plain, or out of a zstd stream, a piece at a time."""

from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final

from tapeline.recorded.forms import MAX_WINDOW_BYTES, ZSTD_MAGIC

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

__all__ = ["StoredBytes", "StreamDamagedError"]

_PIECE_BYTES: Final = 256 * 1024
# A block of zstd takes 4 bytes or more and makes 128 KiB at most, so this much of a hostile stream
# makes 64 MiB.
_STEP_BYTES: Final = 2048
# Frames that hold no data (RFC 8878, section 3.1.2): the last three bytes, and the first.
_SKIPPABLE_ENDING: Final = b"\x2a\x4d\x18"
_SKIPPABLE_FIRST: Final = range(0x50, 0x60)
_MAGIC_BYTES: Final = 4


class StreamDamagedError(ValueError):
    """A zstd stream that can't be read on; the message says why.

    `offset_bytes` is where in the file the damaged frame begins.
    """

    def __init__(self, reason: str, offset_bytes: int) -> None:
        """Take the reason and the place."""
        super().__init__(reason)
        self.offset_bytes = offset_bytes


class _Zstd:
    """The zstd frames of a file that is compressed as a whole, one after the other."""

    def __init__(self, take_stored: Callable[[], bytes], frame_begins: int) -> None:
        """Take what is stored from `take_stored`, which returns nothing at the end."""
        import zstandard  # noqa: PLC0415 - it is loaded where something is compressed

        self._decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        self._error = zstandard.ZstdError
        self._take_stored = take_stored
        self._frame: ZstdDecompressionObj = self._decompressor.decompressobj()
        self._stored = b""
        self.frame_begins = frame_begins
        self._stored_to = frame_begins
        self.rest: bytes | None = None
        """What follows the frames and is none; None while there may be more of them."""

    def next_piece(self) -> bytes:
        """Return what comes next, decompressed; nothing at the end of the frames."""
        while self.rest is None:
            if self._frame.eof and not self._begin_next_frame():
                break
            piece = self._step()
            if piece:
                return piece
        return b""

    def _step(self) -> bytes:
        if not self._stored:
            self._stored = self._take_stored()
            if not self._stored:
                raise StreamDamagedError("the zstd stream ends within a frame", self.frame_begins)
        step, self._stored = self._stored[:_STEP_BYTES], self._stored[_STEP_BYTES:]
        self._stored_to += len(step)
        try:
            piece = self._frame.decompress(step)
        except self._error as error:
            reason = f"the zstd stream is damaged: {error}"
            raise StreamDamagedError(reason, self.frame_begins) from error
        if self._frame.eof:
            unused = self._frame.unused_data
            self._stored = unused + self._stored
            self._stored_to -= len(unused)
        return piece

    def _begin_next_frame(self) -> bool:
        while len(self._stored) < _MAGIC_BYTES:
            more = self._take_stored()
            if not more:
                break
            self._stored += more
        magic = self._stored[:_MAGIC_BYTES]
        skippable = magic[1:] == _SKIPPABLE_ENDING and magic[0] in _SKIPPABLE_FIRST
        if magic != ZSTD_MAGIC and not skippable:
            self.rest = self._stored
            return False
        self.frame_begins = self._stored_to
        self._frame = self._decompressor.decompressobj()
        return True

    @property
    def stored_to(self) -> int:
        """How far into the file the frames have been read."""
        return self._stored_to


class StoredBytes:
    """A file from its beginning to its end, with a look ahead of a few bytes.

    Holds no more than a message and a piece of what is stored. Raises StreamDamagedError where a
    zstd stream can't be read on, and OSError where the file can't.
    """

    def __init__(self, source: BinaryIO) -> None:
        """Read nothing yet."""
        # A pipe gives what there is; a plain `read` would wait for more.
        self._read: Callable[[int], bytes] = getattr(source, "read1", source.read)
        self._buffer = b""
        self._position = 0
        # The file's offset of the buffer's first byte, where the buffer is as stored.
        self._buffer_begins = 0
        self._zstd: _Zstd | None = None

    @property
    def is_compressed(self) -> bool:
        """Whether what comes next is out of a zstd stream."""
        return self._zstd is not None

    @property
    def offset_bytes(self) -> int:
        """Where in the file the next byte is; in a zstd stream, where the frame being read begins.

        A message that begins in one frame may end in the next one.
        """
        if self._zstd is not None:
            return self._zstd.frame_begins
        # Below 0: what is left of a stream that something shorter follows.
        return max(self._buffer_begins + self._position, 0)

    def peek(self, count: int) -> bytes:
        """Return the next bytes without taking them; fewer at the end."""
        while len(self._buffer) - self._position < count:
            piece = self._next_piece()
            if not piece:
                break
            self._append(piece)
        return self._buffer[self._position : self._position + count]

    def enter_stream(self) -> None:
        """Take what comes next for zstd frames, to be read decompressed. It begins with one."""
        stored = [self._buffer[self._position :]]
        begins = self.offset_bytes
        self._buffer = b""
        self._position = 0

        def take_stored() -> bytes:
            return stored.pop() if stored else self._read(_PIECE_BYTES)

        self._zstd = _Zstd(take_stored, begins)

    def take(self, count: int) -> bytes:
        """Take the next bytes; fewer at the end."""
        taken = self._take_buffered(count)
        if len(taken) == count:
            return taken
        # Grown by what there is, not by what a length says.
        pieces = [taken]
        missing = count - len(taken)
        while missing and (piece := self._next_piece()):
            self._append(piece)
            pieces.append(self._take_buffered(missing))
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def take_line(self, max_bytes: int) -> bytes:
        """Take what is up to a newline and with it, or up to the end, and `max_bytes` at most."""
        pieces = []
        room = max_bytes
        while room:
            newline = self._buffer.find(b"\n", self._position, self._position + room)
            if newline >= 0:
                pieces.append(self._take_buffered(newline + 1 - self._position))
                break
            pieces.append(self._take_buffered(room))
            room -= len(pieces[-1])
            if room:
                piece = self._next_piece()
                if not piece:
                    break
                self._append(piece)
        return b"".join(pieces)

    def _take_buffered(self, count: int) -> bytes:
        taken = self._buffer[self._position : self._position + count]
        self._position += len(taken)
        return taken

    def _append(self, piece: bytes) -> None:
        self._buffer_begins += self._position
        self._buffer = self._buffer[self._position :] + piece
        self._position = 0

    def _next_piece(self) -> bytes:
        if self._zstd is None:
            return self._read(_PIECE_BYTES)
        piece = self._zstd.next_piece()
        if piece or self._zstd.rest is None:
            return piece
        return self._leave_stream(self._zstd)

    def _leave_stream(self, zstd: _Zstd) -> bytes:
        """Go on with what follows the frames as it is stored."""
        rest = zstd.rest or b""
        # What is left in the buffer was decompressed: its place in the file is the stream's end.
        self._buffer_begins = zstd.stored_to - (len(self._buffer) - self._position)
        self._buffer_begins -= self._position
        self._zstd = None
        return rest or self._read(_PIECE_BYTES)
