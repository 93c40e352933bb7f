"""Histograms with bounds, and summaries, against a plain oracle."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fold_oracle import Cumulative, PlainHistogram, PlainStreams
from fold_points import EPOCH_NS, SECOND_NS, Run, at, histogram, metric, summary
from tapeline.cardinality.folding.options import FoldOptions
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.outputs import PointKind, Temporality

BOUNDS = st.sampled_from(
    [(1.0, 2.0, 5.0), (1.0, 2.0, 5.0), (2.0, 5.0, 8.0), (1.0, 8.0), (3.0,), ()]
)


@st.composite
def values(draw: st.DrawFn) -> Cumulative:
    """Return bounds and counts."""
    bounds = draw(BOUNDS)
    size = len(bounds) + 1
    return bounds, tuple(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)))


POINT = st.tuples(st.integers(1, 3), st.integers(-3, 8), st.integers(1, 8), values())


@given(points=st.lists(st.tuples(st.integers(0, 60), POINT), max_size=25), strict=st.booleans())
def test_histograms_are_those_of_the_rules(
    points: list[tuple[int, tuple[int, int, int, Cumulative]]], *, strict: bool
) -> None:
    """Buckets are the sum of all increases between the bounds that all points had."""
    run = Run(metric(PointKind.HISTOGRAM), FoldOptions(strict=strict))
    plain = PlainHistogram(PlainStreams(EPOCH_NS, strict, 120 * SECOND_NS))
    last_count = 0
    for pause, (stream, start, time, value) in points:
        run.now += pause
        outcome = run.fold(stream, histogram(start, time, *value, sum=1.0))
        if start > time:
            assert outcome is FoldOutcome.START_AFTER_TIME
            assert run.emit() is None
            continue
        assert outcome == plain.fold(stream, at(start), at(time), value, at(run.now))
        message = run.emit()
        assert list(message.explicit_bounds) == sorted(plain.bounds or ())
        assert list(message.bucket_counts) == plain.counts()
        assert message.count == sum(message.bucket_counts) >= last_count
        last_count = message.count


@given(points=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9), values()), max_size=25))
def test_deltas_become_one_cumulative_histogram(
    points: list[tuple[int, int, Cumulative]],
) -> None:
    """Each delta counts once, whatever its bounds are."""
    run = Run(metric(PointKind.HISTOGRAM, Temporality.DELTA))
    plain = PlainHistogram(PlainStreams(0, strict=True, warmup=0))
    last: dict[int, int] = {}
    for stream, time, value in points:
        message = run.send((stream, histogram(0, time, *value)))
        if time > last.get(stream, 0):
            last[stream] = time
            # Each on its own: a stream that is seen once, and began after the epoch.
            plain.fold(len(plain.streams.seen), 1, 2, value, 2)
        assert list(message.bucket_counts) == plain.counts()


def test_a_sum_is_the_sum_of_its_increases() -> None:
    """It may fall, since values may be negative; that is no reset."""
    run = Run(metric(PointKind.HISTOGRAM))
    run.send((1, histogram(1, 2, [1], [1, 1], sum=10.5)))
    assert run.fold(1, histogram(1, 3, [1], [2, 1], sum=4.25)) is FoldOutcome.ADDED
    assert run.emit().sum == 4.25


def test_without_one_sum_there_is_none() -> None:
    """A sum over some of the points would be wrong, so it goes for good."""
    run = Run(metric(PointKind.HISTOGRAM))
    assert run.send((1, histogram(1, 2, [1], [1, 1], sum=10.5))).HasField("sum")
    assert not run.send((2, histogram(1, 3, [1], [1, 1]))).HasField("sum")
    assert not run.send((1, histogram(1, 4, [1], [1, 2], sum=20))).HasField("sum")


def test_minimum_and_maximum_cover_all_that_was_counted() -> None:
    """As long as every stream is counted from its start, both are known."""
    run = Run(metric(PointKind.HISTOGRAM))
    run.send((1, histogram(1, 2, [1], [1, 1], min=0.5, max=3)))
    message = run.send((2, histogram(1, 3, [1], [1, 0], min=0.25, max=0.25)))
    assert (message.min, message.max) == (0.25, 3)
    message = run.send((1, histogram(1, 4, [1], [1, 2], min=0.5, max=7)))
    assert (message.min, message.max) == (0.25, 7)


@pytest.mark.parametrize(
    "point",
    [histogram(-9, 3, [1], [4, 4], min=0, max=9), histogram(1, 3, [1], [1, 1])],
    ids=["a baseline", "a point that has none"],
)
def test_minimum_and_maximum_go_when_they_cannot_be_known(point: bytes) -> None:
    """What was before a baseline hides what came after, and absent is not known."""
    run = Run(metric(PointKind.HISTOGRAM))
    assert run.send((1, histogram(1, 2, [1], [1, 1], min=0.5, max=3))).HasField("min")
    message = run.send((2, point))
    assert not message.HasField("min")
    assert not message.HasField("max")


def test_a_histogram_without_buckets_takes_them_from_all() -> None:
    """Count and sum are right, and nothing is said of what can't be known."""
    run = Run(metric(PointKind.HISTOGRAM))
    run.fold(1, histogram(1, 2, [1, 2], [1, 1, 1], sum=3))
    run.fold(2, histogram(1, 2, [], [], count=4, sum=5))
    message = run.emit()
    assert list(message.bucket_counts) == [7]
    assert not message.explicit_bounds
    assert (message.count, message.sum) == (7, 8)


