"""Data points of all five kinds of metrics, as a processor sees them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

from google.protobuf.message import Message
from opentelemetry.proto.metrics.v1 import metrics_pb2

from tapeline.kit.record import Record
from tapeline.kit.surroundings import Metric, MetricKind
from tapeline.otlp.signals import Signal

__all__ = ["DataPoint"]

AnyPoint: TypeAlias = (
    metrics_pb2.NumberDataPoint
    | metrics_pb2.HistogramDataPoint
    | metrics_pb2.ExponentialHistogramDataPoint
    | metrics_pb2.SummaryDataPoint
)

_TYPES: Final[Mapping[MetricKind, type[Message]]] = MappingProxyType(
    {
        MetricKind.GAUGE: metrics_pb2.NumberDataPoint,
        MetricKind.SUM: metrics_pb2.NumberDataPoint,
        MetricKind.HISTOGRAM: metrics_pb2.HistogramDataPoint,
        MetricKind.EXPONENTIAL_HISTOGRAM: metrics_pb2.ExponentialHistogramDataPoint,
        MetricKind.SUMMARY: metrics_pb2.SummaryDataPoint,
    }
)
_NUMBERS: Final = frozenset({MetricKind.GAUGE, MetricKind.SUM})


class DataPoint(Record):
    """A data point. Times are nanoseconds since the epoch, as integers; 0: not known.

    A changed attribute makes it a point of another series. Where two points become the same series
    that way, nothing joins them.
    """

    __slots__ = ()

    signal: ClassVar[Signal] = Signal.METRICS

    @property
    def metric(self) -> Metric:
        """Name, unit, kind and so on, to read: they are those of all the metric's points."""
        return self._context.surroundings.metric(self._number)

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.metric.name

    @property
    def kind(self) -> MetricKind:
        """Of which of the five kinds it is."""
        return self._context.surroundings.kind(self._number)

    @property
    def time_unix_nano(self) -> int:
        """When it was measured."""
        return int(self._read().time_unix_nano)

    @time_unix_nano.setter
    def time_unix_nano(self, time_unix_nano: int) -> None:
        self._set("time_unix_nano", time_unix_nano)

    @property
    def start_time_unix_nano(self) -> int:
        """Since when a sum or histogram counts."""
        return int(self._read().start_time_unix_nano)

    @start_time_unix_nano.setter
    def start_time_unix_nano(self, time_unix_nano: int) -> None:
        self._set("start_time_unix_nano", time_unix_nano)

    @property
    def value(self) -> int | float | None:
        """The number of a gauge or sum, as the int or float it is; None of the other kinds."""
        if self.kind not in _NUMBERS:
            return None
        point: Any = self._read()
        which = point.WhichOneof("value")
        return None if which is None else getattr(point, which)

    @value.setter
    def value(self, value: float) -> None:
        if self.kind not in _NUMBERS:
            raise TypeError(f"a point of a {self.kind} has no single value: change its message")
        field = "as_int" if isinstance(value, int) and not isinstance(value, bool) else "as_double"
        before = self._read().SerializeToString()
        setattr(self._read(), field, value)
        # Bytes, for to `==` NaN is not itself, 0.0 is -0.0 and 1 is 1.0.
        self._changed = self._changed or before != self._read().SerializeToString()

    @property
    def count(self) -> int | None:
        """How many values a histogram or summary counts; None of gauges and sums."""
        return None if self.kind in _NUMBERS else int(self._read().count)

    @property
    def sum(self) -> float | None:
        """The sum of the values of a histogram or summary; None where there is none."""
        if self.kind in _NUMBERS:
            return None
        point = self._read()
        if self.kind is not MetricKind.SUMMARY and not point.HasField("sum"):
            return None
        return float(point.sum)

    @property
    def message(self) -> AnyPoint:
        """The protobuf message itself, for buckets, quantiles, exemplars. It may be changed."""
        message: AnyPoint = self._lend()
        return message

    def _message_type(self) -> type[Message]:
        return _TYPES[self.kind]
