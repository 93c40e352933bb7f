"""What is forgotten is never counted twice: floors, warm-up, strict, promotion, capacity."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fold_points import SECOND_NS, Run, at, metric, number, value_of
from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.folding.options import FoldOptions
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.outputs import PointKind, Producer, Temporality
from tapeline.cardinality.folding.streams import Streams

STRICT = FoldOptions(strict=True, max_folded_streams=3)


def test_an_older_start_counts_once_the_producer_is_known() -> None:
    """SDKs give every series the start of the process: after the warm-up it is believed."""
    run = Run()
    assert run.fold(1, number(-9, 1, 5)) is FoldOutcome.BASELINE
    run.now = 119
    assert run.fold(2, number(-9, 119, 5)) is FoldOutcome.BASELINE
    run.now = 120
    assert run.fold(3, number(-9, 120, 5)) is FoldOutcome.ADDED


def test_strict_never_believes_an_older_start() -> None:
    """However long its producer is known."""
    run = Run(options=FoldOptions(strict=True))
    run.now = 10_000
    assert run.fold(1, number(-9, 10_000, 5)) is FoldOutcome.BASELINE
    assert run.fold(2, number(1, 10_000, 5)) is FoldOutcome.ADDED


def test_a_producer_that_was_away_begins_its_warm_up_anew() -> None:
    """Nobody knows what it sent elsewhere meanwhile; one that sends all the time is believed."""
    warmup_ns = FoldOptions().warmup_ns
    run = Run()
    for run.now in (100, 200, 300):
        run.producer.see(at(run.now), warmup_ns)
    assert run.fold(1, number(-9, 300, 5)) is FoldOutcome.ADDED
    run.now = 600
    run.producer.see(at(run.now), warmup_ns)
    assert run.fold(2, number(-9, 600, 5)) is FoldOutcome.BASELINE


def test_an_eviction_takes_trust_away() -> None:
    """What comes next with an older start may be what was forgotten."""
    run = Run(options=FoldOptions(max_folded_streams=2))
    run.now = 200
    for stream in (1, 2):
        assert run.fold(stream, number(-9, 200, 5)) is FoldOutcome.ADDED
    assert run.fold(3, number(-9, 201, 5)) is FoldOutcome.ADDED
    assert run.folder.evictions == 1
    assert run.output.floor_unix_nano == at(200)
    assert run.producer.evicted_up_to_unix_nano == at(200)
    assert run.producer.fold_evicted_up_to_unix_nano == at(200)
    assert run.fold(1, number(-9, 202, 7)) is FoldOutcome.BASELINE
    assert run.fold(4, number(199, 203, 7)) is FoldOutcome.BASELINE
    assert run.fold(5, number(210, 211, 7)) is FoldOutcome.ADDED
    assert value_of(run.emit()) == 5 + 5 + 5 + 7


def test_another_output_of_the_producer_is_no_way_around_the_floor() -> None:
    """A forgotten stream may come back by another route."""
    run = Run(options=STRICT)
    run.fold(1, number(1, 2, 5))
    for stream in (2, 3, 4):
        run.fold(stream, number(1, 3, 5))
    other = run.folder.output(99, lambda: replace(run.identity(), pairs=()))
    assert run.folder.fold(1, other, run.producer, number(1, 4, 9), at(4)) is FoldOutcome.BASELINE


def test_deltas_up_to_an_eviction_are_not_counted_again() -> None:
    """A redelivery of one that was forgotten can't be told from a new one."""
    run = Run(metric(temporality=Temporality.DELTA), replace(STRICT, strict=False))
    for stream in range(1, 6):
        assert run.fold(stream, number(1, 2 + stream, 5)) is FoldOutcome.ADDED
    assert run.fold(1, number(1, 3, 5)) is FoldOutcome.BELOW_FLOOR
    assert run.fold(7, number(1, 30, 5)) is FoldOutcome.ADDED
    assert value_of(run.emit()) == 30


def test_of_a_full_table_the_longest_idle_go() -> None:
    """A stream that is seen all the time survives any number of others that are seen once."""
    run = Run(options=FoldOptions(max_folded_streams=80))
    run.fold(1, number(1, 2, 0))
    for stream in range(2, 2000):
        run.fold(stream, number(1, 2 + stream / 100, 0))
        if stream % 5 == 0:
            run.fold(1, number(1, 2 + stream / 100, 1))
    assert len(run.folder) == 80
    assert run.folder.output_of(1) is run.output
    assert run.folder.evictions == 1999 - 80


def test_idle_streams_stay_while_there_is_room() -> None:
    """An eviction costs exactness, so it waits until the table is half full."""
    run = Run(options=FoldOptions(max_folded_streams=10))
    run.folder.rotate(1, at(0))
    for stream in range(1, 6):
        run.fold(stream, number(1, 2, 5))
    assert run.folder.rotate(100, at(3)) == 0
    run.fold(6, number(1, 4, 5))
    assert run.folder.rotate(100, at(4)) == 1
    assert len(run.folder) == 5
    assert run.folder.output_of(6) is not None


