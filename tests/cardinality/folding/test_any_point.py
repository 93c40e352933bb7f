"""Whatever comes: an outcome, never an exception, and totals that add up."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)

from fold_points import MESSAGES, Run, at, metric
from tapeline.cardinality.folding.outcome import REFUSALS, FoldOutcome
from tapeline.cardinality.folding.outputs import GaugeFold, PointKind, Temporality

INT32 = st.one_of(st.integers(-8, 8), st.integers(-(2**31), 2**31 - 1))
ODD_TIME = st.sampled_from([0, 1, 2**63, 2**64 - 1])


def _mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw something odd now and then: else hardly a point would be taken."""
    return st.integers(0, 9).flatmap(lambda draw: odd if draw == 0 else usual)


COUNT = _mostly(st.integers(0, 9), st.sampled_from([2**31, 2**62, 2**63 - 1, 2**64 - 1]))
DOUBLE = _mostly(st.integers(-5, 5).map(float), st.floats())
TIMES = {
    "start_time_unix_nano": _mostly(st.integers(-2, 4).map(at), ODD_TIME),
    "time_unix_nano": _mostly(st.integers(4, 9).map(at), ODD_TIME),
    "flags": _mostly(st.just(0), st.integers(1, 3)),
}
BUCKETS = st.builds(
    ExponentialHistogramDataPoint.Buckets,
    offset=_mostly(st.integers(-8, 8), INT32),
    bucket_counts=st.lists(COUNT, max_size=5),
)


def _whole(message: Any) -> Any:
    """Give a histogram the count that its buckets have, and as many as it has bounds."""
    sides = [message]
    if isinstance(message, HistogramDataPoint) and not message.bucket_counts:
        message.bucket_counts.extend(range(len(message.explicit_bounds) + 1))
    if isinstance(message, ExponentialHistogramDataPoint):
        sides = [message.positive, message.negative]
    counts = sum(sum(side.bucket_counts) for side in sides) + getattr(message, "zero_count", 0)
    message.count = counts if counts < 2**64 else 0
    return message


AGGREGATES = {"sum": DOUBLE, "min": DOUBLE, "max": DOUBLE}
POINTS: dict[PointKind, st.SearchStrategy[Any]] = {
    PointKind.SUM: st.one_of(
        st.builds(NumberDataPoint, as_double=DOUBLE, **TIMES),
        st.builds(NumberDataPoint, as_int=st.integers(-(2**63), 2**63 - 1), **TIMES),
    ),
    PointKind.HISTOGRAM: st.builds(
        HistogramDataPoint,
        explicit_bounds=st.lists(DOUBLE, max_size=3, unique=True).map(sorted),
        bucket_counts=_mostly(st.just([]), st.lists(COUNT, max_size=4)),
        **AGGREGATES,
        **TIMES,
    ).map(_whole),
    PointKind.EXPONENTIAL_HISTOGRAM: st.builds(
        ExponentialHistogramDataPoint,
        scale=_mostly(st.integers(-4, 20), INT32),
        positive=BUCKETS,
        negative=BUCKETS,
        zero_count=COUNT,
        zero_threshold=_mostly(DOUBLE.map(abs), DOUBLE),
        **AGGREGATES,
        **TIMES,
    ).map(_whole),
    PointKind.SUMMARY: st.builds(SummaryDataPoint, count=COUNT, sum=DOUBLE, **TIMES),
}
POINTS[PointKind.GAUGE] = POINTS[PointKind.SUM]


@pytest.mark.parametrize("kind", list(POINTS))
@given(data=st.data())
def test_any_point_has_an_outcome_and_totals_add_up(kind: PointKind, data: st.DataObject) -> None:
    """Refused points leave no trace, others make one point whose count is that of its buckets."""
    temporality = data.draw(st.sampled_from([Temporality.DELTA, Temporality.CUMULATIVE]))
    is_monotonic = data.draw(st.booleans())
    gauge = data.draw(st.sampled_from(GaugeFold))
    run = Run(metric(kind, temporality, is_monotonic=is_monotonic), gauge=gauge)
    points = _mostly(POINTS[kind], st.binary(max_size=30))
    count = 0
    for point in data.draw(st.lists(points, max_size=12)):
        encoded = point if isinstance(point, bytes) else point.SerializeToString()
        outcome = run.fold(data.draw(st.integers(1, 2)), encoded)
        message = run.emit()
        if outcome in REFUSALS:
            assert message is None
        elif message is None:
            # A gauge that nobody contributes to has no value, whatever came too late.
            assert outcome is FoldOutcome.NO_RECORDED_VALUE or (
                kind == PointKind.GAUGE and outcome is FoldOutcome.LATE
            )
        else:
            assert isinstance(message, MESSAGES[kind])
            count = _check(message, count)


def _check(message: Any, count: int) -> int:
    if isinstance(message, NumberDataPoint):
        assert message.WhichOneof("value") is not None
        return 0
    assert count <= message.count < 2**63
    if isinstance(message, HistogramDataPoint):
        assert sum(message.bucket_counts) == message.count
        assert len(message.bucket_counts) == len(message.explicit_bounds) + 1
    if isinstance(message, ExponentialHistogramDataPoint):
        sides = (message.positive.bucket_counts, message.negative.bucket_counts)
        assert sum(map(sum, sides)) + message.zero_count == message.count
        assert max(map(len, sides)) <= 160
        assert -4 <= message.scale <= 20
    return int(message.count)
