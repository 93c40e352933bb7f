"""`tapeline archive`: what Loki forgets after a while, in files that stay."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_archive_commands"]

_LOKI: Final = "http://127.0.0.1:3100"
_DAYS: Final = 7
_DAYS_MAX: Final = 366


def add_archive_commands(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("archive", help="write classes of logs to files before they go")
    parser.description = (
        "Writes the lines of each class of logs, a file for each whole day (UTC), compressed and"
        " with its SHA-256 beside it. What is archived already is checked and left alone, so run it"
        " every day. Loki's own count of the day must agree. Exit code 1 means that a day could not"
        " be archived."
    )
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument(
        "--loki", default=_LOKI, metavar="URL", help=f"where it is (default: {_LOKI})"
    )
    parser.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        default=[],
        metavar="NAME",
        help="these values of log.class only (default: auth, order, api_key, error, access)",
    )
    days = parser.add_mutually_exclusive_group()
    days.add_argument(
        "--days",
        type=int,
        default=_DAYS,
        metavar="N",
        help=f"so many whole days before today (default: {_DAYS})",
    )
    days.add_argument("--day", default=None, metavar="YYYY-MM-DD", help="this day only")
    days.add_argument("--verify", action="store_true", help="only check the files that there are")
    parser.set_defaults(handler=_archive)


def _archive(options: argparse.Namespace) -> int:
    import re
    from datetime import UTC, date, datetime

    from tapeline.alerting.archive import days_due
    from tapeline.alerting.archive_command import archive_command, verify_command

    if options.verify:
        return verify_command(options.folder)
    wrong = [name for name in options.classes if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name)]
    if wrong or not 1 <= options.days <= _DAYS_MAX:
        what = f"--class {wrong[0]!r} is no name" if wrong else f"--days must be 1 to {_DAYS_MAX}"
        sys.stderr.write(f"tapeline archive: {what}\n")
        return 2
    try:
        days = (
            days_due(datetime.now(UTC).date(), options.days)
            if options.day is None
            else (date.fromisoformat(options.day),)
        )
    except ValueError:
        sys.stderr.write(f"tapeline archive: --day {options.day!r} is no date as 2026-01-31\n")
        return 2
    return archive_command(options.loki, options.folder, options.classes, days)
