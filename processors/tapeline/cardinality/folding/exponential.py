"""Exponential histograms: the lowest scale and the largest zero threshold of all win.

The zero threshold is always raised to a boundary between buckets, so that it cuts none in two;
since the boundaries of a lower scale are among those of a higher one, the order in which streams
come makes no difference.
"""

import math
import struct
from array import array
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

from tapeline.cardinality.folding.aggregates import (
    Aggregates,
    TotalAggregates,
    read_aggregates,
    recall_aggregates,
    remember_aggregates,
)
from tapeline.cardinality.folding.buckets import (
    EMPTY,
    Buckets,
    boundary,
    coarser_by,
    threshold_index,
)
from tapeline.cardinality.folding.exemplars import usable_exemplars
from tapeline.cardinality.folding.numbers import NO_RECORDED_VALUE
from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError
from tapeline.cardinality.folding.streams import Streams

__all__ = ["MAX_SCALE", "MIN_SCALE", "ExponentialTotal"]

MAX_SCALE: Final = 20
"""The highest scale that the data model names."""
MIN_SCALE: Final = -4
"""Below it Prometheus has no native histogram, and the collector's exporter shows nothing."""

# Empty buckets can make a point long; what is in it has at most MAX_WIDTH after reading.
_MAX_RAW_BUCKETS: Final = 10_000
# A little more than the exponents that doubles have, subnormal ones included.
_MAX_EXPONENT: Final = 1100
# Scale, zero count, zero threshold, first positive bucket, how many there are, first negative.
_ROW: Final = struct.Struct("<iQdiIi")


class Grid(NamedTuple):
    """A scale, and the index up to which everything counts as zero; None where only zero does."""

    scale: int
    zero_stop: int | None

    def joined(self, other: "Grid") -> "Grid":
        """Return the finest grid that both can be brought to."""
        scale = min(self.scale, other.scale)
        stops = [grid.zero_at(scale) for grid in (self, other) if grid.zero_stop is not None]
        return Grid(scale, max(stops, default=None))

    def zero_at(self, scale: int) -> int:
        """Return `zero_stop` at a lower scale: the next boundary there is at or above it."""
        return -(-(self.zero_stop or 0) >> self.scale - scale)

    def coarser(self, by: int) -> "Grid":
        """Return the grid at a scale lower by so many."""
        scale = self.scale - by
        return Grid(scale, None if self.zero_stop is None else self.zero_at(scale))


class Exponential(NamedTuple):
    """Counts on a grid."""

    grid: Grid
    zero_count: int
    positive: Buckets
    negative: Buckets

    def on(self, grid: Grid) -> "Exponential":
        """Return the same counts on a coarser grid."""
        if grid == self.grid:
            return self
        by = self.grid.scale - grid.scale
        positive, negative = self.positive.coarser(by), self.negative.coarser(by)
        zero_count = self.zero_count
        if grid.zero_stop is not None:
            more, positive = positive.above(grid.zero_stop)
            less, negative = negative.above(grid.zero_stop)
            zero_count += more + less
        return Exponential(grid, zero_count, positive, negative)

    def plus(self, other: "Exponential", sign: int = 1) -> "Exponential":
        """Return the sum, or with sign -1 the difference, of two on the same grid."""
        return Exponential(
            self.grid,
            self.zero_count + sign * other.zero_count,
            self.positive.plus(other.positive, sign).trimmed(),
            self.negative.plus(other.negative, sign).trimmed(),
        )

    def is_below(self, other: "Exponential") -> bool:
        """Say whether any count is less than the other's, as far as they can be compared."""
        grid = self.grid.joined(other.grid)
        mine, others = self.on(grid), other.on(grid)
        return (
            mine.zero_count < others.zero_count
            or mine.positive.is_below(others.positive)
            or mine.negative.is_below(others.negative)
        )


class Reading(NamedTuple):
    """A point's counts and aggregates."""

    counts: Exponential
    aggregates: Aggregates