@pytest.mark.parametrize("is_after", [True, False], ids=["after", "before"])
def test_who_was_just_seen_is_not_idle(*, is_after: bool) -> None:
    """Generations may begin with a large number, and after a long silence."""
    run = Run(metric(PointKind.GAUGE), FoldOptions(max_folded_streams=2))
    generation = 1_900_000
    for time in (1, 10_000):
        run.now = time
        generation += 11
        if not is_after:
            run.folder.rotate(generation, at(time))
        for stream in (1, 2):
            run.fold(stream, number(None, time, 5))
        run.emit()
        if is_after:
            assert run.folder.rotate(generation, at(time)) == 0
        assert len(run.folder) == 2


def test_a_rotation_does_a_bounded_amount_of_work() -> None:
    """Ten thousand idle streams go over several batches."""
    run = Run(options=FoldOptions(max_folded_streams=10_000))
    run.folder.rotate(1, at(0))
    for stream in range(10_000):
        run.fold(stream, number(1, 2, 5))
    assert [run.folder.rotate(9, at(3)) for _ in range(7)] == [1000] * 5 + [0, 0]


def test_promotion_needs_a_start_after_the_last_point() -> None:
    """Then the stream is another one, and what the old one added stays."""
    run = Run()
    run.fold(1, number(1, 5, 10))
    assert not run.folder.may_promote(1, at(5), at(6))
    assert not run.folder.may_promote(1, at(7), at(7))
    assert not run.folder.may_promote(2, at(6), at(7))
    assert run.folder.may_promote(1, at(6), at(7))
    assert run.folder.promote(1) == (run.output, at(5))
    assert run.folder.output_of(1) is None
    assert value_of(run.emit()) == 10


def test_promotion_takes_a_level_out() -> None:
    """The series speaks for itself from now on."""
    run = Run(metric(is_monotonic=False))
    run.send((1, number(1, 5, 10)), (2, number(1, 5, 1)))
    output, last_time = run.folder.promote(1)
    run.folder.mark_for_emission(output, last_time)
    assert value_of(run.emit()) == 1


def test_an_evicted_output_begins_again_after_itself() -> None:
    """Its successor starts later than all that it wrote, and its streams are unseen."""
    run = Run()
    first = run.send((1, number(1, 5, 10)))
    old = run.output
    run.folder.evict_output(old.key)
    assert run.folder.output_of(1) is None
    assert run.producer.evicted_up_to_unix_nano == at(5)
    assert run.fold(1, number(1, 6, 12)) is FoldOutcome.BASELINE
    again = run.emit()
    assert run.output is not old
    assert again.start_time_unix_nano >= first.time_unix_nano
    assert again.time_unix_nano > again.start_time_unix_nano
    assert value_of(again) == 0


def test_an_output_in_use_is_found_again_after_its_eviction() -> None:
    """Who holds one that was evicted folds into what stands for it now, or revives it."""
    run = Run()
    old = run.output
    run.folder.evict_output(old.key)
    run.folder.fold(1, old, run.producer, number(1, 2, 3), at(2))
    assert value_of(run.emit()) == 3
    assert run.output is old


def test_an_output_without_streams_goes_when_idle() -> None:
    """What nobody folds into any more takes no memory; one with streams stays."""
    run = Run(metric(PointKind.GAUGE))
    run.folder.rotate(20, at(4))
    run.send((1, number(None, 5, 10)))
    run.folder.rotate(25, at(6))
    assert (len(run.folder), run.folder.output_count) == (0, 1)
    run.folder.rotate(26, at(7))
    assert run.folder.output_count == 0


def test_streams_of_a_synthetic_producer_raise_the_floor_of_all_to_come() -> None:
    """It stands for many that nobody knows; and it is never warm."""
    run = Run(options=FoldOptions(max_folded_streams=1))
    run.now = 500
    run.producer = run.folder.producer(8, metric(), at(0), is_synthetic=True)
    assert run.fold(1, number(-9, 400, 5)) is FoldOutcome.BASELINE
    assert run.fold(2, number(1, 400, 5)) is FoldOutcome.ADDED
    later = run.folder.producer(9, metric(), at(500))
    assert later.evicted_up_to_unix_nano == at(400)


def test_outputs_made_after_a_change_start_after_it() -> None:
    """Otherwise a stream that passed until then would count with all it had."""
    run = Run()
    run.folder.start_outputs_after(at(50))
    assert run.fold(1, number(1, 60, 5)) is FoldOutcome.BASELINE
    assert run.emit().start_time_unix_nano == at(50)


def test_marks_are_merged_when_all_are_in_use() -> None:
    """Streams that stay for hundreds of generations stay in the order of their age."""
    streams = Streams()
    for generation in range(1, 1000):
        streams.begin_generation(generation, is_running=False)
        streams.add(generation, generation, 0, 0)
    order = []
    while slots := streams.longest_idle(1):
        order.append(streams.times[slots[0]])
        streams.remove(slots)
    assert len(order) == 999
    assert order[-200:] == list(range(800, 1000))


