"""The files around a state: made for their owner alone, locked, and set aside where damaged."""

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from tapeline.signals.store import StoreError, StoreFault

__all__ = [
    "MAX_SET_ASIDE",
    "FileLock",
    "beside",
    "create_file",
    "fault_of",
    "require_regular",
    "set_aside",
]

MAX_SET_ASIDE: Final = 5
"""So many damaged files are kept; a further one takes the place of the last."""

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_FAULTS: Final = {
    errno.ENOSPC: StoreFault.FULL,
    errno.EDQUOT: StoreFault.FULL,
    errno.EFBIG: StoreFault.FULL,
    errno.EROFS: StoreFault.READ_ONLY,
    errno.EACCES: StoreFault.NOT_PERMITTED,
    errno.EPERM: StoreFault.NOT_PERMITTED,
    errno.EISDIR: StoreFault.NOT_A_FILE,
    errno.ENOTDIR: StoreFault.NOT_A_FILE,
    errno.EEXIST: StoreFault.NOT_A_FILE,
    errno.ELOOP: StoreFault.NOT_A_FILE,
    errno.EIO: StoreFault.INPUT_OUTPUT,
}


class FileLock:
    """A lock that ends with its process, however that ends."""

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock; False where another process has it. Raises OSError."""
        if self._descriptor is not None:
            return True
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, _FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let another one have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file that belongs to another one."""
    return path.with_name(path.name + suffix)


def require_regular(*paths: Path) -> None:
    """Raise StoreError where something other than a file is at one of the paths.

    Opening a FIFO would wait without end.
    """
    for path in paths:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise StoreError(StoreFault.NOT_A_FILE, f"{path} is no file; remove it")


def create_file(path: Path) -> None:
    """Make an empty file, and its folder, for the owner alone, under any umask."""
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _FILE_MODE))
        _sync_folder(path.parent)


def set_aside(path: Path) -> Path:
    """Move a damaged SQLite file and its log to a name where it is not used, and return that."""
    places = [beside(path, f".damaged-{number + 1}") for number in range(MAX_SET_ASIDE)]
    place = next((place for place in places if not place.exists()), places[-1])
    # The file goes before its log: without the log it would look whole, and be too old.
    path.replace(place)
    beside(place, "-wal").unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        beside(path, "-wal").replace(beside(place, "-wal"))
    beside(path, "-shm").unlink(missing_ok=True)
    _sync_folder(path.parent)
    return place


def fault_of(error: OSError) -> StoreFault:
    """Return the reason that stands for an error of the file system."""
    return _FAULTS.get(error.errno or 0, StoreFault.INPUT_OUTPUT)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
