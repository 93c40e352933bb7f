"""Requests with trading records for tests, as any SDK would send them."""

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS

# Generated protobuf messages of many types; what they have in common is not in their types.
AnyMessage = Any

EXECUTION = {
    "trading.execution.id": "e1",
    "trading.instrument": "BTCUSDT",
    "trading.side": "buy",
    "trading.execution.quantity": "0.5",
    "trading.execution.price": "50000.10",
}
QUOTE = {
    "trading.instrument": "BTCUSDT",
    "trading.quote.bid": "1.1",
    "trading.quote.ask": "1.2",
}


def set_value(message: AnyMessage, value: Any) -> None:
    """Set an AnyValue to what a Python value is; None leaves it without any."""
    if isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int):
        message.int_value = value
    elif isinstance(value, float):
        message.double_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, bytes):
        message.bytes_value = value
    elif isinstance(value, list):
        message.array_value.SetInParent()
        for item in value:
            set_value(message.array_value.values.add(), item)
    elif isinstance(value, dict):
        message.kvlist_value.SetInParent()
        add_pairs(message.kvlist_value.values, value.items())


def add_pairs(attributes: AnyMessage, pairs: Iterable[tuple[str, Any]]) -> None:
    """Add attributes, in this order."""
    for key, value in pairs:
        pair = attributes.add(key=key)
        pair.value.SetInParent()
        set_value(pair.value, value)


def log(  # noqa: PLR0913 - a record has that many parts
    event_name: str = "",
    attributes: Mapping[str, Any] | None = None,
    *,
    time_ns: int = START_NS,
    observed_ns: int = 0,
    body: Any = None,
    trace: tuple[bytes, bytes] = (b"", b""),
    scope: Mapping[str, Any] | None = None,
    resource: Mapping[str, Any] | None = None,
) -> ExportLogsServiceRequest:
    """Return a request with one log record."""
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add()
    add_pairs(resource_logs.resource.attributes, (resource or {}).items())
    scope_logs = resource_logs.scope_logs.add()
    add_pairs(scope_logs.scope.attributes, (scope or {}).items())
    record = scope_logs.log_records.add(
        event_name=event_name,
        time_unix_nano=time_ns,
        observed_time_unix_nano=observed_ns,
        trace_id=trace[0],
        span_id=trace[1],
    )
    add_pairs(record.attributes, (attributes or {}).items())
    if body is not None:
        set_value(record.body, body)
    return request


def span(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    end_ns: int = START_NS,
    events: Iterable[tuple[str, int, Mapping[str, Any]]] = (),
    scope_name: str = "",
    resource: Mapping[str, Any] | None = None,
) -> ExportTraceServiceRequest:
    """Return a request with one span; `events` are names, times and attributes."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    add_pairs(resource_spans.resource.attributes, (resource or {}).items())
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope_name
    record = scope_spans.spans.add(
        name=name, end_time_unix_nano=end_ns, trace_id=b"t" * 16, span_id=b"s" * 8
    )
    add_pairs(record.attributes, (attributes or {}).items())
    for event_name, time_ns, of_event in events:
        event = record.events.add(name=event_name, time_unix_nano=time_ns)
        add_pairs(event.attributes, of_event.items())
    return request


def batch(request: AnyMessage) -> Batch:
    """Return a request as the chain has it."""
    is_logs = isinstance(request, ExportLogsServiceRequest)
    return Batch(Signal.LOGS if is_logs else Signal.TRACES, request.SerializeToString())
