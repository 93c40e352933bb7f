"""Summaries: count and sum. Quantiles of several can't be made one, so they are left out."""

import math
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.metrics.v1.metrics_pb2 import SummaryDataPoint

from tapeline.cardinality.folding.aggregates import (
    MAX_COUNT,
    Aggregates,
    TotalAggregates,
    recall_aggregates,
    remember_aggregates,
)
from tapeline.cardinality.folding.numbers import NO_RECORDED_VALUE
from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError
from tapeline.cardinality.folding.streams import Streams

__all__ = ["SummaryTotal"]


class SummaryTotal:
    """The sum of all increases of count and sum; summaries are always cumulative."""

    __slots__ = ("_total",)

    starts_matter = True

    def __init__(self) -> None:
        self._total = TotalAggregates()

    def read(self, point: bytes) -> tuple[int, int, Aggregates | None, Sequence[bytes]]:
        """Return start, time, value and no exemplars. Raises RefusedPointError."""
        try:
            message = SummaryDataPoint.FromString(point)
        except DecodeError:
            raise RefusedPointError(FoldOutcome.MALFORMED) from None
        start, time = message.start_time_unix_nano, message.time_unix_nano
        if message.flags & NO_RECORDED_VALUE:
            return start, time, None, ()
        if math.isnan(message.sum):
            raise RefusedPointError(FoldOutcome.NOT_A_NUMBER)
        if math.isinf(message.sum):
            raise RefusedPointError(FoldOutcome.INFINITE)
        if message.count > MAX_COUNT:
            raise RefusedPointError(FoldOutcome.TOO_LARGE)
        return start, time, Aggregates(message.count, message.sum, None, None), ()

    def add(self, value: Aggregates) -> None:
        """Count a value whole. Raises RefusedPointError."""
        self._total.check(value)
        self._total.add(value)

    def add_delta(self, value: Aggregates) -> None:
        """Count a value whole. Raises RefusedPointError."""
        self.add(value)

    def begin(self, streams: Streams, slot: int, value: Aggregates, *, is_counted: bool) -> None:
        """Remember a stream's first value, for differences."""
        del is_counted
        remember_aggregates(streams, slot, value)

    def advance(
        self,
        streams: Streams,
        slot: int,
        time_unix_nano: int,
        value: Aggregates,
        *,
        is_new_start: bool,
    ) -> FoldOutcome:
        """Count the increase of a known stream. Raises RefusedPointError."""
        del time_unix_nano
        before = recall_aggregates(streams, slot)
        is_lower = not is_new_start and value.observations < before[0]
        if is_new_start or is_lower:
            self.add(value)
        else:
            self._total.check(value, before)
            self._total.add_difference(value, before)
        remember_aggregates(streams, slot, value)
        return FoldOutcome.RESET_AT_UNKNOWN_TIME if is_lower else FoldOutcome.ADDED

    def withdraw(self, streams: Streams, slot: int) -> bool:
        """Change nothing: what a stream has added stays."""
        del streams, slot
        return False

    def encode(self, streams: Streams, start_unix_nano: int, time_unix_nano: int) -> bytes | None:
        """Return a data point without attributes."""
        del streams
        return SummaryDataPoint(
            start_time_unix_nano=start_unix_nano,
            time_unix_nano=time_unix_nano,
            count=self._total.count,
            sum=float(self._total.sum.value()),
        ).SerializeToString()

    def dump(self) -> list[Any]:
        """Return the total as plain data, for a snapshot."""
        return self._total.dump()

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        self._total.restore(data)
