"""A folder of recordings: a new file when one is large or old enough, and never more than so many.

Names sort by time, also when the clock goes back: `PREFIX-20261121T140000Z-0001.otlp.jsonl`. A
prefix has one writer, which holds a lock; files of other prefixes, and what is not named so, are
never touched.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tapeline.pipeline.batch import Batch
from tapeline.pipeline.kept_files import FOLDER_MODE, FileLock, sync_folder
from tapeline.recorded.forms import SUFFIXES, Compression, Format
from tapeline.recorded.metadata import Policy, metadata_path, unfinished_path
from tapeline.recorded.writer import RecordingWriter

__all__ = ["FolderBusyError", "Form", "RecordingFolder", "Rotation"]

_STAMP_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_STAMP: Final = r"\d{8}T\d{6}Z"
_MAX_NUMBER: Final = 9999
_PREFIX: Final[re.Pattern[str]] = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class FolderBusyError(OSError):
    """Another process writes recordings of this prefix there; the message says so."""


@dataclass(frozen=True, slots=True)
class Form:
    """How recordings are written, and what their metadata says of them."""

    format: Format
    compression: Compression
    source: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is closed and another begun; None never. `max_files` counts the open one too."""

    max_bytes: int | None = None
    max_age_s: float | None = None
    max_files: int | None = None


class RecordingFolder:
    """Writes recordings into a folder. Of one thread."""

    def __init__(
        self,
        folder: Path,
        prefix: str,
        form: Form,
        rotation: Rotation,
        *,
        unix_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the folder where absent, and lock it. Raises OSError, FolderBusyError too."""
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(f"{prefix!r} can't begin the name of a recording")
        self._folder = folder
        self._prefix = prefix
        self._form = form
        self._rotation = rotation
        self._unix_s = unix_s
        self._monotonic_s = monotonic_s
        self._file: RecordingWriter | None = None
        self._begun_s = 0.0
        self._last_name = ("", 0)
        self.files_begun = 0
        self.files_removed = 0
        suffixes = "|".join(re.escape(suffix) for suffix in SUFFIXES.values())
        self._own = re.compile(rf"{re.escape(prefix)}-({_STAMP})-(\d{{4}})(?:{suffixes})")
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._lock = FileLock(folder / f".{prefix}.lock")
        if not self._lock.take():
            raise FolderBusyError(
                f"{folder}: another process records here; choose another folder, or stop it"
            )

    @property
    def form(self) -> Form:
        """How files are written from now on."""
        return self._form

    def change(self, policy: Policy) -> None:
        """Say another policy of what comes from now on, in a file of its own; raises OSError."""
        self._form = replace(self._form, policy=policy)
        if self._file is not None:
            self._end(self._file)

    @property
    def current(self) -> Path | None:
        """The file that is being written."""
        return None if self._file is None else self._file.path

    def append(self, batch: Batch) -> None:
        """Add a batch, to be flushed. Raises as `RecordingWriter.append`, and where no file opens.

        A file in which something waits for its flush is not exchanged, so a file may grow beyond
        its size by what is flushed at once.
        """
        file = self._file or self._begin()
        file.append(batch)

    def flush(self) -> None:
        """Bring what was appended to disk; raises OSError where it is gone."""
        file = self._file
        if file is None:
            return
        try:
            file.flush()
        except OSError:
            if file.is_broken:
                self._file = None
                file.close()
            raise

    def tick(self) -> None:
        """Close the file if it is large or old enough. Call it after a flush.

        Raises OSError where its metadata can't be completed; what was flushed is on disk all the
        same.
        """
        file = self._file
        if file is None or not file.size_bytes:
            return
        rotation = self._rotation
        old = rotation.max_age_s is not None and (
            self._monotonic_s() - self._begun_s >= rotation.max_age_s
        )
        if old or (rotation.max_bytes is not None and file.size_bytes >= rotation.max_bytes):
            self._end(file)

    def close(self) -> None:
        """Close the file and let go of the folder; raises OSError."""
        try:
            if self._file is not None:
                self._end(self._file)
        finally:
            self._lock.release()

    def _end(self, file: RecordingWriter) -> None:
        self._file = None
        file.close()

    def _begin(self) -> RecordingWriter:
        self._remove_oldest()
        form = self._form
        name = self._next_name() + SUFFIXES[form.format, form.compression]
        self._file = RecordingWriter(
            self._folder / name,
            form.format,
            form.compression,
            source=form.source,
            policy=form.policy,
        )
        self._begun_s = self._monotonic_s()
        self.files_begun += 1
        return self._file

    def _next_name(self) -> str:
        """Return a name after all that are there, and after those that this process has used."""
        stamp = datetime.fromtimestamp(self._unix_s(), UTC).strftime(_STAMP_FORMAT)
        used = [(match[1], int(match[2])) for _, match in self._recordings()]
        last_stamp, last_number = max([*used, self._last_name])
        number = 1
        if stamp <= last_stamp:
            stamp, number = last_stamp, last_number + 1
        if number > _MAX_NUMBER:
            stamp, number = _second_after(stamp), 1
        self._last_name = (stamp, number)
        return f"{self._prefix}-{stamp}-{number:04d}"

    def _recordings(self) -> list[tuple[Path, re.Match[str]]]:
        """Return the files of this prefix, oldest first: by their names."""
        found = [(path, self._own.fullmatch(path.name)) for path in self._folder.iterdir()]
        return sorted(
            ((path, match) for path, match in found if match),
            key=lambda item: (item[1][1], item[1][2]),
        )

    def _remove_oldest(self) -> None:
        if self._rotation.max_files is None:
            return
        files = [path for path, _ in self._recordings()]
        # One place is for the file that is about to be begun.
        for path in files[: max(len(files) - self._rotation.max_files + 1, 0)]:
            # The metadata last: a recording is never there without saying what it is.
            path.unlink(missing_ok=True)
            metadata_path(path).unlink(missing_ok=True)
            unfinished_path(path).unlink(missing_ok=True)
            self.files_removed += 1
        sync_folder(self._folder)


def _second_after(stamp: str) -> str:
    moment = datetime.strptime(stamp, _STAMP_FORMAT).replace(tzinfo=UTC)
    return (moment + timedelta(seconds=1)).strftime(_STAMP_FORMAT)
