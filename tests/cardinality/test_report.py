"""The report: figures of each metric, worst first, and several workers' reports as one."""

import json
from collections.abc import Sequence

import pytest
import yaml

from label_streams import ids, streams
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.demand import Demand
from tapeline.cardinality.report import (
    LabelState,
    LimitsState,
    MetricState,
    Report,
    TextState,
    prepare_report,
)
from tapeline.cardinality.report_merge import merge_reports


def state(*metrics: MetricState, **more: int) -> LimitsState:
    """Return the limits' state with these metrics."""
    return LimitsState("enforce", metrics, 10_000, counts=more)


def report_of(given: LimitsState, demand: Demand, **options: int) -> Report:
    """Return the report, after a way through JSON: it must be plain data."""
    report = prepare_report(given, demand, **options)()
    assert json.loads(json.dumps(report)) == report
    return report


def metric_of(report: Report, name: str = "orders") -> Report:
    """Return what a report says of a metric."""
    found: Report
    (found,) = (metric for metric in report["metrics"] if metric["metric"] == name)
    return found


def flooded(count: int, prefix: str = "id") -> Demand:
    """Return demand with so many new streams, each with a value of its own."""
    demand = Demand()
    demand.note_new("orders", streams(("id", ids(count, prefix)), ("side", ["buy"] * count)))
    demand.note_refused("orders", range(count))
    return demand


def test_demand_is_what_is_admitted_and_what_is_beyond() -> None:
    """Beyond is what the sketch estimates: streams that are remembered may be long gone."""
    demand = flooded(30)

    few = report_of(state(MetricState("orders", 10, "overflow", 10, folded_streams=5)), demand)
    many = report_of(state(MetricState("orders", 10, "overflow", 10, folded_streams=90)), demand)

    assert metric_of(few)["demand"] == 40
    assert metric_of(few)["ratio"] == 4.0
    assert metric_of(many)["demand"] == 40
    assert metric_of(many)["overflowed_streams"] == 90


def test_the_metric_nearest_to_its_limit_comes_first() -> None:
    """Those that don't fit are counted, and are in the totals."""
    metrics = [MetricState(f"m{share}", 100, "overflow", share) for share in (50, 100, 75)]

    report = report_of(state(*metrics), Demand(), max_metrics=2)

    assert [metric["metric"] for metric in report["metrics"]] == ["m100", "m75"]
    assert report["metrics_left_out"] == 1
    assert report["totals"]["admitted"] == 225
    assert report["totals"]["metrics"] == 3


def test_the_worst_label_has_samples_and_a_fix_that_loads() -> None:
    """A label with one value has none to fix."""
    report = report_of(state(MetricState("orders", 10, "overflow", 10)), flooded(30))

    worst, other = metric_of(report)["labels"]
    assert (worst["label"], worst["distinct_values"]) == ("id", 30)
    assert worst["samples"]
    assert set(worst["samples"]) <= set(ids(30))
    fixed = CardinalityConfig.model_validate(yaml.safe_load(worst["fix"]["yaml"])["cardinality"])
    assert fixed.metrics[0].match == ("orders",)
    assert (other["label"], other["fix"]) == ("side", None)
    assert other["top_offenders"] == [{"value": "buy", "streams": 30}]


def test_a_label_with_a_limit_says_so_and_needs_no_fix() -> None:
    """It has what the fix would give."""
    limited = MetricState(
        "orders", 10, "overflow", 10, labels=(LabelState("id", 5, "replace_value", 5),)
    )

    (worst, _) = metric_of(report_of(state(limited), flooded(30)))["labels"]

    assert (worst["limit"], worst["policy"], worst["admitted_values"]) == (5, "replace_value", 5)
    assert worst["fix"] is None


def test_a_limit_of_none_divides_by_nothing() -> None:
    """Limit 0 is allowed: all goes to the overflow series."""
    report = report_of(state(MetricState("orders", 0, "overflow", 0)), flooded(7))

    assert metric_of(report)["ratio"] == 7.0


def test_long_names_are_cut() -> None:
    """A metric's name may be as long as a message."""
    report = report_of(state(MetricState("m" * 10_000, 1, "overflow", 1)), Demand())

    assert len(report["metrics"][0]["metric"]) == 256


@pytest.fixture
def two() -> Sequence[Report]:
    """Return the reports of two workers: one metric of both, one of each."""
    reports = []
    for index, count in enumerate((30, 40)):
        metrics = (
            MetricState("orders", 10, "overflow", 10, count, evictions=1, refused={"nan": 2}),
            MetricState(f"own-{index}", 10, "overflow", 3),
        )
        given = LimitsState(
            "enforce",
            metrics,
            5000,
            counts={"evictions": 1},
            refused={"nan": 2, f"own-{index}": 1},
            state_bytes=100,
            texts=(TextState("log_label", "service.name", 10, index, 7),),
        )
        reports.append(report_of(given, flooded(count, f"w{index}")))
    return reports


def test_workers_reports_become_one(two: Sequence[Report]) -> None:
    """Streams come to one worker each and add up; a metric's limit stays what it is."""
    merged = merge_reports(two)

    assert json.loads(json.dumps(merged)) == merged
    orders = metric_of(merged)
    assert {name: orders[name] for name in ("admitted", "overflowed_streams", "demand")} == {
        "admitted": 20,
        "overflowed_streams": 70,
        "demand": 90,
    }
    assert (orders["limit"], orders["ratio"], orders["evictions"]) == (10, 5.0, 2)
    assert orders["refused"] == {"nan": 4}
    assert metric_of(merged, "own-0") == metric_of(two[0], "own-0")
    assert metric_of(merged, "own-1") == metric_of(two[1], "own-1")
    assert merged["texts"] == [
        {"kind": "log_label", "name": "service.name", "limit": 10, "admitted": 1, "replaced": 14}
    ]
    totals = merged["totals"]
    assert (totals["limit"], totals["state_bytes"]) == (10_000, 200)
    assert totals["refused"] == {"nan": 4, "own-0": 1, "own-1": 1}
    assert totals["counts"]["evictions"] == 2


def test_labels_of_several_workers_become_one(two: Sequence[Report]) -> None:
    """The most that one worker saw, with samples of both and counts that add up."""
    worst, side = metric_of(merge_reports(two))["labels"]

    assert (worst["label"], worst["distinct_values"]) == ("id", 40)
    assert len(worst["samples"]) == 5
    assert worst["fix"] is not None
    assert side["top_offenders"] == [{"value": "buy", "streams": 70}]


def test_the_report_of_one_worker_stays_as_it_is(two: Sequence[Report]) -> None:
    """Merging changes nothing where there is nothing to merge."""
    assert merge_reports(two[:1]) == two[0]
    with pytest.raises(ValueError, match="no reports"):
        merge_reports([])
