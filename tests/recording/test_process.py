"""`tapeline process`: deterministic, event-timed, and honest about what it could not read."""

import codecs
import io
import os
import signal as signals
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.cli import main
from tapeline.otlp.json_lines import request_from_json, request_to_json
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.processor import Processor, Result
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recorded.reader import read_recording
from tapeline.recording import command
from tapeline.recording.event_time import greatest_time_unix_nano
from tapeline.recording.process import Counts, Refusal, process_batches
from waiting import eventually

GATE = Path(__file__).parents[2] / "config" / "gate.yaml"
LABEL_SECRET = "Zq7hunter2x8Kd0wLmV4tR1s"


@dataclass
class Clockwatcher:
    """A processor that notes the times it is told, and emits one metric at the end."""

    name: str = "clockwatcher"
    consume: bool = False
    processed: list[int] = field(default_factory=list)
    ticked: list[int] = field(default_factory=list)

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        self.processed.append(now_unix_nano)
        return Result(None if self.consume else batch)

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        self.ticked.append(now_unix_nano)
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        request = ExportMetricsServiceRequest()
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="last")
        metric.gauge.data_points.add(as_int=1, time_unix_nano=now_unix_nano)
        return [Batch(Signal.METRICS, request.SerializeToString())]


def _log_line(time_unix_nano: int, body: str = "hello", observed: int = 0) -> bytes:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano = time_unix_nano
    record.observed_time_unix_nano = observed
    record.body.string_value = body
    return request_to_json(Signal.LOGS, request.SerializeToString())


def _run(lines: Sequence[bytes], processor: Processor | None) -> list[Batch | Refusal]:
    """Run lines, as a file has them, through a chain of one processor."""
    file = io.BytesIO(b"\n".join(line.rstrip(b"\n") for line in lines))
    chain = Chain({Signal.LOGS: [processor] if processor else []})
    return list(process_batches(read_recording(file), chain, Counts()))


def test_now_is_the_greatest_time_so_far_the_batch_in_hand_included() -> None:
    """A late batch doesn't turn the clock back."""
    watcher = Clockwatcher()

    _run([_log_line(20), _log_line(10), _log_line(30)], watcher)

    assert watcher.processed == [20, 20, 30]
    assert watcher.ticked == [20, 30]


def test_the_last_emissions_come_at_the_end_at_the_last_time() -> None:
    """Close is the end of the input."""
    results = _run([_log_line(20)], Clockwatcher())

    assert isinstance(results[-1], Batch)
    assert results[-1].signal is Signal.METRICS
    assert greatest_time_unix_nano(results[-1]) == 20


def test_what_a_processor_consumes_is_not_echoed() -> None:
    """Only the emission at the end is left."""
    assert len(_run([_log_line(1), _log_line(2)], Clockwatcher(consume=True))) == 1


def test_a_line_that_can_not_be_read_is_refused_by_number_and_the_rest_goes_on() -> None:
    """Blank lines are no messages; a bad one is named, with its place in the file."""
    first = _log_line(1)

    results = _run([b"\n", first, b"{broken\n", _log_line(2)], Clockwatcher())

    refusals = [result for result in results if isinstance(result, Refusal)]
    assert [(refusal.number, refusal.offset_bytes) for refusal in refusals] == [(2, len(first) + 2)]
    assert len(results) == 4


@pytest.mark.parametrize("signal", list(Signal))
def test_the_greatest_time_of_each_signal(signal: Signal) -> None:
    """A log's observed time stands in for a missing time; a span counts by its end."""
    logs = ExportLogsServiceRequest()
    scope = logs.resource_logs.add().scope_logs.add()
    scope.log_records.add(time_unix_nano=5, observed_time_unix_nano=99)
    scope.log_records.add(observed_time_unix_nano=7)
    traces = ExportTraceServiceRequest()
    spans = traces.resource_spans.add().scope_spans.add().spans
    spans.add(start_time_unix_nano=1, end_time_unix_nano=7)
    spans.add(start_time_unix_nano=6, end_time_unix_nano=6)
    metrics = ExportMetricsServiceRequest()
    scoped = metrics.resource_metrics.add().scope_metrics.add()
    scoped.metrics.add(name="a").histogram.data_points.add(time_unix_nano=7)
    scoped.metrics.add(name="b").sum.data_points.add(time_unix_nano=3)
    scoped.metrics.add(name="no data")
    payloads = {Signal.LOGS: logs, Signal.TRACES: traces, Signal.METRICS: metrics}

    assert greatest_time_unix_nano(Batch(signal, payloads[signal].SerializeToString())) == 7
    assert greatest_time_unix_nano(Batch(signal, b"")) == 0


