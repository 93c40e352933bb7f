"""What leaves: without the points that don't, and otherwise byte for byte what came."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from metric_requests import records_of
from strategies import payloads
from tapeline.cardinality.metric_reader import SEVERAL_KINDS, read_metrics
from tapeline.cardinality.output_messages import Staying, rewrite
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch


def _batch(payload: bytes) -> Batch:
    return Batch(Signal.METRICS, payload)


@settings(max_examples=100, deadline=None)
@given(payloads(Signal.METRICS))
def test_every_point_belongs_to_one_metric_that_is_read(payload: bytes) -> None:
    """The metrics' records follow each other without gaps, and their slices say what they are."""
    batch = _batch(payload)
    view = read_metrics(payload, batch.index)

    assert [record for metric in view.metrics for record in range(metric.first, metric.stop)] == (
        list(range(len(batch.index)))
    )
    assert set(view.scopes) == {
        number
        for number, container in enumerate(batch.index.containers)
        if container.parent in view.resources
    }
    for metric in view.metrics:
        assert metric.scope in view.scopes
        if metric.kind == SEVERAL_KINDS:
            continue
        around = batch.index.containers[batch.index.containers[metric.data].parent]
        before, first, after, behind = metric.header
        points = range(metric.first, metric.stop)
        length = sum(
            batch.index.record_ends[one] - batch.index.record_fields[one] for one in points
        )
        tag_and_length = batch.index.containers[metric.data]
        own = tag_and_length.begin - tag_and_length.field
        assert len(before + first + after + behind) + length + own == around.end - around.begin


@settings(max_examples=150, deadline=None)
@given(payloads(Signal.METRICS), st.data())
def test_only_what_is_taken_out_goes(payload: bytes, data: st.DataObject) -> None:
    """The other points stay as they are and in order; what is then empty goes, nothing else."""
    batch = _batch(payload)
    view = read_metrics(payload, batch.index)
    chosen = []
    gone: set[int] = set()
    for metric in view.metrics:
        numbers = range(metric.first, metric.stop)
        kept = data.draw(st.lists(st.sampled_from(numbers), unique=True).map(sorted))
        if len(kept) < len(numbers):
            chosen.append(Staying(metric, kept))
            gone |= set(numbers) - set(kept)

    result = rewrite(payload, batch.index, chosen)

    left = [record for number, record in enumerate(records_of(batch)) if number not in gone]
    assert records_of(_batch(result)) == left
    if not gone:
        assert result is payload
    message: Any = ExportMetricsServiceRequest.FromString(result)
    before: Any = ExportMetricsServiceRequest.FromString(payload)
    assert len(message.resource_metrics) <= len(before.resource_metrics)


def test_nothing_is_left_of_a_request_without_points() -> None:
    """Emptied metrics, scopes and resources go; those that were empty before stay."""
    message = ExportMetricsServiceRequest()
    full, empty = message.resource_metrics.add(), message.resource_metrics.add()
    full.scope_metrics.add().metrics.add(name="a").gauge.data_points.add()
    empty.scope_metrics.add().metrics.add(name="b").gauge.SetInParent()
    batch = _batch(message.SerializeToString())
    [metric] = read_metrics(batch.payload, batch.index).metrics

    result = rewrite(batch.payload, batch.index, [Staying(metric, ())])

    del message.resource_metrics[0]
    assert ExportMetricsServiceRequest.FromString(result) == message
