"""Writes what Loki keeps for a while to files that stay: a class of logs, a day, before it goes.

A day is a file of JSON lines, compressed with zstd, in the order of time, with its SHA-256 beside
it. Loki is asked for a count of the day as well: a file that lacks a line is not kept.
"""

import hashlib
import io
import json
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import zstandard

from tapeline.alerting.json_answers import NoAnswerError, RefusedError, ask

__all__ = [
    "CLASSES",
    "ArchiveError",
    "Archived",
    "archive_day",
    "archived_days",
    "check",
    "days_due",
]

CLASSES: Final = ("access", "api_key", "auth", "error", "order")
"""What has a retention of its own in config/loki/loki.yaml."""
_PAGE: Final = 5000
"""Loki's default max_entries_limit_per_query."""
_PAGES_MAX: Final = 20_000
_TIMEOUT_S: Final = 120.0
_DAY_NS: Final = 86_400 * 10**9
_LEVEL: Final = 10
_CHUNK_BYTES: Final = 1 << 20
_SUFFIX: Final = ".jsonl.zst"


class ArchiveError(Exception):
    """A day could not be archived, or a file is not what it was; the message says why."""


@dataclass(frozen=True, slots=True)
class Archived:
    """One file: how many lines it has, its size compressed, and whether it was made just now."""

    path: Path
    lines: int
    size_bytes: int
    is_new: bool


def days_due(today: date, days: int) -> tuple[date, ...]:
    """Return the last whole days, oldest first; today is not over."""
    return tuple(today - timedelta(days=back) for back in range(days, 0, -1))


def archive_day(loki: str, log_class: str, day: date, folder: Path) -> Archived:
    """Write the lines of a class of a day in UTC, or return what is there already.

    Raises ArchiveError where Loki does not answer, where a line is missing, or where the day is
    not over; the folder then has nothing new.
    """
    if day >= datetime.now(UTC).date():
        raise ArchiveError(f"{day} is not over (in UTC): archive it tomorrow")
    path = folder / log_class / f"{day}{_SUFFIX}"
    if path.exists():
        return Archived(path, check(path), path.stat().st_size, is_new=False)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ArchiveError(f"{error.filename or path}: {error.strerror}") from error
    begin = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9
    selector = f'{{log_class="{log_class}"}}'
    expected = _count(loki, selector, begin)
    fresh = path.with_name(path.name + ".new")
    try:
        written, digest = _write(fresh, _lines(loki, selector, begin))
        if written != expected:
            raise ArchiveError(
                f"{log_class} of {day}: Loki counts {expected} lines and gave {written}; try again"
            )
        _write_text(_digest_file(path), f"{digest}  {path.name}\n")
        fresh.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise ArchiveError(f"{error.filename or path}: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return Archived(path, written, path.stat().st_size, is_new=True)


def archived_days(folder: Path) -> tuple[Path, ...]:
    """Return every file of an archive, by class and day."""
    return tuple(sorted(folder.glob(f"*/*{_SUFFIX}")))


def check(path: Path) -> int:
    """Return how many lines a file has; raises ArchiveError where it is not what was written."""
    try:
        noted = _digest_file(path).read_text(encoding="utf-8").split()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not noted or noted[0] != digest:
            raise ArchiveError(f"{path}: its SHA-256 is not the one beside it: it was changed")
        with path.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            return sum(1 for _ in io.TextIOWrapper(io.BufferedReader(reader), encoding="utf-8"))
    except OSError as error:
        raise ArchiveError(f"{error.filename}: {error.strerror}") from error
    except (zstandard.ZstdError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{path}: can't be read as zstd: {error}") from error


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _write(path: Path, lines: Iterator[str]) -> tuple[int, str]:
    """Write lines compressed; return their number and the file's SHA-256."""
    count = 0
    with os.fdopen(_private(path), "wb") as file:
        with zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False) as writer:
            for line in lines:
                writer.write(line.encode() + b"\n")
                count += 1
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb") as file:
        return count, hashlib.file_digest(file, "sha256").hexdigest()


def _write_text(path: Path, text: str) -> None:
    with os.fdopen(_private(path), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _private(path: Path) -> int:
    """Open a file to write it anew; only its owner may read it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _count(loki: str, selector: str, begin_unix_nano: int) -> int:
    """Return how many lines Loki counts from `begin` on, for a day.

    A range of LogQL is open at its begin and closed at its end, so it ends a nanosecond early.
    """
    parameters = {
        "query": f"sum(count_over_time({selector}[24h]))",
        "time": begin_unix_nano + _DAY_NS - 1,
    }
    result = _get(loki, "/loki/api/v1/query", parameters)
    return int(result[0]["value"][1]) if result else 0


def _lines(loki: str, selector: str, begin_unix_nano: int) -> Iterator[str]:
    """Give each line as JSON, oldest first, page by page."""
    start, end = begin_unix_nano, begin_unix_nano + _DAY_NS
    # Lines of one and the same nanosecond may stand on both sides of a page's end.
    given: set[str] = set()
    for _ in range(_PAGES_MAX):
        page = _page(loki, selector, start, end)
        for _, text in page:
            if text not in given:
                yield text
        if len(page) < _PAGE:
            return
        last = page[-1][0]
        if last == start:
            raise ArchiveError(f"{selector}: more than {_PAGE} lines have the time {last}")
        given = {text for at, text in page if at == last}
        start = last
    raise ArchiveError(f"{selector}: more than {_PAGES_MAX * _PAGE} lines in a day")


def _page(loki: str, selector: str, start: int, end: int) -> list[tuple[int, str]]:
    parameters = {
        "query": selector,
        "start": start,
        "end": end,
        "limit": _PAGE,
        "direction": "forward",
    }
    found = [
        (int(at), _text(int(at), stream["stream"], line))
        for stream in _get(loki, "/loki/api/v1/query_range", parameters)
        for at, line, *_ in stream["values"]
    ]
    return sorted(found)


def _text(at_unix_nano: int, labels: Mapping[str, str], line: str) -> str:
    entry = {"time_unix_nano": str(at_unix_nano), "labels": dict(labels), "line": line}
    return json.dumps(entry, ensure_ascii=False, sort_keys=True)


def _get(loki: str, path: str, parameters: Mapping[str, object]) -> list[Any]:
    url = f"{loki}{path}?{urllib.parse.urlencode(parameters)}"
    try:
        result: list[Any] = ask(url, _TIMEOUT_S)["data"]["result"]
    except RefusedError as error:
        raise ArchiveError(f"{loki} refuses {error}") from error
    except (NoAnswerError, KeyError, TypeError) as error:
        raise ArchiveError(f"{loki} does not answer as Loki does: {error}") from error
    return result
