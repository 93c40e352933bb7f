"""Data points for the tests of folding, and a folder with one output to put them into."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)

from tapeline.cardinality.folding.folder import Folder, FoldOptions
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.outputs import (
    GaugeFold,
    MetricIdentity,
    Output,
    OutputIdentity,
    PointKind,
    Producer,
    Temporality,
)

SECOND_NS = 1_000_000_000
EPOCH_NS = 1_700_000_000 * SECOND_NS
OVERFLOW = KeyValue(key="otel.metric.overflow", value=AnyValue(bool_value=True))

MESSAGES: dict[int, Any] = {
    PointKind.GAUGE: NumberDataPoint,
    PointKind.SUM: NumberDataPoint,
    PointKind.HISTOGRAM: HistogramDataPoint,
    PointKind.EXPONENTIAL_HISTOGRAM: ExponentialHistogramDataPoint,
    PointKind.SUMMARY: SummaryDataPoint,
}


def at(seconds: float) -> int:
    """Return so many seconds after the epoch of the tests, in Unix nanoseconds."""
    return EPOCH_NS + round(seconds * SECOND_NS)


def number(start: float | None, time: float, value: float | None, **fields: Any) -> bytes:
    """Return a number point; times in seconds after the epoch, a start of None is none."""
    point = NumberDataPoint(time_unix_nano=at(time), **fields)
    if start is not None:
        point.start_time_unix_nano = at(start)
    if value is not None:
        setattr(point, "as_int" if isinstance(value, int) else "as_double", value)
    return point.SerializeToString()


def histogram(
    start: float, time: float, bounds: Sequence[float], counts: Sequence[int], **fields: Any
) -> bytes:
    """Return a histogram point whose count is that of its buckets."""
    return HistogramDataPoint(
        start_time_unix_nano=at(start),
        time_unix_nano=at(time),
        explicit_bounds=bounds,
        bucket_counts=counts,
        **{"count": sum(counts), **fields},
    ).SerializeToString()


def summary(start: float, time: float, count: int, total: float) -> bytes:
    """Return a summary point with a quantile."""
    return SummaryDataPoint(
        start_time_unix_nano=at(start),
        time_unix_nano=at(time),
        count=count,
        sum=total,
        quantile_values=[SummaryDataPoint.ValueAtQuantile(quantile=0.5, value=1)],
    ).SerializeToString()


def metric(
    kind: int = PointKind.SUM,
    temporality: int = Temporality.CUMULATIVE,
    *,
    is_monotonic: bool = True,
) -> MetricIdentity:
    """Return a metric; a kind without temporality or monotonicity gets none."""
    if kind in (PointKind.GAUGE, PointKind.SUMMARY):
        temporality = Temporality.UNSPECIFIED
    return MetricIdentity(
        "orders", "1", kind, temporality, is_monotonic and kind == PointKind.SUM, "Orders"
    )


@dataclass
class Run:
    """A folder, one producer and one output, with a clock that the test moves."""

    metric: MetricIdentity = field(default_factory=metric)
    options: FoldOptions = field(default_factory=FoldOptions)
    gauge: GaugeFold = GaugeFold.LAST
    state_was_lost: bool = False
    now: float = 0.0

    def __post_init__(self) -> None:
        """Begin an epoch now."""
        self.folder = Folder(self.options, at(self.now), state_was_lost=self.state_was_lost)
        self.producer: Producer = self.folder.producer(7, self.metric, at(self.now))

    @property
    def output(self) -> Output:
        """The one output."""
        return self.folder.output(11, self.identity)

    def identity(self) -> OutputIdentity:
        """Return the identity of the output, which is cumulative."""
        leaves = self.metric
        if leaves.temporality == Temporality.DELTA:
            leaves = metric(leaves.kind, is_monotonic=leaves.is_monotonic)
        pairs = (OVERFLOW.SerializeToString(),)
        return OutputIdentity(b"resource", b"", b"scope", b"", leaves, pairs, self.gauge)

    def fold(self, stream: int, point: bytes, removed: tuple[bytes, ...] = ()) -> FoldOutcome:
        """Fold one point now."""
        return self.folder.fold(stream, self.output, self.producer, point, at(self.now), removed)

    def emit(self) -> Any:
        """Return the output's point as a message, or None where there is none."""
        emitted = self.folder.emissions()
        if not emitted:
            return None
        [(output, point)] = emitted
        message = MESSAGES[output.kind].FromString(point)
        assert list(message.attributes) == [OVERFLOW]
        return message

    def send(self, *points: tuple[int, bytes]) -> Any:
        """Fold a batch and return what leaves."""
        for stream, point in points:
            self.fold(stream, point)
        return self.emit()


def value_of(message: NumberDataPoint) -> float:
    """Return a number point's value, as the type that it is."""
    value: float = getattr(message, message.WhichOneof("value") or "as_int")
    return value


def every_field_order(point: bytes) -> Iterator[bytes]:
    """Yield a number point as written forwards, and backwards as the collector does."""
    message = NumberDataPoint.FromString(point)
    yield point
    attributes = NumberDataPoint(attributes=message.attributes).SerializeToString()
    message.ClearField("attributes")
    pieces = []
    for name, _ in ((item[0].name, item[1]) for item in message.ListFields()):
        piece = NumberDataPoint()
        source = getattr(message, name)
        if name == "exemplars":
            piece.exemplars.extend(source)
        else:
            setattr(piece, name, source)
        pieces.append(piece.SerializeToString())
    yield b"".join(reversed(pieces)) + attributes
