"""Points and metrics as OTLP has them on the wire, written without a message for each.

Field numbers: opentelemetry-proto, metrics/v1, common/v1 and resource/v1. Doubles are those nearest
to the exact values. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from struct import Struct
from typing import Final

from tapeline.otlp.wire import WireType, encode_varint, read_varint, short_varint
from tapeline.signals.metric_table import Kind, Metric
from tapeline.signals.points import Attributes
from tapeline.signals.series import Histogram, Shown, Sum

__all__ = [
    "HistogramLayout",
    "MetricFrame",
    "RequestWriter",
    "SumLayout",
    "ended_point",
    "gauge_body",
    "gauge_head",
    "position_head",
    "resource_bytes",
]

MAX_POINTS: Final = 10_000
MAX_BYTES: Final = 1 << 20
"""What a request holds at most, a single point that is larger aside."""

_LENGTH: Final = WireType.LENGTH_DELIMITED
_POINT_TAG: Final = bytes((1 << 3 | _LENGTH,))
_CUMULATIVE: Final = bytes((2 << 3, 2))
_MONOTONIC: Final = bytes((3 << 3, 1))
_DATA_FIELD: Final = {Kind.GAUGE: 5, Kind.COUNTER: 7, Kind.SUM: 7, Kind.HISTOGRAM: 9}
# Tags and lengths of a metric and of its data.
_MAX_LENGTHS_BYTES: Final = 12
# The field of a point's attributes.
_OF_NUMBER: Final = 7
_OF_HISTOGRAM: Final = 9

_START, _TIME, _COUNT, _SUM = 0x11, 0x19, 0x21, 0x29
_VALUE: Final = 0x21
_GAUGE_BODY: Final = Struct("<BQBd")
_SUM_BODY: Final = Struct("<BQBQBd")
_ENDED: Final = Struct("<BQBB")
_FLAGS: Final = 8 << 3
_NO_RECORDED_VALUE: Final = 1
_EXEMPLAR: Final = Struct("<BQBdBB16s")
_TRACE_ID: Final = 5 << 3 | _LENGTH
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_MAX_TIME_NS: Final = (1 << 63) - 1
# Pairs of names and values: instruments and accounts come back in every metric.
_CACHED_PAIRS: Final = 65_536


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | _LENGTH,)) + short_varint(len(content)) + content


def _text(text: str) -> bytes:
    # Go's protobuf refuses a whole request for one text that is no UTF-8.
    return text.encode("utf-8", "replace")


@lru_cache(maxsize=_CACHED_PAIRS)
def _pair(name: str, value: str) -> bytes:
    """Return a KeyValue with its length before it."""
    content = _field(1, _text(name)) + _field(2, _field(1, _text(value)))
    return encode_varint(len(content)) + content


@lru_cache(maxsize=_CACHED_PAIRS)
def _tagged_pair(field: int, name: str, value: str) -> bytes:
    """Return an attribute as a field."""
    return bytes((field << 3 | _LENGTH,)) + _pair(name, value)


def _attributes(field: int, attributes: Attributes) -> bytes:
    return b"".join([_tagged_pair(field, name, value) for name, value in attributes])


def resource_bytes(attributes: Mapping[str, str]) -> bytes:
    """Return the content of a Resource."""
    return _attributes(1, tuple(sorted(attributes.items())))


def gauge_head(attributes: Attributes) -> bytes:
    """Return a gauge's point as a field of its metric's data, up to its body."""
    encoded = _attributes(_OF_NUMBER, attributes)
    return _POINT_TAG + encode_varint(len(encoded) + _GAUGE_BODY.size) + encoded


def position_head(labels: tuple[str, ...]) -> bytes:
    """Return the same as `gauge_head`, of account, currency, instrument, source and strategy.

    Those that are empty are left off.
    """
    account, currency, instrument, source, strategy = labels
    named = (
        ("trading.account", account),
        ("trading.currency", currency),
        ("trading.instrument", instrument),
        ("trading.price_source", source),
        ("trading.strategy", strategy),
    )
    encoded = b"".join([_tagged_pair(_OF_NUMBER, name, value) for name, value in named if value])
    return _POINT_TAG + encode_varint(len(encoded) + _GAUGE_BODY.size) + encoded


def gauge_body(time_ns: int, value: float) -> bytes:
    """Return the rest of a gauge's point."""
    return _GAUGE_BODY.pack(_TIME, time_ns, _VALUE, value)


def ended_point(attributes: Attributes, time_ns: int) -> bytes:
    """Return a point that says that a gauge has no value any more, as a field."""
    flags = _ENDED.pack(_TIME, time_ns, _FLAGS, _NO_RECORDED_VALUE)
    return _field(1, _attributes(_OF_NUMBER, attributes) + flags)


class SumLayout:
    """How the points of a sum are written."""

    def head(self, attributes: Attributes) -> bytes:
        """Return a point as a field, up to its body, where it has no exemplar."""
        encoded = _attributes(_OF_NUMBER, attributes)
        return _POINT_TAG + encode_varint(len(encoded) + _SUM_BODY.size) + encoded

    def point(self, head: bytes, series: Sum, start_time_ns: int, time_ns: int) -> bytes:
        """Return a point as a field; `head` is what `head` returned."""
        body = _SUM_BODY.pack(_START, start_time_ns, _TIME, time_ns, _VALUE, float(series.total))
        shown = series.exemplar
        return head + body if shown is None else _longer(head, body + _exemplar(5, shown))


