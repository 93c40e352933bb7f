"""Every row of the architecture's answer table, with a real client, server and downstream."""

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from otlp_client import logs
from scripted_downstream import Downstream, Reply, running_downstream
from sidecars import Answered, Doors, PlainChain, Running, running_sidecar, settings
from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import NotNowError
from waiting import eventually

PAYLOAD = logs(["order accepted", "order filled"]).SerializeToString()
MIB = 1024 * 1024


@pytest.fixture(name="downstream")
def _downstream() -> Iterator[Downstream]:
    with running_downstream() as downstream:
        yield downstream


@pytest.fixture(name="chain")
def _chain() -> PlainChain:
    return PlainChain()


@pytest.fixture(name="gate")
def _gate(downstream: Downstream, chain: PlainChain) -> Iterator[Running]:
    given = settings(downstream.address, {"max_attempts": 3, "max_message_mib": 1})
    with running_sidecar(given, chain) as running:
        yield running


def retry_delay_s(answered: Answered) -> float | None:
    """Return the delay of an answer's RetryInfo; None without one. The codes must agree."""
    if answered.status_details is None:
        return None
    status = Status.FromString(answered.status_details)
    assert status.code == answered.code.value[0]
    (detail,) = status.details
    delay = RetryInfo()
    assert detail.Unpack(delay)
    return float(delay.retry_delay.ToNanoseconds()) / 1e9


def test_what_downstream_acknowledged_is_ok_without_partial_success(
    gate: Running, downstream: Downstream
) -> None:
    """The bytes arrive unchanged, and the response is empty: partial_success unset."""
    answered = gate.client.export(PAYLOAD)

    assert answered == Answered(grpc.StatusCode.OK, response=b"")
    assert downstream.received == [(Signal.LOGS, PAYLOAD)]
    assert gate.count("tapeline_requests_total", signal="logs", answer="OK") == 1
    assert gate.count("tapeline_received_records_total", signal="logs") == 2
    assert gate.count("tapeline_forwarded_records_total", signal="logs") == 2
    assert gate.count("tapeline_forwarded_bytes_total", signal="logs") == len(PAYLOAD)


@pytest.mark.parametrize("signal", list(Signal))
def test_each_signal_reaches_its_own_service(
    gate: Running, downstream: Downstream, signal: Signal
) -> None:
    """Logs, traces and metrics travel by their own Export method."""
    answered = gate.client.export(b"\n\x00", signal)

    assert answered.code is grpc.StatusCode.OK
    assert downstream.received == [(signal, b"\n\x00")]


def test_records_dropped_by_a_rule_are_ok(
    gate: Running, downstream: Downstream, chain: PlainChain
) -> None:
    """What a processor consumes or drops is done, and the sender need not know."""
    chain.on_process = lambda _batch: ()

    assert gate.client.export(PAYLOAD) == Answered(grpc.StatusCode.OK)
    assert downstream.received == []


