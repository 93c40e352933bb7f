"""Cumulative and delta monotonic sums against a plain oracle, and what they conserve."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fold_oracle import Clock, PlainStreams, PlainSum
from fold_points import EPOCH_NS, SECOND_NS, Run, at, metric, number, value_of
from tapeline.cardinality.folding.options import FoldOptions
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.outputs import PointKind, Temporality

# Few streams, times and values: so everything happens, and in every order.
POINT = st.tuples(
    st.integers(1, 4),  # the stream
    st.one_of(st.none(), st.integers(-5, 12)),  # its start, in seconds
    st.integers(1, 12),  # its time
    st.one_of(st.integers(0, 9), st.integers(0, 36).map(lambda quarter: quarter / 4)),
)
BATCHES = st.lists(st.tuples(st.integers(0, 90), st.lists(POINT, max_size=6)), max_size=12)


@given(batches=BATCHES, strict=st.booleans())
def test_sums_are_those_of_the_rules(
    batches: list[tuple[int, list[tuple[int, int | None, int, float]]]], *, strict: bool
) -> None:
    """Every point gets the outcome of the rules, every batch their total, time and start."""
    run = Run(options=FoldOptions(strict=strict))
    plain = PlainSum(PlainStreams(EPOCH_NS, strict, 120 * SECOND_NS))
    clock = Clock(EPOCH_NS)
    for pause, points in batches:
        run.now += pause
        for stream, start, time, value in points:
            outcome = run.fold(stream, number(start, time, value))
            if start is not None and start > time:
                assert outcome is FoldOutcome.START_AFTER_TIME
                continue
            start_ns = 0 if start is None else at(start)
            assert outcome == plain.fold(stream, start_ns, at(time), value, at(run.now))
            clock.note(at(time))
        message = run.emit()
        assert (message is not None) == clock.due
        if message is not None:
            assert Fraction(value_of(message)) == plain.total
            assert message.time_unix_nano == clock.emit()
            assert message.start_time_unix_nano == EPOCH_NS


class Counters:
    """Some processes that count, as honest SDKs do: every restart has a new start."""

    def __init__(self) -> None:
        self.starts: dict[int, float] = {}
        self.values: dict[int, float] = {}
        self.sent: dict[int, float] = {}

    def count(self, stream: int, more: float, now: float) -> None:
        if stream not in self.starts:
            self.restart(stream, now)
        self.values[stream] += more

    def restart(self, stream: int, now: float) -> None:
        """What was not sent is lost before anybody saw it."""
        self.starts[stream] = now - 0.25
        self.values[stream] = self.sent[stream] = 0

    def send(self, stream: int, now: float) -> tuple[int, bytes, Fraction]:
        """Return a point, and by how much it is more than the last."""
        more = Fraction(self.values[stream]) - Fraction(self.sent[stream])
        self.sent[stream] = self.values[stream]
        return stream, number(self.starts[stream], now, self.values[stream]), more


STEP = st.one_of(
    st.tuples(st.just("count"), st.integers(1, 5), st.integers(0, 1 << 50)),
    st.tuples(st.just("count"), st.integers(1, 5), st.integers(0, 4000).map(lambda n: n / 8)),
    st.tuples(st.just("restart"), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("send"), st.just(0), st.just(0)),
    st.tuples(st.just("send again"), st.integers(0, 5), st.just(0)),
)


@given(steps=st.lists(STEP, max_size=40), batch=st.integers(1, 3))
def test_nothing_is_lost_and_nothing_counted_twice(
    steps: list[tuple[str, int, float]], batch: int
) -> None:
    """With honest starts the output has all increases, whatever is sent twice or too late."""
    run, counters = Run(), Counters()
    expected = Fraction(0)
    past: list[list[tuple[int, bytes]]] = []
    last_time, last_value = 0, Fraction(0)
    for step, stream, amount in steps:
        run.now += 1
        if step == "count":
            counters.count(stream, amount, run.now)
            continue
        if step == "restart":
            if stream in counters.starts:
                counters.restart(stream, run.now)
            continue
        if step == "send":
            points = [counters.send(one, run.now) for one in list(counters.starts)[:batch]]
            expected += sum((more for _, _, more in points), Fraction(0))
            past.append([(one, point) for one, point, _ in points])
        sent = past[-1 - stream % len(past)] if past else []
        message = run.send(*sent)
        if message is not None:
            value = Fraction(value_of(message))
            is_whole = message.WhichOneof("value") == "as_int"
            # No double is nearer.
            assert value == (expected if is_whole else Fraction(float(expected)))
            assert value >= last_value
            assert message.time_unix_nano > last_time
            last_time, last_value = message.time_unix_nano, value


@given(
    deltas=st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 10), st.integers(0, 50)), max_size=30
    )
)
def test_deltas_become_one_cumulative_sum(deltas: list[tuple[int, int, int]]) -> None:
    """A delta counts once, unless its stream was further already."""
    run = Run(metric(temporality=Temporality.DELTA), now=20)
    last: dict[int, int] = {}
    total = 0
    for stream, time, value in deltas:
        outcome = run.fold(stream, number(time - 1, time, value))
        if time > last.get(stream, 0):
            last[stream] = time
            total += value
            assert outcome is FoldOutcome.ADDED
        else:
            assert outcome is FoldOutcome.LATE
        assert value_of(run.emit()) == total


def test_deltas_from_before_a_lost_state_are_not_counted() -> None:
    """After a crash a delta may have been counted before it, so only later ones add."""
    run = Run(metric(temporality=Temporality.DELTA), state_was_lost=True, now=10)
    assert run.fold(1, number(4, 10, 5)) is FoldOutcome.BELOW_FLOOR
    assert run.fold(1, number(10, 11, 3)) is FoldOutcome.ADDED
    assert run.fold(2, number(4, 9, 5)) is FoldOutcome.BELOW_FLOOR
    assert value_of(run.emit()) == 3


@pytest.mark.parametrize("deltas_first", [True, False])
def test_folded_deltas_and_cumulatives_share_an_output(*, deltas_first: bool) -> None:
    """Both leave under one identity, so one total has them all."""
    run = Run()
    delta = run.folder.producer(8, metric(temporality=Temporality.DELTA), at(0))
    senders = [(1, run.producer, 3), (2, delta, 4)]
    for stream, producer, value in reversed(senders) if deltas_first else senders:
        run.folder.fold(stream, run.output, producer, number(1, 2, value), at(2))
    assert value_of(run.emit()) == 7


def test_an_unknown_start_never_counts_the_first_value() -> None:
    """Neither no start nor one that equals the time says when counting began, warm or not."""
    run = Run(now=300)
    run.producer.seen_since_unix_nano = at(0)
    assert run.fold(1, number(None, 300, 5)) is FoldOutcome.BASELINE
    assert run.fold(2, number(300, 300, 5)) is FoldOutcome.BASELINE
    assert run.fold(1, number(None, 301, 7)) is FoldOutcome.ADDED
    assert value_of(run.emit()) == 2


def test_a_start_that_equals_its_time_is_no_reset() -> None:
    """A scraper that lost its own state says so, while the counter goes on."""
    run = Run()
    run.fold(1, number(1, 2, 100))
    assert run.fold(1, number(10, 10, 103)) is FoldOutcome.ADDED
    assert value_of(run.emit()) == 103


def test_integers_stay_integers_until_a_double_comes() -> None:
    """The output's type changes once, to double, and then stays."""
    run = Run()
    assert run.send((1, number(1, 2, 5))).WhichOneof("value") == "as_int"
    assert run.send((2, number(1, 3, 0.5))).as_double == 5.5
    assert run.send((1, number(1, 4, 6))).as_double == 6.5


