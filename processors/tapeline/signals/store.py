"""What a state outlives a crash in: a write-ahead log of events, checkpoints, archived executions.

A batch's events are committed before the engine applies them. State is a function of a checkpoint
and of the rows after it. The last two checkpoints stay, and the rows after the older one, so that a
damaged newest one costs a longer replay and nothing else. Everything has a checksum: neither SQLite
nor PostgreSQL (unless its cluster has them) keeps one of its pages. See docs/adr.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

__all__ = [
    "MAX_PIECE_BYTES",
    "Loaded",
    "LogRow",
    "Progress",
    "Store",
    "StoreError",
    "StoreFault",
]

MAX_PIECE_BYTES: Final = 512 * 1024 * 1024
"""A row, checkpoint or chunk of executions; both databases hold a value of twice that."""

_CRC_BYTES: Final = 4
_NUMBER_BYTES: Final = 16
"""More than any time of 64 bits needs, with or without a sign."""
_ROW, _CHECKPOINT, _CHUNK = b"row", b"checkpoint", b"chunk"


class StoreFault(StrEnum):
    """Why a store did not do what it was asked for."""

    ABSENT = "absent"
    """Nothing is there to be read, or it was removed while it was in use."""
    IN_USE = "in_use"
    """Another process has it, or took it over."""
    LOCKED = "locked"
    """Another process kept a lock for longer than the wait."""
    FULL = "full"
    READ_ONLY = "read_only"
    NOT_PERMITTED = "not_permitted"
    NOT_A_FILE = "not_a_file"
    NOT_OURS = "not_ours"
    """A database, but not one of Tapeline's state."""
    OTHER_VERSION = "other_version"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    NO_DRIVER = "no_driver"
    BAD_URL = "bad_url"
    INPUT_OUTPUT = "input_output"
    OTHER = "other"


