"""The snapshot of folding: as if it had never stopped; and what a stream takes in memory."""

import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

from fold_points import MESSAGES, SECOND_NS, Run, at, histogram, metric, number, summary
from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.folding.options import FoldOptions
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.outputs import GaugeFold, PointKind
from tapeline.cardinality.folding.state import dump_folder, load_folder
from tapeline.cardinality.snapshot_format import decode, encode

OPTIONS = FoldOptions(max_folded_streams=8)
VERSION = 1
# A dictionary doubles when it is two thirds full: a little later its share is greatest.
AFTER_A_RESIZE = 2 * 2**15 // 3 + 200


def reloaded(run: Run) -> Run:
    """Return a run that goes on from the snapshot of another one."""
    dumped: Any = dump_folder(run.folder)
    data: Any = decode(encode(dumped, VERSION), VERSION)
    copy = Run(run.metric, run.options, run.gauge, now=run.now)
    copy.producer.restore(run.producer.dump())
    copy.folder = load_folder(data, run.options, {copy.producer.key: copy.producer}.get)
    return copy


def point(kind: int, start: float, time: float, amounts: list[int], *, is_double: bool) -> bytes:
    """Return a point of any kind made of some small numbers."""
    if kind == PointKind.HISTOGRAM:
        bounds = [float(bound) for bound in range(len(amounts) - 1)]
        return histogram(start, time, bounds, amounts, sum=sum(amounts) / 3, min=0.5, max=9)
    if kind == PointKind.SUMMARY:
        return summary(start, time, sum(amounts), amounts[0] / 3)
    if kind == PointKind.EXPONENTIAL_HISTOGRAM:
        message = ExponentialHistogramDataPoint(
            start_time_unix_nano=at(start),
            time_unix_nano=at(time),
            scale=amounts[0],
            count=sum(amounts),
            zero_threshold=amounts[-1] / 8,
        )
        message.positive.bucket_counts.extend(amounts)
        return message.SerializeToString()
    return number(start, time, amounts[0] / 3 if is_double else amounts[0])


STEP = st.tuples(
    st.integers(0, 400),
    st.integers(1, 12),
    st.integers(1, 500),
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.booleans(),
    st.integers(0, 4),
)


@pytest.mark.parametrize(
    ("kind", "is_monotonic", "gauge"),
    [
        (PointKind.SUM, True, GaugeFold.LAST),
        (PointKind.SUM, False, GaugeFold.LAST),
        *((PointKind.GAUGE, False, gauge) for gauge in GaugeFold),
        (PointKind.HISTOGRAM, False, GaugeFold.LAST),
        (PointKind.EXPONENTIAL_HISTOGRAM, False, GaugeFold.LAST),
        (PointKind.SUMMARY, False, GaugeFold.LAST),
    ],
)
@given(steps=st.lists(STEP, max_size=25), stop_after=st.integers(0, 25))
def test_a_clean_stop_is_no_interruption(
    kind: PointKind,
    gauge: GaugeFold,
    steps: list[tuple[int, int, int, list[int], bool, int]],
    stop_after: int,
    *,
    is_monotonic: bool,
) -> None:
    """Outcomes, points and evictions are those of a run that was never stopped."""
    through = Run(metric(kind, is_monotonic=is_monotonic), OPTIONS, gauge)
    stopped = Run(metric(kind, is_monotonic=is_monotonic), OPTIONS, gauge)
    generation = 0
    for number_, (pause, stream, age, amounts, is_double, generations) in enumerate(steps):
        if number_ == stop_after:
            stopped = reloaded(stopped)
        generation += generations
        results = []
        for run in (through, stopped):
            run.now += pause
            made = point(kind, run.now - age, run.now, amounts, is_double=is_double)
            outcome = run.fold(stream, made)
            emitted = [(output.key, data) for output, data in run.folder.emissions()]
            evicted = run.folder.rotate(generation, at(run.now))
            results.append((outcome, emitted, evicted, len(run.folder), run.producer.dump()))
        assert results[0] == results[1]


