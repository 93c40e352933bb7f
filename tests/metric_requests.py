"""Metrics requests for the tests of the limits, also in layouts that nobody sends."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import encode_varint
from tapeline.pipeline.batch import Batch

SECOND_NS = 1_000_000_000
NOW_NS = 1_700_000_000 * SECOND_NS
OVERFLOW_KEY = "otel.metric.overflow"

KINDS: dict[str, tuple[int, type[Message]]] = {
    "gauge": (5, NumberDataPoint),
    "sum": (7, NumberDataPoint),
    "histogram": (9, HistogramDataPoint),
    "exponential_histogram": (10, ExponentialHistogramDataPoint),
    "summary": (11, SummaryDataPoint),
}


@dataclass(frozen=True)
class Series:
    """The points of one metric in a request: labels, and the fields that a point has besides."""

    name: str
    points: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
    kind: str = "sum"
    resource: Mapping[str, Any] = field(default_factory=lambda: {"service.name": "fills"})
    scope: str = "orders"
    temporality: int = 2
    is_monotonic: bool = True
    unit: str = "1"


def attribute(key: str, value: Any) -> KeyValue:
    """Return an attribute as OTLP has it."""
    if isinstance(value, AnyValue):
        return KeyValue(key=key, value=value)
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=value))


def point_of(series: Series, labels: Mapping[str, Any], fields: Mapping[str, Any]) -> Any:
    """Return one point of a series as a message."""
    attributes = [attribute(key, value) for key, value in labels.items()]
    return KINDS[series.kind][1](attributes=attributes, **fields)


def request(*metrics: Series) -> Any:
    """Return a request with a resource, a scope and a metric for each."""
    message = ExportMetricsServiceRequest()
    for series in metrics:
        around = message.resource_metrics.add()
        around.resource.attributes.extend(
            attribute(key, value) for key, value in series.resource.items()
        )
        scoped = around.scope_metrics.add()
        scoped.scope.name = series.scope
        metric = scoped.metrics.add(name=series.name, unit=series.unit, description="What it is.")
        data = getattr(metric, series.kind)
        data.SetInParent()
        if series.kind not in ("gauge", "summary"):
            data.aggregation_temporality = series.temporality
        if series.kind == "sum":
            data.is_monotonic = series.is_monotonic
        data.data_points.extend(point_of(series, *point) for point in series.points)
    return message


def batch_of(*metrics: Series) -> Batch:
    """Return a request's batch, as an SDK writes it."""
    return Batch(Signal.METRICS, request(*metrics).SerializeToString())


