"""A log file of JSON lines, as a service without OTLP writes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from tapeline.demo.log_file import RotatingLog

__all__ = ["LineWriter"]

_SIZE_BYTES_MAX: Final = 4 * 1024 * 1024
_KEEP: Final = 2


class LineWriter:
    """Writes one JSON object a line; the file is rotated by rename when it is full."""

    def __init__(self, path: Path, limit_bytes: int = _SIZE_BYTES_MAX) -> None:
        self._log = RotatingLog(path, size_bytes_max=limit_bytes, keep=_KEEP)

    def __enter__(self) -> Self:
        self._log.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._log.__exit__(*error)

    def write(self, record: Mapping[str, object]) -> None:
        """Append a record; what JSON has no form for is written as its text."""
        self._log.write_line(json.dumps(record, separators=(",", ":"), default=str))