def test_a_histogram_does_not_wrap() -> None:
    """What would not fit 63 bits is refused, and the stream's baseline stays."""
    run = Run(metric(PointKind.HISTOGRAM))
    run.fold(1, histogram(1, 2, [1], [2**62, 2**62 - 1]))
    assert run.fold(2, histogram(1, 3, [1], [1, 0])) is FoldOutcome.TOO_LARGE
    assert run.fold(2, histogram(1, 4, [1], [2**63, 0])) is FoldOutcome.TOO_LARGE
    assert run.emit().count == 2**63 - 1


@pytest.mark.parametrize(
    ("point", "outcome"),
    [
        (histogram(1, 2, [1, 2], [1, 1]), FoldOutcome.MISMATCHED_COUNTS),
        (histogram(1, 2, [1], [1, 1], count=3), FoldOutcome.MISMATCHED_COUNTS),
        (histogram(1, 2, [1], []), FoldOutcome.MISMATCHED_COUNTS),
        (histogram(1, 2, [2, 1], [1, 1, 1]), FoldOutcome.UNSORTED_BOUNDS),
        (histogram(1, 2, [1, 1], [1, 1, 1]), FoldOutcome.UNSORTED_BOUNDS),
        (histogram(1, 2, [1, math.inf], [1, 1, 1]), FoldOutcome.UNSORTED_BOUNDS),
        (histogram(1, 2, [math.nan], [1, 1]), FoldOutcome.NOT_A_NUMBER),
        (histogram(1, 2, [1], [1, 1], sum=math.nan), FoldOutcome.NOT_A_NUMBER),
        (histogram(1, 2, [1], [1, 1], sum=-math.inf), FoldOutcome.INFINITE),
        (histogram(1, 2, range(1000), [1] * 1001), FoldOutcome.ABSURD_BUCKETS),
        (histogram(1, 2, [1], [2**63, 0]), FoldOutcome.TOO_LARGE),
        (histogram(1, 2, [1], [1, 1], flags=1), FoldOutcome.NO_RECORDED_VALUE),
        (b"\x08", FoldOutcome.MALFORMED),
    ],
)
def test_a_bad_histogram_says_why_and_changes_nothing(point: bytes, outcome: FoldOutcome) -> None:
    """It is refused by itself; what stands and what follows is as if it had not come."""
    run = Run(metric(PointKind.HISTOGRAM))
    run.send((1, histogram(1, 1.5, [1], [1, 0], sum=1)))
    assert run.fold(1, point) is outcome
    assert run.fold(2, point) is outcome
    assert run.emit() is None
    message = run.send((1, histogram(1, 3, [1], [1, 2], sum=4)))
    assert (list(message.bucket_counts), message.sum) == ([1, 2], 4)


def test_extremes_that_are_no_numbers_are_as_good_as_none() -> None:
    """The counts are right all the same."""
    run = Run(metric(PointKind.HISTOGRAM))
    message = run.send((1, histogram(1, 2, [1], [1, 1], min=math.nan, max=2)))
    assert message.count == 2
    assert not message.HasField("max")


def test_a_summary_becomes_count_and_sum() -> None:
    """Quantiles of several can't be made one; the rest counts as any cumulative sum."""
    run = Run(metric(PointKind.SUMMARY))
    run.fold(1, summary(1, 2, 3, 4.5))
    run.fold(2, summary(-1, 2, 100, 1000))
    message = run.emit()
    assert (message.count, message.sum, len(message.quantile_values)) == (3, 4.5, 0)
    run.fold(2, summary(-1, 3, 101, 1010))
    assert run.fold(1, summary(1, 2.5, 3, 4.5)) is FoldOutcome.ADDED
    assert run.fold(1, summary(1, 3, 2, 3)) is FoldOutcome.RESET_AT_UNKNOWN_TIME
    message = run.emit()
    assert (message.count, message.sum) == (3 + 1 + 2, 4.5 + 10 + 3)


@pytest.mark.parametrize(
    ("point", "outcome"),
    [
        (summary(1, 2, 3, math.nan), FoldOutcome.NOT_A_NUMBER),
        (summary(1, 2, 3, math.inf), FoldOutcome.INFINITE),
        (summary(1, 2, 2**63, 1), FoldOutcome.TOO_LARGE),
        (summary(3, 2, 3, 1), FoldOutcome.START_AFTER_TIME),
        (b"\xff", FoldOutcome.MALFORMED),
    ],
)
def test_a_bad_summary_says_why(point: bytes, outcome: FoldOutcome) -> None:
    """It is refused by itself and makes no point."""
    run = Run(metric(PointKind.SUMMARY))
    assert run.fold(1, point) is outcome
    assert run.emit() is None
