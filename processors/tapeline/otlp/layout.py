"""How Export requests nest, down to the record: one table for the fast check and the index.

Field numbers: opentelemetry-proto, collector/{logs,trace,metrics}/v1 and what they import. The
deprecated `instrumentation_library_*` fields (number 1000) are left out on purpose: no supported
peer reads them, so they count as unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError

__all__ = ["LEVELS", "MAX_ELEMENTS", "HeaderKind", "Level", "check_counts"]

# Records, headers and containers of one request: at most so many of each. An empty record takes 2
# bytes on the wire and about 100 in the index, so a limit on the request's size is not enough. Real
# requests stay far below: the largest that is let in, 64 MiB, would have 67 bytes a record.
MAX_ELEMENTS: Final = 1_000_000


class HeaderKind(StrEnum):
    """What a slice that is not a record holds."""

    RESOURCE = "resource"
    RESOURCE_SCHEMA_URL = "resource schema URL"
    SCOPE = "scope"
    SCOPE_SCHEMA_URL = "scope schema URL"
    METRIC_NAME = "metric name"
    METRIC_DESCRIPTION = "metric description"
    METRIC_UNIT = "metric unit"
    METRIC_METADATA = "metric metadata"
    UNKNOWN = "unknown fields"
    """Neighbouring fields between the records that OTLP does not define there. The slice covers
    their tags too, so it can be taken out as it stands."""


@dataclass(frozen=True)
class Level:
    """A message that encloses records, directly or through the levels below it.

    The numbers are of length-delimited fields: `child_fields` hold a message of the next level
    each, `headers` a slice of that kind, `record_field` a record (0 where there are none).
    `numbers` are the whole tags, of one byte each, of OTLP's numeric fields beside them.
    """

    name: str
    child_fields: frozenset[int] = frozenset()
    headers: Mapping[int, HeaderKind] = field(default_factory=dict)
    record_field: int = 0
    numbers: frozenset[int] = frozenset()

    @cached_property
    def slice_fields(self) -> frozenset[int]:
        """The numbers of all the length-delimited fields that the level names."""
        return frozenset({*self.child_fields, *self.headers, self.record_field} - {0})


_RESOURCE_HEADERS: Final = {1: HeaderKind.RESOURCE, 3: HeaderKind.RESOURCE_SCHEMA_URL}
_SCOPE_HEADERS: Final = {1: HeaderKind.SCOPE, 3: HeaderKind.SCOPE_SCHEMA_URL}

_LOGS: Final = (
    Level("ExportLogsServiceRequest", child_fields=frozenset({1})),
    Level("ResourceLogs", child_fields=frozenset({2}), headers=_RESOURCE_HEADERS),
    Level("ScopeLogs", headers=_SCOPE_HEADERS, record_field=2),
)
_TRACES: Final = (
    Level("ExportTraceServiceRequest", child_fields=frozenset({1})),
    Level("ResourceSpans", child_fields=frozenset({2}), headers=_RESOURCE_HEADERS),
    Level("ScopeSpans", headers=_SCOPE_HEADERS, record_field=2),
)
_METRICS: Final = (
    Level("ExportMetricsServiceRequest", child_fields=frozenset({1})),
    Level("ResourceMetrics", child_fields=frozenset({2}), headers=_RESOURCE_HEADERS),
    Level("ScopeMetrics", child_fields=frozenset({2}), headers=_SCOPE_HEADERS),
    Level(
        "Metric",
        # Gauge, Sum, Histogram, ExponentialHistogram, Summary: points are field 1 in each.
        child_fields=frozenset({5, 7, 9, 10, 11}),
        headers={
            1: HeaderKind.METRIC_NAME,
            2: HeaderKind.METRIC_DESCRIPTION,
            3: HeaderKind.METRIC_UNIT,
            12: HeaderKind.METRIC_METADATA,
        },
    ),
    # Aggregation temporality is field 2, `is_monotonic` field 3.
    Level("MetricData", record_field=1, numbers=frozenset({2 << 3, 3 << 3})),
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
