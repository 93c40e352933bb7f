"""Streams that were forgotten are not taken for new ones, however long ago that was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fold_points import Run, at, metric, number, value_of
from tapeline.cardinality.folding.forgotten import Forgotten
from tapeline.cardinality.folding.options import FoldOptions
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.outputs import PointKind, Temporality

EVERY_EVICTION = FoldOptions(max_folded_streams=8, max_bucket_bytes=0)


def _evict_all_but_the_last(run: Run, streams: range) -> None:
    """Fold streams that leave no room for each other, one a second."""
    for stream in streams:
        run.now += 1
        run.fold(stream, number(run.now - 0.5, run.now, 5))
    run.emit()


def test_a_forgotten_stream_with_its_old_start_is_a_baseline_for_ever() -> None:
    """Its producer may be believed again, but not about this one."""
    run = Run(options=EVERY_EVICTION)
    _evict_all_but_the_last(run, range(1, 5))
    run.now = 10_000
    assert run.producer.is_warm(at(run.now), EVERY_EVICTION.warmup_ns)
    assert run.fold(1, number(0.5, run.now, 7)) is FoldOutcome.BASELINE
    run.now += 1000
    assert run.fold(99, number(0.5, run.now, 7)) is FoldOutcome.ADDED
    assert value_of(run.emit()) == 4 * 5 + 7


def test_who_had_too_many_forgotten_is_believed_no_more() -> None:
    """When the keys of some are lost, nothing with an old start can be told from them."""
    run = Run(options=EVERY_EVICTION)
    _evict_all_but_the_last(run, range(1, 30))
    run.now = 10_000
    assert 1 not in run.folder.forgotten
    assert run.fold(1, number(0.5, run.now, 7)) is FoldOutcome.BASELINE
    run.now += 1000
    assert run.fold(99, number(0.5, run.now, 7)) is FoldOutcome.BASELINE


def test_a_producer_that_was_forgotten_itself_comes_back_no_wiser() -> None:
    """Its streams are still known, and what was lost of it is so for all that come later."""
    run = Run(options=EVERY_EVICTION)
    _evict_all_but_the_last(run, range(1, 5))
    run.folder.remember(run.producer)
    run.producer = run.folder.producer(run.producer.key, metric(), at(run.now))
    run.now = 10_000
    assert run.fold(1, number(0.5, run.now, 7)) is FoldOutcome.BASELINE
    assert run.folder.forgotten.oldest == run.producer.first_forgotten_part == 1
    _evict_all_but_the_last(run, range(10, 40))
    again = run.folder.producer(run.producer.key, metric(), at(run.now))
    assert 0 < again.first_forgotten_part < run.folder.forgotten.oldest


def test_an_old_point_of_a_forgotten_stream_is_no_baseline() -> None:
    """Sent again, it would make the life that followed it look new."""
    run = Run(options=FoldOptions(strict=True, max_bucket_bytes=0))
    run.fold(1, number(1, 3, 5))
    run.fold(1, number(4, 6, 4))
    run.fold(2, number(5, 7, 0))
    assert run.fold(1, number(1, 3, 5)) is FoldOutcome.BELOW_FLOOR
    assert run.folder.output_of(1) is None
    assert run.fold(1, number(4, 8, 6)) is FoldOutcome.BASELINE
    assert value_of(run.emit()) == 9


@pytest.mark.parametrize(
    ("kind", "temporality", "is_monotonic", "expected"),
    [
        (PointKind.SUM, Temporality.CUMULATIVE, True, True),
        (PointKind.SUM, Temporality.CUMULATIVE, False, False),
        (PointKind.SUM, Temporality.DELTA, True, False),
        (PointKind.GAUGE, Temporality.UNSPECIFIED, False, False),
        (PointKind.HISTOGRAM, Temporality.CUMULATIVE, False, True),
        (PointKind.EXPONENTIAL_HISTOGRAM, Temporality.DELTA, False, False),
        (PointKind.SUMMARY, Temporality.UNSPECIFIED, False, True),
    ],
)
def test_only_what_counts_since_a_start_is_remembered(
    kind: PointKind, temporality: Temporality, *, is_monotonic: bool, expected: bool
) -> None:
    """Of all others no start is ever believed or doubted."""
    run = Run(metric(kind, temporality=temporality, is_monotonic=is_monotonic))
    run.folder.forget({1, 2}, [run.producer])
    assert len(run.folder.forgotten) == (2 if expected else 0)


@given(
    most=st.integers(0, 200),
    steps=st.lists(st.one_of(st.integers(0, 60), st.sets(st.integers(0, 60))), max_size=80),
)
def test_keys_are_exact_and_bounded(most: int, steps: list[int | set[int]]) -> None:
    """A key is known as long as the part it was noted with is not lost; no other ever is."""
    forgotten = Forgotten(most)
    numbers: dict[int, int] = {}
    for step in steps:
        keys = step if isinstance(step, set) else {step}
        numbers.update(dict.fromkeys(keys, forgotten.newest))
        if isinstance(step, set):
            forgotten.add_all(set(step))
        else:
            forgotten.add([step])
        assert len(forgotten) <= most
        for key in range(61):
            if key not in numbers:
                assert key not in forgotten
            elif numbers[key] >= forgotten.oldest:
                assert key in forgotten

    copy = Forgotten(most)
    copy.restore(forgotten.dump())
    assert (copy.oldest, copy.newest) == (forgotten.oldest, forgotten.newest)
    assert [key in copy for key in range(61)] == [key in forgotten for key in range(61)]
    assert copy.state_bytes() >= 8 * len(forgotten)