class StoreError(Exception):
    """The store did not do it, and holds what it held; the message has no credentials."""

    def __init__(self, reason: StoreFault, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LogRow(NamedTuple):
    """One step of the engine: a batch, or a watermark that the clock moved."""

    sequence: int
    """1 is the first; without gaps."""
    greatest_time_ns: int
    """Of any record of the batch."""
    watermark_ns: int
    """Where the clock moved it; 0: as the greatest time says."""
    events: bytes
    """What `encode_events` returned, or nothing."""


class Loaded(NamedTuple):
    """All that a state is made from again."""

    start_time_ns: int | None = None
    """None: nothing is there yet, and `begin` comes next."""
    checkpoint_sequence: int = 0
    """The last row that the checkpoint knows; 0 without one."""
    checkpoint: bytes | None = None
    chunks: tuple[bytes, ...] = ()
    """Archived executions up to the checkpoint, in order, its own included; of the others none
    that its window had passed."""
    rows: tuple[LogRow, ...] = ()
    """What came after the checkpoint, in order."""
    was_lost: bool = False
    """There was a state that can't be used; it is set aside, and this one begins anew."""
    damaged_checkpoints: int = 0
    damaged_chunks: int = 0
    damaged_rows: int = 0
    """Also those that are missing: their events are in no figure."""

    @property
    def last_sequence(self) -> int:
        """Return the sequence of the last row; the next one's is greater by one."""
        return self.checkpoint_sequence + len(self.rows) + self.damaged_rows


class Store(Protocol):
    """One worker's state. Calls come one at a time, from any thread.

    All but `close` raise StoreError, of which nothing but a lost connection takes longer than a few
    seconds to find out; what failed may be tried again.
    """

    is_durable: bool
    """Whether anything outlives the process; without that nothing need be appended."""

    def load(self, before_sequence: int | None = None) -> Loaded:
        """Open it, and return what is there. The first call makes the state ours.

        With `before_sequence`, only what checkpoints before that one say: so the newest one can be
        compared with a replay from the one before it.
        """

    def begin(self, start_time_ns: int) -> None:
        """Make a new and empty state, whatever was there."""

    def append(self, row: LogRow) -> None:
        """Commit a row, for good; its sequence follows that of the last one.

        After an error it may be there nonetheless (the answer was lost): the next row then takes
        its place, and a crash before that replays it. So the same events may come again, and the
        engine must know them by identity.
        """

    def checkpoint(
        self,
        sequence: int,
        body: bytes,
        executions: bytes,
        newest_time_ns: int,
        drop_before_ns: int,
    ) -> None:
        """Commit the state after the row of this sequence, and drop what is no longer needed.

        `executions` are those accepted since the last checkpoint, the newest of them from
        `newest_time_ns`. What was handed in earlier and is from before `drop_before_ns`, this
        state does not need. Without a
        row since the last checkpoint nothing happens. After an error the executions are handed in
        again, with those that followed, at the next checkpoint.
        """

    def size_bytes(self) -> int:
        """Return how much room the state takes."""

    def close(self) -> None:
        """Let another process have it; a closed store may be loaded again."""


@dataclass(slots=True)
class Progress:
    """Where a store's log stands. It is the same for each kind of store."""

    last_sequence: int = 0
    base_sequence: int = 0
    """The newest checkpoint that is whole."""
    base_drop_ns: int = 0
    """Before it that checkpoint needs no executions."""
    is_loaded: bool = field(default=False)

    def take(self, loaded: Loaded, drop_ns: int) -> None:
        """Stand where a state that was loaded ends."""
        self.last_sequence = loaded.last_sequence
        self.base_sequence, self.base_drop_ns = loaded.checkpoint_sequence, drop_ns
        self.is_loaded = True

    def expect(self, row: LogRow) -> None:
        """Raise ValueError where a row is not the next one: a bug."""
        if not self.is_loaded or row.sequence != self.last_sequence + 1:
            raise ValueError(f"row {row.sequence} does not follow {self.last_sequence}")

    def is_new(self, sequence: int) -> bool:
        """Say whether a checkpoint knows more than the last one; ValueError: more than there is."""
        if not self.is_loaded or not self.base_sequence <= sequence <= self.last_sequence:
            raise ValueError(f"no checkpoint {sequence} between the last one and the last row")
        return sequence > self.base_sequence


class Sealed(NamedTuple):
    """A piece as it is stored, by its sequence."""

    sequence: int
    content: bytes


def sealed_row(row: LogRow) -> bytes:
    """Return what a row is stored as."""
    return _sealed(_ROW, row.sequence, (row.greatest_time_ns, row.watermark_ns), row.events)


def sealed_checkpoint(sequence: int, drop_before_ns: int, body: bytes) -> bytes:
    """Return what a checkpoint is stored as."""
    return _sealed(_CHECKPOINT, sequence, (drop_before_ns,), body)


def sealed_chunk(sequence: int, newest_time_ns: int, executions: bytes) -> bytes:
    """Return what a chunk of executions is stored as."""
    return _sealed(_CHUNK, sequence, (newest_time_ns,), executions)


def put_together(
    start_time_ns: int,
    checkpoints: Sequence[Sealed],
    chunks: Iterable[Sealed],
    rows: Iterable[Sealed],
) -> tuple[Loaded, int] | None:
    """Return a state from its pieces, and before what time it needs no executions.

    `checkpoints` are the newest ones first. None: there is no checkpoint that is whole, and the
    rows from the start are not there either.
    """
    base, drop_ns, body, damaged = 0, 0, None, 0
    for piece in checkpoints:
        if (opened := _opened(_CHECKPOINT, piece, 1)) is not None:
            (drop_ns,), body = opened
            base = piece.sequence
            break
        damaged += 1
    first, found, missing = _rows(rows, base)
    if body is None and first != 1 and (damaged or found):
        return None
    kept, damaged_chunks = _chunks(chunks, base, drop_ns)
    loaded = Loaded(
        start_time_ns,
        base,
        body,
        kept,
        found,
        damaged_checkpoints=damaged,
        damaged_chunks=damaged_chunks,
        damaged_rows=missing,
    )
    return loaded, drop_ns


def _rows(pieces: Iterable[Sealed], base: int) -> tuple[int, tuple[LogRow, ...], int]:
    """Return the first row's sequence, the rows after a checkpoint, and how many are damaged."""
    found: list[LogRow] = []
    first, last = 0, base
    for piece in pieces:
        if piece.sequence <= base:
            continue
        first = first or piece.sequence
        last = max(last, piece.sequence)
        opened = _opened(_ROW, piece, 2)
        if opened is not None:
            (greatest_ns, watermark_ns), events = opened
            found.append(LogRow(piece.sequence, greatest_ns, watermark_ns, events))
    return first, tuple(found), last - base - len(found)


def _chunks(pieces: Iterable[Sealed], base: int, drop_ns: int) -> tuple[tuple[bytes, ...], int]:
    found: list[bytes] = []
    damaged = 0
    for piece in pieces:
        if piece.sequence > base:
            continue
        opened = _opened(_CHUNK, piece, 1)
        if opened is None:
            damaged += 1
        elif piece.sequence == base or opened[0][0] >= drop_ns:
            found.append(opened[1])
    return tuple(found), damaged


def _sealed(kind: bytes, sequence: int, numbers: Sequence[int], body: bytes) -> bytes:
    if len(body) > MAX_PIECE_BYTES:
        raise StoreError(
            StoreFault.TOO_LARGE,
            f"a {kind.decode()} of {len(body)} bytes is more than the {MAX_PIECE_BYTES} that one"
            " may have",
        )
    head = b"".join(number.to_bytes(_NUMBER_BYTES, "little", signed=True) for number in numbers)
    return b"".join((_checksum(kind, sequence, head, body), head, body))


def _opened(kind: bytes, piece: Sealed, count: int) -> tuple[tuple[int, ...], bytes] | None:
    """Return the numbers and the body of a piece; None where it is not as it was written."""
    body_at = _CRC_BYTES + count * _NUMBER_BYTES
    head, body = piece.content[_CRC_BYTES:body_at], piece.content[body_at:]
    if piece.content[:_CRC_BYTES] != _checksum(kind, piece.sequence, head, body):
        return None
    numbers = tuple(
        int.from_bytes(head[at : at + _NUMBER_BYTES], "little", signed=True)
        for at in range(0, count * _NUMBER_BYTES, _NUMBER_BYTES)
    )
    return numbers, body


def _checksum(kind: bytes, sequence: int, head: bytes, body: bytes) -> bytes:
    begun = zlib.crc32(b"%s %d %s" % (kind, sequence, head))
    return zlib.crc32(body, begun).to_bytes(_CRC_BYTES, "little")
