"""The files around a state: made for their owner alone, and set aside where damaged."""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Final

from tapeline.pipeline.kept_files import (
    FILE_MODE,
    FOLDER_MODE,
    beside,
    place_aside,
    sync_folder,
)
from tapeline.signals.store import StoreError, StoreFault

__all__ = ["create_file", "fault_of", "require_regular", "set_aside"]

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


def require_regular(*paths: Path) -> None:
    """Raise StoreError where something other than a file is at one of the paths.

    Opening a FIFO would wait without end.
    """
    for path in paths:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise StoreError(StoreFault.NOT_A_FILE, f"{path} is no file; name another path")


def create_file(path: Path) -> None:
    """Make an empty file, and its folder, for the owner alone, under any umask."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE))
        sync_folder(path.parent)


def set_aside(path: Path) -> Path:
    """Move a damaged SQLite file and its log to a name where it is not used, and return that."""
    place = place_aside(path)
    # The file goes before its log: without the log it would look whole, and be too old.
    path.replace(place)
    beside(place, "-wal").unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        beside(path, "-wal").replace(beside(place, "-wal"))
    beside(path, "-shm").unlink(missing_ok=True)
    sync_folder(path.parent)
    return place


def fault_of(error: OSError) -> StoreFault:
    """Return the reason that stands for an error of the file system."""
    return _FAULTS.get(error.errno or 0, StoreFault.INPUT_OUTPUT)
