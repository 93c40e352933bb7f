"""`tapeline restore`: a backup's stores put back, after all of it was checked."""

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import zstandard

from tapeline.stack.backup import EXTENTS_HEADER, SIZE_HEADER, Saved, manifest_version
from tapeline.stack.sparse_files import parse_extents
from tapeline.stack.stores import MANIFEST, BackupError, Store

__all__ = ["put_back", "read_manifest", "verify"]

_BLOCK: Final = 1 << 20
_MANIFEST_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Place:
    """A store of a backup, and the folder that it goes to."""

    saved: Saved
    target: Path


def read_manifest(backup: Path) -> tuple[Saved, ...]:
    """Return what a backup holds; raises BackupError where it is none, or of another version."""
    path = backup / MANIFEST
    try:
        with path.open("rb") as file:
            document: Any = json.loads(file.read(_MANIFEST_MAX_BYTES))
        if document["version"] != manifest_version():
            raise BackupError(
                f"{path} is of version {document['version']}; this tapeline reads version"
                f" {manifest_version()}: use the one that made it, {document.get('tapeline')}"
            )
        stores = tuple(_saved(entry) for entry in document["stores"])
    except FileNotFoundError as error:
        raise BackupError(f"{backup} is no backup: it has no {MANIFEST}") from error
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path} can't be read as a backup's manifest: {error}") from error
    return stores


def _saved(entry: dict[str, Any]) -> Saved:
    for name in ("store", "file", "sha256"):
        if not isinstance(entry[name], str):
            raise TypeError(f"{name} is {entry[name]!r}, no text")
    return Saved(**entry)


def verify(backup: Path, saved: Saved) -> None:
    """Raise BackupError where a store's file is not what was written."""
    path = backup / saved.file
    if PurePosixPath(saved.file).name != saved.file:
        raise BackupError(f"{backup / MANIFEST} names a file outside of the backup: {saved.file}")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from error
    if digest != saved.sha256:
        raise BackupError(f"{path} is not what was written: its SHA-256 differs")


def put_back(
    backup: Path,
    stores: tuple[Store, ...],
    folders: Mapping[str, Path],
    show: Callable[[Saved, Path], None],
    *,
    replace: bool = False,
) -> None:
    """Put stores back into their folders. All are checked before the first is touched.

    With `replace`, what is there is kept beside as `….before-restore`; without, it is an error.
    Raises BackupError; stores that were shown by then are back, and stay.
    """
    wanted = {store.name for store in stores}
    places = [
        _Place(saved, folders[saved.store])
        for saved in read_manifest(backup)
        if saved.store in wanted and saved.store in folders
    ]
    if not places:
        raise BackupError(f"{backup} has none of {', '.join(sorted(wanted))}")
    for place in places:
        verify(backup, place.saved)
        _check_free(place.target, replace=replace)
    for place in places:
        try:
            _one(backup / place.saved.file, place.target)
        except OSError as error:
            raise BackupError(f"{error.filename or place.target}: {error.strerror}") from error
        # A time that is none, a name with a NUL: what only somebody else's archive has.
        except (tarfile.TarError, zstandard.ZstdError, ValueError, OverflowError) as error:
            raise BackupError(f"{backup / place.saved.file}: {error}") from error
        show(place.saved, place.target)


def _check_free(target: Path, *, replace: bool) -> None:
    aside = _aside(target)
    try:
        if not target.is_dir() or not any(target.iterdir()):
            return
    except OSError as error:
        raise BackupError(f"{target}: {error.strerror}") from error
    if not replace:
        raise BackupError(f"{target} is not empty; with --replace it is moved to {aside.name}")
    if aside.exists():
        raise BackupError(f"{aside} is there from an earlier restore; remove it first")


def _aside(target: Path) -> Path:
    return target.with_name(f"{target.name}.before-restore")


def _one(archive: Path, target: Path) -> None:
    """Unpack beside the target, then exchange the two: a failure leaves what was there."""
    fresh = target.with_name(f"{target.name}.restoring")
    shutil.rmtree(fresh, ignore_errors=True)
    _make_private(fresh)
    try:
        with archive.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            with tarfile.open(fileobj=reader, mode="r|") as tar:
                for member in tar:
                    _unpack(tar, member, fresh)
        if target.is_dir() and any(target.iterdir()):
            target.rename(_aside(target))
        elif target.is_dir():
            target.rmdir()
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, for their owner only."""
    missing = [folder, *(parent for parent in folder.parents if not parent.exists())]
    for each in reversed(missing):
        each.mkdir(mode=0o700)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one file or folder; raises BackupError for anything else, or outside of the folder."""
    parts = PurePosixPath(member.name).parts
    if member.name.startswith("/") or ".." in parts or not (member.isreg() or member.isdir()):
        raise BackupError(f"the archive has {member.name!r}, which no backup of tapeline has")
    path = folder.joinpath(*parts)
    if member.isdir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = tar.extractfile(member)
    if content is None:
        raise BackupError(f"the archive has nothing for {member.name!r}")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        _copy_parts(content, file, member)
    os.utime(path, (member.mtime, member.mtime))


def _copy_parts(content: IO[bytes], file: IO[bytes], member: tarfile.TarInfo) -> None:
    """Write the parts of a file where they were; what lies between them stays a hole."""
    try:
        size_bytes = int(member.pax_headers[SIZE_HEADER])
        extents = parse_extents(member.pax_headers[EXTENTS_HEADER], size_bytes)
    except (KeyError, ValueError) as error:
        raise BackupError(f"the archive does not say how {member.name!r} was: {error}") from error
    for offset, length in extents:
        file.seek(offset)
        missing = length
        while missing:
            block = content.read(min(_BLOCK, missing))
            if not block:
                raise BackupError(f"the archive ends inside of {member.name!r}")
            file.write(block)
            missing -= len(block)
    file.truncate(size_bytes)
