"""Gauges and non-monotonic sums: what is there now, of those who are there now."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fold_points import SECOND_NS, Run, at, metric, number, value_of
from tapeline.cardinality.folding.options import FoldOptions
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.outputs import GaugeFold, PointKind, Temporality

WHOLE = st.one_of(st.integers(-9, 9), st.integers(-(2**62), 2**62))
SMALL = st.one_of(st.integers(-9, 9), st.integers(-40, 40).map(lambda quarter: quarter / 4))
GONE = 1
Step = tuple[int, int, int, float | None]


def step(
    values: st.SearchStrategy[float],
) -> st.SearchStrategy[list[Step]]:
    """Return a strategy for pauses, streams, times (seconds ago) and values (None: gone)."""
    one = st.tuples(
        st.integers(0, 200),
        st.integers(1, 5),
        st.integers(0, 60),
        st.one_of(st.none(), values, values),
    )
    return st.lists(one, max_size=40)


@given(
    fold=st.sampled_from([GaugeFold.MIN, GaugeFold.MAX, GaugeFold.SUM]),
    steps=st.one_of(step(WHOLE), step(SMALL)),
)
def test_gauges_cover_who_was_seen_within_five_minutes(fold: GaugeFold, steps: list[Step]) -> None:
    """Least, greatest and sum are those of the latest values of who did not stop."""
    run = Run(metric(PointKind.GAUGE), gauge=fold, now=1000)
    last: dict[int, float] = {}
    seen: dict[int, tuple[float, float]] = {}
    for pause, stream, ago, value in steps:
        run.now += pause
        time = run.now - ago
        message = run.send((stream, number(None, time, value, flags=int(value is None))))
        is_new = time > last.get(stream, 0)
        if is_new and value is None:
            seen.pop(stream, None)
        elif is_new and value is not None:
            last[stream] = time
            seen[stream] = (value, run.now)
        lately = [Fraction(v) for v, when in seen.values() if run.now - when <= 300]
        if not lately:
            assert message is None
        elif value is not None:
            assert message is not None
        if message is not None:
            expected = {
                GaugeFold.MIN: min(lately),
                GaugeFold.MAX: max(lately),
                GaugeFold.SUM: sum(lately),
            }[fold]
            assert float(value_of(message)) == pytest.approx(float(expected), rel=1e-15)
            if message.WhichOneof("value") == "as_int":
                assert value_of(message) == expected


def test_the_last_gauge_is_the_newest_point() -> None:
    """By their own time, and of two at the same time the one that came last."""
    run = Run(metric(PointKind.GAUGE))
    assert value_of(run.send((1, number(None, 10, 5)))) == 5
    assert value_of(run.send((2, number(None, 8, 7)))) == 5
    assert value_of(run.send((3, number(None, 10, 9.5)))) == 9.5
    assert value_of(run.send((1, number(None, 11, 4)))) == 4


def test_a_gauge_has_no_start() -> None:
    """It speaks of a moment only."""
    run = Run(metric(PointKind.GAUGE))
    assert run.send((1, number(3, 10, 5))).start_time_unix_nano == 0


@given(steps=step(st.one_of(WHOLE, SMALL)))
def test_a_non_monotonic_sum_is_that_of_its_contributors(
    steps: list[Step],
) -> None:
    """Latest values are summed, from the first on; a stream without a value now is none."""
    run = Run(metric(is_monotonic=False), now=1000)
    last: dict[int, float] = {}
    values: dict[int, Fraction] = {}
    for pause, stream, ago, value in steps:
        run.now += pause
        time = run.now - ago
        message = run.send((stream, number(-50, time, value, flags=int(value is None))))
        if time > last.get(stream, 0):
            if value is None:
                assert (message is not None) == (values.pop(stream, None) is not None)
            else:
                last[stream] = time
                values[stream] = Fraction(value)
        if message is not None:
            total = sum(values.values(), Fraction(0))
            assert float(value_of(message)) == pytest.approx(float(total), rel=1e-15, abs=1e-15)
            assert message.start_time_unix_nano == at(1000)


def test_nobody_is_exactly_nothing() -> None:
    """Whatever the rounding on the way, the sum of no contributors is 0."""
    run = Run(metric(is_monotonic=False))
    for stream, value in enumerate([0.1, 0.2, 0.7, 1e17]):
        run.fold(stream, number(1, 2, value))
    for stream in range(4):
        run.fold(stream, number(1, 3, None, flags=GONE))
    assert value_of(run.emit()) == 0


def test_deltas_and_levels_share_a_non_monotonic_output() -> None:
    """Deltas stay when a level goes."""
    run = Run(metric(is_monotonic=False))
    delta = run.folder.producer(9, metric(temporality=Temporality.DELTA, is_monotonic=False), 0)
    run.folder.fold(5, run.output, delta, number(1, 2, -3), at(2))
    assert value_of(run.send((1, number(1, 2, 10)))) == 7
    assert value_of(run.send((1, number(1, 3, None, flags=GONE)))) == -3


@pytest.mark.parametrize("kind", [PointKind.GAUGE, PointKind.SUM])
def test_who_is_idle_no_longer_counts(kind: PointKind) -> None:
    """After four whole generations a level goes, however much room there is."""
    run = Run(
        metric(kind, is_monotonic=False),
        FoldOptions(contributor_ns=10**6 * SECOND_NS),
        GaugeFold.SUM,
    )
    run.folder.rotate(10, at(0))
    run.send((1, number(1, 2, 10)), (2, number(1, 2, 1)))
    for generation in range(11, 15):
        run.now += 900
        assert run.folder.rotate(generation, at(run.now)) == 0
        assert value_of(run.send((2, number(1, run.now, 1)))) == 11
    assert run.folder.rotate(15, at(run.now)) == 1
    assert value_of(run.send((2, number(1, run.now + 1, 2)))) == 2
    assert run.producer.evicted_up_to_unix_nano == 0


def test_a_monotonic_stream_that_ends_keeps_its_baseline() -> None:
    """It is swallowed, makes no point, and the next value adds the difference."""
    run = Run()
    run.send((1, number(1, 2, 10)))
    assert run.fold(1, number(1, 3, None, flags=GONE)) is FoldOutcome.NO_RECORDED_VALUE
    assert run.fold(9, number(1, 3, None, flags=GONE)) is FoldOutcome.NO_RECORDED_VALUE
    assert run.emit() is None
    assert len(run.folder) == 1
    assert value_of(run.send((1, number(1, 4, 12)))) == 12


def test_many_contributors_are_kept_in_order() -> None:
    """The extreme of more than one block is found, and again when its holder changes or goes."""
    run = Run(metric(PointKind.GAUGE), gauge=GaugeFold.MAX)
    for stream in range(1000):
        run.fold(stream, number(None, 1, stream))
    assert value_of(run.emit()) == 999
    assert value_of(run.send((999, number(None, 2, 5)))) == 998
    assert value_of(run.send((998, number(None, 2, None, flags=GONE)))) == 997
    assert value_of(run.send((3, number(None, 2, 10_000)))) == 10_000
    assert value_of(run.send((3, number(None, 3, 0.5)))) == 997
