"""Exponential histograms against a plain oracle that has all increases at the final scale."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

from fold_oracle import PlainExponential, boundary_at_or_above
from fold_points import Run, at, metric
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.outputs import PointKind, Temporality


def exponential(
    time: float,
    scale: int,
    positive: tuple[int, list[int]] = (0, []),
    negative: tuple[int, list[int]] = (0, []),
    **fields: Any,
) -> bytes:
    """Return a point that began a second after the epoch, its count that of its buckets."""
    message = ExponentialHistogramDataPoint(
        start_time_unix_nano=at(1), time_unix_nano=at(time), scale=scale
    )
    for buckets, (offset, counts) in ((message.positive, positive), (message.negative, negative)):
        buckets.offset = offset
        buckets.bucket_counts.extend(counts)
    message.count = fields.get("zero_count", 0) + sum(positive[1]) + sum(negative[1])
    for name, value in fields.items():
        setattr(message, name, value)
    return message.SerializeToString()


SIDE = st.tuples(st.integers(-20, 20), st.lists(st.integers(0, 3), max_size=6))
DELTA = st.tuples(
    st.integers(-4, 5),
    SIDE,
    SIDE,
    st.integers(0, 3),
    st.sampled_from([0.0, 0.0, 0.0, 1e-9, 0.25, 0.3, 1.0, 7.0]),
)


def drawn(time: float, delta: Any) -> bytes:
    """Return a drawn point as it is sent."""
    scale, positive, negative, zero_count, threshold = delta
    return exponential(
        time, scale, positive, negative, zero_count=zero_count, zero_threshold=threshold
    )


def plain(delta: Any) -> PlainExponential:
    """Return a drawn point as the oracle has it."""
    scale, positive, negative, zero_count, threshold = delta
    sides = [dict(enumerate(counts, first)) for first, counts in (positive, negative)]
    return PlainExponential(scale, zero_count, threshold, *sides)


def found(message: ExponentialHistogramDataPoint) -> dict[tuple[str, int], int]:
    """Return what a message counts, as the oracle says it."""
    counts = {("zero", 0): message.zero_count}
    for side, buckets in (("+", message.positive), ("-", message.negative)):
        counts |= {(side, n): c for n, c in enumerate(buckets.bucket_counts, buckets.offset)}
    return {key: count for key, count in counts.items() if count}


@given(deltas=st.lists(DELTA, min_size=1, max_size=12))
def test_all_increases_are_at_the_lowest_scale(deltas: list[Any]) -> None:
    """Scale and threshold are the least and the largest of all, and every count is there."""
    run = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM, Temporality.DELTA))
    for number, delta in enumerate(deltas):
        message = run.send((1, drawn(2 + number, delta)))
        so_far = [plain(one) for one in deltas[: number + 1]]
        scale = min(one.scale for one in so_far)
        # All drawn doubles lie between 2^-60 and 2^60.
        ends = 60 * 2 ** max(scale, 0)
        largest = max(one.threshold for one in so_far)
        raised = boundary_at_or_above(largest, scale, -ends - 2, ends)
        assert message.scale == scale
        assert message.zero_threshold == pytest.approx(raised, rel=1e-12)
        expected: dict[tuple[str, int], int] = {}
        for one in so_far:
            for key, count in one.at(scale, raised).items():
                expected[key] = expected.get(key, 0) + count
        assert found(message) == expected
        assert message.count == sum(expected.values())


@given(first=DELTA, second=DELTA, others=st.lists(DELTA, max_size=4), merge_scale=st.integers(0, 3))
def test_differences_of_cumulative_points_are_exact(
    first: Any, second: Any, others: list[Any], merge_scale: int
) -> None:
    """A stream that goes on, at a lower scale if it likes, adds what deltas would have added."""
    cumulative = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM))
    deltas = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM, Temporality.DELTA))

    # What the stream itself sends the second time: both deltas, merged as an SDK would.
    merged = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM, Temporality.DELTA))
    merged.fold(1, drawn(2, first))
    merged.fold(1, drawn(3, second))
    merged.fold(2, exponential(3, max(-4, first[0] - merge_scale)))
    both = merged.emit()
    both.ClearField("attributes")
    both.start_time_unix_nano = at(1)
    for number, other in enumerate(others):
        cumulative.fold(5 + number, drawn(2, other))
        deltas.fold(5 + number, drawn(2, other))
    cumulative.fold(1, drawn(2, first))
    deltas.fold(1, drawn(2, first))
    deltas.fold(1, drawn(3, second))
    deltas.fold(2, exponential(3, max(-4, first[0] - merge_scale)))
    assert cumulative.fold(1, both.SerializeToString()) is FoldOutcome.ADDED
    assert found(cumulative.emit()) == found(deltas.emit())


def test_a_lower_bucket_is_a_reset() -> None:
    """The count rose, but one bucket fell: what is there now counts whole."""
    run = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM))
    run.fold(1, exponential(2, 0, (0, [3, 1])))
    outcome = run.fold(1, exponential(3, 0, (0, [1, 9])))
    assert outcome is FoldOutcome.RESET_AT_UNKNOWN_TIME
    assert found(run.emit()) == {("+", 0): 4, ("+", 1): 10}


def test_merged_buckets_are_no_reset() -> None:
    """A stream that lowers its scale or raises its threshold has not fallen."""
    run = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM))
    run.fold(1, exponential(2, 1, (0, [1, 2, 3, 4])))
    assert run.fold(1, exponential(3, 0, (0, [3, 8]))) is FoldOutcome.ADDED
    point = exponential(4, 0, (1, [8]), zero_count=3, zero_threshold=2.0)
    assert run.fold(1, point) is FoldOutcome.ADDED
    assert found(run.emit()) == {("zero", 0): 3, ("+", 1): 8}


def test_buckets_far_apart_lower_the_scale_until_they_fit() -> None:
    """However far two points are apart, there are at most 160 buckets on a side."""
    run = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM))
    run.fold(1, exponential(2, 20, (-(1 << 29), [1]), (1 << 29, [2])))
    run.fold(2, exponential(2, 20, ((1 << 29), [3]), (-(1 << 29), [4])))
    message = run.emit()
    assert message.count == 10
    assert 80 < len(message.positive.bucket_counts) <= 160
    assert sum(message.positive.bucket_counts) == 4
    assert sum(message.negative.bucket_counts) == 6


def test_sum_and_extremes_are_kept() -> None:
    """They follow the rules of histograms with bounds."""
    run = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM))
    run.fold(1, exponential(2, 0, (0, [3, 1]), sum=7.5, min=1.5, max=3))
    run.fold(2, exponential(2, 0, (2, [1]), sum=5, min=5, max=5))
    message = run.emit()
    assert (message.sum, message.min, message.max) == (12.5, 1.5, 5)


@pytest.mark.parametrize(
    ("point", "outcome"),
    [
        (exponential(2, 21, (0, [1])), FoldOutcome.ABSURD_SCALE),
        (exponential(2, -5, (0, [1])), FoldOutcome.ABSURD_SCALE),
        (exponential(2, -(2**31), (0, [1])), FoldOutcome.ABSURD_SCALE),
        (exponential(2, 0, (1101, [1])), FoldOutcome.ABSURD_BUCKETS),
        (exponential(2, 0, (0, [0] * 1200 + [1])), FoldOutcome.ABSURD_BUCKETS),
        (exponential(2, 20, (0, [1] * 10_001)), FoldOutcome.ABSURD_BUCKETS),
        (exponential(2, 0, (0, [1]), count=2), FoldOutcome.MISMATCHED_COUNTS),
        (exponential(2, 0, zero_threshold=math.nan), FoldOutcome.NOT_A_NUMBER),
        (exponential(2, 0, zero_threshold=math.inf), FoldOutcome.INFINITE),
        (exponential(2, 0, zero_threshold=-1.0), FoldOutcome.NEGATIVE),
        (exponential(2, 0, (0, [1]), sum=math.nan), FoldOutcome.NOT_A_NUMBER),
        (exponential(2, 0, (0, [1]), sum=math.inf), FoldOutcome.INFINITE),
        (exponential(2, 0, (0, [1]), flags=1), FoldOutcome.NO_RECORDED_VALUE),
        (b"\x01\x02", FoldOutcome.MALFORMED),
    ],
)
def test_a_bad_point_says_why_and_changes_nothing(point: bytes, outcome: FoldOutcome) -> None:
    """It is refused by itself; the output's scale is as it was."""
    run = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM))
    run.send((1, exponential(1.5, 3, (0, [1]))))
    assert run.fold(1, point) is outcome
    assert run.fold(2, point) is outcome
    assert run.emit() is None
    message = run.send((1, exponential(3, 3, (0, [4]))))
    assert (message.scale, message.count) == (3, 4)


def test_empty_buckets_at_any_offset_are_no_harm() -> None:
    """An offset says nothing where nothing is counted."""
    run = Run(metric(PointKind.EXPONENTIAL_HISTOGRAM))
    message = run.send((1, exponential(2, 20, (2**31 - 1, []), (-(2**31), [0, 0]), zero_count=2)))
    assert (message.count, message.zero_count, message.scale) == (2, 2, 20)
