"""A JSON log file, written line by line and rotated by rename, as a service without OTLP has it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, Self

__all__ = ["RotatingLog", "json_line", "trace_of"]

# W3C Trace Context, section 3.2: version, trace id, parent id, flags.
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def trace_of(traceparent: str) -> tuple[str, str] | None:
    """Return the trace id and span id of a `traceparent` header, or None where it is invalid."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return (match[1], match[2]) if match else None


def json_line(
    timestamp: str,
    level: str,
    message: str,
    trace: tuple[str, str] | None,
    fields: Mapping[str, object],
) -> str:
    """Return one line of the log; `timestamp` is RFC 3339, `trace` a trace id and a span id."""
    record: dict[str, object] = {
        "timestamp": timestamp,
        "level": level,
        "service.name": "back-office",
        "message": message,
    }
    if trace is not None:
        record |= {"trace_id": trace[0], "span_id": trace[1]}
    return json.dumps(record | {"fields": dict(fields)}, separators=(",", ":"))


class RotatingLog:
    """A text file that is renamed to `.1`, `.2`, … when it is full, and begun anew.

    A line is never split over two files. `keep` old files are kept, the oldest is deleted. A
    reader that follows the file sees the rename; it must read the old one to its end.
    """

    def __init__(self, path: Path, *, size_bytes_max: int, keep: int) -> None:
        self._path = path
        self._size_bytes_max = size_bytes_max
        self._keep = keep
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write_line(self, line: str) -> None:
        """Append a line and flush it; rotate first where it would not fit."""
        content = line.encode() + b"\n"
        size_bytes = self._file.tell()
        if size_bytes and size_bytes + len(content) > self._size_bytes_max:
            self._rotate()
        self._file.write(content)
        self._file.flush()

    def _rotate(self) -> None:
        self._file.close()
        for position in range(self._keep, 1, -1):
            older = self._numbered(position - 1)
            if older.exists():
                older.replace(self._numbered(position))
        self._path.replace(self._numbered(1))
        self._file = self._path.open("ab")

    def _numbered(self, position: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{position}")
