"""The slow and obvious way to go through a parsed request: the oracle of the wire layer's tests."""

from dataclasses import dataclass
from typing import Any

from tapeline.otlp.signals import Signal

# Generated protobuf messages of many types; what they have in common is not in their types.
AnyMessage = Any


@dataclass(frozen=True)
class PlainRecord:
    """A record and the messages around it; `metric` is None but for data points."""

    resource: AnyMessage
    scope: AnyMessage
    metric: AnyMessage
    record: AnyMessage


def plain_records(signal: Signal, request: AnyMessage) -> list[PlainRecord]:
    """Return all the records of a parsed request in their order."""
    if signal is Signal.LOGS:
        return [
            PlainRecord(resource, scope, None, record)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
    if signal is Signal.TRACES:
        return [
            PlainRecord(resource, scope, None, span)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    return [
        PlainRecord(resource, scope, metric, point)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in plain_points(metric)
    ]


def plain_points(metric: AnyMessage) -> Any:
    """Return the points of a metric, whatever its kind; remove one from it to take it out."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else []


def without_unknown(message: AnyMessage) -> bytes:
    """Return a form in which two messages are equal if they mean the same (and NaN is NaN)."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    return bytes(copy.SerializeToString(deterministic=True))
