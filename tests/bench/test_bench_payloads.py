"""What the bench sends is of the size that its figures are quoted for."""

import pytest
from bench.payloads import BATCH_RECORDS, LOG_RECORD_BYTES, load_of, marked
from bench.sink import Sink, count_records
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.otlp.signals import Signal


@pytest.mark.parametrize("signal", list(Signal))
def test_batches_hold_a_thousand_records_and_differ(signal: Signal) -> None:
    """Each batch counts BATCH_RECORDS, no two are the same, and a second run sends the same."""
    load = load_of(signal)

    assert {count_records(signal, batch) for batch in load.batches} == {BATCH_RECORDS}
    assert len(set(load.batches)) == len(load.batches)
    assert load_of(signal) == load


def test_log_records_are_273_bytes_long() -> None:
    """Every log record has exactly the size that the figures name."""
    for batch in load_of(Signal.LOGS).batches:
        request = ExportLogsServiceRequest.FromString(batch)
        records = request.resource_logs[0].scope_logs[0].log_records

        assert {record.ByteSize() for record in records} == {LOG_RECORD_BYTES} == {273}


def test_spans_have_ten_attributes_and_points_five_labels() -> None:
    """Spans and points are as wide as the figures name."""
    traces = ExportTraceServiceRequest.FromString(load_of(Signal.TRACES).batches[0])
    metrics = ExportMetricsServiceRequest.FromString(load_of(Signal.METRICS).batches[0])

    assert {len(s.attributes) for s in traces.resource_spans[0].scope_spans[0].spans} == {10}
    assert {
        len(point.attributes)
        for metric in metrics.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.sum.data_points
    } == {5}


@pytest.mark.parametrize("signal", list(Signal))
def test_a_mark_changes_nothing_else(signal: Signal) -> None:
    """A marked batch is as long, counts the same, and is found again by its number."""
    batch = load_of(signal).batches[0]
    changed = marked(batch, 1234)
    sink = Sink()
    sink.take(signal, changed)

    assert len(changed) == len(batch)
    assert marked(changed, 0) == batch
    assert count_records(signal, changed) == BATCH_RECORDS
    assert int(sink.await_mark(1234)) > 0


def test_the_sink_counts_a_changed_request_anew() -> None:
    """A request that only resembles a known one, same length and end, is parsed and not assumed."""
    batch = load_of(Signal.LOGS).batches[0]
    request = ExportLogsServiceRequest.FromString(batch)
    del request.resource_logs[0].scope_logs[0].log_records[1:]
    lone = request.resource_logs[0].scope_logs[0].log_records[0]
    shorter = request.SerializeToString()
    lone.body.string_value += "x" * (len(batch) - len(shorter) - 8)
    # One record, padded to nearly a whole batch; then to exactly its length.
    while len(padded := request.SerializeToString()) < len(batch):
        lone.body.string_value += "x"
    sink = Sink()
    for payload in (batch, padded, batch, padded):
        sink.take(Signal.LOGS, payload)

    assert f'"logs": {2 * BATCH_RECORDS + 2}' in sink.state().decode()