class ExponentialTotal:
    """The sum of all increases, on the coarsest grid that was seen."""

    __slots__ = ("_counts", "_total")

    starts_matter = True

    def __init__(self) -> None:
        self._counts = Exponential(Grid(MAX_SCALE, None), 0, EMPTY, EMPTY)
        self._total = TotalAggregates()

    def read(self, point: bytes) -> tuple[int, int, Reading | None, Sequence[bytes]]:
        """Return start, time, value and exemplars of a data point. Raises RefusedPointError."""
        try:
            message = ExponentialHistogramDataPoint.FromString(point)
        except DecodeError:
            raise RefusedPointError(FoldOutcome.MALFORMED) from None
        start, time = message.start_time_unix_nano, message.time_unix_nano
        if message.flags & NO_RECORDED_VALUE:
            return start, time, None, ()
        value = Reading(_read_counts(message), read_aggregates(message))
        return start, time, value, usable_exemplars(message.exemplars)

    def add(self, value: Reading) -> None:
        """Count a value whole. Raises RefusedPointError."""
        self._total.check(value.aggregates)
        self._add(value.counts, None)
        self._total.add(value.aggregates)

    def add_delta(self, value: Reading) -> None:
        """Count a delta. Raises RefusedPointError."""
        self.add(value)

    def begin(self, streams: Streams, slot: int, value: Reading, *, is_counted: bool) -> None:
        """Remember a stream's first value, for differences."""
        if not is_counted:
            self._counts = self._counts.on(self._counts.grid.joined(value.counts.grid))
            self._total.note_baseline(value.aggregates)
        _remember(streams, slot, value)

    def advance(
        self,
        streams: Streams,
        slot: int,
        time_unix_nano: int,
        value: Reading,
        *,
        is_new_start: bool,
    ) -> FoldOutcome:
        """Count the increase of a known cumulative stream. Raises RefusedPointError."""
        del time_unix_nano
        before = _recall(streams, slot)
        is_lower = not is_new_start and value.counts.is_below(before)
        if is_new_start or is_lower:
            self.add(value)
        else:
            aggregates = recall_aggregates(streams, slot)
            self._total.check(value.aggregates, aggregates)
            self._add(value.counts, before)
            self._total.add_difference(value.aggregates, aggregates)
        _remember(streams, slot, value)
        return FoldOutcome.RESET_AT_UNKNOWN_TIME if is_lower else FoldOutcome.ADDED

    def withdraw(self, streams: Streams, slot: int) -> bool:
        """Change nothing: what a stream has added stays."""
        del streams, slot
        return False

    def encode(self, streams: Streams, start_unix_nano: int, time_unix_nano: int) -> bytes | None:
        """Return a data point without attributes and exemplars."""
        del streams
        counts = self._counts
        message = ExponentialHistogramDataPoint(
            start_time_unix_nano=start_unix_nano,
            time_unix_nano=time_unix_nano,
            scale=counts.grid.scale,
            zero_count=counts.zero_count,
        )
        for buckets, written in (
            (counts.positive, message.positive),
            (counts.negative, message.negative),
        ):
            if buckets.counts:
                written.offset = buckets.first
                written.bucket_counts.extend(buckets.counts)
        if counts.grid.zero_stop is not None:
            message.zero_threshold = boundary(counts.grid.zero_stop, counts.grid.scale)
        self._total.write(message)
        return message.SerializeToString()

    def dump(self) -> list[Any]:
        """Return the total as plain data, for a snapshot."""
        grid, zero_count, *sides = self._counts
        rows = [[side.first, list(side.counts)] for side in sides]
        return [grid.scale, grid.zero_stop, zero_count, *rows, self._total.dump()]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        scale, zero_stop, zero_count, positive, negative, total = data
        self._counts = Exponential(
            Grid(scale, zero_stop), zero_count, Buckets(*positive), Buckets(*negative)
        )
        self._total.restore(total)

    def _add(self, value: Exponential, before: Exponential | None) -> None:
        """Add counts less those before, which are nowhere more."""
        own = self._counts
        grid = own.grid.joined(value.grid)
        by = max(
            _coarser_for(own.positive, value.positive, own.grid, value.grid, grid),
            _coarser_for(own.negative, value.negative, own.grid, value.grid, grid),
        )
        grid = grid.coarser(by)
        increase = value.on(grid)
        if before is not None:
            increase = increase.plus(before.on(grid), -1)
        self._counts = own.on(grid).plus(increase)


