"""Metrics as series: every point of a series put together to what it says in the end.

Of a cumulative series and of a gauge that is the last point; of a delta series, all its points
added. So a series says the same however its points were batched.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags

from tapeline.otlp.signals import Signal
from tapeline.recording.records import Fields, Record, Value, encoded

__all__ = ["Series", "series_of"]

_OF_A_POINT: Final = frozenset(
    {
        "start_time_unix_nano", "time_unix_nano", "value", "exemplars", "flags", "count", "sum",
        "min", "max", "bucket_counts", "explicit_bounds", "scale", "zero_count", "zero_threshold",
        "positive", "negative", "quantile_values",
    }
)  # fmt: skip
_EXPONENTIAL: Final = frozenset({"scale", "positive", "negative"})
_LAYOUT: Final = ("explicit_bounds", "zero_threshold")
"""What the points of a delta histogram must share to be added."""

_NO_RECORDED_VALUE: Final = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK


@dataclass(frozen=True, slots=True)
class Series:
    """A time series: what tells it from others, its points in order of time, and what they make.

    `final` has OTLP's names of a point's fields: `value` of a sum or a gauge, `count`, `sum`,
    `bucket_counts` and so on of a histogram.
    """

    resource: Fields
    scope: Fields
    identity: Fields
    points: tuple[Record, ...]
    final: Fields

    @property
    def name(self) -> str:
        """The metric's name."""
        return str(self.identity.get("name", ""))

    @property
    def attributes(self) -> Fields:
        """The attributes of its points."""
        found: Fields = self.identity.get("attributes", {})
        return found

    @property
    def type(self) -> str:
        """OTLP's name of the metric's kind: sum, gauge, histogram and so on."""
        return str(self.identity["type"])

    @property
    def value(self) -> int | float | None:
        """What a sum or a gauge says in the end; a histogram's sum."""
        found: int | float | None = self.final.get("value", self.final.get("sum"))
        return found

    @property
    def has_ended(self) -> bool:
        """Say whether its last point is there to say that none follows, and has no value.

        A delta series has counted what it has counted, so none of those ends.
        """
        is_delta = self.identity.get("aggregation_temporality") == "DELTA"
        return not is_delta and bool(int(self.final.get("flags", 0)) & _NO_RECORDED_VALUE)

    @property
    def start_unix_nano(self) -> int:
        """Since when it counts; 0 where it does not say."""
        return int(self.final.get("start_time_unix_nano", 0))


def series_of(records: Iterable[Record]) -> list[Series]:
    """Return the series of what points there are, sorted by resource, scope and identity."""
    groups: defaultdict[tuple[bytes, bytes, bytes, bytes], list[Record]] = defaultdict(list)
    for record in records:
        if record.signal is Signal.METRICS:
            parts = (record.resource, record.scope, _identity(record), _layout(record))
            first, second, third, fourth = map(encoded, parts)
            groups[first, second, third, fourth].append(record)
    # Those of a place stand together, by the name that a reader looks for.
    ordered = sorted(groups.items(), key=lambda item: (*item[1][0].order[:6], item[0]))
    return [_series(points) for _, points in ordered]


def _identity(record: Record) -> Fields:
    return {name: value for name, value in record.content.items() if name not in _OF_A_POINT}


def _layout(record: Record) -> Fields:
    if record.content.get("aggregation_temporality") != "DELTA":
        return {}
    layout = {name: record.content[name] for name in _LAYOUT if name in record.content}
    return layout | {"buckets": len(record.content.get("bucket_counts", ()))}


def _series(records: Sequence[Record]) -> Series:
    points = tuple(sorted(records, key=_place))
    last = points[-1]
    final = {name: value for name, value in last.content.items() if name in _OF_A_POINT}
    if last.content.get("aggregation_temporality") == "DELTA":
        kept = {name: value for name, value in final.items() if name not in _EXPONENTIAL}
        final = kept | _added([point.content for point in points])
    return Series(last.resource, last.scope, _identity(last), points, final)


def _place(record: Record) -> tuple[int, int, bytes]:
    start = record.content.get("start_time_unix_nano", 0)
    return (record.time_unix_nano, start, encoded(record.content))


def _added(points: Sequence[Fields]) -> dict[str, Value]:
    """Return the fields that the points of a delta series make together."""
    made: dict[str, Value] = {}
    for name in ("value", "count", "sum", "zero_count"):
        if numbers := [point[name] for point in points if name in point]:
            made[name] = _total(numbers)
    for name, pick in (("min", min), ("max", max), ("start_time_unix_nano", min)):
        if numbers := [point[name] for point in points if name in point]:
            made[name] = pick(numbers)
    if counts := [point["bucket_counts"] for point in points if "bucket_counts" in point]:
        made["bucket_counts"] = tuple(map(sum, zip(*counts, strict=True)))
    if any(_EXPONENTIAL & point.keys() for point in points):
        made |= _exponential(points)
    exemplars = [exemplar for point in points for exemplar in point.get("exemplars", ())]
    if exemplars:
        made["exemplars"] = tuple(sorted(exemplars, key=encoded))
    return made


def _total(numbers: Sequence[int | float]) -> int | float:
    # The exact sum, rounded once: doubles added one by one depend on their order.
    return sum(numbers) if all(type(number) is int for number in numbers) else fsum(numbers)


def _exponential(points: Sequence[Fields]) -> dict[str, Value]:
    """Return the buckets of the points, at the coarsest scale among them.

    Going down one scale joins the buckets 2i and 2i+1 to bucket i (OTLP, ExponentialHistogram).
    """
    scale = min(int(point.get("scale", 0)) for point in points)
    made: dict[str, Value] = {"scale": scale} if scale else {}
    for side in ("positive", "negative"):
        counts: defaultdict[int, int] = defaultdict(int)
        for point in points:
            buckets: Mapping[str, Any] = point.get(side, {})
            shift = int(point.get("scale", 0)) - scale
            for place, count in enumerate(buckets.get("bucket_counts", ())):
                counts[(buckets.get("offset", 0) + place) >> shift] += count
        filled = sorted(place for place, count in counts.items() if count)
        if filled:
            low, high = filled[0], filled[-1]
            listed = tuple(counts[place] for place in range(low, high + 1))
            made[side] = ({"offset": low} if low else {}) | {"bucket_counts": listed}
    return made
