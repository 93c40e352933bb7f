"""`tapeline archive`: the last days of each class into files, and whether these are still right."""

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tapeline.alerting.archive import (
    CLASSES,
    ArchiveError,
    archive_day,
    archived_days,
    check,
)

__all__ = ["archive_command", "verify_command"]


def archive_command(loki: str, folder: Path, classes: Sequence[str], days: Sequence[date]) -> int:
    """Archive what is not archived yet; return 0, or 1 where a day could not be.

    One that fails does not keep the others.
    """
    failed = 0
    for log_class in classes or CLASSES:
        for day in days:
            try:
                archived = archive_day(loki.rstrip("/"), log_class, day, folder)
            except ArchiveError as error:
                sys.stderr.write(f"tapeline archive: {error}\n")
                failed += 1
                continue
            word = "archived" if archived.is_new else "was archived"
            told = f"{archived.path}, {archived.lines} lines, {archived.size_bytes} bytes"
            sys.stdout.write(f"{word}: {told}\n")
    return 1 if failed else 0


def verify_command(folder: Path) -> int:
    """Check every file against its SHA-256; return 0, or 1 where one is not right or none is."""
    paths = archived_days(folder)
    failed = 0
    for path in paths:
        try:
            sys.stdout.write(f"ok: {path}, {check(path)} lines\n")
        except ArchiveError as error:
            sys.stderr.write(f"tapeline archive: {error}\n")
            failed += 1
    if not paths:
        sys.stderr.write(f"tapeline archive: {folder} has no archive\n")
    return 1 if failed or not paths else 0
