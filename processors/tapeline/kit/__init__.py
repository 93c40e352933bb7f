"""The processor kit: a processor of your own in ten lines, without the wire.

@processor(name="drop_heartbeats")
def drop_heartbeats(record: LogRecord) -> None:
    if record.body_text == "heartbeat":
        record.drop()
"""

from tapeline.kit.attributes import Attributes
from tapeline.kit.definition import DefinitionError, processor
from tapeline.kit.derived import Derive
from tapeline.kit.logs import LogRecord
from tapeline.kit.points import DataPoint
from tapeline.kit.read_only import ReadOnlyError
from tapeline.kit.record import Record
from tapeline.kit.spans import Span, SpanEvent, SpanKind, StatusCode
from tapeline.kit.surroundings import Metric, MetricKind, Resource, Scope, Temporality
from tapeline.kit.values import Settable, Value

__all__ = [
    "Attributes",
    "DataPoint",
    "DefinitionError",
    "Derive",
    "LogRecord",
    "Metric",
    "MetricKind",
    "ReadOnlyError",
    "Record",
    "Resource",
    "Scope",
    "Settable",
    "Span",
    "SpanEvent",
    "SpanKind",
    "StatusCode",
    "Temporality",
    "Value",
    "processor",
]