def test_the_same_input_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    """Whatever the hash seed: masks, tokens and order included."""
    recording = tmp_path / "in.jsonl"
    metric = ExportMetricsServiceRequest()
    point = metric.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge
    point.data_points.add(as_int=1).attributes.add(key="api_key").value.string_value = LABEL_SECRET
    lines = [
        _log_line(1, "login password=correct-horse ok"),
        request_to_json(Signal.METRICS, metric.SerializeToString()),
    ]
    recording.write_bytes(b"\n".join(lines) + b"\n")

    outputs = {
        subprocess.run(
            [sys.executable, "-m", "tapeline.cli", "process", "--config", str(GATE), recording],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }

    assert len(outputs) == 1
    (output,) = outputs
    assert b"correct-horse" not in output
    assert LABEL_SECRET.encode() not in output
    assert output.count(b"\n") == 2


def test_refused_lines_make_the_exit_code_1_and_are_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message names file and line; the output file holds the good lines."""
    recording, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    recording.write_bytes(_log_line(1) + b"\nnot json\n" + _log_line(2) + b"\n")

    assert command.process_command(GATE, str(recording), str(output)) == 1

    assert len(output.read_bytes().splitlines()) == 2
    assert f"{recording}:2: refused: " in capfd.readouterr().err


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("compression", Compression)
def test_a_torn_file_is_used_as_far_as_it_is_whole(
    form: Format, compression: Compression, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The byte is named where it tears, and the exit code says that something is missing."""
    encode = encoder(form, compression)
    whole = encode(_log_batch(1)) + encode(_log_batch(2))
    recording, output = tmp_path / "in", tmp_path / "out"
    recording.write_bytes(whole + encode(_log_batch(3))[:-3])
    arguments = ["--format", form, "--compression", compression, "-o", str(output)]

    assert main(["process", "--config", str(GATE), str(recording), *arguments]) == 1

    assert output.read_bytes() == whole
    assert f"{recording}:3: refused: " in (said := capfd.readouterr().err)
    assert f"(at byte {len(whole)}; what follows is lost)" in said


def test_a_damaged_message_is_left_out_and_those_behind_it_are_used(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its length still tells where the next one begins."""
    encode = encoder(Format.PROTO, Compression.NONE)
    first, second, third = (encode(_log_batch(number)) for number in (1, 2, 3))
    recording, output = tmp_path / "in", tmp_path / "out"
    recording.write_bytes(first + second[:4] + b"\xff" * (len(second) - 4) + third)

    arguments = ["--format", "proto", "-o", str(output)]
    assert main(["process", "--config", str(GATE), str(recording), *arguments]) == 1

    assert output.read_bytes() == first + third
    assert f"{recording}:2: refused: " in (said := capfd.readouterr().err)
    assert f"(at byte {len(first)})" in said


def test_unknown_fields_of_a_newer_otlp_are_kept(tmp_path: Path) -> None:
    """In protobuf; JSON has no place for them."""
    newer = _log_batch(1).payload + bytes([15 << 3 | 2, 3]) + b"new"
    recording, output = tmp_path / "in", tmp_path / "out"
    encode = encoder(Format.PROTO, Compression.NONE)
    recording.write_bytes(encode(Batch(Signal.LOGS, newer)))

    arguments = ["--format", "proto", "-o", str(output)]
    assert main(["process", "--config", str(GATE), str(recording), *arguments]) == 0

    assert output.read_bytes() == recording.read_bytes()


def _log_batch(time_unix_nano: int) -> Batch:
    return Batch(*request_from_json(_log_line(time_unix_nano)))


def test_a_missing_input_is_named_and_leaves_no_output_behind(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and the folder is as it was."""
    absent, output = tmp_path / "absent.jsonl", tmp_path / "out.jsonl"

    assert command.process_command(GATE, str(absent), str(output)) == 2

    assert "absent.jsonl: No such file" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_line_over_the_limit_is_refused_without_being_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines around it are processed; its rest is skipped."""
    monkeypatch.setattr("tapeline.recorded.reader.MAX_MESSAGE_BYTES", 1000)
    recording, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    long_line = _log_line(2, "x" * 5000)
    recording.write_bytes(_log_line(1) + b"\n" + long_line + b"\n" + _log_line(3))

    assert command.process_command(GATE, str(recording), str(output)) == 1

    assert len(output.read_bytes().splitlines()) == 2


def test_dashes_are_standard_input_and_output(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """So that process fits into a pipe."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(_log_line(1) + b"\n")))

    assert command.process_command(GATE, "-", "-") == 0

    assert capfdbinary.readouterr().out.count(b"\n") == 1


def test_an_output_that_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    """`-o` of a pipe or a device must not put a regular file in its place."""
    recording, pipe = tmp_path / "in.jsonl", tmp_path / "pipe"
    recording.write_bytes(_log_line(1) + b"\n")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert command.process_command(GATE, str(recording), str(pipe)) == 0
        assert os.read(reader, 65536).count(b"\n") == 1
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_an_output_through_a_link_goes_where_the_link_points(tmp_path: Path) -> None:
    """The link stays a link."""
    recording, output, link = (tmp_path / name for name in ("in.jsonl", "out.jsonl", "link"))
    recording.write_bytes(_log_line(1) + b"\n")
    link.symlink_to(output)

    assert command.process_command(GATE, str(recording), str(link)) == 0

    assert link.is_symlink()
    assert output.read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("output", ["no/such/folder/out.jsonl", "."])
def test_an_output_that_can_not_be_written_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], output: str
) -> None:
    """By the name that was given, not by that of a temporary file, and nothing is left."""
    recording = tmp_path / "in.jsonl"
    recording.write_bytes(_log_line(1) + b"\n")
    target = tmp_path / output

    assert command.process_command(GATE, str(recording), str(target)) == 2

    assert f"{target}: can't be written: " in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == [recording]


