"""New streams that are folded at once give what they give one by one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fold_points import Run, at, metric, number
from tapeline.cardinality.folding.newcomers import fold_new
from tapeline.cardinality.folding.numbers import read_number, read_plain_numbers
from tapeline.cardinality.folding.options import FoldOptions
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.outputs import PointKind, Temporality

METRICS = [
    metric(),
    metric(),
    metric(),
    metric(temporality=Temporality.DELTA),
    metric(is_monotonic=False),
    metric(PointKind.GAUGE),
]


@st.composite
def points(draw: st.DrawFn) -> tuple[int, bytes]:
    """Return a stream's key and its point: most are good."""
    start = draw(st.sampled_from([None, -9, 3, 4]))
    time = draw(st.sampled_from([-1, 3, 4, 5, 5, 5, 5, 6, 9_000]))
    values: Any = st.sampled_from([5, 7, 2**40, -1])
    if draw(st.booleans()):
        values = st.sampled_from([0.5, 1e300, float("nan"), None])
    return draw(st.integers(1, 30)), number(start, time, draw(values))


@given(
    which=st.sampled_from(METRICS),
    strict=st.booleans(),
    was_lost=st.booleans(),
    warmup_s=st.sampled_from([0, 2, 60]),
    forgotten=st.sets(st.integers(1, 30), max_size=3),
    batches=st.lists(st.lists(points(), min_size=1, max_size=9), max_size=4),
)
def test_at_once_is_as_one_by_one(
    which: Any,
    *,
    strict: bool,
    was_lost: bool,
    warmup_s: int,
    forgotten: set[int],
    batches: list[list[tuple[int, bytes]]],
) -> None:
    """Outcomes, totals and what is remembered are the same, while nothing is evicted."""
    options = FoldOptions(strict=strict, warmup_ns=warmup_s * 10**9, max_folded_streams=400)
    at_once, one_by_one = (Run(which, options, state_was_lost=was_lost) for _ in range(2))
    for run in (at_once, one_by_one):
        run.producer.raise_floor(at(3) if forgotten else 0, at(3) if forgotten else 0)
        run.folder.forget(set(forgotten), [run.producer])
        run.now = 5
    for batch in batches:
        outcomes = fold_new(at_once.folder, at_once.output, at_once.producer, batch, at(5))
        assert outcomes == [one_by_one.fold(*point) for point in batch]
        assert at_once.emit() == one_by_one.emit()
    assert at_once.folder.streams.slots.keys() == one_by_one.folder.streams.slots.keys()
    assert at_once.producer.streams == one_by_one.producer.streams
    for run in (at_once, one_by_one):
        run.fold(99, number(4, 5, 1))
    later = [(key, number(3, 5.5, 2**41)) for key in range(1, 31)]
    assert [at_once.fold(*point) for point in later] == [one_by_one.fold(*p) for p in later]
    assert at_once.emit() == one_by_one.emit()


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=30, unique=True), max_size=9))
def test_a_flood_counts_no_stream_twice(batches: list[list[int]]) -> None:
    """A table that is full forgets many at once: no more is shown than all streams counted."""
    run = Run(options=FoldOptions(strict=True, max_folded_streams=16))
    values: dict[int, int] = {}
    shown = 0
    for turn, keys in enumerate(batches, 2):
        run.now = turn
        for key in keys:
            values[key] = values.get(key, 0) + 1 + key
        some = [(key, number(1, turn, values[key])) for key in keys]
        outcomes = fold_new(run.folder, run.output, run.producer, some, at(turn))
        assert len(outcomes) == len(keys)
        message = run.emit()
        assert shown <= message.as_int <= sum(values.values())
        shown = message.as_int
        assert len(run.folder) <= 16
        assert len(run.folder.forgotten) <= 16
        assert run.producer.streams == run.output.streams == len(run.folder)


def test_a_flood_of_integers_and_of_doubles_is_exact() -> None:
    """First values are in the total; later ones add what they are more."""
    for more in (0, 0.5):
        run = Run(options=FoldOptions(max_folded_streams=5_000))
        run.now = 5
        first = [(key, number(2, 3, key + more)) for key in range(1, 301)]
        second = [(key, number(2, 4, key + 2 + more)) for key in range(1, 301)]
        outcomes = fold_new(run.folder, run.output, run.producer, first, at(5))
        assert outcomes == [FoldOutcome.ADDED] * 300
        fold_new(run.folder, run.output, run.producer, second, at(5))
        message = run.emit()
        expected = sum(range(1, 301)) + 300 * (2 + more)
        assert (message.as_double if more else message.as_int) == expected


@given(st.lists(points().map(lambda point: point[1]), min_size=1, max_size=4))
def test_plain_numbers_are_read_as_one_by_one(some: list[bytes]) -> None:
    """Or not at all."""
    numbers = read_plain_numbers(some)
    if numbers is not None:
        assert numbers == [read_number(point)[:3] for point in some]
