"""The requests that the bench sends: made once, the same on every machine.

Nothing in them is secret, so a redaction that works has nothing to change: what is measured is
the cost of looking.
"""

import random
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tapeline.otlp.signals import Signal

__all__ = [
    "BATCH_RECORDS",
    "LOG_RECORD_BYTES",
    "MARK",
    "Load",
    "attribute",
    "load_of",
    "marked",
    "request_of",
]

BATCH_RECORDS: Final = 1_000
LOG_RECORD_BYTES: Final = 273
DISTINCT_BATCHES: Final = 8  # so that no cache on the way answers for the work
METRICS_PER_BATCH: Final = 10
SPAN_ATTRIBUTES: Final = 10
POINT_LABELS: Final = 5
FIRST_NANO: Final = 1_760_000_000_000_000_000

# The resource of each batch carries this text and eight digits, by which the sink tells batches
# apart when latency is measured.
MARK: Final = b"bench-batch-"
MARK_DIGITS: Final = 8

CUMULATIVE: Final = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE

_VENUES: Final = ("XNAS", "XNYS", "XLON", "XPAR", "XETR")
_INSTRUMENTS: Final = ("BTC-USD", "ETH-USD", "SOL-USD", "EURUSD", "ESZ6")
_ROUTES: Final = ("/orders", "/orders/cancel", "/executions", "/quotes")


@dataclass(frozen=True, slots=True)
class Load:
    """Serialised Export requests of one signal, each of `records` records, with so many secrets."""

    signal: Signal
    batches: tuple[bytes, ...]
    records: int
    planted: int = 0


def load_of(signal: Signal, batches: int = DISTINCT_BATCHES) -> Load:
    """Return the load of a signal, without secrets."""
    generator = random.Random(f"bench/{signal}")  # noqa: S311 - data, not a secret
    payloads = tuple(request_of(signal, generator).SerializeToString() for _ in range(batches))
    return Load(signal, payloads, BATCH_RECORDS)


def request_of(signal: Signal, generator: random.Random) -> Any:
    """Return the next Export request of a signal, without secrets."""
    return {Signal.LOGS: _logs, Signal.TRACES: _traces, Signal.METRICS: _metrics}[signal](generator)


def marked(batch: bytes, number: int) -> bytes:
    """Return the batch with another number in its mark; the length stays the same."""
    begin = batch.index(MARK) + len(MARK)
    return batch[:begin] + b"%0*d" % (MARK_DIGITS, number) + batch[begin + MARK_DIGITS :]


def _resource() -> Resource:
    mark = (MARK + b"0" * MARK_DIGITS).decode()
    return Resource(
        attributes=[
            attribute("bench.batch", mark),
            attribute("service.name", "execution-engine"),
            attribute("service.instance.id", "engine-7f9c"),
            attribute("deployment.environment.name", "production"),
        ]
    )


def attribute(key: str, value: str | int) -> KeyValue:
    """Return an attribute as OTLP has it."""
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _logs(generator: random.Random) -> Message:
    request = ExportLogsServiceRequest()
    logs = request.resource_logs.add(resource=_resource())
    scope = logs.scope_logs.add()
    scope.scope.name = "execution.engine"
    for number in range(BATCH_RECORDS):
        nano = FIRST_NANO + number * 1_000_000 + generator.randrange(1_000_000)
        record = scope.log_records.add(
            time_unix_nano=nano,
            observed_time_unix_nano=nano + 1_000,
            severity_number=9,
            severity_text="INFO",
            trace_id=generator.randbytes(16),
            span_id=generator.randbytes(8),
            attributes=[
                attribute("trading.instrument", generator.choice(_INSTRUMENTS)),
                attribute("trading.order.id", f"ord-{generator.randrange(10**9):09d}"),
                attribute("thread.name", f"worker-{generator.randrange(8)}"),
            ],
        )
        _fill(record, generator)
    return request


def _fill(record: LogRecord, generator: random.Random) -> None:
    """Give a record a body that makes it exactly LOG_RECORD_BYTES long."""
    venue, latency_us = generator.choice(_VENUES), generator.randrange(50, 5_000)
    text = f"order acknowledged by {venue} after {latency_us} us, queue depth "
    record.body.string_value = text
    missing = LOG_RECORD_BYTES - record.ByteSize()
    record.body.string_value = text + "".join(str(generator.randrange(10)) for _ in range(missing))
    if record.ByteSize() != LOG_RECORD_BYTES:
        raise ValueError(f"a log record came out {record.ByteSize()} bytes long")


def _traces(generator: random.Random) -> Message:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add(resource=_resource()).scope_spans.add()
    scope.scope.name = "execution.engine"
    for number in range(BATCH_RECORDS):
        start = FIRST_NANO + number * 1_000_000
        attributes = [
            attribute("http.request.method", "POST"),
            attribute("http.route", generator.choice(_ROUTES)),
            attribute("http.response.status_code", 200),
            attribute("server.address", "gateway.internal"),
            attribute("server.port", 8443),
            attribute("trading.instrument", generator.choice(_INSTRUMENTS)),
            attribute("trading.venue", generator.choice(_VENUES)),
            attribute("trading.order.id", f"ord-{generator.randrange(10**9):09d}"),
            attribute("thread.name", f"worker-{generator.randrange(8)}"),
            attribute("network.protocol.version", "1.1"),
        ]
        if len(attributes) != SPAN_ATTRIBUTES:
            raise ValueError(f"a span came out with {len(attributes)} attributes")
        scope.spans.add(
            trace_id=generator.randbytes(16),
            span_id=generator.randbytes(8),
            parent_span_id=generator.randbytes(8),
            name="POST /orders",
            kind=3,
            start_time_unix_nano=start,
            end_time_unix_nano=start + generator.randrange(10_000_000),
            attributes=attributes,
        )
    return request


def _metrics(generator: random.Random) -> Message:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add(resource=_resource()).scope_metrics.add()
    scope.scope.name = "execution.engine"
    for number in range(METRICS_PER_BATCH):
        metric = scope.metrics.add(name=f"engine.messages.{number}", unit="{message}")
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = (
            AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        )
        for point in range(BATCH_RECORDS // METRICS_PER_BATCH):
            labels = [
                attribute("trading.instrument", generator.choice(_INSTRUMENTS)),
                attribute("trading.venue", generator.choice(_VENUES)),
                attribute("session", f"s{point:03d}"),
                attribute("direction", generator.choice(("in", "out"))),
                attribute("thread.name", f"worker-{generator.randrange(8)}"),
            ]
            if len(labels) != POINT_LABELS:
                raise ValueError(f"a metric point came out with {len(labels)} labels")
            metric.sum.data_points.add(
                start_time_unix_nano=FIRST_NANO,
                time_unix_nano=FIRST_NANO + point * 1_000_000,
                as_int=generator.randrange(1_000_000),
                attributes=labels,
            )
    return request
