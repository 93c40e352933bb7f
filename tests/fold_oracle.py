"""Folding as its rules say it: dictionaries and exact fractions, one stream at a time, slow."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any


@dataclass
class Clock:
    """The time of what leaves: not before the newest folded, and 1 ms after the last."""

    last: int
    newest: int = 0
    due: bool = False

    def note(self, time: int) -> None:
        self.newest = max(self.newest, time)
        self.due = True

    def emit(self) -> int:
        self.last = max(self.newest, self.last + 1_000_000)
        self.newest = 0
        self.due = False
        return self.last


@dataclass
class Sighting:
    """What the rules say of one point before anything is added."""

    verdict: str
    before: Any = None


@dataclass
class PlainStreams:
    """When a cumulative point counts, and from what on: `issue 5`, "Cumulative monotonic"."""

    epoch: int
    strict: bool
    warmup: int
    seen: dict[int, tuple[int, Any]] = field(default_factory=dict)

    def judge(self, stream: int, start: int, time: int, value: Any, now: int) -> Sighting:
        if stream not in self.seen:
            self.seen[stream] = (time, value)
            is_known = start not in (0, time)
            is_warm = not self.strict and now - self.epoch >= self.warmup
            is_new = is_known and (start > self.epoch or is_warm)
            return Sighting("whole" if is_new else "baseline")
        last, before = self.seen[stream]
        if time <= last:
            return Sighting("late")
        self.seen[stream] = (time, value)
        if last < start < time:
            return Sighting("whole")
        return Sighting("difference", before)


@dataclass
class PlainSum:
    """A cumulative monotonic sum."""

    streams: PlainStreams
    total: Fraction = Fraction(0)

    def fold(self, stream: int, start: int, time: int, value: float, now: int) -> str:
        exact = Fraction(value)
        sighting = self.streams.judge(stream, start, time, exact, now)
        if sighting.verdict == "whole":
            self.total += exact
            return "added"
        if sighting.verdict == "difference":
            if exact < sighting.before:
                self.total += exact
                return "reset_at_unknown_time"
            self.total += exact - sighting.before
            return "added"
        return sighting.verdict


Cumulative = tuple[tuple[float, ...], tuple[int, ...]]


def up_to(histogram: Cumulative) -> dict[float, int]:
    """Return how many observations were at or below each bound, the infinite one included."""
    bounds, counts = histogram
    ends = (*bounds, float("inf"))
    return {end: sum(counts[: place + 1]) for place, end in enumerate(ends)}


def within(histogram: Cumulative, bounds: Sequence[float]) -> list[int]:
    """Return a histogram's counts between fewer bounds."""
    levels = [0, *(up_to(histogram)[bound] for bound in (*bounds, float("inf")))]
    return [high - low for low, high in pairwise(levels)]


@dataclass
class PlainHistogram:
    """A cumulative histogram: all increases are kept, and put into buckets at the end."""

    streams: PlainStreams
    increases: list[tuple[int, Cumulative]] = field(default_factory=list)
    bounds: set[float] | None = None

    def fold(self, stream: int, start: int, time: int, value: Cumulative, now: int) -> str:
        sighting = self.streams.judge(stream, start, time, value, now)
        if sighting.verdict == "late":
            return "late"
        self.bounds = set(value[0]) if self.bounds is None else self.bounds & set(value[0])
        if sighting.verdict == "baseline":
            return "baseline"
        if sighting.verdict == "difference":
            before: Cumulative = sighting.before
            shared = sorted(set(before[0]) & set(value[0]))
            pairs = zip(within(value, shared), within(before, shared), strict=True)
            if any(now_count < old_count for now_count, old_count in pairs):
                self.increases.append((1, value))
                return "reset_at_unknown_time"
            self.increases.append((-1, before))
        self.increases.append((1, value))
        return "added"

    def counts(self) -> list[int]:
        bounds = sorted(self.bounds or ())
        total = [0] * (len(bounds) + 1)
        for sign, histogram in self.increases:
            total = [
                count + sign * more
                for count, more in zip(total, within(histogram, bounds), strict=True)
            ]
        return total


@dataclass(frozen=True)
class PlainExponential:
    """An exponential histogram: counts by index of each side, and what counts as zero."""

    scale: int
    zero_count: int
    threshold: float
    positive: Mapping[int, int]
    negative: Mapping[int, int]

    def at(self, scale: int, threshold: float) -> dict[tuple[str, int], int]:
        """Return the counts at a lower scale and with a threshold that is a boundary there."""
        found: dict[tuple[str, int], int] = {("zero", 0): self.zero_count}
        ends = upper_boundaries(scale)
        for side, buckets in (("+", self.positive), ("-", self.negative)):
            for index, count in buckets.items():
                coarse = index // 2 ** (self.scale - scale)
                key = ("zero", 0) if ends(coarse) <= threshold else (side, coarse)
                found[key] = found.get(key, 0) + count
        return {key: count for key, count in found.items() if count}


def upper_boundaries(scale: int) -> Any:
    """Return the function from an index to the upper boundary of its bucket."""

    def upper(index: int) -> float:
        return float(2.0 ** ((index + 1) / 2**scale))

    return upper


def boundary_at_or_above(threshold: float, scale: int, lowest: int, highest: int) -> float:
    """Return the least boundary between those indexes that is not below a threshold."""
    if not threshold:
        return 0.0
    upper = upper_boundaries(scale)
    boundaries: list[float] = [upper(index) for index in range(lowest, highest + 1)]
    return boundaries[bisect_left(boundaries, threshold)]
