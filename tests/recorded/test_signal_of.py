"""The signal of a protobuf message, from its records alone."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sdk_requests import sdk_request
from strategies import REQUEST_TYPES, payloads, requests
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.recorded.signal_of import ALL_SIGNALS, possible_signals


def _log(**fields: Any) -> bytes:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(**fields)
    return request.SerializeToString()


def _span(**fields: Any) -> bytes:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(**fields)
    return request.SerializeToString()


def _metric(change: Callable[[Any], None] = lambda _: None, **fields: Any) -> bytes:
    request = ExportMetricsServiceRequest()
    change(request.resource_metrics.add().scope_metrics.add().metrics.add(**fields))
    return request.SerializeToString()


def _records(request: Any, signal: Signal) -> list[Any]:
    names = {
        Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
        Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
        Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    }[signal]
    return [
        record
        for resource in getattr(request, names[0])
        for scope in getattr(resource, names[1])
        for record in getattr(scope, names[2])
    ]


def _has_what_otlp_requires(record: Any, signal: Signal) -> bool:
    if signal is Signal.TRACES:
        return len(record.trace_id) == 16 and len(record.span_id) == 8
    return signal is Signal.LOGS or bool(record.name)


@pytest.mark.parametrize("signal", list(Signal))
def test_what_an_sdk_sends_is_told(signal: Signal) -> None:
    """A request of the SDK is of its own signal and of no other."""
    assert possible_signals(sdk_request(signal).SerializeToString()) == {signal}


@pytest.mark.parametrize(
    ("payload", "signal"),
    [
        (_log(), Signal.LOGS),
        (_log(severity_text="INFO"), Signal.LOGS),
        (_log(body={"string_value": "a"}), Signal.LOGS),
        (_log(attributes=[{"key": "a", "value": {"string_value": "b"}}]), Signal.LOGS),
        (_log(event_name="order.rejected"), Signal.LOGS),
        (_log(trace_id=b"\xff" * 16), Signal.LOGS),
        (_log(time_unix_nano=1), Signal.LOGS),
        (_log(observed_time_unix_nano=1), Signal.LOGS),
        (_span(trace_id=b"\xff" * 16, span_id=b"\x01" * 8), Signal.TRACES),
        (_span(trace_id=b"\xff" * 16, span_id=b"\x01" * 8, name="GET"), Signal.TRACES),
        (_span(start_time_unix_nano=1), Signal.TRACES),
        (_span(name="no ids", end_time_unix_nano=1), Signal.TRACES),
        (_span(trace_id=b"but no id of its", end_time_unix_nano=1), Signal.TRACES),
        (_span(trace_id=b"but no id of its", kind=2), Signal.TRACES),
        (_metric(name="up"), Signal.METRICS),
        (_metric(name="up", unit="1"), Signal.METRICS),
        (_metric(lambda metric: metric.gauge.SetInParent(), name="up"), Signal.METRICS),
        (_metric(lambda metric: metric.sum.SetInParent(), name="up"), Signal.METRICS),
        (_metric(lambda metric: metric.summary.SetInParent(), name="up"), Signal.METRICS),
    ],
)
def test_a_sparse_message_is_told(payload: bytes, signal: Signal) -> None:
    """A record with one field or two is enough, where OTLP lets it be of one signal."""
    assert possible_signals(payload) == {signal}


def test_what_two_signals_could_be_is_not_guessed() -> None:
    """A span without times whose ids are text could be a metric, and nobody says which it is."""
    payload = _span(trace_id=b"0123456789abcdef", span_id=b"01234567")

    assert possible_signals(payload) == {Signal.TRACES, Signal.METRICS}


def test_a_second_record_tells_what_the_first_does_not() -> None:
    """All records of a message are looked at where the first could be of two signals."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(trace_id=b"0123456789abcdef", span_id=b"01234567")
    spans.add(trace_id=b"0123456789abcdef", span_id=b"01234568", start_time_unix_nano=1)

    assert possible_signals(request.SerializeToString()) == {Signal.TRACES}


@pytest.mark.parametrize("payload", [b"", b"\x0a\x00", b"\x0a\x02\x12\x00"])
def test_a_message_without_records_could_be_anything(payload: bytes) -> None:
    """Where there is no record there is nothing to tell by."""
    assert possible_signals(payload) == ALL_SIGNALS


def test_fields_of_a_newer_otlp_are_no_evidence() -> None:
    """A field number that a signal does not define yet does not make it another signal."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=1)
    # Field 13, length-delimited: links of a span today, and something of log records tomorrow.
    record.MergeFromString(b"\x6a\x01a")

    assert possible_signals(request.SerializeToString()) == {Signal.LOGS}


def test_broken_bytes_are_refused() -> None:
    """What is no protobuf is told by the error that the rest of the package knows."""
    with pytest.raises(MalformedRequestError):
        possible_signals(b"\x0a\x7f")


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_no_message_is_taken_for_another_signal(signal: Signal, data: st.DataObject) -> None:
    """A request that is what OTLP requires, in any form of the wire, is never told as another."""
    payload = data.draw(payloads(signal))
    request = REQUEST_TYPES[signal].FromString(payload)
    assume(all(_has_what_otlp_requires(record, signal) for record in _records(request, signal)))

    assert signal in possible_signals(payload)


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_what_has_a_time_or_a_number_is_told(signal: Signal, data: st.DataObject) -> None:
    """A message whose every record has a time, or a kind of points but gauges, is never in doubt.

    It is told as its own signal whatever else it lacks, ids and names included.
    """
    request = data.draw(requests(signal))
    records = _records(request, signal)
    assume(records)
    for record in records:
        if signal is Signal.LOGS:
            record.time_unix_nano = max(record.time_unix_nano, 1)
        elif signal is Signal.TRACES:
            record.end_time_unix_nano = max(record.end_time_unix_nano, 1)
        else:
            record.sum.SetInParent()

    assert possible_signals(request.SerializeToString()) == {signal}
