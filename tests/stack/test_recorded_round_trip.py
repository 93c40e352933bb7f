"""Recorded by the collector, processed, replayed into the collector: it says the same as before.

Three signals in one file, in the four forms of the collector's file exporter. What is sent has what
OTLP can hold: nested values, links and events, both kinds of histogram, summaries, exemplars.
"""

import signal as signals
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from ports import ports_in_a_row
from recorded_files import FORMS
from sdk_requests import sdk_request
from tapeline.cli import main
from tapeline.otlp.signals import EXPORT_METHODS, Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recorded.reader import RecordedBatch, read_recording
from tapeline.recording.comparison import compare
from tapeline.stack import binaries
from waiting import eventually

pytestmark = pytest.mark.stack

CONFIG = """
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}", max_recv_msg_size_mib: 64}}}}}}
exporters:
  file: {{path: "{path}", format: {form}{compression}}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: warn}}}}
  pipelines:
    logs: {{receivers: [otlp], exporters: [file]}}
    traces: {{receivers: [otlp], exporters: [file]}}
    metrics: {{receivers: [otlp], exporters: [file]}}
"""
EMPTY_CHAIN = "chain: {logs: [], traces: [], metrics: []}\nserver: {max_value_bytes: 0}\n"


@contextmanager
def collector(
    path: Path, form: Format, compression: Compression, port: int = 0
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a collector that writes all it gets to one file; return its address and process."""
    port = port or ports_in_a_row(1)
    config = path.with_name(f"{path.name}.yaml")
    asked = ", compression: zstd" if compression is Compression.ZSTD else ""
    config.write_text(
        CONFIG.format(port=port, path=path, form=form.value, compression=asked), encoding="utf-8"
    )
    program = str(binaries.require("collector"))
    with path.with_name(f"{path.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--config", str(config)], stdout=log, stderr=subprocess.STDOUT
        )
    address = f"127.0.0.1:{port}"
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=30)
        yield address, process
        process.send_signal(signals.SIGTERM)  # It writes what it holds, and goes.
        process.wait(30)
    finally:
        process.kill()
        process.wait(30)


def sent_batches() -> list[Batch]:
    """Return what the SDK can send, and what it can't: a summary, and a span in several scopes."""
    batches = [Batch(each, sdk_request(each).SerializeToString()) for each in Signal]
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="quantiles")
    point = metric.summary.data_points.add(count=3, sum=1.5, time_unix_nano=1_700_000_000)
    point.quantile_values.add(quantile=0.5, value=0.25)
    return [*batches, Batch(Signal.METRICS, request.SerializeToString())]


def send(address: str, batches: list[Batch]) -> None:
    """Send batches, each until it is acknowledged."""
    with grpc.insecure_channel(address) as channel:
        for batch in batches:
            export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                EXPORT_METHODS[batch.signal]
            )
            export(batch.payload, timeout=10)


def read(path: Path) -> list[Batch]:
    """Return the batches of a recording, which has no flaw."""
    with path.open("rb") as file:
        items = list(read_recording(file))
    assert all(isinstance(item, RecordedBatch) for item in items), items
    return [item.batch for item in items if isinstance(item, RecordedBatch)]


@pytest.mark.parametrize(("form", "compression"), FORMS)
def test_recorded_processed_replayed_and_recorded_again_says_the_same(
    form: Format, compression: Compression, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The collector reads what we write, and we read what it writes."""
    batches = sent_batches()
    recorded, processed, again = (tmp_path / name for name in ("first", "processed", "second"))
    config = tmp_path / "gate.yaml"
    config.write_text(EMPTY_CHAIN, encoding="utf-8")
    with collector(recorded, form, compression) as (address, _):
        send(address, batches)

    how = ("--format", form, "--compression", compression)
    assert (
        main(["process", "--config", str(config), str(recorded), "-o", str(processed), *how]) == 0
    )
    with collector(again, form, compression) as (address, _):
        assert main(["replay", str(processed), "--to", address, "--flat-out"]) == 0

    assert compare(batches, read(recorded)).is_same
    assert compare(read(recorded), read(processed)).is_same
    assert compare(read(recorded), read(again)).is_same
    assert "refused" not in capfd.readouterr().err.replace("0 messages refused", "")


def test_a_collector_that_is_killed_gets_the_rest_when_it_is_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What was acknowledged does not come again, and nothing is left out."""
    file, port = tmp_path / "in", ports_in_a_row(1)
    encode = encoder(Format.PROTO, Compression.NONE)
    batches = [numbered(number) for number in range(30)]
    file.write_bytes(b"".join(encode(batch) for batch in batches))
    first, second = tmp_path / "first", tmp_path / "second"
    codes: list[int] = []
    replaying = threading.Thread(
        target=lambda: codes.append(main(["replay", str(file), "--to", f"127.0.0.1:{port}"]))
    )

    with collector(first, Format.JSON, Compression.NONE, port) as (_, process):
        replaying.start()
        # What the exporter has in its file, it acknowledged before.
        eventually(lambda: first.exists() and len(first.read_bytes().splitlines()) >= 8)
        process.kill()
        process.wait(30)
    with collector(second, Format.JSON, Compression.NONE, port):
        replaying.join(60)

    assert codes == [0]
    assert "30 log records sent: 30 accepted" in capfd.readouterr().err
    # With several under way they may come in another order.
    late = sorted(numbers_in(second))
    assert late == list(range(late[0], 30))
    assert 8 <= late[0] < 30


def numbered(number: int) -> Batch:
    """Return a batch of one log record, a tenth of a second after the one before it."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    record = scope.log_records.add(time_unix_nano=1_700_000_000_000_000_000 + number * 10**8)
    record.body.int_value = number
    return Batch(Signal.LOGS, request.SerializeToString())


def numbers_in(path: Path) -> list[int]:
    """Return the numbers of such batches in a recording, in their order."""
    requests = [ExportLogsServiceRequest.FromString(batch.payload) for batch in read(path)]
    return [each.resource_logs[0].scope_logs[0].log_records[0].body.int_value for each in requests]
