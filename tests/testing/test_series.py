"""A series says the same however its points were batched and ordered."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recording.records import Record, encoded, records_of
from tapeline.testing.given import batch_of
from tapeline.testing.series import Series, series_of

seeds = st.integers(0, 2**32 - 1)


def _points(*fields: dict[str, Any]) -> list[Record]:
    return [
        record
        for at, one in enumerate(fields)
        for record in records_of(batch_of({"metric": {"name": "m", "at": f"{at}s"} | one}))
    ]


def _one(*fields: dict[str, Any]) -> Series:
    (series,) = series_of(_points(*fields))
    return series


def _delta(kind: str, fields: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": kind, "temporality": "delta"} | one for one in fields]


def test_of_a_cumulative_sum_and_of_a_gauge_the_last_point_counts() -> None:
    """By its time, whatever came first."""
    points = _points({"value": 7, "type": "sum"}, {"value": 5, "type": "sum"})

    assert [series.value for series in series_of(points)] == [5]
    assert [series.value for series in series_of(points[::-1])] == [5]
    assert _one({"value": 2.0}, {"value": 1.0}).value == 1.0


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=8), seeds)
def test_a_delta_sum_is_all_its_points_added(values: list[int], seed: int) -> None:
    """In integers exactly, and in any order."""
    points = _points(*_delta("sum", [{"value": value} for value in values]))
    Random(seed).shuffle(points)  # noqa: S311 - repeatable

    (series,) = series_of(points)

    assert series.value == sum(values)
    assert type(series.value) is int


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=8), seeds)
def test_doubles_are_added_without_regard_to_order(values: list[float], seed: int) -> None:
    """The exact sum is rounded once."""
    points = _points(*_delta("sum", [{"value": value} for value in values]))
    shuffled = points.copy()
    Random(seed).shuffle(shuffled)  # noqa: S311 - repeatable

    assert encoded(series_of(points)[0].final) == encoded(series_of(shuffled)[0].final)


def test_doubles_are_added_exactly_and_rounded_once() -> None:
    """Ten tenths are one."""
    assert _one(*_delta("sum", [{"value": 0.1}] * 10)).value == 1.0


def test_a_delta_histogram_is_added_field_by_field() -> None:
    """Counts and buckets added, the least minimum, the greatest maximum, the first start."""
    first = {"start": "2025-01-01T00:00:00Z", "count": 3, "sum": 1.5, "min": 0.1, "max": 1.0,
             "explicit_bounds": [1.0], "bucket_counts": [3, 0]}  # fmt: skip
    second = {"start": "2025-01-02T00:00:00Z", "count": 1, "sum": 9.0, "min": 9.0, "max": 9.0,
              "explicit_bounds": [1.0], "bucket_counts": [0, 1]}  # fmt: skip

    series = _one(*_delta("histogram", [first, second]))

    assert series.final.items() >= {
        "count": 4, "sum": 10.5, "min": 0.1, "max": 9.0, "bucket_counts": (3, 1),
    }.items()  # fmt: skip
    assert series.start_unix_nano == 1_735_689_600_000_000_000
    assert series.value == 10.5


def test_histograms_of_other_bounds_are_not_added() -> None:
    """They stand beside each other."""
    bounds: list[dict[str, Any]] = [
        {"explicit_bounds": [1.0], "bucket_counts": [1, 0]},
        {"explicit_bounds": [2.0], "bucket_counts": [1, 0]},
        {"count": 1},
    ]

    assert len(series_of(_points(*_delta("histogram", bounds)))) == 3


def _filled(point: dict[str, Any], scale: int) -> dict[int, int]:
    """Return the counts of an exponential histogram's buckets at a coarser scale, the slow way."""
    found: dict[int, int] = {}
    side = point.get("positive", {})
    for place, count in enumerate(side.get("bucket_counts", ())):
        number = side.get("offset", 0) + place
        for _ in range(point.get("scale", 0) - scale):
            number = number // 2
        if count:
            found[number] = found.get(number, 0) + count
    return found


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "scale": st.integers(-2, 4),
                "positive": st.fixed_dictionaries(
                    {
                        "offset": st.integers(-9, 9),
                        "bucket_counts": st.lists(st.integers(0, 5), max_size=6),
                    }
                ),
            }
        ),
        min_size=1,
        max_size=4,
    ),
    seeds,
)
def test_exponential_histograms_are_added_at_the_coarsest_scale(
    fields: list[dict[str, Any]], seed: int
) -> None:
    """Bucket by bucket, in any order."""
    points = _points(*_delta("exponential_histogram", fields))
    Random(seed).shuffle(points)  # noqa: S311 - repeatable
    (series,) = series_of(points)

    scale = min(point["scale"] for point in fields)
    expected: dict[int, int] = {}
    for point in fields:
        for number, count in _filled(point, scale).items():
            expected[number] = expected.get(number, 0) + count
    assert series.final.get("scale", 0) == scale
    assert _filled({"scale": scale, **series.final}, scale) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"name": "n"},
        {"type": "sum"},
        {"attributes": {"k": 1}},
        {"resource": {"k": 1}},
        {"scope": "s"},
        {"unit": "s"},
    ],
)
def test_what_tells_series_apart(other: dict[str, Any]) -> None:
    """Resource, scope, and everything of a metric and a point but its numbers and times."""
    points = _points({"value": 1}, {"value": 2} | other)

    assert sorted(series.value or 0 for series in series_of(points)) == [1, 2]


def test_series_stand_in_order_of_service_and_name() -> None:
    """As one looks for them; logs and spans make none."""
    services = [
        {"name": name, "resource": {"service.name": service}}
        for service in ("b", "a")
        for name in ("y", "x")
    ]
    log = records_of(batch_of({"log": {"body": "x"}}))

    found = series_of([*_points(*services), *log])

    places = [(series.resource["attributes"]["service.name"], series.name) for series in found]
    assert places == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]


@pytest.mark.parametrize("type_", ["gauge", "sum", "histogram"])
def test_a_series_has_ended_where_its_last_point_says_so(type_: str) -> None:
    """The flag for no recorded value, alone or beside others; one that goes on has not ended."""
    value: dict[str, Any] = {"type": type_} | ({} if type_ == "histogram" else {"value": 1})
    end: dict[str, Any] = {"type": type_, "flags": 1}

    assert _one(value, end).has_ended
    assert _one(value, end | {"flags": 3}).has_ended
    assert not _one(value).has_ended
    assert not _one(value, value | {"flags": 2}).has_ended
    assert not _one(value, end, value).has_ended


def test_what_a_delta_series_counted_stays_when_it_ends() -> None:
    """Its points say what happened, whether more follow or not."""
    series = _one(*_delta("sum", [{"value": 2}, {"value": 3}, {"flags": 1}]))

    assert not series.has_ended
    assert series.value == 5


def test_exemplars_of_a_delta_series_are_all_kept() -> None:
    """In no order."""
    fields = [{"value": 1, "exemplars": [{"value": number}]} for number in (2, 1)]

    series = _one(*_delta("sum", fields))

    assert sorted(exemplar["value"] for exemplar in series.final["exemplars"]) == [1, 2]


def test_a_metric_without_points_is_no_series() -> None:
    """There is nothing that it says."""
    assert series_of(records_of(Batch(Signal.METRICS, b""))) == []
