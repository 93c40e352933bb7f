"""`tapeline backup`: each store of a running or stopped stack into one file, with its hash."""

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import zstandard

import tapeline
from tapeline.stack.child import Identity, is_alive
from tapeline.stack.freezing import FreezeError, frozen
from tapeline.stack.sparse_files import Extents, extents_of, written_text
from tapeline.stack.stores import MANIFEST, BackupError, Kind, Store

__all__ = [
    "EXTENTS_HEADER",
    "SIZE_HEADER",
    "Job",
    "Saved",
    "back_up",
    "manifest_version",
    "remove_oldest",
]

# Of a file in the archive (a pax header each): its whole length, and the parts that are written.
SIZE_HEADER: Final = "TAPELINE.size"
EXTENTS_HEADER: Final = "TAPELINE.extents"

_VERSION: Final = 1
_LEVEL: Final = 3
_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_SQLITE_BESIDE: Final = ("-wal", "-shm", "-journal")
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Job:
    """What to copy: stores, the folder of each by name, and the processes that write them."""

    stores: tuple[Store, ...]
    folders: Mapping[str, Path]
    processes: Mapping[str, Identity]
    target: Path


@dataclass(frozen=True, slots=True)
class Saved:
    """One store in a backup. `stood_still_s` is how long its server was held."""

    store: str
    file: str
    sha256: str
    files: int
    size_bytes: int
    stored_bytes: int
    stood_still_s: float


def manifest_version() -> int:
    """Return the version of the form that this program writes and reads."""
    return _VERSION


def back_up(job: Job, show: Callable[[Saved], None]) -> Path:
    """Copy the stores into a new folder below the target, and return it; raises BackupError.

    The manifest is written last: a folder without one is no backup, and is removed here.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    folder = job.target / stamp
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True)
        saved = list(_save_all(job, folder, show))
        _write_manifest(folder, saved)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BackupError(f"{error.filename or folder}: {error.strerror or error}") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _save_all(job: Job, folder: Path, show: Callable[[Saved], None]) -> Iterator[Saved]:
    found = False
    for store in job.stores:
        source = job.folders.get(store.name)
        if source is not None and source.is_dir():
            saved = _save(store, source, job.processes.get(store.unit), folder)
            show(saved)
            found = True
            yield saved
    if not found:
        looked = ", ".join(str(path) for path in job.folders.values())
        raise BackupError(f"there is nothing to back up: none of {looked} exists")


def remove_oldest(target: Path, keep: int) -> tuple[Path, ...]:
    """Remove all but the newest backups of a folder; return what went."""
    backups = sorted(path.parent for path in target.glob(f"*/{MANIFEST}"))
    gone = tuple(backups[: max(0, len(backups) - keep)])
    for folder in gone:
        shutil.rmtree(folder)
    return gone


def _save(store: Store, source: Path, process: Identity | None, folder: Path) -> Saved:
    runs = process is not None and is_alive(process)
    path = folder / f"{store.name}.tar.zst"
    holds = store.kind is Kind.FROZEN and runs and process is not None
    began = time.monotonic()
    try:
        with frozen(process) if holds and process is not None else nullcontext():
            counted = _write_tar(store, source, path)
            stood_still_s = time.monotonic() - began if holds else 0.0
    except FreezeError as error:
        raise BackupError(f"{store.name}: {error}; stop it, or try again") from error
    return Saved(
        store=store.name,
        file=path.name,
        sha256=counted.sha256,
        files=counted.files,
        size_bytes=counted.size_bytes,
        stored_bytes=path.stat().st_size,
        stood_still_s=round(stood_still_s, 3),
    )


@dataclass(frozen=True, slots=True)
class _Counted:
    sha256: str
    files: int
    size_bytes: int


class _Hashing:
    """A file to write to that takes the hash of what passes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write, and take into the hash."""
        self.digest.update(data)
        return self._file.write(data)


def _write_tar(store: Store, source: Path, path: Path) -> _Counted:
    files = size_bytes = 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        hashing = _Hashing(file)
        with (
            zstandard.ZstdCompressor(level=_LEVEL).stream_writer(hashing, closefd=False) as writer,  # type: ignore[arg-type]  # it only calls write
            tarfile.open(fileobj=writer, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for member, real in _members(store, source):
                with _readable(store, real) as readable:
                    added_bytes = _add(tar, readable, member)
                    if added_bytes is not None:
                        files += 1
                        size_bytes += added_bytes
        file.flush()
        os.fsync(file.fileno())
    return _Counted(hashing.digest.hexdigest(), files, size_bytes)


def _members(store: Store, source: Path) -> Iterator[tuple[str, Path]]:
    """Give every regular file and folder of a store with its name in the archive."""
    for path in sorted(source.rglob("*")):
        beside = store.kind is Kind.SQLITE and path.name.endswith(_SQLITE_BESIDE)
        if path.name in store.skipped or beside or path.is_symlink():
            continue
        if path.is_dir() or path.is_file():
            yield path.relative_to(source).as_posix(), path


@contextmanager
def _readable(store: Store, path: Path) -> Iterator[Path]:
    """Give what is to be copied: the file itself, or of a database a copy that is whole."""
    if store.kind is not Kind.SQLITE or not _is_sqlite(path):
        yield path
        return
    copy = path.with_name(f".{path.name}.backup")
    try:
        _copy_database(path, copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _is_sqlite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC


def _copy_database(path: Path, copy: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupError(f"{path} can't be copied: {error}") from error


def _add(tar: tarfile.TarFile, path: Path, member: str) -> int | None:
    """Add a file or folder; return a file's written bytes. One that is gone is left out.

    Servers remove files of their own accord: a block that was merged, a segment that was read.
    """
    try:
        information = tar.gettarinfo(str(path), arcname=member)
        if not information.isreg():
            tar.addfile(information)
            return None
        with path.open("rb") as file:
            whole_bytes = os.fstat(file.fileno()).st_size
            extents = Extents(file, extents_of(file.fileno(), whole_bytes))
            information.pax_headers = {
                SIZE_HEADER: str(whole_bytes),
                EXTENTS_HEADER: written_text(extents.extents),
            }
            information.size = extents.size_bytes
            tar.addfile(information, extents)  # type: ignore[arg-type]  # it only calls read
    except FileNotFoundError:
        return None
    return information.size


def _write_manifest(folder: Path, saved: list[Saved]) -> None:
    document = {
        "version": _VERSION,
        "tapeline": tapeline.__version__,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "stores": [asdict(each) for each in saved],
    }
    fresh = folder / f"{MANIFEST}.new"
    fresh.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    fresh.chmod(_FILE_MODE)
    fresh.replace(folder / MANIFEST)
