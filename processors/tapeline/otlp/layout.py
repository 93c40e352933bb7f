"""How Export requests nest, down to the record: one table for the fast check and the index.

Field numbers: opentelemetry-proto, collector/{logs,trace,metrics}/v1 and what they import. The
deprecated `instrumentation_library_*` fields (number 1000) are left out on purpose: no supported
peer reads them, so they count as unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError, WireType

__all__ = ["LEVELS", "MAX_ELEMENTS", "Level", "SliceKind", "check_counts"]

# Records, headers and containers of one request: at most so many of each. An empty record takes 2
# bytes on the wire and about 100 in the index, so a limit on the request's size is not enough. Real
# requests stay far below: the largest that is let in, 64 MiB, would have 67 bytes a record.
MAX_ELEMENTS: Final = 1_000_000


class SliceKind(StrEnum):
    """What a length-delimited field on the way to the records holds.

    All but CONTAINER and RECORD are called headers.
    """

    CONTAINER = "container"
    """A message of the next level."""
    RECORD = "record"
    """A log record, a span or a metric's data point."""
    RESOURCE = "resource"
    RESOURCE_SCHEMA_URL = "resource schema URL"
    SCOPE = "scope"
    SCOPE_SCHEMA_URL = "scope schema URL"
    METRIC_NAME = "metric name"
    METRIC_DESCRIPTION = "metric description"
    METRIC_UNIT = "metric unit"
    METRIC_METADATA = "metric metadata"
    UNKNOWN = "unknown fields"
    """Neighbouring fields, of any wire type, that OTLP does not define where they stand. The
    slice covers their tags too, so it can be taken out as it is."""


@dataclass(frozen=True)
class Level:
    """A message that encloses records, directly or through the levels below it.

    `slices` has its length-delimited fields by number; `numbers` has the tags, of one byte each,
    of the numeric ones that OTLP defines.
    """

    name: str
    slices: Mapping[int, SliceKind]
    slices_by_tag: Mapping[int, SliceKind]
    """The length-delimited fields by whole tag: field number times 8, plus wire type."""
    numbers: frozenset[int]


def _level(
    name: str, slices: Mapping[int, SliceKind], numbers: frozenset[int] = frozenset()
) -> Level:
    # Tags are made here, once: compiled, a cached property would make them for each container.
    by_tag = {number << 3 | WireType.LENGTH_DELIMITED: kind for number, kind in slices.items()}
    return Level(name, slices, by_tag, numbers)


_REQUEST: Final = {1: SliceKind.CONTAINER}
_RESOURCE: Final = {
    1: SliceKind.RESOURCE,
    2: SliceKind.CONTAINER,
    3: SliceKind.RESOURCE_SCHEMA_URL,
}
_SCOPE: Final = {1: SliceKind.SCOPE, 3: SliceKind.SCOPE_SCHEMA_URL}
_METRIC: Final = {
    1: SliceKind.METRIC_NAME,
    2: SliceKind.METRIC_DESCRIPTION,
    3: SliceKind.METRIC_UNIT,
    5: SliceKind.CONTAINER,  # Gauge
    7: SliceKind.CONTAINER,  # Sum
    9: SliceKind.CONTAINER,  # Histogram
    10: SliceKind.CONTAINER,  # ExponentialHistogram
    11: SliceKind.CONTAINER,  # Summary
    12: SliceKind.METRIC_METADATA,
}
# The five kinds of a metric's data agree in this: points are field 1, then come two numbers, the
# aggregation temporality and `is_monotonic`.
_METRIC_DATA: Final = _level(
    "MetricData", {1: SliceKind.RECORD}, numbers=frozenset({2 << 3, 3 << 3})
)

_LOGS: Final = (
    _level("ExportLogsServiceRequest", _REQUEST),
    _level("ResourceLogs", _RESOURCE),
    _level("ScopeLogs", {**_SCOPE, 2: SliceKind.RECORD}),
)
_TRACES: Final = (
    _level("ExportTraceServiceRequest", _REQUEST),
    _level("ResourceSpans", _RESOURCE),
    _level("ScopeSpans", {**_SCOPE, 2: SliceKind.RECORD}),
)
_METRICS: Final = (
    _level("ExportMetricsServiceRequest", _REQUEST),
    _level("ResourceMetrics", _RESOURCE),
    _level("ScopeMetrics", {**_SCOPE, 2: SliceKind.CONTAINER}),
    _level("Metric", _METRIC),
    _METRIC_DATA,
)

# From the request inwards.
LEVELS: Final[Mapping[Signal, tuple[Level, ...]]] = MappingProxyType(
    {Signal.LOGS: _LOGS, Signal.TRACES: _TRACES, Signal.METRICS: _METRICS}
)


def check_counts(record_count: int, header_count: int, container_count: int) -> None:
    """Raise MalformedRequestError if one of the counts is above MAX_ELEMENTS."""
    if max(record_count, header_count, container_count) > MAX_ELEMENTS:
        raise MalformedRequestError(
            f"the request has more than {MAX_ELEMENTS} records, headers or containers "
            "(resources, scopes and metrics); send smaller batches"
        )