def counted(
    labels: Mapping[str, Any], value: int, time: float = 0.0, start: float | None = None
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return a number point; times in seconds after NOW_NS, a start of None is none."""
    fields: dict[str, Any] = {"as_int": value, "time_unix_nano": at(time)}
    if start is not None:
        fields["start_time_unix_nano"] = at(start)
    return labels, fields


def at(seconds: float) -> int:
    """Return so many seconds after NOW_NS."""
    return NOW_NS + round(seconds * SECOND_NS)


def records_of(batch: Batch) -> list[bytes]:
    """Return the contents of all points as they stand."""
    index = batch.index
    places = zip(index.record_begins, index.record_ends, strict=True)
    return [batch.payload[begin:end] for begin, end in places]


def points_by_labels(batch: Batch) -> dict[tuple[str, frozenset[tuple[str, str]]], Any]:
    """Return a request's points by metric name and labels; the last where there are several."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], Any] = {}
    message: Any = batch.request
    for around in message.resource_metrics:
        for scoped in around.scope_metrics:
            for metric in scoped.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    found[metric.name, labels_of(point)] = point
    return found


def labels_of(point: Any) -> frozenset[tuple[str, str]]:
    """Return a point's labels as texts."""
    return frozenset(
        (pair.key, pair.value.string_value or str(pair.value.bool_value).lower())
        for pair in point.attributes
    )


OVERFLOW = frozenset({(OVERFLOW_KEY, "true")})


class OddEncoder:
    """Writes requests in any layout that means the same to a parser."""

    def __init__(self, generator: random.Random) -> None:
        self._random = generator

    def request(self, message: Any) -> bytes:
        """Return a request: points in odd layouts, headers in either order."""
        pieces = []
        for around in message.resource_metrics:
            scopes = [self._scope(scoped) for scoped in around.scope_metrics]
            parts = [
                self._field(1, around.resource.SerializeToString()),
                *(self._field(2, scope) for scope in scopes),
            ]
            pieces.append(self._field(1, b"".join(self._turned(parts))))
        return b"".join(pieces)

    def _scope(self, scoped: Any) -> bytes:
        metrics = [self._field(2, self._metric(metric)) for metric in scoped.metrics]
        return b"".join(self._turned([self._field(1, scoped.scope.SerializeToString()), *metrics]))

    def _metric(self, metric: Any) -> bytes:
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind)
        points = [self._field(1, self.point(point)) for point in data.data_points]
        rest = type(data)()
        rest.CopyFrom(data)
        rest.ClearField("data_points")
        head = type(metric)(name=metric.name, unit=metric.unit, description=metric.description)
        content = b"".join(self._turned([*points, rest.SerializeToString()]))
        parts = [head.SerializeToString(), self._field(KINDS[kind][0], content)]
        return b"".join(self._turned(parts))

    def point(self, point: Any) -> bytes:
        """Return a point: fields and attributes in any order, and more than it needs."""
        pieces = []
        rest = type(point)()
        rest.CopyFrom(point)
        rest.ClearField("attributes")
        for descriptor, value in rest.ListFields():
            alone = type(point)()
            if descriptor.is_repeated:
                getattr(alone, descriptor.name).extend(value)
            else:
                setattr(alone, descriptor.name, value)
            pieces.append(alone.SerializeToString())
        number = type(point).DESCRIPTOR.fields_by_name["attributes"].number
        attributes = [self._field(number, self._pair(pair)) for pair in point.attributes]
        choice = self._random.random()
        if choice < 0.2:
            pieces = [*attributes, *pieces]
        elif choice < 0.4:
            pieces = [*reversed(pieces), *attributes]
        elif choice < 0.6:
            pieces += attributes
        else:
            pieces += attributes
            self._random.shuffle(pieces)
        if self._random.random() < 0.3:
            self._random.shuffle(attributes)
        if attributes and self._random.random() < 0.15:
            pieces.append(self._random.choice(attributes))
        if self._random.random() < 0.15:
            pieces.insert(self._random.randrange(len(pieces) + 1), self._unknown())
        return b"".join(pieces)

    def _pair(self, pair: KeyValue) -> bytes:
        parts = [
            KeyValue(key=pair.key).SerializeToString(),
            self._field(2, pair.value.SerializeToString()),
        ]
        parts = self._turned(parts)
        if self._random.random() < 0.1:
            parts.insert(self._random.randrange(3), self._unknown())
        return b"".join(parts)

    def _turned(self, parts: Sequence[bytes]) -> list[bytes]:
        return list(parts) if self._random.random() < 0.6 else list(reversed(parts))

    def _unknown(self) -> bytes:
        return encode_varint(1000 << 3) + b"\x07"

    def _field(self, number: int, content: bytes) -> bytes:
        return self._varint(number << 3 | 2) + self._varint(len(content)) + content

    def _varint(self, value: int) -> bytes:
        """Return a varint, sometimes longer than it has to be."""
        encoded = encode_varint(value)
        if self._random.random() < 0.05:
            return bytes([*encoded[:-1], encoded[-1] | 0x80, 0])
        return encoded


def exemplar(value: int) -> Exemplar:
    """Return an exemplar."""
    return Exemplar(as_int=value, time_unix_nano=NOW_NS)
