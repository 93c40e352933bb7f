"""Small recordings in every form, written by the plain rules of the format."""

import json
import struct
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import zstandard

from tapeline.otlp.json_lines import request_to_json
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format
from tapeline.recorded.reader import Flaw, RecordedBatch, read_recording

FORMS = tuple((form, compression) for form in Format for compression in Compression)


def plainly_written(batch: Batch, form: Format, compression: Compression) -> bytes:
    """Return what a batch is in a file: the oracle of the encoder."""
    is_json = form is Format.JSON
    message = request_to_json(batch.signal, batch.payload) if is_json else batch.payload
    if compression is Compression.ZSTD:
        message = zstandard.ZstdCompressor(3, write_checksum=True).compress(message)
    elif is_json:
        return message + b"\n"
    return struct.pack(">I", len(message)) + message


def read_all(
    content: bytes, signal: Signal | None = None
) -> tuple[list[RecordedBatch], list[Flaw]]:
    """Read a whole recording; return its batches and its flaws."""
    items = list(read_recording(BytesIO(content), signal=signal))
    return batches_in(items), [item for item in items if isinstance(item, Flaw)]


def batches_in(items: Iterable[RecordedBatch | Flaw]) -> list[RecordedBatch]:
    """Return the batches among what was read."""
    return [item for item in items if isinstance(item, RecordedBatch)]


def metadata_of(path: Path) -> dict[str, object]:
    """Return the sidecar of a recording, as JSON."""
    text = path.with_name(path.name + ".metadata.json").read_text(encoding="utf-8")
    document: dict[str, object] = json.loads(text)
    return document
