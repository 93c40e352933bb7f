"""Sums: monotonic ones count increases, the others are the sum of who contributes now."""

import math
from collections.abc import Sequence
from typing import Any, Final

from tapeline.cardinality.folding.numbers import Number, RunningSum, encode_number, read_number
from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError
from tapeline.cardinality.folding.streams import Streams

__all__ = ["MonotonicSum", "NonMonotonicSum", "recall", "remember"]

# Bits of a stream's flags.
_IS_DOUBLE: Final = 1
_CONTRIBUTES: Final = 2


def remember(streams: Streams, slot: int, value: Number) -> None:
    """Keep a stream's latest value as the type that it is."""
    if isinstance(value, int):
        streams.integers[slot] = value
        streams.flags[slot] &= ~_IS_DOUBLE
    else:
        streams.doubles[slot] = value
        streams.flags[slot] |= _IS_DOUBLE


def recall(streams: Streams, slot: int) -> Number:
    """Return a stream's latest value."""
    if streams.flags[slot] & _IS_DOUBLE:
        return streams.doubles[slot]
    return streams.integers[slot]


class MonotonicSum:
    """The sum of all increases; it never falls."""

    __slots__ = ("_emitted", "sum")

    starts_matter = True

    def __init__(self) -> None:
        self.sum = RunningSum()
        self._emitted: Number = 0

    def read(self, point: bytes) -> tuple[int, int, Number | None, Sequence[bytes]]:
        """Return start, time, value and exemplars of a data point. Raises RefusedPointError."""
        reading = read_number(point)
        value = reading[2]
        if value is not None and value < 0:
            raise RefusedPointError(FoldOutcome.NEGATIVE)
        return reading

    def add(self, value: Number) -> None:
        """Count a value whole. Raises RefusedPointError."""
        self.sum.add(value)

    def add_delta(self, value: Number) -> None:
        """Count a delta. Raises RefusedPointError."""
        self.sum.add(value)

    def begin(self, streams: Streams, slot: int, value: Number, *, is_counted: bool) -> None:
        """Remember a stream's first value, for differences."""
        del is_counted
        remember(streams, slot, value)

    def advance(
        self,
        streams: Streams,
        slot: int,
        time_unix_nano: int,
        value: Number,
        *,
        is_new_start: bool,
    ) -> FoldOutcome:
        """Count the increase of a known cumulative stream. Raises RefusedPointError."""
        del time_unix_nano
        if isinstance(value, int) and not streams.flags[slot] & _IS_DOUBLE:
            before = streams.integers[slot]
            is_lower = value < before
            self.sum.whole += value if is_new_start or is_lower else value - before
            streams.integers[slot] = value
        else:
            old = recall(streams, slot)
            is_lower = value < old
            if is_new_start or is_lower:
                self.sum.add(value)
            else:
                self.sum.add_difference(value, old)
            remember(streams, slot, value)
        if is_lower and not is_new_start:
            return FoldOutcome.RESET_AT_UNKNOWN_TIME
        return FoldOutcome.ADDED

    def withdraw(self, streams: Streams, slot: int) -> bool:
        """Change nothing: what a stream has added stays."""
        del streams, slot
        return False

    def encode(self, streams: Streams, start_unix_nano: int, time_unix_nano: int) -> bytes | None:
        """Return a data point without attributes and exemplars."""
        del streams
        value = self.sum.value()
        # Where the sum turns from an integer to a double, rounding must not make it fall.
        if value < self._emitted:
            value = float(self._emitted)
            if value < self._emitted:
                value = math.nextafter(value, math.inf)
        self._emitted = value
        return encode_number(start_unix_nano, time_unix_nano, value)

    def dump(self) -> list[Any]:
        """Return the total as plain data, for a snapshot."""
        return [self.sum.dump(), self._emitted]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        total, self._emitted = data
        self.sum.restore(total)


class NonMonotonicSum:
    """The latest values of the cumulative streams that contribute, and all deltas."""

    __slots__ = ("contributors", "has_deltas", "sum")

    starts_matter = False

    def __init__(self) -> None:
        self.sum = RunningSum()
        self.contributors = 0
        self.has_deltas = False

    def read(self, point: bytes) -> tuple[int, int, Number | None, Sequence[bytes]]:
        """Return start, time, value and exemplars of a data point. Raises RefusedPointError."""
        return read_number(point)

    def add(self, value: Number) -> None:
        """Count what a stream contributes at first. Raises RefusedPointError."""
        self.sum.add(value)

    def add_delta(self, value: Number) -> None:
        """Count a delta. Raises RefusedPointError."""
        self.sum.add(value)
        self.has_deltas = True

    def begin(self, streams: Streams, slot: int, value: Number, *, is_counted: bool) -> None:
        """Let a stream contribute what was added."""
        del is_counted
        self.contributors += 1
        remember(streams, slot, value)
        streams.flags[slot] |= _CONTRIBUTES

    def advance(
        self,
        streams: Streams,
        slot: int,
        time_unix_nano: int,
        value: Number,
        *,
        is_new_start: bool,
    ) -> FoldOutcome:
        """Put a stream's latest value in place of the one before. Raises RefusedPointError."""
        del time_unix_nano, is_new_start
        if streams.flags[slot] & _CONTRIBUTES:
            self.sum.add_difference(value, recall(streams, slot))
            remember(streams, slot, value)
        else:
            self.sum.add(value)
            self.begin(streams, slot, value, is_counted=True)
        return FoldOutcome.ADDED

    def withdraw(self, streams: Streams, slot: int) -> bool:
        """Take out what a stream contributes; say whether it did."""
        if not streams.flags[slot] & _CONTRIBUTES:
            return False
        streams.flags[slot] &= ~_CONTRIBUTES
        self.sum.take_out(recall(streams, slot))
        self.contributors -= 1
        if not self.contributors and not self.has_deltas:
            # Nothing is exactly nothing.
            is_double = self.sum.is_double
            self.sum = RunningSum()
            self.sum.is_double = is_double
        return True

    def encode(self, streams: Streams, start_unix_nano: int, time_unix_nano: int) -> bytes | None:
        """Return a data point without attributes and exemplars."""
        del streams
        return encode_number(start_unix_nano, time_unix_nano, self.sum.value())

    def dump(self) -> list[Any]:
        """Return the total as plain data, for a snapshot."""
        return [self.sum.dump(), self.contributors, self.has_deltas]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        total, self.contributors, self.has_deltas = data
        self.sum.restore(total)
