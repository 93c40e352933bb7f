"""The state in a file that survives a restart, or is set aside where it can't be trusted.

A snapshot of a running gate is old as soon as it is written: what was counted after it would be
counted again. So totals are only restored from one that was written at a clean end. A second file,
the mark, says that: it holds the digest of that very snapshot, and it is removed as soon as it has
been read, so that a crash later is seen as one.
"""

import logging
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from tapeline.cardinality.snapshot_format import (
    DIGEST_BYTES,
    DamagedSnapshotError,
    OtherVersionError,
    Plain,
    decode,
    digest_of,
    encode,
)
from tapeline.pipeline.kept_files import (
    FOLDER_MODE,
    FileLock,
    beside,
    open_regular,
    place_aside,
    sync_folder,
)

__all__ = ["DEFAULT_MAX_BYTES", "ReadOutcome", "Reading", "SnapshotFile", "WriteOutcome"]

logger = logging.getLogger(__name__)

DEFAULT_MAX_BYTES: Final = 512 * 1024 * 1024


class ReadOutcome(StrEnum):
    """What became of reading a snapshot."""

    ABSENT = "absent"
    CLEAN = "clean"
    UNCLEAN = "unclean"
    DAMAGED = "damaged"
    OTHER_VERSION = "other_version"
    TOO_LARGE = "too_large"
    IN_USE = "in_use"
    ERROR = "error"


class WriteOutcome(StrEnum):
    """What became of writing a snapshot."""

    WRITTEN = "written"
    TOO_LARGE = "too_large"
    NOT_OURS = "not_ours"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: data where the outcome is CLEAN or UNCLEAN."""

    outcome: ReadOutcome
    data: Plain = None


class SnapshotFile:
    """One worker's snapshot, and its mark and lock beside it.

    Nothing here raises OSError: a gate without its old state is better than none. Each problem is
    in the outcome, for the caller to count, and logged once until it is over.
    """

    def __init__(self, path: Path, *, version: int, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Touch nothing yet. `version` is that of the data's layout."""
        self._path = path
        self._mark = path.with_name(f"{path.name}.clean")
        self._lock = FileLock(beside(path, ".lock"))
        self._version = version
        self._max_bytes = max_bytes
        self._told = ""

    @classmethod
    def of_worker(cls, path: Path, worker_index: int, *, version: int) -> "SnapshotFile":
        """Return the file of one of several workers: `path` with its index added to the name."""
        return cls(path.with_name(f"{path.name}.{worker_index}"), version=version)

    def read(self) -> Reading:
        """Return the last snapshot and remove its mark. The file is ours from now on.

        A damaged one is set aside as `<name>.damaged-<n>`. Where another process has the file, it
        is neither read nor written.
        """
        try:
            if not self._take_lock():
                self._tell(f"{self._path} is in use by another process: its state is not restored")
                return Reading(ReadOutcome.IN_USE)
            return self._read()
        except OSError as error:
            self.close()  # A mark that stays would call a later crash a clean end.
            self._tell(f"the state {self._path} can't be read: {error.strerror or error}")
            return Reading(ReadOutcome.ERROR)

    def claim(self) -> bool:
        """Make the file ours without reading it, for who has the state already: at a reload.

        The mark that the predecessor left is removed; what it wrote is old from the first batch on.
        False where that can't be done; then nothing will be written.
        """
        try:
            if not self._take_lock():
                self._tell(f"{self._path} is in use by another process: no state is kept")
                return False
            self._taken_mark()
        except OSError as error:
            self._tell(f"the state {self._path} can't be kept: {error.strerror or error}")
            self.close()
            return False
        return True

    def write(self, data: Plain, *, clean: bool = False) -> WriteOutcome:
        """Put a snapshot in place of the last one, or leave that one as it is.

        `clean` says that nothing will be counted after it. Raises TypeError or ValueError for data
        that a snapshot can't hold: that is a bug.
        """
        if not self._lock.is_held:
            return WriteOutcome.NOT_OURS
        snapshot = encode(data, self._version)
        if len(snapshot) > self._max_bytes:
            self._tell(
                f"the state is not written to {self._path}: {len(snapshot)} bytes are more than"
                f" the {self._max_bytes} that one may have"
            )
            return WriteOutcome.TOO_LARGE
        try:
            self._mark.unlink(missing_ok=True)
            _replace(self._path, snapshot)
            if clean:
                _replace(self._mark, digest_of(snapshot))
        except OSError as error:
            self._tell(f"the state can't be written to {self._path}: {error.strerror or error}")
            return WriteOutcome.ERROR
        self._told = ""
        return WriteOutcome.WRITTEN

    def close(self) -> None:
        """Let another process have the file."""
        self._lock.release()

    def _take_lock(self) -> bool:
        if not self._lock.is_held:
            self._path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        return self._lock.take()

    def _read(self) -> Reading:
        mark = self._taken_mark()
        try:
            with os.fdopen(open_regular(self._path), "rb") as file:
                snapshot = file.read(self._max_bytes + 1)
        except FileNotFoundError:
            return Reading(ReadOutcome.ABSENT)
        if len(snapshot) > self._max_bytes:
            return self._set_aside(
                ReadOutcome.TOO_LARGE, f"it has more than {self._max_bytes} bytes"
            )
        try:
            data = decode(snapshot, self._version)
        except DamagedSnapshotError as error:
            return self._set_aside(ReadOutcome.DAMAGED, str(error))
        except OtherVersionError as error:
            return self._set_aside(ReadOutcome.OTHER_VERSION, str(error))
        is_clean = mark == digest_of(snapshot)
        return Reading(ReadOutcome.CLEAN if is_clean else ReadOutcome.UNCLEAN, data)

    def _taken_mark(self) -> bytes:
        """Return the mark's content and remove it, for good, before anything is counted."""
        try:
            with os.fdopen(open_regular(self._mark), "rb") as file:
                mark = file.read(DIGEST_BYTES + 1)
        except FileNotFoundError:
            return b""
        self._mark.unlink()
        sync_folder(self._mark.parent)
        return mark

    def _set_aside(self, outcome: ReadOutcome, why: str) -> Reading:
        place = place_aside(self._path)
        self._path.replace(place)
        sync_folder(place.parent)
        self._tell(
            f"the state {self._path} is not restored: {why}; it was set aside as {place.name}."
            " Every limit starts empty, and folded series start anew"
        )
        return Reading(outcome)

    def _tell(self, problem: str) -> None:
        if problem != self._told:
            self._told = problem
            logger.error("%s", problem)


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it is the old one or the new one, whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    descriptor = open_regular(temporary, flags)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        # What there is of it may be what fills the disk.
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