Event = tuple[str, int, int]
EVENT = st.one_of(
    st.tuples(st.just("count"), st.integers(1, 8), st.integers(0, 9)),
    st.tuples(st.just("count"), st.integers(1, 8), st.integers(0, 9)),
    st.tuples(st.just("send"), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("send"), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("send again"), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("restart"), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("rotate"), st.integers(1, 6), st.just(0)),
    st.tuples(st.just("crash"), st.just(0), st.just(0)),
    st.tuples(st.just("evict output"), st.just(0), st.just(0)),
)


@given(
    events=st.lists(EVENT, max_size=80),
    temporality=st.sampled_from([Temporality.CUMULATIVE, Temporality.DELTA]),
)
def test_strict_never_counts_more_than_there_was(  # noqa: C901 — a branch for each event.
    events: list[Event], temporality: Temporality
) -> None:
    """Evictions, crashes, redeliveries and restarts may lose something, and add nothing."""
    run = Run(metric(temporality=temporality), STRICT)
    starts: dict[int, float] = {}
    values: dict[int, int] = {}
    sent: dict[int, bytes] = {}
    shown: dict[int, int] = {}
    truth = increases = Fraction(0)
    before_epoch = Fraction(0)
    last = Fraction(0)
    generation = 0
    affected = 0
    for event, stream, amount in events:
        run.now += 1
        if event == "count":
            starts.setdefault(stream, run.now - 0.5)
            values[stream] = values.get(stream, 0) + amount
            truth += amount
        elif event == "restart" and stream in starts:
            starts[stream], values[stream], shown[stream] = run.now - 0.5, 0, 0
        elif event == "rotate":
            generation += stream
            run.folder.rotate(generation, at(run.now))
        elif event == "evict output":
            run.folder.evict_output(11)
            before_epoch, last = before_epoch + last, Fraction(0)
        elif event == "crash":
            run = Run(run.metric, STRICT, state_was_lost=True, now=run.now)
            before_epoch, last, generation = before_epoch + last, Fraction(0), 0
        elif event in ("send", "send again") and stream in starts:
            if event == "send":
                sent[stream] = number(starts[stream], run.now, values[stream])
                increases += values[stream] - shown.get(stream, 0)
                shown[stream] = values[stream] if temporality == Temporality.CUMULATIVE else 0
                if temporality == Temporality.DELTA:
                    starts[stream], values[stream] = run.now, 0
            outcome = run.fold(stream, sent[stream]) if stream in sent else None
            affected += outcome in (FoldOutcome.BASELINE, FoldOutcome.BELOW_FLOOR)
            message = run.emit()
            if message is not None:
                assert Fraction(value_of(message)) >= last
                last = Fraction(value_of(message))
                assert last + before_epoch <= truth
        assert len(run.folder) <= 3
    # Whatever is missing, some point said so.
    assert affected or last + before_epoch == increases


def test_the_first_series_of_a_fresh_start_are_baselines() -> None:
    """All of them are older than the gate."""
    run = Run(now=100)
    assert run.fold(1, number(50, 100, 1000)) is FoldOutcome.BASELINE
    message = run.emit()
    assert value_of(message) == 0
    assert message.start_time_unix_nano < message.time_unix_nano


@pytest.mark.parametrize("kind", [PointKind.HISTOGRAM, PointKind.SUMMARY])
def test_buckets_of_evicted_streams_take_no_memory(kind: PointKind) -> None:
    """What a stream held goes with it."""
    from fold_points import histogram, summary

    run = Run(metric(kind), FoldOptions(max_folded_streams=5))
    points = {
        PointKind.HISTOGRAM: histogram(1, 2, range(15), [1] * 16),
        PointKind.SUMMARY: summary(1, 2, 3, 4.0),
    }
    for stream in range(1000):
        run.fold(stream, points[kind])
    width = {PointKind.HISTOGRAM: 16 * 8, PointKind.SUMMARY: 0}[kind]
    assert run.folder.streams.detail_bytes == 5 * width


def test_buckets_are_bounded_in_all() -> None:
    """Streams with very many of them go before their number is reached."""
    from fold_points import histogram

    run = Run(metric(PointKind.HISTOGRAM), FoldOptions(max_bucket_bytes=100_000))
    for stream in range(200):
        run.fold(stream, histogram(1, 2, range(999), [1] * 1000))
    assert len(run.folder) == 13
    assert run.folder.streams.detail_bytes == 13 * 8000


def test_producers_are_known_by_their_fields() -> None:
    """A producer's memory survives as plain numbers."""
    first = Producer(3, metric(), 5)
    first.raise_floor(7, 9)
    second = Producer(3, metric(), 0)
    second.restore(first.dump())
    assert second.dump() == first.dump() == [5, 5, 9, 7, 0, 0]
    assert not Folder(FoldOptions(), 0).streams.slots
    assert not second.is_warm(9 + 119 * SECOND_NS, 120 * SECOND_NS)
