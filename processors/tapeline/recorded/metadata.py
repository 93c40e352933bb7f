"""What stands beside a recording: `FILE.metadata.json`, who recorded what, and by which rules.

Written when a file is begun (`closed: false`; its counts then say nothing) and once more when it is
closed. What a process that was killed leaves is a recording that was not closed.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.kept_files import beside, open_regular, sync_folder
from tapeline.recorded.forms import Compression, Format

__all__ = [
    "METADATA_SUFFIX",
    "Metadata",
    "MetadataError",
    "Policy",
    "metadata_path",
    "read_metadata",
    "unfinished_path",
    "write_metadata",
]

METADATA_SUFFIX: Final = ".metadata.json"
_VERSION: Final = 1
_MAX_BYTES: Final = 1024 * 1024
_DIGEST_LENGTH: Final = 64


class MetadataError(ValueError):
    """The metadata of a recording can't be used; the message says which file, and why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """By which rules a recording was redacted.

    `raw`: by none, it holds what came in. `config_sha256` is of the configuration in effect, and
    `rules` names the version of the rule pack; both are empty for a raw one.
    """

    raw: bool
    config_sha256: str = ""
    rules: str = ""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of one file. `records` counts log records, spans and data points, by signal.

    The times are of the earliest and the latest record, None where none has a time. `size_bytes`
    and `sha256` are of the file as stored, up to where it was closed.
    """

    tapeline: str
    source: str
    format: Format
    compression: Compression
    policy: Policy
    records: Mapping[Signal, int] = field(default_factory=dict)
    batches: int = 0
    first_unix_nano: int | None = None
    last_unix_nano: int | None = None
    size_bytes: int = 0
    sha256: str = ""
    closed: bool = False

    @property
    def only_signal(self) -> Signal | None:
        """The signal of a closed recording that holds one alone: it settles a doubtful message."""
        return next(iter(self.records)) if self.closed and len(self.records) == 1 else None


def metadata_path(recording: Path) -> Path:
    """Return where the metadata of a recording stands."""
    return beside(recording, METADATA_SUFFIX)


def unfinished_path(recording: Path) -> Path:
    """Return where the metadata is written before it is put in place; a kill may leave it there."""
    return beside(metadata_path(recording), ".new")


def write_metadata(recording: Path, metadata: Metadata, mode: int) -> None:
    """Put it in place at once: whoever reads sees the old one or the new one. Raises OSError."""
    target = metadata_path(recording)
    made = unfinished_path(recording)
    made.unlink(missing_ok=True)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(made, flags, mode), "wb") as file:
            file.write(_text(metadata))
            file.flush()
            os.fsync(file.fileno())
        made.replace(target)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def _text(metadata: Metadata) -> bytes:
    document = {
        "version": _VERSION,
        "tapeline": metadata.tapeline,
        "source": metadata.source,
        "format": metadata.format.value,
        "compression": metadata.compression.value,
        "signals": [signal.value for signal in Signal if signal in metadata.records],
        "batches": metadata.batches,
        "records": {signal.value: metadata.records.get(signal, 0) for signal in Signal},
        "first_unix_nano": metadata.first_unix_nano,
        "last_unix_nano": metadata.last_unix_nano,
        "bytes": metadata.size_bytes,
        "sha256": metadata.sha256,
        "policy": asdict(metadata.policy),
        "closed": metadata.closed,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def read_metadata(recording: Path) -> Metadata | None:
    """Return the metadata of a recording; None where it has none.

    Raises MetadataError where what is there can't be used, and OSError.
    """
    path = metadata_path(recording)
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise MetadataError(f"{path}: larger than {_MAX_BYTES} bytes")
    try:
        return _parsed(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MetadataError(
            f"{path}: not the metadata of a recording ({type(error).__name__}); mend or remove it"
        ) from error


def _parsed(document: Any) -> Metadata:
    if document["version"] != _VERSION:
        raise ValueError("a newer version")
    records = {Signal(name): _count(document["records"][name]) for name in document["signals"]}
    policy = document["policy"]
    sha256 = _text_of(document["sha256"])
    closed = _flag(document["closed"])
    if closed and len(sha256) != _DIGEST_LENGTH:
        raise ValueError("no checksum")
    return Metadata(
        tapeline=_text_of(document["tapeline"]),
        source=_text_of(document["source"]),
        format=Format(document["format"]),
        compression=Compression(document["compression"]),
        policy=Policy(
            raw=_flag(policy["raw"]),
            config_sha256=_text_of(policy["config_sha256"]),
            rules=_text_of(policy["rules"]),
        ),
        records=records,
        batches=_count(document["batches"]),
        first_unix_nano=_time(document["first_unix_nano"]),
        last_unix_nano=_time(document["last_unix_nano"]),
        size_bytes=_count(document["bytes"]),
        sha256=sha256,
        closed=closed,
    )


def _text_of(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError("not a count")
    return value


def _time(value: Any) -> int | None:
    return None if value is None else _count(value)