@pytest.mark.parametrize("number", [signals.SIGINT, signals.SIGTERM])
def test_an_interruption_leaves_what_was_there_and_no_half_of_an_output(
    tmp_path: Path, number: signals.Signals
) -> None:
    """Exit code 130; the output of before is untouched, and nothing stands beside it."""
    output = tmp_path / "out"
    output.write_bytes(b"of before")
    module = "import sys; from tapeline.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["process", "--config", "config/gate.yaml", "-", "-o", str(output)]
    process = subprocess.Popen([sys.executable, "-c", module, *arguments], stdin=subprocess.PIPE)
    with process:
        # The input stays open: it waits for more, with its output begun.
        eventually(lambda: len(list(tmp_path.iterdir())) == 2)
        process.send_signal(number)
        assert process.wait(timeout=30) == 130

    assert list(tmp_path.iterdir()) == [output]
    assert output.read_bytes() == b"of before"


@pytest.mark.parametrize(
    ("shell", "code", "told"),
    [
        ("process --config config/gate.yaml - <&-", 2, "standard input: Bad file descriptor"),
        ("process --config config/gate.yaml - </dev/null >&-", 2, "standard output: can't be"),
        ("diff - /dev/null <&-", 2, "standard input: can't be read: Bad file descriptor"),
        ("version >&-", 0, ""),
        ("diff /nonexistent /nonexistent 2>&-", 2, ""),
    ],
)
def test_closed_streams_are_told_or_do_not_matter(shell: str, code: int, told: str) -> None:
    """A daemon's parent may have closed them: no traceback, and no result that nobody gets."""
    program = "import sys; from tapeline.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {shell}', sys.executable, program],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_processor_raises_refuses_its_line_and_is_not_quoted() -> None:
    """The lines around it go on; a message may hold what the processor stumbled over."""

    @dataclass(slots=True)
    class Stumbling:
        name: str = "stumbling"

        def process(self, batch: Batch, now_unix_nano: int) -> Result:
            if now_unix_nano == 2:
                raise KeyError("value from the data")
            return Result(batch)

        def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
            del now_unix_nano
            return ()

        def close(self, now_unix_nano: int) -> tuple[Batch, ...]:
            del now_unix_nano
            return ()

    first = _log_line(1)

    results = _run([first, _log_line(2), _log_line(3)], Stumbling())

    assert results[1] == Refusal(2, len(first) + 1, "the chain failed on it with KeyError")
    assert [isinstance(result, Batch) for result in results] == [True, False, True]


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_part_of_the_data() -> None:
    """A recording may have passed an editor."""
    lines = [codecs.BOM_UTF8 + _log_line(1) + b"\r\n", b"\r\n", _log_line(1) + b"\r\n"]

    first, second = _run(lines, None)

    assert first == second == Batch(*request_from_json(_log_line(1)))