def test_partial_success_downstream_is_counted_and_not_passed_on(
    gate: Running, downstream: Downstream
) -> None:
    """A client must not retry it, so it would only be a warning in the collector's log."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = 2
    response.partial_success.error_message = "too old"
    downstream.always(Reply(response=response.SerializeToString()))

    assert gate.client.export(PAYLOAD) == Answered(grpc.StatusCode.OK, response=b"")
    assert gate.count("tapeline_rejected_records_total", signal="logs") == 2


def test_malformed_protobuf_is_invalid_argument(gate: Running, downstream: Downstream) -> None:
    """It is not retried: the same bytes would be as malformed the next time."""
    answered = gate.client.export(PAYLOAD[:-1])

    assert answered.code is grpc.StatusCode.INVALID_ARGUMENT
    assert retry_delay_s(answered) is None
    assert "order filled" not in answered.details
    assert downstream.received == []
    assert gate.count("tapeline_refused_requests_total", reason="malformed") == 1


def test_malformed_below_the_records_is_invalid_argument(gate: Running, chain: PlainChain) -> None:
    """What only a processor finds is refused alike, without the processor's own words."""

    def find(_batch: Batch) -> tuple[Batch, ...]:
        raise MalformedRequestError("near hunter2")

    chain.on_process = find

    answered = gate.client.export(PAYLOAD)

    assert answered.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "hunter2" not in answered.details


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
@pytest.mark.parametrize("size_bytes", [MIB + 1, MIB + MIB // 4, 60 * MIB])
def test_too_large_is_resource_exhausted_without_retry_info(
    gate: Running, downstream: Downstream, compression: grpc.Compression, size_bytes: int
) -> None:
    """Also where only the decompressed request is too large; then it would be dropped for good."""
    answered = gate.client.export(bytes(size_bytes), compression=compression)

    assert answered.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry_delay_s(answered) is None
    assert downstream.received == []
    reason = "oversize" if size_bytes <= MIB + MIB // 4 else "oversize_or_gone"
    # gRPC's own refusal reaches the client before our handler hears of it.
    eventually(lambda: gate.count("tapeline_refused_requests_total", reason=reason) == 1)


def test_a_request_of_the_largest_size_is_taken(gate: Running, downstream: Downstream) -> None:
    """The limit is what may be sent, not what may not."""
    body = "x" * (MIB - len(logs([""]).SerializeToString()) - 20)
    payload = logs([body]).SerializeToString()
    filler = MIB - len(payload)
    payload += b"\x12" + bytes([filler - 2]) + bytes(filler - 2)
    assert len(payload) == MIB

    assert gate.client.export(payload).code is grpc.StatusCode.OK
    assert downstream.received == [(Signal.LOGS, payload)]


def test_gzip_is_understood(gate: Running, downstream: Downstream) -> None:
    """Downstream gets it decompressed: on the next hop compression is a waste."""
    answered = gate.client.export(PAYLOAD, compression=grpc.Compression.Gzip)

    assert answered.code is grpc.StatusCode.OK
    assert downstream.received == [(Signal.LOGS, PAYLOAD)]


def test_an_empty_request_is_ok(gate: Running, downstream: Downstream) -> None:
    """OTLP wants that; there is nothing to send on."""
    assert gate.client.export(b"") == Answered(grpc.StatusCode.OK)
    assert downstream.received == []


PERMANENT = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED",
             "INTERNAL", "UNIMPLEMENTED")  # fmt: skip
PASSING = ("UNKNOWN", "UNAUTHENTICATED", "PERMISSION_DENIED", "CANCELLED", "ABORTED", "DATA_LOSS",
           "DEADLINE_EXCEEDED", "UNAVAILABLE", "NOT_FOUND", "ALREADY_EXISTS")  # fmt: skip


@pytest.mark.parametrize("name", PERMANENT)
def test_what_downstream_refuses_for_good_is_passed_on(
    gate: Running, downstream: Downstream, name: str
) -> None:
    """Its own code goes to the client: downstream knows what it meant."""
    downstream.always(Reply(grpc.StatusCode[name]))

    answered = gate.client.export(PAYLOAD)

    assert answered.code is grpc.StatusCode[name]
    assert retry_delay_s(answered) is None
    assert len(downstream.received) == 1
    assert gate.count("tapeline_forward_failures_total", code=name) == 1
    assert gate.count("tapeline_forwarded_records_total", signal="logs") == 0


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_unavailable_with_retry_info(
    gate: Running, downstream: Downstream, name: str
) -> None:
    """Any code that does not condemn the data makes the client come back, and we don't retry."""
    downstream.always(Reply(grpc.StatusCode[name]))

    answered = gate.client.export(PAYLOAD)

    assert answered.code is grpc.StatusCode.UNAVAILABLE
    assert retry_delay_s(answered) == 1.0
    assert len(downstream.received) == 1
    assert gate.count("tapeline_refused_requests_total", reason="downstream_unavailable") == 1


def test_the_two_lists_are_all_codes() -> None:
    """A code that gRPC has and no row names would be a hole in the table."""
    assert {*PERMANENT, *PASSING, "OK"} == {status.name for status in grpc.StatusCode}


def test_resource_exhausted_with_retry_info_is_a_retry(
    gate: Running, downstream: Downstream
) -> None:
    """OTLP: with RetryInfo it is back-pressure. Its delay is passed on."""
    delay = RetryInfo()
    delay.retry_delay.FromMilliseconds(2500)
    status = Status(code=8)
    status.details.add().Pack(delay)
    downstream.always(Reply(grpc.StatusCode.RESOURCE_EXHAUSTED, details=status.SerializeToString()))

    answered = gate.client.export(PAYLOAD)

    assert answered.code is grpc.StatusCode.UNAVAILABLE
    assert retry_delay_s(answered) == 2.5


def test_downstream_down_is_unavailable_with_retry_info(gate: Running) -> None:
    """Nobody listens: a few attempts to connect, then the client is told to come back."""
    with running_sidecar(settings("127.0.0.1:1")) as lonely:
        answered = lonely.client.export(PAYLOAD)

        assert answered.code is grpc.StatusCode.UNAVAILABLE
        assert retry_delay_s(answered) == 1.0
        assert lonely.count("tapeline_forward_attempts_total", signal="logs") == 3
        assert lonely.count("tapeline_forward_retries_total") == 2
    assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK


def test_downstream_too_slow_is_unavailable_with_retry_info(downstream: Downstream) -> None:
    """The deadline is ours; the client hears of it before its own ends."""
    doors = Doors()

    def wait(_signal: Signal, _payload: bytes) -> Reply:
        doors.wait()
        return Reply()

    downstream.reply = wait
    given = settings(downstream.address, to_downstream={"timeout": "100ms"})
    with running_sidecar(given) as running:
        answered = running.client.export(PAYLOAD)

        assert answered.code is grpc.StatusCode.UNAVAILABLE
        assert retry_delay_s(answered) == 1.0
        assert running.count("tapeline_forward_failures_total", code="DEADLINE_EXCEEDED") == 1
    doors.open()


def test_a_chain_failure_is_unavailable_and_then_given_up(
    gate: Running, downstream: Downstream, chain: PlainChain
) -> None:
    """The same payload is taken back max_attempts - 1 times; another one counts for itself."""

    def fail(_batch: Batch) -> tuple[Batch, ...]:
        raise RuntimeError("near hunter2")

    chain.on_process = fail
    other = logs(["another"]).SerializeToString()

    answers = [gate.client.export(payload) for payload in (PAYLOAD, other, PAYLOAD, PAYLOAD)]

    assert [answer.code.name for answer in answers] == [
        "UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE", "INTERNAL",
    ]  # fmt: skip
    assert [retry_delay_s(answer) for answer in answers] == [1.0, 1.0, 1.0, None]
    assert not any("hunter2" in answer.details for answer in answers)
    assert downstream.received == []
    assert gate.count("tapeline_chain_failures_total") == 4
    assert gate.count("tapeline_quarantined_requests_total", signal="logs") == 1


def test_a_processor_that_can_take_nothing_now_never_gives_a_batch_up(
    gate: Running, chain: PlainChain
) -> None:
    """Its disk is full, say: that is no fault of the batch, and may last for hours."""

    def wait(_batch: Batch) -> tuple[Batch, ...]:
        raise NotNowError("the disk is full")

    chain.on_process = wait
    answers = [gate.client.export(PAYLOAD) for _ in range(5)]

    assert {answer.code.name for answer in answers} == {"UNAVAILABLE"}
    assert {retry_delay_s(answer) for answer in answers} == {2.0}
    assert gate.count("tapeline_refused_requests_total", reason="not_now") == 5
    assert gate.count("tapeline_chain_failures_total") == 0


def test_after_giving_up_the_count_begins_anew(gate: Running, chain: PlainChain) -> None:
    """A sender that insists is not refused for good for ever: a reload may have helped."""

    def fail(_batch: Batch) -> tuple[Batch, ...]:
        raise RuntimeError

    chain.on_process = fail
    codes = [gate.client.export(PAYLOAD).code.name for _ in range(4)]

    assert codes == ["UNAVAILABLE", "UNAVAILABLE", "INTERNAL", "UNAVAILABLE"]


def test_one_batch_that_may_pass_decides_over_one_refused_for_good(
    gate: Running, downstream: Downstream, chain: PlainChain
) -> None:
    """Of several batches of one request, all must be acknowledged; the data is kept if in doubt."""
    refused, passing = Batch(Signal.LOGS, PAYLOAD), Batch(Signal.METRICS, b"\n\x00")
    chain.on_process = lambda _batch: (refused, passing)
    codes = {Signal.LOGS: "INVALID_ARGUMENT", Signal.METRICS: "UNAVAILABLE"}
    downstream.reply = lambda signal, _payload: Reply(grpc.StatusCode[codes[signal]])

    assert gate.client.export(PAYLOAD).code is grpc.StatusCode.UNAVAILABLE

    codes[Signal.METRICS] = "OK"
    assert gate.client.export(PAYLOAD).code is grpc.StatusCode.INVALID_ARGUMENT
    assert downstream.payloads(Signal.METRICS) == [b"\n\x00", b"\n\x00"]


def test_an_unknown_method_is_unimplemented(gate: Running) -> None:
    """Profiles, say, are not carried; that is no fault of the three that are."""
    call: Callable[..., bytes] = gate.client.channel.unary_unary(
        "/opentelemetry.proto.collector.profiles/Export"
    )

    with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
        call(b"")


def test_a_call_without_a_message_is_refused(gate: Running) -> None:
    """A client that closes its side without a request is told so, and holds no place."""
    call: Callable[..., bytes] = gate.client.channel.stream_unary(
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
    )

    with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
        call(iter(()), timeout=10)
    assert gate.count("tapeline_refused_requests_total", reason="no_message") == 1
    assert gate.count("tapeline_in_flight_requests") == 0


def test_what_is_given_up_leaves_a_redacted_file(downstream: Downstream, tmp_path: Path) -> None:
    """The quarantine folder gets what the redaction makes of it, and nothing readable by others."""

    def fail(_batch: Batch) -> tuple[Batch, ...]:
        raise RuntimeError("near hunter2")

    folder = tmp_path / "quarantine"
    given = settings(downstream.address, {"max_attempts": 1, "quarantine": {"folder": str(folder)}})
    chain = PlainChain(on_process=fail)
    with running_sidecar(given, chain, quarantine_form=lambda _batch: b"redacted") as running:
        assert running.client.export(PAYLOAD).code is grpc.StatusCode.INTERNAL

    files = sorted(folder.iterdir())
    assert [path.suffix for path in files] == [".json", ".otlp"]
    assert files[1].read_bytes() == b"redacted"
    assert "hunter2" not in files[0].read_text(encoding="utf-8")
