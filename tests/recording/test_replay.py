"""`tapeline replay` into an endpoint that answers as it is told."""

import signal as signals
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from replaying import BASE, SECOND, closed_recording, logs, recording, replay
from scripted_downstream import Downstream, Reply, running_downstream
from sdk_requests import sdk_request
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recording.event_time import greatest_time_unix_nano
from tapeline.transport.answers import Answer, Code, Event, status_details


def numbers(downstream: Downstream) -> list[int]:
    """Return the time of the first record of each batch that arrived, as `logs` was given it."""
    found = []
    for payload in downstream.payloads(Signal.LOGS):
        request = ExportLogsServiceRequest.FromString(payload)
        record = request.resource_logs[0].scope_logs[0].log_records[0]
        found.append(record.time_unix_nano - BASE)
    return found


@pytest.fixture
def downstream() -> Iterator[Downstream]:
    """An endpoint that says OK until it is told otherwise."""
    with running_downstream() as running:
        yield running


@pytest.mark.parametrize("form", Format)
def test_flat_out_sends_the_very_bytes_of_every_signal(
    form: Format, tmp_path: Path, downstream: Downstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """And reports what was accepted, by signal."""
    batches = [
        Batch(signal, sdk_request(signal).SerializeToString(deterministic=True))
        for signal in Signal
    ]
    file = recording(tmp_path / "in", batches, form)

    assert replay(file, "--to", downstream.address, "--flat-out") == 0

    assert sorted(downstream.received) == sorted((each.signal, each.payload) for each in batches)
    reported = capfd.readouterr().err
    for noun in ("log records", "spans", "data points"):
        assert f"{noun} sent: " in reported
    assert "0 rejected, 0 dropped" in reported


def test_files_are_sent_in_their_order_and_loops_after_each_other(
    tmp_path: Path, downstream: Downstream
) -> None:
    """One in flight keeps the order for certain."""
    first = recording(tmp_path / "a", [logs(1), logs(2)])
    second = recording(tmp_path / "b", [logs(3)])
    options = ("--to", downstream.address, "--flat-out", "--in-flight", 1, "--loop", 2)

    assert replay(first, second, *options) == 0

    assert numbers(downstream) == [1, 2, 3, 1, 2, 3]


def test_the_pace_is_that_of_the_records(tmp_path: Path, downstream: Downstream) -> None:
    """None comes before it is due; at ten times the speed it takes no longer than it would at one.

    How exact it is the acceptance test measures, on a recording of a minute.
    """
    offsets = [number * SECOND for number in range(21)]
    arrived: list[float] = []

    def note(_signal: Signal, _payload: bytes) -> Reply:
        arrived.append(time.monotonic())
        return Reply()

    downstream.reply = note
    file = recording(tmp_path / "in", [logs(offset) for offset in offsets])
    began = time.monotonic()

    assert replay(file, "--to", downstream.address, "--speed", 10, "--in-flight", 1) == 0

    assert len(arrived) == len(offsets)
    for at, offset in zip(arrived, offsets, strict=True):
        assert at - began >= offset / SECOND / 10
    assert arrived[-1] - began < offsets[-1] / SECOND


def test_now_shifts_every_time_by_one_constant(tmp_path: Path, downstream: Downstream) -> None:
    """The first batch is of now; what is between records stays."""
    file = recording(tmp_path / "in", [logs(5, 7), logs(3 * SECOND)])
    before = time.time_ns()

    assert replay(file, "--to", downstream.address, "--flat-out", "--now") == 0

    after = time.time_ns()
    requests = sorted(
        (ExportLogsServiceRequest.FromString(each) for each in downstream.payloads(Signal.LOGS)),
        key=lambda request: -len(request.resource_logs[0].scope_logs[0].log_records),
    )
    first, second = (request.resource_logs[0].scope_logs[0].log_records for request in requests)
    assert before <= first[1].time_unix_nano <= after
    assert first[1].time_unix_nano - first[0].time_unix_nano == 2
    assert second[0].time_unix_nano - first[0].time_unix_nano == 3 * SECOND - 5


def spans_of(payload: bytes) -> list[Any]:
    """Return the spans of a request."""
    request = ExportTraceServiceRequest.FromString(payload)
    return [
        span
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def test_new_trace_ids_are_the_same_everywhere_and_others_in_each_loop(
    tmp_path: Path, downstream: Downstream
) -> None:
    """A child finds its parent, a log its span; the seed gives the same ids again."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(name="parent", end_time_unix_nano=2, trace_id=b"t" * 16, span_id=b"p" * 8)
    spans.add(name="child", trace_id=b"t" * 16, span_id=b"c" * 8, parent_span_id=b"p" * 8)
    correlated = ExportLogsServiceRequest()
    record = correlated.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=1)
    record.trace_id, record.span_id = b"t" * 16, b"c" * 8
    batches = [
        Batch(Signal.TRACES, request.SerializeToString()),
        Batch(Signal.LOGS, correlated.SerializeToString()),
    ]
    file = recording(tmp_path / "in", batches)
    options = ("--to", downstream.address, "--flat-out", "--in-flight", 1)

    assert replay(file, *options, "--new-trace-ids", "seed", "--loop", 2) == 0
    assert replay(file, *options, "--new-trace-ids", "seed") == 0

    traces = [spans_of(payload) for payload in downstream.payloads(Signal.TRACES)]
    for (parent, child), payload in zip(traces, downstream.payloads(Signal.LOGS), strict=True):
        found = ExportLogsServiceRequest.FromString(payload)
        record = found.resource_logs[0].scope_logs[0].log_records[0]
        assert child.parent_span_id == parent.span_id
        assert (record.trace_id, record.span_id) == (child.trace_id, child.span_id)
        assert parent.trace_id == child.trace_id != b"t" * 16
    assert traces[0][0].trace_id != traces[1][0].trace_id
    assert traces[0] == traces[2]


def test_what_the_endpoint_may_take_later_is_sent_again(
    tmp_path: Path, downstream: Downstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """After at least the time that it asks for."""
    asked = status_details(Answer(Event.OVERLOADED, Code.UNAVAILABLE, retry_after_s=0.4))
    attempts: list[float] = []

    def reply(_signal: Signal, _payload: bytes) -> Reply:
        attempts.append(time.monotonic())
        if len(attempts) < 3:
            return Reply(grpc.StatusCode.UNAVAILABLE, details=asked)
        return Reply()

    downstream.reply = reply
    file = recording(tmp_path / "in", [logs(1, 2)])

    assert replay(file, "--to", downstream.address, "--flat-out") == 0

    assert len(attempts) == 3
    pauses = [later - earlier for earlier, later in pairwise(attempts)]
    assert all(pause >= 0.4 for pause in pauses)
    assert "2 log records sent: 2 accepted" in capfd.readouterr().err


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
def test_what_is_refused_for_good_is_counted_and_the_rest_goes_on(
    code: grpc.StatusCode,
    tmp_path: Path,
    downstream: Downstream,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """RESOURCE_EXHAUSTED without a delay is for good, too. Exit code 1."""
    bad = logs(1, 2, 3)
    downstream.reply = lambda _signal, payload: Reply(code) if payload == bad.payload else Reply()
    file = recording(tmp_path / "in", [logs(9), bad, logs(10)])

    assert replay(file, "--to", downstream.address, "--flat-out") == 1

    assert len(downstream.received) == 3
    reported = capfd.readouterr().err
    assert "5 log records sent: 2 accepted, 0 rejected, 3 dropped" in reported
    assert f"refused 1 batches for good: {code.name}" in reported


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED]
)
def test_who_is_not_let_in_sends_no_more(
    code: grpc.StatusCode,
    tmp_path: Path,
    downstream: Downstream,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever follows would be refused, too: better to say so, and from where to go on."""
    downstream.reply = lambda _signal, _payload: Reply(code)
    file = recording(tmp_path / "in", [logs(1), logs(2)])

    assert replay(file, "--to", downstream.address, "--flat-out", "--in-flight", 1) == 1

    assert len(downstream.received) == 1
    reported = capfd.readouterr().err
    assert f"did not take more: {code.name}" in reported
    assert f"--start-at {file}:1" in reported


def test_a_partial_success_is_counted_and_not_sent_again(
    tmp_path: Path, downstream: Downstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """OTLP forbids it."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = 2
    downstream.always(Reply(response=response.SerializeToString()))
    file = recording(tmp_path / "in", [logs(1, 2, 3)])

    assert replay(file, "--to", downstream.address, "--flat-out") == 1

    assert len(downstream.received) == 1
    assert "3 log records sent: 1 accepted, 2 rejected, 0 dropped" in capfd.readouterr().err


def test_an_endpoint_that_dies_ends_the_replay_which_says_where_to_go_on(
    tmp_path: Path, downstream: Downstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """Going on from there sends the rest: nothing is missing, what was before comes not again."""
    settled: set[int] = set()

    def dying(_signal: Signal, payload: bytes) -> Reply:
        if len(settled) >= 4:
            return Reply(grpc.StatusCode.UNAVAILABLE)
        settled.add(hash(payload))
        return Reply()

    downstream.reply = dying
    file = recording(tmp_path / "in", [logs(number) for number in range(10)])
    options = (file, "--to", downstream.address, "--flat-out", "--in-flight", 1)

    assert replay(*options, "--give-up-after", "300ms") == 1

    reported = capfd.readouterr().err
    assert f"go on with: --start-at {file}:5" in reported
    assert "did not take more: UNAVAILABLE" in reported
    downstream.received.clear()
    downstream.always(Reply())
    assert replay(*options, "--start-at", f"{file}:5") == 0
    assert numbers(downstream) == [4, 5, 6, 7, 8, 9]


def test_with_several_in_flight_the_first_unsettled_one_is_where_to_go_on(
    tmp_path: Path, downstream: Downstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """What came through behind it comes again; nothing is left out."""
    stuck = logs(3)
    downstream.reply = lambda _signal, payload: Reply(
        grpc.StatusCode.UNAVAILABLE if payload == stuck.payload else grpc.StatusCode.OK
    )
    file = recording(tmp_path / "in", [logs(number) for number in range(10)])

    assert replay(file, "--to", downstream.address, "--flat-out", "--give-up-after", "300ms") == 1

    assert f"--start-at {file}:4" in capfd.readouterr().err


def test_nobody_there_is_said_and_it_exits_1(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the place to go on from: the beginning."""
    file = recording(tmp_path / "in", [logs(1)])

    assert replay(file, "--to", "127.0.0.1:1", "--give-up-after", "300ms") == 1

    assert f"--start-at {file}:1" in capfd.readouterr().err


def test_an_endpoint_that_comes_back_gets_everything(tmp_path: Path) -> None:
    """It was away when the replay began."""
    file = recording(tmp_path / "in", [logs(number) for number in range(5)])
    with running_downstream() as gone:
        address = gone.address
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(
            replay(file, "--to", address, "--flat-out", "--give-up-after", "30s")
        )
    )
    thread.start()
    time.sleep(0.5)
    with running_downstream(address) as back:
        thread.join(30)

        assert codes == [0]
        assert sorted(numbers(back)) == [0, 1, 2, 3, 4]


def test_signal_service_and_time_choose_what_is_sent(
    tmp_path: Path, downstream: Downstream
) -> None:
    """A batch is split where only a part of it is wanted."""
    spans = Batch(Signal.TRACES, sdk_request(Signal.TRACES).SerializeToString())
    batches = [logs(1, SECOND, 2 * SECOND, service="a"), logs(SECOND, service="b"), spans]
    file = recording(tmp_path / "in", batches)
    times = ("--from-time", "2023-11-14T22:13:21Z", "--to-time", "2023-11-14T22:13:22Z")

    options = ("--to", downstream.address, "--flat-out", "--signal", "logs", "--service", "a")
    assert replay(file, *options, *times) == 0

    ((signal, payload),) = downstream.received
    assert signal is Signal.LOGS
    assert Batch(signal, payload).framing.record_count == 1
    assert greatest_time_unix_nano(Batch(signal, payload)) == BASE + SECOND


def test_a_damaged_file_is_sent_as_far_as_it_is_whole(
    tmp_path: Path, downstream: Downstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """The byte is named, and the exit code is 1."""
    file = recording(tmp_path / "in", [logs(1), logs(2)])
    whole = file.read_bytes()
    file.write_bytes(whole[:-3])

    assert replay(file, "--to", downstream.address, "--flat-out") == 1

    assert numbers(downstream) == [1]
    assert f"{file}:2: not sent: " in (reported := capfd.readouterr().err)
    assert f"at byte {len(whole) // 2}" in reported


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--to", "http//x"), "not an address"),
        (("--to", "ftp://x"), "write HOST:PORT"),
        (("--to", "127.0.0.1:1", "--speed", "0"), "--speed"),
        (("--to", "127.0.0.1:1", "--loop", "0"), "--loop"),
        (("--to", "127.0.0.1:1", "--in-flight", "0"), "in flight"),
        (("--to", "127.0.0.1:1", "--start-at", "other:1"), "--start-at"),
        (("--to", "127.0.0.1:1", "--from-time", "soon"), "soon"),
        (("--to", "127.0.0.1:1", "--token-file", "absent"), "absent"),
        (("--to", "127.0.0.1:1", "--cert-file", "absent"), "belong together"),
        (("--to", "127.0.0.1:1", "--ca-file", __file__), "test_replay.py: holds no authority"),
        (("--to", "https://127.0.0.1", "--ca-file", __file__), "test_replay.py: holds no author"),
        (("--to", "https://a", "--cert-file", __file__, "--key-file", __file__), "not a certif"),
        (("--to", "http://127.0.0.1:1", "--tls"), "write https://"),
        (("--to", "https://127.0.0.1:1", "--server-name", "x"), "server name"),
    ],
)
def test_what_can_not_be_meant_is_wrong_usage(
    arguments: tuple[str, ...],
    complaint: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, before anything is sent."""
    file = recording(tmp_path / "in", [logs(1)])

    assert replay(file, *arguments) == 2

    assert complaint in capfd.readouterr().err


def test_a_password_in_an_endpoint_is_not_repeated(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is refused; the message is what stands in the logs of CI."""
    file = recording(tmp_path / "in", [logs(1)])
    password = "not-a-real-" + "password"

    assert replay(file, "--to", f"http://user:{password}@127.0.0.1:1") == 2

    said = capfd.readouterr().err
    assert "token file" in said
    assert password not in said


def test_a_start_beyond_the_end_is_told(
    tmp_path: Path, downstream: Downstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """Right behind the last message is where a whole replay ended; further on there is nothing."""
    file = recording(tmp_path / "in", [logs(1), logs(2)])
    options = (file, "--to", downstream.address, "--start-at")

    assert replay(*options, f"{file}:3") == 0
    assert replay(*options, f"{file}:4") == 1

    assert "it has 2 messages: none is number 4" in capfd.readouterr().err
    assert downstream.received == []


def test_a_wait_of_decades_is_told_and_can_be_stopped(tmp_path: Path) -> None:
    """One wrong time asks for it; at a low speed for more than the platform can wait at once."""
    with running_downstream() as endpoint:
        file = recording(tmp_path / "in", [logs(-BASE + 1), logs(1)])
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", "import sys; from tapeline.cli import main; main()"),
                *("replay", str(file), "--to", endpoint.address, "--speed", "1e-9"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert "the next batch is due in " in said
            assert "--flat-out" in said
            process.send_signal(signals.SIGTERM)
            assert f"go on with: --start-at {file}:2" in process.communicate(timeout=30)[1]


def test_a_seed_may_be_any_text(tmp_path: Path, downstream: Downstream) -> None:
    """Also one of bytes that are no UTF-8, as a command line may hold."""
    file = recording(tmp_path / "in", [logs(1)])

    assert replay(file, "--to", downstream.address, "--new-trace-ids=\udcff") == 0


def test_a_missing_file_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Before anything of the others is sent."""
    assert replay(tmp_path / "absent", "--to", "127.0.0.1:1") == 2

    assert "absent: No such file" in capfd.readouterr().err


def test_the_token_goes_with_every_call(tmp_path: Path, downstream: Downstream) -> None:
    """As a bearer token, the first of its file."""
    file = recording(tmp_path / "in", [logs(1)])
    token = tmp_path / "token"
    token.write_text("not-a-real-token\n", encoding="utf-8")

    assert replay(file, "--to", downstream.address, "--flat-out", "--token-file", token) == 0

    assert downstream.metadata[0]["authorization"] == "Bearer not-a-real-token"


def test_a_recording_that_was_changed_since_is_sent_and_said(
    tmp_path: Path, downstream: Downstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its metadata has the checksum. Exit code 1."""
    file = closed_recording(tmp_path / "in.otlp.pb", [logs(1), logs(2)])
    assert replay(file, "--to", downstream.address, "--flat-out") == 0
    with file.open("ab") as appended:
        appended.write(encoder(Format.PROTO, Compression.NONE)(logs(3)))

    assert replay(file, "--to", downstream.address, "--flat-out") == 1

    assert len(downstream.received) == 5
    assert "checksum" in capfd.readouterr().err


@pytest.mark.acceptance
def test_sixty_seconds_of_records_take_sixty_seconds(
    tmp_path: Path, downstream: Downstream
) -> None:
    """Within 1 %, at every batch on the way: what a wait was too long is not carried on."""
    offsets = [number * 60 * SECOND // 600 for number in range(601)]
    arrived: list[float] = []

    def note(_signal: Signal, _payload: bytes) -> Reply:
        arrived.append(time.monotonic())
        return Reply()

    downstream.reply = note
    warm_up = [logs(offsets[0] - 1)] * 3
    file = recording(tmp_path / "in", [*warm_up, *(logs(offset) for offset in offsets)])

    assert replay(file, "--to", downstream.address, "--in-flight", 1) == 0

    # The first ones come late, by making the connection.
    found = arrived[len(warm_up) :]
    assert len(found) == len(offsets)
    drifts = [at - found[0] - offset / SECOND for at, offset in zip(found, offsets, strict=True)]
    assert max(map(abs, drifts)) < 0.6
