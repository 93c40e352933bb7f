"""The greatest time that a batch speaks of: what the clock is when there is no clock."""

from collections.abc import Iterator
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from tapeline.pipeline.batch import Batch

__all__ = ["greatest_time_unix_nano"]

_DATA_MEMBERS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def greatest_time_unix_nano(batch: Batch) -> int:
    """Return the greatest record time in nanoseconds since the epoch; 0 where there is none.

    A log's time (its observed time where absent), a span's end, a data point's time.
    Raises MalformedRequestError where the request does not parse.
    """
    request = batch.request
    if isinstance(request, ExportLogsServiceRequest):
        return max(_log_times(request), default=0)
    if isinstance(request, ExportTraceServiceRequest):
        return max(_span_times(request), default=0)
    if isinstance(request, ExportMetricsServiceRequest):
        return max(_point_times(request), default=0)
    raise TypeError(f"not an Export request: {type(request).__name__}")


def _log_times(request: ExportLogsServiceRequest) -> Iterator[int]:
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield record.time_unix_nano or record.observed_time_unix_nano


def _span_times(request: ExportTraceServiceRequest) -> Iterator[int]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield span.end_time_unix_nano


def _point_times(request: ExportMetricsServiceRequest) -> Iterator[int]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield from _metric_times(metric)


def _metric_times(metric: Metric) -> Iterator[int]:
    member = metric.WhichOneof("data")
    if member not in _DATA_MEMBERS:
        return
    for point in getattr(metric, member).data_points:
        yield point.time_unix_nano
