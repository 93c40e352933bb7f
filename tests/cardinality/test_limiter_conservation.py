"""Nothing is lost and nothing counts twice: what goes in comes out, admitted or folded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from metric_requests import (
    NOW_NS,
    OVERFLOW,
    SECOND_NS,
    Series,
    at,
    batch_of,
    counted,
    labels_of,
    points_by_labels,
)
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import MetricsLimiter

_HOUR = 3600


@dataclass
class Increases:
    """The increases of one cumulative stream, in order of arrival; the rules of `issue 5`."""

    total: int = 0
    last_start: int = 0
    last_time: int = 0
    last_value: int = 0

    def take(self, start: int, time: int, value: int) -> None:
        if time <= self.last_time:
            return
        is_reset = self.last_time == 0 or self.last_time < start < time or value < self.last_value
        self.total += value if is_reset else value - self.last_value
        self.last_start, self.last_time, self.last_value = start, time, value


@dataclass
class Emitter:
    """Streams that count, begin anew, repeat themselves and pause."""

    totals: dict[str, int] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    last: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)

    def point(self, name: str, action: str, more: int, now: float) -> Any:
        """Return the next point of a stream."""
        labels = {"order": name, "venue": "x"}
        if action == "again" and name in self.last:
            return self.last[name]
        if action == "reset" or name not in self.totals:
            self.totals[name] = 0
            self.starts[name] = now - 0.5
        self.totals[name] += more
        self.last[name] = counted(labels, self.totals[name], now, self.starts[name])
        return self.last[name]


_STEPS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"),
            st.sampled_from(["more", "more", "more", "again", "reset"]),
            st.integers(0, 5),
        ),
        max_size=6,
    ),
    min_size=1,
    max_size=8,
)


class Watcher:
    """Adds up what came in and what went out, and sees every fall of an output."""

    def __init__(self) -> None:
        self.inside: dict[str, Increases] = {}
        self.outside: dict[frozenset[tuple[str, str]], Increases] = {}

    def send(self, limiter: MetricsLimiter, points: list[Any], now: float) -> None:
        for labels, fields in points:
            self._note_in(labels["order"], fields)
        limited = limiter.process(batch_of(Series("fills", points)), at(now))
        message: Any = limited.batch.request
        for around in message.resource_metrics:
            for point in around.scope_metrics[0].metrics[0].sum.data_points:
                self._note_out(point)

    def _note_in(self, name: str, fields: Mapping[str, Any]) -> None:
        stream = self.inside.setdefault(name, Increases())
        stream.take(fields["start_time_unix_nano"], fields["time_unix_nano"], fields["as_int"])

    def _note_out(self, point: Any) -> None:
        stream = self.outside.setdefault(labels_of(point), Increases())
        if labels_of(point) == OVERFLOW:
            assert point.time_unix_nano > stream.last_time
            if point.start_time_unix_nano != stream.last_start:
                # An output that was idle for long was forgotten, and begins anew.
                assert point.start_time_unix_nano >= stream.last_time
                stream.last_value = 0
            assert point.as_int >= stream.last_value
        stream.take(point.start_time_unix_nano, point.time_unix_nano, point.as_int)

    def sums(self) -> tuple[int, int]:
        """Return what came in and what went out."""
        ins = sum(stream.total for stream in self.inside.values())
        return ins, sum(stream.total for stream in self.outside.values())


def _config(limit: int, **more: Any) -> CardinalityConfig:
    return CardinalityConfig.model_validate({"default_limit": limit, **more})


@settings(max_examples=100, deadline=None)
@given(_STEPS, st.integers(0, 5), st.booleans())
def test_all_that_goes_in_comes_out(
    steps: list[list[tuple[str, str, int]]],
    limit: int,
    strict: bool,  # noqa: FBT001 - drawn
) -> None:
    """While nothing is evicted, Σ of increases out is Σ of increases in, to the unit."""
    limiter = MetricsLimiter(_config(limit, strict=strict), seed=3)
    emitter, watcher = Emitter(), Watcher()
    watcher.send(limiter, [], 0)
    for number, step in enumerate(steps):
        now = 10.0 * (number + 1)
        points = [
            emitter.point(name, action, more, now + place)
            for place, (name, action, more) in enumerate(step)
        ]
        watcher.send(limiter, points, now + 10)

    came_in, went_out = watcher.sums()

    assert went_out == came_in
    assert len(watcher.outside) <= limit + 1


@settings(max_examples=100, deadline=None)
@given(_STEPS, st.integers(0, 3), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_nothing_counts_twice_when_series_are_evicted(
    steps: list[list[tuple[str, str, int]]], limit: int, hours: list[int]
) -> None:
    """Over pauses in which series go and come back: in strict mode never more out than in."""
    limiter = MetricsLimiter(_config(limit, strict=True, max_folded_streams=2), seed=3)
    emitter, watcher = Emitter(), Watcher()
    now = 0.0
    for pause, step in zip(hours, steps, strict=False):
        now += 10 + pause * _HOUR
        points = [
            emitter.point(name, action, more, now + place)
            for place, (name, action, more) in enumerate(step)
        ]
        watcher.send(limiter, points, now + 10)

    came_in, went_out = watcher.sums()

    assert went_out <= came_in


def test_two_new_ids_a_second_become_ten_series_and_an_exact_overflow() -> None:
    """The steady emitter: 1,200 ids in ten minutes, all exported every 5 s, with a limit of 10."""
    limiter = MetricsLimiter(_config(10), seed=1)
    begun: list[tuple[str, float]] = []
    last: dict[frozenset[tuple[str, str]], int] = {}
    for second in range(0, 601, 5):
        new = range(max(second - 4, 1), second + 1)
        begun += [(f"{one}-{number}", one - 0.5) for one in new for number in (0, 1)]
        points = [
            counted({"id": name}, 1 + second - int(start + 1), second, start)
            for name, start in begun
        ]
        limited = limiter.process(batch_of(Series("orders", points)), at(second))
        found = points_by_labels(limited.batch)
        last.update({labels: point.as_int for (_, labels), point in found.items()})

    expected = sum(1 + 600 - int(start + 1) for _, start in begun)
    assert len(begun) == 1200
    assert len(last) == 11
    assert sum(last.values()) == expected


def test_a_folded_delta_leaves_as_cumulative_and_is_counted_once() -> None:
    """Deltas beyond the limit are summed up; a redelivered one adds nothing."""
    limiter = MetricsLimiter(_config(0), seed=1)
    points = [counted({"id": "a"}, 5, 1, 0), counted({"id": "b"}, 7, 1, 0)]
    batch = batch_of(Series("orders", points, temporality=1))

    limiter.process(batch, at(2))
    limited = limiter.process(batch, at(3))

    [(_, point)] = points_by_labels(limited.batch).items()
    metric: Any = limited.batch.request
    data = metric.resource_metrics[0].scope_metrics[0].metrics[0].sum
    assert point.as_int == 12
    assert data.aggregation_temporality == 2
    assert point.start_time_unix_nano == NOW_NS + 2 * SECOND_NS