class HistogramLayout:
    """How the points of one histogram metric are written: all have the same bounds."""

    def __init__(self, bounds: Sequence[Decimal]) -> None:
        doubles = Struct(f"<{len(bounds)}d").pack(*map(float, bounds))
        self._bounds = _field(7, doubles) if bounds else b""
        size = 8 * (len(bounds) + 1)
        self._counts_head = bytes((6 << 3 | _LENGTH,)) + encode_varint(size)
        self._body = Struct(f"<BQBQBQBd{len(self._counts_head)}s{len(bounds) + 1}Q")

    def head(self, attributes: Attributes) -> bytes:
        """Return a point as a field, up to its body, where it has no exemplar."""
        encoded = self._bounds + _attributes(_OF_HISTOGRAM, attributes)
        return _POINT_TAG + encode_varint(len(encoded) + self._body.size) + encoded

    def point(self, head: bytes, series: Histogram, start_time_ns: int, time_ns: int) -> bytes:
        """Return a point as a field; `head` is what `head` returned."""
        counts = series.counts
        body = self._body.pack(
            _START,
            start_time_ns,
            _TIME,
            time_ns,
            _COUNT,
            sum(counts),
            _SUM,
            float(series.total),
            self._counts_head,
            *counts,
        )
        if not series.exemplars:
            return head + body
        shown = [_exemplar(8, series.exemplars[bucket]) for bucket in sorted(series.exemplars)]
        return _longer(head, b"".join([body, *shown]))


def _longer(head: bytes, body: bytes) -> bytes:
    """Return a point, as a field, with a body of another length than its head says."""
    _, content = read_varint(head, len(_POINT_TAG), len(head))
    return _field(1, head[content:] + body)


def _exemplar(field: int, shown: Shown) -> bytes:
    """Return an exemplar; nothing where it points at no trace that OTLP could tell."""
    value, event = shown
    time_ns = event.time_ns
    if len(event.trace_id) != _TRACE_ID_BYTES or not 0 <= time_ns <= _MAX_TIME_NS:
        return b""
    span = _field(4, event.span_id) if len(event.span_id) == _SPAN_ID_BYTES else b""
    content = _EXEMPLAR.pack(
        0x11, time_ns, 0x19, float(value), _TRACE_ID, _TRACE_ID_BYTES, event.trace_id
    )
    return _field(field, content + span)


class MetricFrame:
    """What stands around the points of a metric: the same in every request."""

    def __init__(self, metric: Metric) -> None:
        texts = ((1, metric.name), (2, metric.description), (3, metric.unit))
        self._head = b"".join([_field(number, _text(text)) for number, text in texts if text])
        self._tag = bytes((_DATA_FIELD[metric.kind] << 3 | _LENGTH,))
        self._tail = b""
        if metric.kind is not Kind.GAUGE:
            self._tail = _CUMULATIVE
        if metric.kind is Kind.COUNTER:
            self._tail += _MONOTONIC
        self.size_bytes = len(self._head) + len(self._tail) + _MAX_LENGTHS_BYTES

    def around(self, pieces: Iterable[bytes]) -> bytes:
        """Return a field of ScopeMetrics: the metric with the points that the pieces make up."""
        data = b"".join(pieces) + self._tail
        return _field(2, b"".join([self._head, self._tag, encode_varint(len(data)), data]))


class RequestWriter:
    """Gathers points into requests of bounded size."""

    def __init__(
        self,
        resource: bytes,
        scope_name: str,
        max_points: int = MAX_POINTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._resource = _field(1, resource)
        self._scope = _field(1, _field(1, _text(scope_name)))
        self._max_points = max_points
        self._max_bytes = max_bytes
        self._frame: MetricFrame | None = None
        self._requests: list[bytes] = []
        self._metrics: list[bytes] = []
        self._pieces: list[bytes] = []
        self._point_count = 0
        self._byte_count = 0

    def begin(self, frame: MetricFrame) -> None:
        """Let the points that follow be those of another metric, or of the same one once more."""
        self._end_metric()
        self._frame = frame
        self._byte_count += frame.size_bytes

    def add(self, points: Sequence[bytes]) -> None:
        """Add points, each as a field of its metric's data."""
        size, room = self._byte_count, self._max_points - self._point_count
        max_bytes = self._max_bytes
        first = 0
        for position, point in enumerate(points):
            size += len(point)
            if size > max_bytes or position - first >= room:
                self._pieces += points[first:position]
                if self._pieces or self._metrics:
                    self._end_request()
                first, size, room = position, len(point), self._max_points
        self._pieces += points[first:]
        self._point_count += len(points) - first
        self._byte_count = size

    def take(self) -> list[bytes]:
        """Return the requests, each with a point at least, and begin anew."""
        self._end_request()
        requests, self._requests = self._requests, []
        return requests

    def _end_metric(self) -> None:
        if self._pieces and self._frame is not None:
            self._metrics.append(self._frame.around(self._pieces))
            self._pieces = []

    def _end_request(self) -> None:
        self._end_metric()
        if self._metrics:
            scope_metrics = b"".join([self._scope, *self._metrics])
            self._requests.append(_field(1, self._resource + _field(2, scope_metrics)))
        self._metrics = []
        self._point_count = 0
        self._byte_count = 0
