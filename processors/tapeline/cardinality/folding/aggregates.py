"""What histograms of both kinds and summaries know beside buckets: count, sum, min and max."""

import math
from typing import Any, Final, NamedTuple

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
)

from tapeline.cardinality.folding.numbers import RunningSum
from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError
from tapeline.cardinality.folding.streams import Streams

__all__ = [
    "MAX_COUNT",
    "Aggregates",
    "TotalAggregates",
    "read_aggregates",
    "recall_aggregates",
    "remember_aggregates",
]

# A bit of a stream's flags.
_HAS_SUM: Final = 4
# Receivers read counts as signed 64-bit integers.
MAX_COUNT: Final = (1 << 63) - 1


class Aggregates(NamedTuple):
    """Of one point; None is not known."""

    observations: int
    sum: float | None
    least: float | None
    greatest: float | None


def read_aggregates(message: HistogramDataPoint | ExponentialHistogramDataPoint) -> Aggregates:
    """Return a point's aggregates. Raises RefusedPointError for a sum that is no number.

    Extremes that are no numbers are as good as none.
    """
    total = message.sum if message.HasField("sum") else None
    if total is not None and not math.isfinite(total):
        nan = math.isnan(total)
        raise RefusedPointError(FoldOutcome.NOT_A_NUMBER if nan else FoldOutcome.INFINITE)
    if message.count > MAX_COUNT:
        raise RefusedPointError(FoldOutcome.TOO_LARGE)
    has_extremes = (
        message.HasField("min")
        and message.HasField("max")
        and math.isfinite(message.min)
        and math.isfinite(message.max)
    )
    if has_extremes:
        return Aggregates(message.count, total, message.min, message.max)
    return Aggregates(message.count, total, None, None)


class TotalAggregates:
    """Of an output. What can't be known once is never known again."""

    __slots__ = ("count", "extremes", "has_extremes", "has_sum", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = RunningSum()
        self.has_sum = True
        self.has_extremes = True
        self.extremes: tuple[float, float] | None = None

    def check(self, value: Aggregates, before: tuple[int, float | None] = (0, None)) -> None:
        """Raise RefusedPointError where the count or sum would be too large."""
        count, total = before
        if self.count + value.observations - count > MAX_COUNT:
            raise RefusedPointError(FoldOutcome.TOO_LARGE)
        if value.sum is not None and self.has_sum:
            self.sum.check(value.sum - (total or 0.0))

    def add(self, value: Aggregates) -> None:
        """Count a point whole; it was checked."""
        self.add_difference(value, (0, 0.0))

    def add_difference(self, value: Aggregates, before: tuple[int, float | None]) -> None:
        """Count what a point is more than its stream's last; it was checked."""
        count, total = before
        more = value.observations - count
        self.count += more
        if not count and total is None:
            total = 0.0
        if value.sum is not None and total is not None:
            # A sum may fall: values may be negative.
            self.sum.add_difference(value.sum, total)
        elif more:
            # A sum over some of the points would be a wrong one.
            self.has_sum = False
        if more:
            self._add_extremes(value)

    def note_baseline(self, value: Aggregates) -> None:
        """Take note of a point that does not count: its extremes hide those of what follows."""
        if value.observations:
            self.has_extremes = False

    def _add_extremes(self, value: Aggregates) -> None:
        if value.least is None or value.greatest is None:
            self.has_extremes = False
        elif self.extremes is None:
            self.extremes = value.least, value.greatest
        else:
            least, greatest = self.extremes
            self.extremes = min(least, value.least), max(greatest, value.greatest)

    def write(self, message: HistogramDataPoint | ExponentialHistogramDataPoint) -> None:
        """Put what is known in a message."""
        message.count = self.count
        if self.has_sum:
            message.sum = float(self.sum.value())
        if self.has_extremes and self.extremes is not None:
            message.min, message.max = self.extremes

    def dump(self) -> list[Any]:
        """Return the aggregates as plain data."""
        extremes = None if self.extremes is None else list(self.extremes)
        return [self.count, self.sum.dump(), self.has_sum, self.has_extremes, extremes]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        self.count, total, self.has_sum, self.has_extremes, extremes = data
        self.sum.restore(total)
        self.extremes = None if extremes is None else (extremes[0], extremes[1])


def remember_aggregates(streams: Streams, slot: int, value: Aggregates) -> None:
    """Keep a stream's count and sum, for differences."""
    streams.integers[slot] = value.observations
    if value.sum is None:
        streams.flags[slot] &= ~_HAS_SUM
    else:
        streams.flags[slot] |= _HAS_SUM
        streams.doubles[slot] = value.sum


def recall_aggregates(streams: Streams, slot: int) -> tuple[int, float | None]:
    """Return a stream's last count and sum."""
    has_sum = streams.flags[slot] & _HAS_SUM
    return streams.integers[slot], streams.doubles[slot] if has_sum else None