def _coarser_for(
    mine: Buckets, others: Buckets, my_grid: Grid, other_grid: Grid, grid: Grid
) -> int:
    """Return by how much a scale must fall so that both fit into the widest that may be."""
    ranges = [
        (buckets.first >> own.scale - grid.scale, (buckets.stop - 1 >> own.scale - grid.scale) + 1)
        for buckets, own in ((mine, my_grid), (others, other_grid))
        if buckets.counts
    ]
    if not ranges:
        return 0
    return coarser_by(min(first for first, _ in ranges), max(stop for _, stop in ranges))


def _read_counts(message: ExponentialHistogramDataPoint) -> Exponential:
    scale, threshold = message.scale, message.zero_threshold
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise RefusedPointError(FoldOutcome.ABSURD_SCALE)
    if math.isnan(threshold):
        raise RefusedPointError(FoldOutcome.NOT_A_NUMBER)
    if math.isinf(threshold):
        raise RefusedPointError(FoldOutcome.INFINITE)
    if threshold < 0:
        raise RefusedPointError(FoldOutcome.NEGATIVE)
    positive = _read_buckets(message.positive, scale)
    negative = _read_buckets(message.negative, scale)
    count = message.zero_count + sum(positive.counts) + sum(negative.counts)
    if count != message.count:
        raise RefusedPointError(FoldOutcome.MISMATCHED_COUNTS)
    value = Exponential(Grid(scale, None), message.zero_count, positive, negative)
    by = max(coarser_by(side.first, side.stop) for side in (positive, negative))
    grid = Grid(scale - by, threshold_index(threshold, scale - by))
    return value.on(grid)


def _read_buckets(message: ExponentialHistogramDataPoint.Buckets, scale: int) -> Buckets:
    if not message.bucket_counts:
        return EMPTY
    if len(message.bucket_counts) > _MAX_RAW_BUCKETS:
        raise RefusedPointError(FoldOutcome.ABSURD_BUCKETS)
    buckets = Buckets(message.offset, list(message.bucket_counts)).trimmed()
    limit = math.ldexp(_MAX_EXPONENT, scale)
    if not -limit <= buckets.first <= buckets.stop - 1 <= limit and buckets.counts:
        raise RefusedPointError(FoldOutcome.ABSURD_BUCKETS)
    return buckets


def _remember(streams: Streams, slot: int, value: Reading) -> None:
    """Keep a stream's counts packed, as no objects but bytes are for free."""
    counts = value.counts
    zero_stop = counts.grid.zero_stop
    row = _ROW.pack(
        counts.grid.scale,
        counts.zero_count,
        math.nan if zero_stop is None else zero_stop,
        counts.positive.first,
        len(counts.positive.counts),
        counts.negative.first,
    )
    packed = array("Q", (*counts.positive.counts, *counts.negative.counts)).tobytes()
    streams.set_detail(slot, row + packed)
    remember_aggregates(streams, slot, value.aggregates)


def _recall(streams: Streams, slot: int) -> Exponential:
    detail = streams.details[slot] or b""
    scale, zero_count, zero_stop, first, width, negative = _ROW.unpack_from(detail)
    counts = array("Q", detail[_ROW.size :]).tolist()
    return Exponential(
        Grid(scale, None if math.isnan(zero_stop) else int(zero_stop)),
        zero_count,
        Buckets(first, counts[:width]),
        Buckets(negative, counts[width:]),
    )
