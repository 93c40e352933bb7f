"""A state that ends with its process: for `tapeline process`, and for who wants no file."""

from tapeline.signals.store import (
    Loaded,
    LogRow,
    Progress,
    Sealed,
    put_together,
    sealed_checkpoint,
    sealed_chunk,
    sealed_row,
)

__all__ = ["MemoryStore"]


class MemoryStore:
    """Holds what the others write. Nothing need be given to it: see `Store.is_durable`."""

    is_durable = False

    def __init__(self) -> None:
        self._progress = Progress()
        self._start_time_ns: int | None = None
        self._checkpoints: dict[int, bytes] = {}
        self._chunks: dict[int, tuple[int, bytes]] = {}
        self._rows: dict[int, bytes] = {}

    def load(self, before_sequence: int | None = None) -> Loaded:
        """Return what was written in this process."""
        found = None
        if self._start_time_ns is not None:
            found = put_together(
                self._start_time_ns,
                [
                    Sealed(*item)
                    for item in sorted(self._checkpoints.items(), reverse=True)
                    if before_sequence is None or item[0] < before_sequence
                ],
                [Sealed(sequence, chunk) for sequence, (_, chunk) in sorted(self._chunks.items())],
                [Sealed(*item) for item in sorted(self._rows.items())],
            )
        has_begun = self._start_time_ns is not None
        loaded, drop_ns = found or (Loaded(was_lost=has_begun), 0)
        if before_sequence is None:
            self._progress.take(loaded, drop_ns)
        return loaded

    def begin(self, start_time_ns: int) -> None:
        """Forget all, and begin."""
        for pieces in (self._checkpoints, self._chunks, self._rows):
            pieces.clear()
        self._start_time_ns = start_time_ns
        self._progress = Progress(is_loaded=True)

    def append(self, row: LogRow) -> None:
        """Hold a row."""
        self._progress.expect(row)
        self._rows[row.sequence] = sealed_row(row)
        self._progress.last_sequence = row.sequence

    def checkpoint(
        self,
        sequence: int,
        body: bytes,
        executions: bytes,
        newest_time_ns: int,
        drop_before_ns: int,
    ) -> None:
        """Hold a checkpoint, and let go of what is older than the one before it."""
        if not self._progress.is_new(sequence):
            return
        older, older_drop_ns = self._progress.base_sequence, self._progress.base_drop_ns
        self._checkpoints[sequence] = sealed_checkpoint(sequence, drop_before_ns, body)
        chunk = sealed_chunk(sequence, newest_time_ns, executions)
        self._chunks[sequence] = (newest_time_ns, chunk)
        for old in [other for other in self._checkpoints if other not in {older, sequence}]:
            del self._checkpoints[old]
        for old in [row for row in self._rows if row <= older]:
            del self._rows[old]
        for old, (newest_ns, _) in list(self._chunks.items()):
            if (old < older and newest_ns < older_drop_ns) or older < old < sequence:
                del self._chunks[old]
        self._progress.base_sequence, self._progress.base_drop_ns = sequence, drop_before_ns

    def size_bytes(self) -> int:
        """Return the bytes of all pieces."""
        kept = [*self._checkpoints.values(), *self._rows.values()]
        return sum(map(len, kept)) + sum(len(chunk) for _, chunk in self._chunks.values())

    def close(self) -> None:
        """Hold on to what there is: it ends with the object."""
