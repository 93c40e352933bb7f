"""Files in which processors keep their state: locked by one process, synced, set aside if damaged.

What is opened here is a regular file: a pipe or device may never end.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Final

__all__ = [
    "FILE_MODE",
    "FOLDER_MODE",
    "MAX_SET_ASIDE",
    "FileLock",
    "beside",
    "open_regular",
    "place_aside",
    "sync_folder",
]

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
MAX_SET_ASIDE: Final = 5
"""So many damaged files are kept; a further one takes the place of the last."""


class FileLock:
    """A lock that ends with its process, however that ends."""

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether it is ours."""
        return self._descriptor is not None

    def take(self) -> bool:
        """Take the lock; False where another process has it. Raises OSError."""
        if self._descriptor is not None:
            return True
        descriptor = open_regular(self._path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW)
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


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a file. Raises OSError, also for what is no regular file."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"{path.name} is not a regular file")
    return descriptor


def place_aside(path: Path) -> Path:
    """Return where a damaged file may go, out of the way of its successor."""
    places = [beside(path, f".damaged-{number + 1}") for number in range(MAX_SET_ASIDE)]
    return next((place for place in places if not place.exists()), places[-1])


def sync_folder(folder: Path) -> None:
    """Let what was made, renamed or removed in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