def test_an_output_that_is_due_stays_due() -> None:
    """A stop between a point and the end of its batch loses no emission."""
    run = Run()
    run.fold(1, number(1, 2, 5))
    assert reloaded(run).emit().as_int == 5


def test_the_order_of_age_survives() -> None:
    """Who was idle longest before a stop goes first after it."""
    run, whole = (Run(options=FoldOptions(max_folded_streams=64)) for _ in range(2))
    for stream in range(300):
        for one in (run, whole):
            one.fold(stream, number(1, 2 + stream / 10, 0))
            one.fold(stream // 3, number(1, 2.05 + stream / 10, 0))
            one.emit()
        if stream % 7 == 0:
            run = reloaded(run)
    assert set(run.folder.streams.slots) == set(whole.folder.streams.slots)


def test_a_gone_output_stays_gone() -> None:
    """Its streams are still unseen after a restart."""
    run = Run()
    run.send((1, number(1, 2, 5)))
    run.folder.evict_output(11)
    run = reloaded(run)
    assert run.folder.output_of(1) is None
    assert run.fold(1, number(1, 3, 7)) is FoldOutcome.BASELINE


def test_a_missing_producer_is_an_error() -> None:
    """Its streams could not raise its floor."""
    run = Run()
    run.fold(1, number(1, 2, 5))
    with pytest.raises(KeyError, match="producer 7"):
        load_folder(dump_folder(run.folder), OPTIONS, lambda key: None)  # noqa: ARG005 — knows none.


def test_a_lost_state_begins_a_new_epoch() -> None:
    """Totals begin again under a new start, and everything that was there is a baseline."""
    run = Run()
    run.send((1, number(1, 2, 5)))
    run = Run(state_was_lost=True, now=10)
    assert run.fold(1, number(1, 11, 7)) is FoldOutcome.BASELINE
    message = run.emit()
    assert (message.start_time_unix_nano, message.as_int) == (at(10), 0)
    assert run.send((1, number(1, 12, 9))).as_int == 2


def _memory_of(kind: PointKind, made: bytes, streams: int) -> tuple[float, Folder]:
    """Return the bytes that each of so many streams takes, as the allocator has them."""
    run = Run(metric(kind))
    generator = random.Random(5)  # noqa: S311 — keys, not secrets.
    run.fold(1, made)
    MESSAGES[kind].FromString(made)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(streams):
        run.fold(generator.getrandbits(64), made)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / streams, run.folder


@pytest.mark.parametrize(
    ("kind", "made", "buckets"),
    [
        (PointKind.SUM, number(1, 2, 12345678), 0),
        (PointKind.SUM, number(1, 2, 0.1), 0),
        (PointKind.HISTOGRAM, histogram(1, 2, range(15), [10**6] * 16, sum=1), 16),
        (PointKind.SUMMARY, summary(1, 2, 5, 0.1), 0),
    ],
    ids=["integers", "doubles", "histograms", "summaries"],
)
def test_a_stream_takes_what_is_documented(kind: PointKind, made: bytes, buckets: int) -> None:
    """At most 250 bytes and 16 a bucket, at the worst size; and the folder knows it."""
    taken, folder = _memory_of(kind, made, AFTER_A_RESIZE)
    assert taken <= 250 + 16 * buckets
    assert folder.state_bytes() / len(folder) == pytest.approx(taken, rel=0.15)


def test_a_gauge_that_contributes_takes_no_more() -> None:
    """The order in which it was seen is kept beside its value, in arrays."""
    run = Run(metric(PointKind.GAUGE), FoldOptions(contributor_ns=SECOND_NS), GaugeFold.MAX)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for stream in range(AFTER_A_RESIZE):
        run.fold(stream << 40, number(None, 2, stream))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken / AFTER_A_RESIZE <= 250
