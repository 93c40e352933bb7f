"""Metrics that processors derive from records: what they note, and the series that come of it.

Counts are cumulative since the processor began, as Prometheus has it, and so bounded in number:
beyond the limit a new series is left out and counted. Pure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from tapeline.kit.values import any_value

__all__ = ["Derive", "DerivedSeries", "Note"]

_INT64: Final = 1 << 63

Label: TypeAlias = str | bool | int | float
Labels: TypeAlias = tuple[tuple[str, str, Label], ...]
"""Name, the value's type, value: to a tuple, 1, 1.0 and True are one."""


class _Kind(StrEnum):
    COUNT = "count"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that a processor derived."""

    kind: _Kind
    name: str
    unit: str
    labels: Labels
    value: int | float


class Derive:
    """Takes derived metrics; they leave the gate as metrics of the service `tapeline`.

    Attributes whose value is None are left out, so that what a record does not have needs no `if`.
    Each combination of them is a series: give no ids.
    """

    __slots__ = ("notes",)

    def __init__(self) -> None:
        self.notes: list[Note] = []
        """What was derived so far, in order."""

    def count(
        self,
        name: str,
        value: float = 1,
        attributes: Mapping[str, Label | None] | None = None,
        *,
        unit: str = "1",
    ) -> None:
        """Add to a count that only grows.

        Raises ValueError for less than 0 and for what is not finite: it would spoil the count.
        """
        if not 0 <= value < math.inf:
            raise ValueError("a count grows by a finite number, not below 0; see gauge()")
        self._note(_Kind.COUNT, name, value, attributes, unit)

    def gauge(
        self,
        name: str,
        value: float,
        attributes: Mapping[str, Label | None] | None = None,
        *,
        unit: str = "1",
    ) -> None:
        """Set a value that goes up and down; the last one of a request stands."""
        self._note(_Kind.GAUGE, name, value, attributes, unit)

    def _note(
        self,
        kind: _Kind,
        name: str,
        value: float,
        attributes: Mapping[str, Label | None] | None,
        unit: str,
    ) -> None:
        _check(name, unit, value)
        self.notes.append(Note(kind, name, unit, _labels(attributes or {}), value))


def _check(name: object, unit: object, value: object) -> None:
    """Raise TypeError or ValueError for what users may give although the types say otherwise."""
    if not isinstance(name, str) or not isinstance(unit, str) or not name:
        raise TypeError("a derived metric has a text as its name, and one as its unit")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a derived metric has a number, not {type(value).__name__}")
    if isinstance(value, int) and abs(value) >= _INT64:
        raise ValueError("a derived metric has a number of 64 bits at most")
    KeyValue(key=name, value=any_value(unit))


def _labels(attributes: Mapping[str, Label | None]) -> Labels:
    labels = []
    for name, value in sorted(attributes.items()):
        if value is None:
            continue
        if not isinstance(value, Label):
            raise TypeError(
                f"an attribute of a metric is a text, number or bool, not {type(value).__name__}"
            )
        # Raises for what would make the whole request fail later.
        KeyValue(key=name, value=any_value(value))
        labels.append((name, type(value).__name__, value))
    return tuple(labels)


@dataclass(slots=True)
class _Series:
    start_unix_nano: int
    value: int | float


class DerivedSeries:
    """The series that one processor derived so far; at most `max_series` of them.

    A metric keeps the kind and unit that it was derived with first.
    """

    def __init__(self, processor: str, max_series: int, instance: str) -> None:
        """`instance` tells the workers' series apart."""
        self._processor = processor
        self._instance = instance
        self.max_series = max_series
        self.left_out = 0
        """Notes that would have made a series beyond the limit, or of another kind."""
        self._metrics: dict[str, tuple[_Kind, str]] = {}
        self._series: dict[tuple[str, Labels], _Series] = {}

    def __len__(self) -> int:
        return len(self._series)

    def take(self, notes: list[Note], now_unix_nano: int, *, again: bool = False) -> bytes:
        """Return a metrics request with the series that notes are about, as they are then.

        `again`: these notes were taken before, of the same request, so counts stay as they are.
        Empty where nothing can be shown.
        """
        touched: dict[tuple[str, Labels], None] = {}
        for note in notes:
            key = (note.name, note.labels)
            if not self._has_room(key, note):
                self.left_out += 1
                continue
            series = self._series.setdefault(key, _Series(now_unix_nano, 0))
            if note.kind is _Kind.GAUGE:
                series.value = note.value
            elif not again:
                series.value += note.value
            touched[key] = None
        return self._request(list(touched), now_unix_nano) if touched else b""

    def _has_room(self, key: tuple[str, Labels], note: Note) -> bool:
        if key not in self._series and len(self._series) >= self.max_series:
            return False
        return self._metrics.setdefault(note.name, (note.kind, note.unit)) == (note.kind, note.unit)

    def _request(self, keys: list[tuple[str, Labels]], now_unix_nano: int) -> bytes:
        request = ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        group.resource.attributes.extend(
            _pairs(
                (
                    ("service.name", "str", "tapeline"),
                    ("service.instance.id", "str", self._instance),
                )
            )
        )
        scope = group.scope_metrics.add()
        scope.scope.name = f"tapeline.kit.{self._processor}"
        metrics: dict[str, metrics_pb2.Metric] = {}
        for name, labels in keys:
            metric = metrics.get(name)
            if metric is None:
                metric = metrics[name] = scope.metrics.add(name=name, unit=self._metrics[name][1])
            series = self._series[name, labels]
            point = self._point(metric, series)
            point.time_unix_nano = now_unix_nano
            point.attributes.extend(_pairs(labels))
            if isinstance(series.value, int) and abs(series.value) < _INT64:
                point.as_int = series.value
            else:
                point.as_double = series.value
        return request.SerializeToString()

    def _point(self, metric: metrics_pb2.Metric, series: _Series) -> metrics_pb2.NumberDataPoint:
        if self._metrics[metric.name][0] is _Kind.GAUGE:
            return metric.gauge.data_points.add()
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
        return metric.sum.data_points.add(start_time_unix_nano=series.start_unix_nano)


def _pairs(labels: Labels) -> list[KeyValue]:
    return [KeyValue(key=name, value=any_value(value)) for name, _, value in labels]
