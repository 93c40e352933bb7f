"""Makes the recordings of the corpus: the same bytes every time. `scripts/corpus` runs it.

Without an argument it says which differ from what is there; `--write` writes those, and the
metadata of all.
"""

import hashlib
import sys
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Final

import zstandard

from corpus.hostile import hostile
from corpus.listing import CONFIGS, ENTRIES, FOLDER, Entry
from corpus.session import session
from corpus.systems import systems
from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recorded.metadata import (
    METADATA_SUFFIX,
    Metadata,
    Policy,
    read_metadata,
    write_metadata,
)
from tapeline.recorded.reader import RecordedBatch, read_recording
from tapeline.recorded.selection import record_times
from tapeline.recording.record_server import policy_of
from tapeline.redaction.config import RedactionConfig
from tapeline.testing.session import GateSession

__all__ = ["ZSTD_VERSION", "generated", "metadata_of", "opened"]

ZSTD_VERSION: Final = (1, 5, 7)
"""The version of zstd that compressed what is committed; another one may find other bytes."""
_MADE_WITH: Final = "0.1.0"
_FILE_MODE: Final = 0o644


def generated() -> dict[str, bytes]:
    """Return the recordings that are made here, by the name of the file."""
    batches = session()
    proto = encoder(Format.PROTO, Compression.NONE)
    stream = zstandard.ZstdCompressor(19, write_checksum=True)
    gate = GateSession(CONFIGS["gate"])
    gate.feed(batches)
    gate.close()
    return {
        "session.otlp.pb.zst": stream.compress(b"".join(map(proto, batches))),
        "session-redacted.otlp.jsonl": _encoded(gate.outputs, Format.JSON, Compression.NONE),
        "systems-with-credentials.otlp.pb.zst-messages": _encoded(
            systems(), Format.PROTO, Compression.ZSTD
        ),
        **hostile(),
    }


def _encoded(batches: Iterable[Batch], form: Format, compression: Compression) -> bytes:
    return b"".join(map(encoder(form, compression), batches))


def metadata_of(entry: Entry, content: bytes, policy: Policy, made_with: str) -> Metadata:
    """Return the metadata of a recording as it is: counts and times are of what can be read."""
    items = [item for item in read_recording(BytesIO(content)) if isinstance(item, RecordedBatch)]
    records: dict[Signal, int] = {}
    for item in items:
        signal = item.batch.signal
        records[signal] = records.get(signal, 0) + item.batch.framing.record_count
    times = [time for item in items for time in _times(item.batch) if time]
    per_message = entry.name.endswith(".zst-messages")
    return Metadata(
        tapeline=made_with,
        source="corpus",
        format=Format.JSON if ".json" in entry.name else Format.PROTO,
        compression=Compression.ZSTD if per_message else Compression.NONE,
        policy=policy,
        records=records,
        batches=len(items),
        first_unix_nano=min(times, default=None),
        last_unix_nano=max(times, default=None),
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        closed=True,
    )


def _times(batch: Batch) -> list[int]:
    try:
        return record_times(batch)
    except MalformedRequestError:
        return []


def opened(content: bytes) -> list[bytes]:
    """Return the messages of a recording: what has to be the same under each version of zstd."""
    items = read_recording(BytesIO(content))
    return [
        item.batch.payload if isinstance(item, RecordedBatch) else item.reason.encode()
        for item in items
    ]


def _write(made: dict[str, bytes]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, content in made.items():
        (FOLDER / name).write_bytes(content)
    redacted = policy_of(RedactionConfig())
    for entry in ENTRIES:
        policy = Policy(raw=True) if entry.raw else redacted
        content = entry.path.read_bytes()
        _write_metadata(entry.path, metadata_of(entry, content, policy, _MADE_WITH))


def _write_metadata(recording: Path, metadata: Metadata) -> None:
    known = read_metadata(recording)
    # One that is as it was keeps what it says of its making.
    if known is None or known.sha256 != metadata.sha256:
        write_metadata(recording, metadata, _FILE_MODE)


def main(arguments: list[str]) -> int:
    """Say what differs, or write it; return 1 where something differs and is not written."""
    if arguments not in ([], ["--write"]):
        sys.stderr.write("usage: scripts/corpus [--write]\n")
        return 2
    made = generated()
    differing = [
        name
        for name, content in made.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_bytes() != content
    ]
    obsolete = sorted(
        path.name
        for path in FOLDER.glob("*")
        if path.name.removesuffix(METADATA_SUFFIX) not in made
    )
    for name in differing:
        sys.stdout.write(f"differs: {name}\n")
    for name in obsolete:
        sys.stdout.write(f"made by nothing: {name}\n")
    if arguments:
        _write(made)
        return 0
    return 1 if differing or obsolete else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
