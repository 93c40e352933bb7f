"""Builds small OTLP requests and sends them over gRPC, as a service's SDK would."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tapeline.otlp.signals import EXPORT_METHODS, Signal

SIGNAL_OF: dict[type[Message], Signal] = {
    ExportLogsServiceRequest: Signal.LOGS,
    ExportTraceServiceRequest: Signal.TRACES,
    ExportMetricsServiceRequest: Signal.METRICS,
}


@dataclass(frozen=True)
class Span:
    """What matters of a span; it ended just now and took `milliseconds`."""

    trace_id: bytes
    name: str = "work"
    attributes: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    milliseconds: int = 1
    failed: bool = False
    span_id: bytes = b"\x01" * 8


def key_values(attributes: Mapping[str, str]) -> list[KeyValue]:
    """Return string attributes as OTLP has them."""
    return [
        KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in attributes.items()
    ]


def traces(
    spans: Sequence[Span],
    resource: Mapping[str, str] | None = None,
    scope: Mapping[str, str] | None = None,
) -> ExportTraceServiceRequest:
    """Return one request with these spans under one resource and scope."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(key_values(resource or {"service.name": "test"}))
    scoped = group.scope_spans.add()
    scoped.scope.name = "test"
    scoped.scope.attributes.extend(key_values(scope or {}))
    now = time.time_ns()
    for span in spans:
        message = scoped.spans.add(
            trace_id=span.trace_id,
            span_id=span.span_id,
            name=span.name,
            kind=SpanMessage.SPAN_KIND_SERVER,
            start_time_unix_nano=now - span.milliseconds * 1_000_000,
            end_time_unix_nano=now,
            attributes=key_values(span.attributes),
        )
        if span.failed:
            message.status.code = Status.STATUS_CODE_ERROR
        for name, attributes in span.events.items():
            message.events.add(name=name, time_unix_nano=now, attributes=key_values(attributes))
    return request


def logs(
    bodies: Sequence[str], resource: Mapping[str, str] | None = None, trace_id: bytes = b""
) -> ExportLogsServiceRequest:
    """Return one request with a log record for each body."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(key_values(resource or {"service.name": "test"}))
    scoped = group.scope_logs.add()
    now = time.time_ns()
    for position, body in enumerate(bodies):
        scoped.log_records.add(
            time_unix_nano=now + position,
            observed_time_unix_nano=now,
            body=AnyValue(string_value=body),
            trace_id=trace_id,
            span_id=b"\x01" * 8 if trace_id else b"",
        )
    return request


def histogram(
    name: str, value: float, trace_id: bytes, resource: Mapping[str, str] | None = None
) -> ExportMetricsServiceRequest:
    """Return a cumulative histogram with one observation and its exemplar."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values(resource or {"service.name": "test"}))
    metric = group.scope_metrics.add().metrics.add(name=name, unit="s")
    metric.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    now = time.time_ns()
    point = metric.histogram.data_points.add(
        start_time_unix_nano=now - 10**9,
        time_unix_nano=now,
        count=1,
        sum=value,
        explicit_bounds=[value * 2],
        bucket_counts=[1, 0],
    )
    point.exemplars.add(as_double=value, time_unix_nano=now, trace_id=trace_id, span_id=b"\x01" * 8)
    return request


def send(address: str, request: Message, timeout_s: float = 10.0) -> None:
    """Send a request and wait for its OK; raises grpc.RpcError otherwise."""
    method = EXPORT_METHODS[SIGNAL_OF[type(request)]]
    with grpc.insecure_channel(address) as channel:
        call: Callable[..., bytes] = channel.unary_unary(method)
        call(request.SerializeToString(), timeout=timeout_s)
