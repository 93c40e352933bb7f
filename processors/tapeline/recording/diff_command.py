"""`tapeline diff`: two recordings, and how they differ."""

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import BinaryIO, Final

from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.reader import Flaw
from tapeline.recording.comparison import Difference, TooManyRecordsError, compare
from tapeline.recording.difference_text import Sort, describe, difference_to_json
from tapeline.recording.ignoring import UnknownGroupError, ignoring
from tapeline.recording.source import Source

__all__ = ["diff_from"]

_STYLES: Final = {
    Sort.REMOVED: "red",
    Sort.ADDED: "green",
    Sort.CHANGED: "bold yellow",
    Sort.BEFORE: "red",
    Sort.AFTER: "green",
    Sort.NOTE: "default",
}


def diff_from(options: argparse.Namespace) -> int:
    """Compare, print, and return 0 (the same), 1 (different) or 2 (not comparable)."""
    wrong = _wrong_usage(options)
    if wrong:
        sys.stderr.write(f"tapeline diff: {wrong}\n")
        return 2
    problems: list[str] = []
    assumed = None if options.assume_signal is None else Signal(options.assume_signal)
    try:
        groups = [name for given in options.ignore for name in given.split(",") if name]
        difference = compare(
            _batches(options.before, assumed, problems),
            _batches(options.after, assumed, problems),
            ignoring(groups, options.ignore_field),
            options.tolerance,
        )
    except OSError as error:
        problems.append(f"{error.filename or 'standard input'}: can't be read: {error.strerror}")
    except (UnknownGroupError, TooManyRecordsError, MalformedRequestError) as error:
        problems.append(str(error))
    else:
        if options.json:
            sys.stdout.write(json.dumps(difference_to_json(difference), ensure_ascii=False) + "\n")
        else:
            _show(difference, options.limit)
    for problem in problems:
        sys.stderr.write(f"tapeline diff: {problem}\n")
    if problems:
        return 2
    return 0 if difference.is_same else 1


def _wrong_usage(options: argparse.Namespace) -> str:
    if options.before == options.after == "-":
        return "standard input can be one of the two, not both"
    if not 0 <= options.tolerance < inf:
        return "--tolerance takes a number of 0 or more"
    if options.limit < 0:
        return "--limit takes 0 or more"
    return ""


def _batches(name: str, assumed: Signal | None, problems: list[str]) -> Iterator[Batch]:
    shown = "standard input" if name == "-" else name
    with _open(name) as file:
        source = Source(file, None if name == "-" else Path(name), assumed)
        for item in source.items():
            if isinstance(item, Flaw):
                problems.append(
                    f"{shown}: message {item.number}, at byte {item.offset_bytes}: {item.reason};"
                    " what else is in it was compared"
                )
            else:
                yield item.batch
    if source.complaint:
        problems.append(f"{shown}: {source.complaint}")


@contextmanager
def _open(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        if sys.stdin is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as file:
        yield file


def _show(difference: Difference, limit: int) -> None:
    from rich.console import Console  # noqa: PLC0415 - no other command needs it to start
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console(highlight=False, soft_wrap=True)
    for line in describe(difference, limit):
        console.print(Text(line.text, style=_STYLES[line.sort]))
