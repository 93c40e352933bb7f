"""Recordings for replays, and the command with short patience."""

from collections.abc import Sequence
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tapeline.cli import main
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recorded.metadata import Policy
from tapeline.recorded.writer import RecordingWriter

SECOND = 1_000_000_000
BASE = 1_700_000_000 * SECOND


def logs(*times: int, service: str = "") -> Batch:
    """Return a batch with a log record of each time, in nanoseconds after a fixed one."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    if service:
        group.resource.attributes.add(key="service.name").value.string_value = service
    scope = group.scope_logs.add()
    for time_nano in times:
        scope.log_records.add(time_unix_nano=BASE + time_nano)
    return Batch(Signal.LOGS, request.SerializeToString())


def recording(path: Path, batches: Sequence[Batch], form: Format = Format.PROTO) -> Path:
    """Write a recording."""
    encode = encoder(form, Compression.NONE)
    path.write_bytes(b"".join(encode(batch) for batch in batches))
    return path


def closed_recording(path: Path, batches: Sequence[Batch]) -> Path:
    """Write a recording as `record` does, with its metadata."""
    writer = RecordingWriter(
        path, Format.PROTO, Compression.NONE, source="a test", policy=Policy(raw=True)
    )
    for batch in batches:
        writer.append(batch)
    writer.close()
    return path


def replay(*arguments: object) -> int:
    """Run the command with short patience."""
    return main(["replay", "--give-up-after", "5s", *(str(each) for each in arguments)])
