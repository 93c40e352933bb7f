"""Requests of one record, and the views of the kit on them."""

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client import CollectorRegistry

from tapeline.kit.core import OnFailure, Outcome, run
from tapeline.kit.processor import KitProcessor
from tapeline.kit.values import Settable, any_value
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.registry import FACTORY_ATTRIBUTE, ProcessorContext, ProcessorFactory

NOW_UNIX_NANO = 1_700_000_000_000_000_000


def logs(*bodies: Settable, **attributes: Settable) -> Batch:
    """Return a request of the service `quotes` with a record for each body, and attributes."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="service.name").value.string_value = "quotes"
    scope = group.scope_logs.add()
    scope.scope.name, scope.scope.version = "feed", "1.2"
    for number, body in enumerate(bodies):
        record = scope.log_records.add(time_unix_nano=NOW_UNIX_NANO + number)
        record.body.CopyFrom(any_value(body))
        add_attributes(record, attributes)
    return Batch(Signal.LOGS, request.SerializeToString())


def spans(*names: str, **attributes: Settable) -> Batch:
    """Return a request with a span for each name, each with an event."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for name in names:
        span = scope.spans.add(name=name, start_time_unix_nano=5, end_time_unix_nano=9)
        span.kind = Span.SPAN_KIND_CLIENT
        span.trace_id, span.span_id = bytes(range(16)), bytes(range(8))
        span.status.code, span.status.message = Status.STATUS_CODE_ERROR, "no route"
        event = span.events.add(name="retry", time_unix_nano=7)
        add_attributes(event, {"attempt": 1})
        add_attributes(span, attributes)
    return Batch(Signal.TRACES, request.SerializeToString())


def points_of_all_kinds() -> Batch:
    """Return a request with a metric of each kind, two points each."""
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary"):
        metric = scope.metrics.add(name=f"a.{kind}", unit="s", description=f"A {kind}.")
        data = getattr(metric, kind)
        if kind == "sum":
            data.is_monotonic = True
        if kind not in ("gauge", "summary"):
            data.aggregation_temporality = 2
        for number in range(2):
            point = data.data_points.add(time_unix_nano=NOW_UNIX_NANO, start_time_unix_nano=1)
            add_attributes(point, {"number": number})
            if kind in ("gauge", "sum"):
                point.as_int = 10 + number
            else:
                point.count, point.sum = 3, 4.5
    return Batch(Signal.METRICS, request.SerializeToString())


def add_attributes(message: Any, attributes: Mapping[str, Settable]) -> None:
    """Add attributes to a message that has some."""
    for key, value in attributes.items():
        message.attributes.add(key=key).value.CopyFrom(any_value(value))


def done(batch: Batch, step: Callable[[Any], object], **options: Any) -> Outcome:
    """Run a function over a request; what it raises is raised."""

    def checked(record: Any) -> object:
        try:
            return step(record)
        except Exception as error:
            raised.append(error)
            raise

    raised: list[Exception] = []
    options = {"on_failure": OnFailure.REFUSE, **options}
    outcome = run(batch, checked, NOW_UNIX_NANO, **options)
    if raised:
        raise raised[0]
    return outcome


def records_of(batch: Batch) -> list[Any]:
    """Return the log records or spans of a request, parsed."""
    request: Any = batch.request
    if batch.signal is Signal.LOGS:
        return [r for g in request.resource_logs for s in g.scope_logs for r in s.log_records]
    return [r for g in request.resource_spans for s in g.scope_spans for r in s.spans]


def factory_of(definition: object) -> ProcessorFactory:
    """Return the factory that the decorator made."""
    factory = getattr(definition, FACTORY_ATTRIBUTE)
    assert isinstance(factory, ProcessorFactory)
    return factory


def built(definition: object, *, live: bool = True, **section: Any) -> KitProcessor:
    """Build a processor with a section, on a registry of its own."""
    return built_on(CollectorRegistry(), definition, live=live, **section)


def built_on(
    registry: CollectorRegistry, definition: object, *, live: bool = True, **section: Any
) -> KitProcessor:
    """Build a processor with a section."""
    factory = factory_of(definition)
    model = factory.config_model.model_validate(section)
    processor = factory.build(model, ProcessorContext(registry, live=live))
    assert isinstance(processor, KitProcessor)
    return processor
