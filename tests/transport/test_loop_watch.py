"""The loop watch tells records that go in circles from retries and from ordinary traffic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otlp_client import Span as SpanToSend
from otlp_client import histogram, logs, traces
from tapeline.transport.loop_watch import LoopWatch, first_record

ONE = logs(["order accepted", "order filled"]).SerializeToString()


def test_the_first_record_is_that_of_the_parsed_request() -> None:
    """Walked over the wire, found where the parser finds it."""
    request = logs(["a", "b"])
    span_request = traces([SpanToSend(b"t" * 16), SpanToSend(b"u" * 16)])
    metrics_request = histogram("m", 1.0, b"t" * 16)

    assert first_record(request.SerializeToString()) == (
        request.resource_logs[0].scope_logs[0].log_records[0].SerializeToString()
    )
    assert first_record(span_request.SerializeToString()) == (
        span_request.resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    )
    assert first_record(metrics_request.SerializeToString()) == (
        metrics_request.resource_metrics[0].scope_metrics[0].metrics[0].SerializeToString()
    )


@given(st.binary(max_size=300))
def test_no_bytes_make_the_watch_fail(payload: bytes) -> None:
    """It sees only well-formed requests; what else it is given is not watched, not a crash."""
    record = first_record(payload)

    assert record is None or record in payload


@given(st.integers(0, len(ONE) - 1), st.integers(0, 255))
def test_a_changed_byte_does_not_make_the_watch_fail(position: int, byte: int) -> None:
    """Lengths that point past the end are the ones that could."""
    payload = ONE[:position] + bytes([byte]) + ONE[position + 1 :]

    record = first_record(payload)

    assert record is None or record in payload


@pytest.mark.parametrize("request_", [ExportLogsServiceRequest(), logs([])])
def test_a_request_without_records_has_no_first_one(request_: ExportLogsServiceRequest) -> None:
    """Nothing to watch."""
    assert first_record(request_.SerializeToString()) is None
    assert not LoopWatch(sample_one_in=1).acknowledged(request_.SerializeToString(), 0.0)


def test_the_fourth_acknowledgement_of_one_record_is_suspicious() -> None:
    """Once for itself, and three returns that nobody should have sent."""
    watch = LoopWatch(sample_one_in=1)

    seen = [watch.acknowledged(ONE, now_s) for now_s in (0.0, 1.0, 2.0, 3.0, 4.0)]

    assert seen == [False, False, False, True, True]


def test_it_is_the_record_that_counts_not_the_batch() -> None:
    """Batches are merged and split on their way round."""
    watch = LoopWatch(sample_one_in=1)
    request = ExportLogsServiceRequest.FromString(ONE)
    seen = []
    for round_ in range(4):
        seen.append(watch.acknowledged(request.SerializeToString(), float(round_)))
        request.resource_logs[0].scope_logs[0].log_records.add(severity_number=9 + round_)

    assert seen == [False, False, False, True]


def test_records_that_differ_are_never_suspicious() -> None:
    """A timestamp is enough to tell two records apart."""
    watch = LoopWatch(sample_one_in=1)

    assert not any(
        watch.acknowledged(logs([f"order {i}"]).SerializeToString(), 0.0) for i in range(1000)
    )


def test_returns_after_the_window_are_not_counted() -> None:
    """The same bytes once an hour are somebody's habit, not a loop."""
    watch = LoopWatch(sample_one_in=1, window_s=300.0)

    assert not any(watch.acknowledged(ONE, round_ * 3600.0) for round_ in range(50))


def test_memory_is_bounded_and_the_oldest_goes() -> None:
    """What does not fit is forgotten; a forgotten record starts anew."""
    watch = LoopWatch(sample_one_in=1, capacity=10)
    for _ in range(3):
        watch.acknowledged(ONE, 0.0)
    for i in range(100):
        watch.acknowledged(logs([f"order {i}"]).SerializeToString(), 0.0)

    assert len(watch._seen) == 10
    assert not watch.acknowledged(ONE, 0.0)


def test_a_record_is_sampled_on_each_of_its_rounds_or_on_none() -> None:
    """Sampling by bytes, about one in four: else a loop would be seen by luck only."""
    watch = LoopWatch(sample_one_in=4)
    payloads = [logs([f"order {i}"]).SerializeToString() for i in range(400)]

    rounds = [{i for i, p in enumerate(payloads) if watch.acknowledged(p, 0.0)} for _ in range(4)]

    assert rounds[:3] == [set(), set(), set()]
    assert 50 < len(rounds[3]) < 150
