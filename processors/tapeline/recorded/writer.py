"""Writes one recording: what was flushed is on disk, and the file ends with a whole message.

A write that fails half-way (a full disk) is taken back: the file is cut to where it was whole, and
goes on from there when there is room again.
"""

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from tapeline import __version__
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recorded.metadata import Metadata, Policy, write_metadata
from tapeline.recorded.time_span import time_span

__all__ = ["RAW_FILE_MODE", "REDACTED_FILE_MODE", "RecordingWriter"]

RAW_FILE_MODE: Final = 0o600
"""Raw data is for nobody else."""
REDACTED_FILE_MODE: Final = 0o640

_WRITE_BYTES: Final = 4 * 1024 * 1024
"""What is appended is written when it is so much, though not flushed: it bounds the memory."""
_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What leaves a file usable: no room, for now."""


class _Tally:
    """What a file holds up to some point."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.batches = 0
        self.records: dict[Signal, int] = {}
        self.first_unix_nano: int | None = None
        self.last_unix_nano: int | None = None
        self.sha256 = hashlib.sha256()

    def copy(self) -> "_Tally":
        other = _Tally()
        other.size_bytes = self.size_bytes
        other.batches = self.batches
        other.records = dict(self.records)
        other.first_unix_nano = self.first_unix_nano
        other.last_unix_nano = self.last_unix_nano
        other.sha256 = self.sha256.copy()
        return other

    def add(self, batch: Batch, written: bytes) -> None:
        times = time_span(batch)
        self.size_bytes += len(written)
        self.sha256.update(written)
        self.batches += 1
        self.records[batch.signal] = self.records.get(batch.signal, 0) + batch.framing.record_count
        if times:
            first, last = times
            self.first_unix_nano = min(first, self.first_unix_nano or first)
            self.last_unix_nano = max(last, self.last_unix_nano or last)


class RecordingWriter:
    """A file that is written for the first time. Of one thread.

    The file must not be there yet: nothing is ever appended to what another process wrote.
    """

    def __init__(
        self,
        path: Path,
        form: Format,
        compression: Compression,
        *,
        source: str,
        policy: Policy,
        mode: int | None = None,
    ) -> None:
        """Make the file and its metadata; raises OSError, FileExistsError where something is there.

        `source` tells in the metadata who records. The mode is 0600 for a raw recording.
        """
        self.path = path
        self.is_broken = False
        """Whether this file is given up: another one has to be begun."""
        self._mode = mode or (RAW_FILE_MODE if policy.raw else REDACTED_FILE_MODE)
        self._encode = encoder(form, compression)
        self._metadata = Metadata(__version__, source, form, compression, policy)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._tally = _Tally()
        self._flushed = _Tally()
        # Exclusive: neither a file, nor a pipe or a link that somebody put there, is written to.
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, self._mode)
        try:
            write_metadata(path, self._metadata, self._mode)
        except BaseException:
            os.close(self._descriptor)
            path.unlink(missing_ok=True)
            raise

    @property
    def size_bytes(self) -> int:
        """What the file will have when all that was appended is flushed."""
        return self._tally.size_bytes

    @property
    def records(self) -> dict[Signal, int]:
        """Records flushed so far, by signal."""
        return dict(self._flushed.records)

    def append(self, batch: Batch) -> None:
        """Add a batch, to be flushed.

        Raises MessageError and MalformedRequestError for what can't be written at all, which
        changes nothing, and OSError where the write failed: then all since the last flush is gone.
        """
        written = self._encode(batch)
        self._tally.add(batch, written)
        self._waiting.append(written)
        self._waiting_bytes += len(written)
        if self._waiting_bytes >= _WRITE_BYTES:
            self._guarded(self._write)

    def flush(self) -> None:
        """Bring all that was appended to disk; raises OSError where all of it is gone."""
        self._guarded(self._write_and_sync)
        self._flushed = self._tally.copy()

    def close(self) -> None:
        """Flush, close, and complete the metadata; raises OSError. Closed it is in any case."""
        if self._descriptor < 0:
            return
        try:
            if not self.is_broken:
                self.flush()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1
            if not self.is_broken:
                write_metadata(self.path, self._completed(), self._mode)

    def _completed(self) -> Metadata:
        tally = self._flushed
        return replace(
            self._metadata,
            records=tally.records,
            batches=tally.batches,
            first_unix_nano=tally.first_unix_nano,
            last_unix_nano=tally.last_unix_nano,
            size_bytes=tally.size_bytes,
            sha256=tally.sha256.hexdigest(),
            closed=True,
        )

    def _write(self) -> None:
        for data in self._waiting:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        self._waiting.clear()
        self._waiting_bytes = 0

    def _write_and_sync(self) -> None:
        self._write()
        os.fdatasync(self._descriptor)
        if not os.fstat(self._descriptor).st_nlink:
            self.is_broken = True
            raise FileNotFoundError(errno.ENOENT, "somebody removed it while it was written to")

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do something to the file; where that fails, take back all since the last flush."""
        try:
            step()
        except OSError as error:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._tally = self._flushed.copy()
            # After a failed sync nobody knows what the disk has; after ENOSPC it is known.
            self.is_broken = self.is_broken or error.errno not in _PASSING
            self._cut()
            raise

    def _cut(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._flushed.size_bytes)
        except OSError:
            self.is_broken = True  # It ends with part of a message, and takes no more.