def test_a_sum_beyond_64_bits_goes_on_as_a_double() -> None:
    """Two counters near the greatest integer are added, and their sum does not wrap."""
    run = Run()
    assert run.send((1, number(1, 2, 2**63 - 1))).as_int == 2**63 - 1
    assert run.send((2, number(1, 3, 2**63 - 1))).as_double == 2.0**64


def test_a_sum_that_turns_into_a_double_does_not_fall() -> None:
    """2^53 + 1 is no double, and the next that is not less is taken."""
    run = Run()
    assert run.send((1, number(1, 2, 2**53 + 1))).as_int == 2**53 + 1
    assert run.send((2, number(1, 3, 0.25))).as_double >= 2**53 + 1


def test_small_increases_to_a_large_total_are_not_lost() -> None:
    """A double alone would swallow each of them."""
    run = Run()
    run.fold(1, number(1, 2, 1e16))
    for stream in range(2, 102):
        run.fold(stream, number(1, 2, 0.5))
    assert run.emit().as_double == 1e16 + 50


def test_a_total_near_the_end_of_doubles_refuses_more() -> None:
    """What does not fit is refused, and the next point that does is counted as ever."""
    run = Run()
    run.fold(1, number(1, 2, 9e299))
    assert run.fold(2, number(1, 3, 9e299)) is FoldOutcome.TOO_LARGE
    assert run.fold(1, number(1, 4, 9.5e299)) is FoldOutcome.ADDED
    assert run.emit().as_double == 9.5e299


def test_a_histogram_is_no_sum() -> None:
    """An output takes points of its own kind only."""
    run = Run()
    other = run.folder.producer(8, metric(PointKind.GAUGE), at(0))
    outcome = run.folder.fold(1, run.output, other, number(1, 2, 3), at(2))
    assert outcome is FoldOutcome.CONFLICTING_KIND
    assert run.emit() is None
