"""Export requests as the real OpenTelemetry SDK makes them, one of each signal."""

from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, StatusCode

from tapeline.otlp.signals import Signal

_RESOURCE = Resource.create({"service.name": "orders", "host.cpu.count": 4, "zones": ["a", "b"]})


def sdk_request(signal: Signal) -> Any:
    """Return a request with what the SDK can put in one: links, exemplars, nested bodies."""
    return {Signal.LOGS: _logs, Signal.TRACES: _traces, Signal.METRICS: _metrics}[signal]()


def _logs() -> Any:
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(resource=_RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("orders.book", "1.2", schema_url="https://example.com/schema")
    bodies: list[Any] = [
        "text",
        5,
        2.5,
        True,
        b"\x00\xff",
        ["a", 1],
        {"id": "x", "legs": [{"p": 1}]},
    ]
    for number, body in enumerate(bodies):
        logger.emit(
            LogRecord(
                timestamp=1_700_000_000_000_000_000 + number,
                severity_number=SeverityNumber.WARN,
                severity_text="WARNING",
                body=body,
                attributes={"account": "A-1", "quantity": number, "tags": ["x", "y"]},
                event_name="order.rejected",
            )
        )
    provider.shutdown()
    return encode_logs(exporter.get_finished_logs())


def _traces() -> Any:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=_RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("orders.book", "1.2")
    with tracer.start_as_current_span("order") as order:
        order.add_event("accepted", {"venue": "X", "price": 101.25})
        link = Link(order.get_span_context(), {"why": "hedge"})
        with tracer.start_as_current_span("fill", links=[link]) as fill:
            fill.set_status(StatusCode.ERROR, "partial")
            fill.record_exception(ValueError("price moved"))
    provider.shutdown()
    return encode_spans(exporter.get_finished_spans())


def _metrics() -> Any:
    reader = InMemoryMetricReader()
    exponential = View(
        instrument_name="latency_exp", aggregation=ExponentialBucketHistogramAggregation()
    )
    provider = MeterProvider(
        [reader],
        resource=_RESOURCE,
        views=[exponential],
        exemplar_filter=AlwaysOnExemplarFilter(),
    )
    meter = provider.get_meter("orders.book", "1.2")
    orders = meter.create_counter("orders", unit="1", description="Orders sent")
    position = meter.create_up_down_counter("position")
    price = meter.create_gauge("price")
    latencies = [meter.create_histogram(name, unit="ms") for name in ("latency", "latency_exp")]
    tracer = TracerProvider().get_tracer("exemplars")
    with tracer.start_as_current_span("order"):
        for number in range(1, 6):
            orders.add(number, {"side": "buy"})
            position.add(-number, {"account": "A-1"})
            price.set(100.5 + number, {"symbol": "USDJPY"})
            for latency in latencies:
                latency.record(number * 3.7, {"venue": "X"})
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None
    return encode_metrics(data)
