"""Gauges: the last value, or the least, the greatest or the sum of those seen lately."""

from collections.abc import Sequence
from typing import Any, Final

from tapeline.cardinality.folding.contributors import Contributors
from tapeline.cardinality.folding.numbers import Number, encode_number, read_number
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.streams import Streams

__all__ = ["ContributorGauge", "LastGauge"]

# A batch must not stall where very many stop at the same time; the rest goes with the next.
_MAX_REMOVED_A_POINT: Final = 10_000


class LastGauge:
    """The value of the newest point; of two with the same time, the one that came last."""

    __slots__ = ("_time_unix_nano", "_value")

    starts_matter = False

    def __init__(self) -> None:
        self._time_unix_nano = 0
        self._value: Number = 0

    def read(self, point: bytes) -> tuple[int, int, Number | None, Sequence[bytes]]:
        """Return start, time, value and exemplars of a data point. Raises RefusedPointError."""
        return read_number(point)

    def add(self, value: Number) -> None:
        """Count nothing: `begin` takes the value."""

    def add_delta(self, value: Number) -> None:
        """Count nothing: gauges have no deltas."""

    def begin(self, streams: Streams, slot: int, value: Number, *, is_counted: bool) -> None:
        """Take a stream's first value."""
        self.advance(streams, slot, streams.times[slot], value, is_new_start=is_counted)

    def advance(
        self,
        streams: Streams,
        slot: int,
        time_unix_nano: int,
        value: Number,
        *,
        is_new_start: bool,
    ) -> FoldOutcome:
        """Take a stream's next value."""
        del streams, slot, is_new_start
        if time_unix_nano >= self._time_unix_nano:
            self._time_unix_nano = time_unix_nano
            self._value = value
        return FoldOutcome.ADDED

    def withdraw(self, streams: Streams, slot: int) -> bool:
        """Change nothing: the last value is the last that there was."""
        del streams, slot
        return False

    def encode(self, streams: Streams, start_unix_nano: int, time_unix_nano: int) -> bytes | None:
        """Return a data point without attributes and exemplars."""
        del streams, start_unix_nano
        if not self._time_unix_nano:
            return None
        return encode_number(0, time_unix_nano, self._value)

    def dump(self) -> list[Any]:
        """Return the total as plain data, for a snapshot."""
        return [self._time_unix_nano, self._value]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        self._time_unix_nano, self._value = data


class ContributorGauge:
    """The least, the greatest or the sum of the latest values of those seen lately."""

    __slots__ = ("_contributors", "_is_sum", "_kept_ns")

    starts_matter = False

    def __init__(self, fold: str, kept_ns: int) -> None:
        """Take `min`, `max` or `sum`, and for how long a stream counts after it was seen."""
        self._is_sum = fold == "sum"
        extremes = {"min": min, "max": max, "sum": None}
        self._contributors = Contributors(extremes[fold])
        self._kept_ns = kept_ns

    def read(self, point: bytes) -> tuple[int, int, Number | None, Sequence[bytes]]:
        """Return start, time, value and exemplars of a data point. Raises RefusedPointError."""
        return read_number(point)

    def add(self, value: Number) -> None:
        """Raise RefusedPointError where the value can't be added."""
        if self._is_sum:
            self._contributors.check(value)

    def add_delta(self, value: Number) -> None:
        """Count nothing: gauges have no deltas."""

    def begin(self, streams: Streams, slot: int, value: Number, *, is_counted: bool) -> None:
        """Let a stream contribute."""
        del is_counted
        self._contributors.put(streams, slot, value)

    def advance(
        self,
        streams: Streams,
        slot: int,
        time_unix_nano: int,
        value: Number,
        *,
        is_new_start: bool,
    ) -> FoldOutcome:
        """Put a stream's next value in place of the one before. Raises RefusedPointError."""
        del time_unix_nano, is_new_start
        self._contributors.put(streams, slot, value)
        return FoldOutcome.ADDED

    def withdraw(self, streams: Streams, slot: int) -> bool:
        """Take out what a stream contributes; say whether it did."""
        return self._contributors.take(streams, slot)

    def encode(self, streams: Streams, start_unix_nano: int, time_unix_nano: int) -> bytes | None:
        """Return a data point without attributes and exemplars; None where nobody contributes."""
        del start_unix_nano
        contributors = self._contributors
        contributors.remove_older(
            streams, streams.now_unix_nano - self._kept_ns, _MAX_REMOVED_A_POINT
        )
        if not len(contributors):
            return None
        value = contributors.sum.value() if self._is_sum else contributors.extreme()
        return encode_number(0, time_unix_nano, value)

    def dump(self) -> list[Any]:
        """Return the total as plain data, for a snapshot."""
        return self._contributors.dump()

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        self._contributors.restore(data)
