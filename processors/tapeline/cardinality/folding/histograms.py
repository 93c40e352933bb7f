"""Histograms with explicit bounds: differences are taken at the bounds that all have in common.

Counts up to a bound are known exactly wherever that bound is one of a histogram's own, so an
output's bounds are the intersection of all that it ever saw, and nothing is estimated.
"""

from array import array
from collections.abc import Sequence
from operator import add, sub
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint

from tapeline.cardinality.folding.aggregates import (
    Aggregates,
    TotalAggregates,
    read_aggregates,
    recall_aggregates,
    remember_aggregates,
)
from tapeline.cardinality.folding.bounds import BoundsCache, unpack
from tapeline.cardinality.folding.exemplars import usable_exemplars
from tapeline.cardinality.folding.numbers import NO_RECORDED_VALUE
from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError
from tapeline.cardinality.folding.streams import Streams

__all__ = ["MAX_BUCKETS", "Histogram", "HistogramTotal"]

MAX_BUCKETS: Final = 1000
"""Buckets of one histogram at most; SDKs have 16 by default."""


class Histogram(NamedTuple):
    """A histogram's value: packed bounds, counts, and what is known of the values themselves."""

    bounds: bytes
    counts: Sequence[int]
    aggregates: Aggregates


class HistogramTotal:
    """The sum of all increases, in the buckets that every stream has."""

    __slots__ = ("_bounds", "_cache", "_counts", "_total")

    starts_matter = True

    def __init__(self) -> None:
        self._cache = BoundsCache()
        self._bounds: bytes | None = None
        self._counts: list[int] = []
        self._total = TotalAggregates()

    def read(self, point: bytes) -> tuple[int, int, Histogram | None, Sequence[bytes]]:
        """Return start, time, value and exemplars of a data point. Raises RefusedPointError."""
        try:
            message = HistogramDataPoint.FromString(point)
        except DecodeError:
            raise RefusedPointError(FoldOutcome.MALFORMED) from None
        start, time = message.start_time_unix_nano, message.time_unix_nano
        if message.flags & NO_RECORDED_VALUE:
            return start, time, None, ()
        bounds = message.explicit_bounds
        if max(len(bounds), len(message.bucket_counts)) > MAX_BUCKETS:
            raise RefusedPointError(FoldOutcome.ABSURD_BUCKETS)
        counts = list(message.bucket_counts)
        if not counts and not bounds:
            # A histogram without buckets is one with a single bucket.
            counts.append(message.count)
        if len(counts) != len(bounds) + 1 or sum(counts) != message.count:
            raise RefusedPointError(FoldOutcome.MISMATCHED_COUNTS)
        value = Histogram(self._cache.pack(bounds), counts, read_aggregates(message))
        return start, time, value, usable_exemplars(message.exemplars)

    def add(self, value: Histogram) -> None:
        """Count a value whole. Raises RefusedPointError."""
        self._total.check(value.aggregates)
        self._narrow(value.bounds)
        self._add_counts(value.bounds, value.counts)
        self._total.add(value.aggregates)

    def add_delta(self, value: Histogram) -> None:
        """Count a delta. Raises RefusedPointError."""
        self.add(value)

    def begin(self, streams: Streams, slot: int, value: Histogram, *, is_counted: bool) -> None:
        """Remember a stream's first value, for differences."""
        if not is_counted:
            self._narrow(value.bounds)
            self._total.note_baseline(value.aggregates)
        self._remember(streams, slot, value)

    def advance(
        self,
        streams: Streams,
        slot: int,
        time_unix_nano: int,
        value: Histogram,
        *,
        is_new_start: bool,
    ) -> FoldOutcome:
        """Count the increase of a known cumulative stream. Raises RefusedPointError."""
        del time_unix_nano
        bounds, before = self._recall(streams, slot)
        # The two may have been sent with different bounds.
        shared = self._cache.common(bounds, value.bounds)
        collapse = self._cache.collapse
        increase = list(
            map(
                sub,
                collapse(value.counts, value.bounds, shared),
                collapse(before, bounds, shared),
            )
        )
        is_lower = not is_new_start and min(increase) < 0
        if is_new_start or is_lower:
            self.add(value)
        else:
            aggregates = recall_aggregates(streams, slot)
            self._total.check(value.aggregates, aggregates)
            self._narrow(value.bounds)
            self._add_counts(shared, increase)
            self._total.add_difference(value.aggregates, aggregates)
        self._remember(streams, slot, value)
        return FoldOutcome.RESET_AT_UNKNOWN_TIME if is_lower else FoldOutcome.ADDED

    def withdraw(self, streams: Streams, slot: int) -> bool:
        """Change nothing: what a stream has added stays."""
        del streams, slot
        return False

    def encode(self, streams: Streams, start_unix_nano: int, time_unix_nano: int) -> bytes | None:
        """Return a data point without attributes and exemplars."""
        del streams
        message = HistogramDataPoint(
            start_time_unix_nano=start_unix_nano,
            time_unix_nano=time_unix_nano,
            bucket_counts=self._counts,
            explicit_bounds=unpack(self._bounds or b""),
        )
        self._total.write(message)
        return message.SerializeToString()

    def dump(self) -> list[Any]:
        """Return the total as plain data, for a snapshot."""
        return [self._bounds, list(self._counts), self._total.dump()]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        self._bounds, self._counts, total = data
        self._total.restore(total)

    def _narrow(self, bounds: bytes) -> None:
        """Keep only the bounds that others have, too."""
        if self._bounds is None:
            self._bounds = bounds
            self._counts = [0] * (len(unpack(bounds)) + 1)
        elif self._bounds != bounds:
            shared = self._cache.common(self._bounds, bounds)
            self._counts = list(self._cache.collapse(self._counts, self._bounds, shared))
            self._bounds = shared

    def _add_counts(self, bounds: bytes, counts: Sequence[int]) -> None:
        more = self._cache.collapse(counts, bounds, self._bounds or b"")
        self._counts = list(map(add, self._counts, more))

    def _remember(self, streams: Streams, slot: int, value: Histogram) -> None:
        streams.bounds[slot] = value.bounds
        streams.set_detail(slot, array("Q", value.counts).tobytes())
        remember_aggregates(streams, slot, value.aggregates)

    def _recall(self, streams: Streams, slot: int) -> tuple[bytes, list[int]]:
        return streams.bounds[slot] or b"", array("Q", streams.details[slot] or b"").tolist()
