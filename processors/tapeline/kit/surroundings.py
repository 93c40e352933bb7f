"""What surrounds records: their resource, scope and metric, read when first asked for."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from tapeline.kit.attributes import Attributes
from tapeline.otlp.index import RecordIndex
from tapeline.otlp.layout import SliceKind
from tapeline.otlp.wire import MalformedRequestError

__all__ = ["Metric", "MetricKind", "Resource", "Scope", "Surroundings", "Temporality"]

_SERVICE_NAME: Final = "service.name"
# How many containers are around a record: resource, scope; and of a point, metric and data.
_RESOURCE, _SCOPE, _METRIC, _DATA = range(4)


class MetricKind(StrEnum):
    """The five kinds of data that a metric has."""

    GAUGE = "gauge"
    SUM = "sum"
    HISTOGRAM = "histogram"
    EXPONENTIAL_HISTOGRAM = "exponential_histogram"
    SUMMARY = "summary"


class Temporality(StrEnum):
    """Whether points count since the start, or since the point before; of gauges: unspecified."""

    UNSPECIFIED = "unspecified"
    DELTA = "delta"
    CUMULATIVE = "cumulative"


_KINDS: Final = {
    5: MetricKind.GAUGE,
    7: MetricKind.SUM,
    9: MetricKind.HISTOGRAM,
    10: MetricKind.EXPONENTIAL_HISTOGRAM,
    11: MetricKind.SUMMARY,
}
"""By field number: opentelemetry-proto, metrics/v1, Metric.data."""
_TEMPORALITIES: Final = (Temporality.UNSPECIFIED, Temporality.DELTA, Temporality.CUMULATIVE)


@dataclass(frozen=True, slots=True)
class Resource:
    """Whose telemetry it is. Shared by many records, so it can only be read."""

    attributes: Attributes

    @property
    def service_name(self) -> str | None:
        """The attribute `service.name`, where it is a text."""
        return self.attributes.text(_SERVICE_NAME)


@dataclass(frozen=True, slots=True)
class Scope:
    """The library that made the records. Shared by many records, so it can only be read."""

    name: str
    version: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Metric:
    """The metric of a data point. Shared by its points, so it can only be read.

    A sum that is monotonic only grows.
    """

    name: str
    unit: str
    description: str
    kind: MetricKind
    temporality: Temporality
    is_monotonic: bool


class Surroundings:
    """The resources, scopes and metrics of one request, each parsed once at most."""

    def __init__(self, payload: bytes, index: RecordIndex) -> None:
        """Parse nothing yet."""
        self._payload = payload
        self._index = index
        self._resources: dict[int, Resource] = {}
        self._scopes: dict[int, Scope] = {}
        self._metrics: dict[int, Metric] = {}

    def resource(self, record: int) -> Resource:
        """Return the resource of a record; raises MalformedRequestError."""
        container = self._index.enclosing(record)[_RESOURCE]
        found = self._resources.get(container)
        if found is None:
            content = self._headers(container, SliceKind.RESOURCE)
            message = _parsed(resource_pb2.Resource, b"".join(content))
            found = self._resources[container] = Resource(Attributes(message.attributes, None))
        return found

    def scope(self, record: int) -> Scope:
        """Return the scope of a record; raises MalformedRequestError."""
        container = self._index.enclosing(record)[_SCOPE]
        found = self._scopes.get(container)
        if found is None:
            content = self._headers(container, SliceKind.SCOPE)
            message = _parsed(common_pb2.InstrumentationScope, b"".join(content))
            attributes = Attributes(message.attributes, None)
            found = self._scopes[container] = Scope(message.name, message.version, attributes)
        return found

    def kind(self, record: int) -> MetricKind:
        """Return of which kind a data point is."""
        index = self._index
        return _KINDS[index.containers[index.container_of(record)].number]

    def metric(self, record: int) -> Metric:
        """Return the metric of a data point; raises MalformedRequestError."""
        *_, metric, data = self._index.enclosing(record)
        found = self._metrics.get(data)
        if found is None:
            found = self._metrics[data] = self._read_metric(metric, data)
        return found

    def _read_metric(self, metric: int, data: int) -> Metric:
        kind = _KINDS[self._index.containers[data].number]
        # All kinds agree in the numbers of these fields; an histogram has no `is_monotonic`.
        rest = _parsed(metrics_pb2.Sum, self._without_points(metric, data))
        known = 0 <= rest.aggregation_temporality < len(_TEMPORALITIES)
        return Metric(
            name=self._text(metric, SliceKind.METRIC_NAME),
            unit=self._text(metric, SliceKind.METRIC_UNIT),
            description=self._text(metric, SliceKind.METRIC_DESCRIPTION),
            kind=kind,
            temporality=_TEMPORALITIES[rest.aggregation_temporality if known else 0],
            is_monotonic=kind is MetricKind.SUM and rest.is_monotonic,
        )

    def _without_points(self, metric: int, data: int) -> bytes:
        """Return what a metric's data holds besides points; data that stands twice is merged."""
        index = self._index
        pieces = []
        for number, container in enumerate(index.containers[metric:], start=metric):
            if container.field >= index.containers[metric].end:
                break
            if container.parent != metric or container.number != index.containers[data].number:
                continue
            position = container.begin
            for record in index.records_of(number):
                pieces.append(self._payload[position : index.record_fields[record]])
                position = index.record_ends[record]
            pieces.append(self._payload[position : container.end])
        return b"".join(pieces)

    def _headers(self, container: int, kind: SliceKind) -> list[bytes]:
        headers = [self._index.headers[number] for number in self._index.headers_of(container)]
        return [self._payload[each.begin : each.end] for each in headers if each.kind is kind]

    def _text(self, container: int, kind: SliceKind) -> str:
        contents = self._headers(container, kind)
        try:
            return contents[-1].decode("utf-8") if contents else ""
        except UnicodeDecodeError as error:
            raise MalformedRequestError(f"a {kind} is not UTF-8") from error


def _parsed(message_type: type[Message], content: bytes) -> Any:
    """Return a message. Any: each type has its own fields."""
    try:
        return message_type.FromString(content)
    except DecodeError as error:
        name = message_type.DESCRIPTOR.name
        raise MalformedRequestError(f"a {name} does not parse as OTLP") from error
