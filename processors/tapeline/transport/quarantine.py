"""Payloads on which the chain fails: how often each came, and where it goes when given up."""

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from tapeline.pipeline.batch import Batch
from tapeline.transport.config import QuarantineConfig

__all__ = ["AttemptCounts", "Quarantine", "QuarantineForm", "Written"]

QuarantineForm: TypeAlias = Callable[[Batch], bytes | None]
"""Returns a redacted form of a batch that may be written down, or None where it can't."""

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_MIB: Final = 1024 * 1024


@dataclass(slots=True)
class AttemptCounts:
    """How often each failing payload came; bounded, and the least recently seen is forgotten."""

    capacity: int = 1024
    forgotten: int = 0
    _counts: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def failed(self, digest: bytes) -> int:
        """Count one more failure of a payload; return how many there were."""
        with self._lock:
            count = self._counts.pop(digest, 0) + 1
            self._counts[digest] = count
            if len(self._counts) > self.capacity:
                self._counts.popitem(last=False)
                self.forgotten += 1
            return count

    def settled(self, digest: bytes) -> None:
        """Forget a payload: it went through, or was given up."""
        with self._lock:
            self._counts.pop(digest, None)

    def __len__(self) -> int:
        return len(self._counts)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a payload that was given up: the reason label of what went wrong, if any."""

    path: Path | None
    problem: str | None = None


class Quarantine:
    """A bounded folder of what was given up: a redacted payload, or only its metadata.

    Nothing unredacted is written, ever: where there is no redacted form, the size, the digest and
    the name of the exception's type have to do. Its message may hold values and is left out.
    """

    def __init__(self, config: QuarantineConfig, form: QuarantineForm | None) -> None:
        self._folder = config.folder
        self._max_files = config.max_files
        self._max_bytes = config.max_mib * _MIB
        self._form = form
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Make the folder; raises OSError where that is impossible, so that serve fails early."""
        self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self._folder.chmod(_FOLDER_MODE)

    def put(self, batch: Batch, error: BaseException, now_unix_nano: int) -> Written:
        """Write down one payload that was given up; never raises for the folder's sake."""
        content, problem = self._content(batch)
        digest = hashlib.sha256(batch.payload).hexdigest()
        note = {
            "signal": batch.signal.value,
            "size_bytes": len(batch.payload),
            "sha256": digest,
            "exception": type(error).__name__,
            "time_unix_nano": now_unix_nano,
            "content": content is not None,
        }
        stem = f"{now_unix_nano}-{batch.signal.value}-{digest[:16]}"
        files = {f"{stem}.json": json.dumps(note, indent=1).encode() + b"\n"}
        if content is not None:
            files[f"{stem}.otlp"] = content
        with self._lock:
            try:
                if not self._has_room(files):
                    return Written(None, "full")
                for name, data in files.items():
                    self._write(self._folder / name, data)
            except OSError:
                return Written(None, "write_error")
        return Written(self._folder / f"{stem}.json", problem)

    def _content(self, batch: Batch) -> tuple[bytes | None, str | None]:
        if self._form is None:
            return None, "not_redacted"
        try:
            content = self._form(batch)
        # The chain just failed on this batch, so its redaction may fail on it in any way.
        except Exception:  # noqa: BLE001
            content = None
        return content, None if content is not None else "not_redacted"

    def _has_room(self, files: dict[str, bytes]) -> bool:
        sizes = [entry.stat().st_size for entry in os.scandir(self._folder) if entry.is_file()]
        wanted = sum(len(data) for data in files.values())
        return len(sizes) + len(files) <= self._max_files and sum(sizes) + wanted <= self._max_bytes

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        # O_EXCL follows no symbolic link that somebody put there.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
