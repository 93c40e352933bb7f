"""A disk of a few MiB of its own, and how to fill it."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

__all__ = ["MIB", "fill", "mounted"]

MIB = 1024 * 1024


@contextmanager
def mounted(folder: Path, size_bytes: int) -> Iterator[None]:
    """Mount a disk of this size, or skip where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs to fill needs root")
    folder.mkdir()
    options = f"size={size_bytes},mode=0700"
    result = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        pytest.skip(f"a tmpfs can't be mounted here: {result.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def fill(path: Path) -> None:
    """Write until there is no room left."""
    with path.open("wb", buffering=0) as file:
        for size_bytes in (MIB, 4096):
            while written(file, size_bytes):
                pass


def written(file: IO[bytes], size_bytes: int) -> bool:
    """Tell whether there was room for so much more."""
    try:
        return file.write(b"\0" * size_bytes) == size_bytes
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
