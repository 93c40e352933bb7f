"""The limits' own metrics are those of metadata.yaml, and their labels are bounded."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import tapeline.cardinality
from tapeline.cardinality import tally
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.metrics import (
    BOUNDS,
    EVICTED,
    LIMITED,
    MAX_NAMED_METRICS,
    OTHER_METRICS,
    REFUSED,
    RESULTS,
    TEXT_KINDS,
    CardinalityMetrics,
    metrics_on,
)
from tapeline.cardinality.report import MetricFigures, MetricState
from tapeline.cardinality.route import Reason
from tapeline.cardinality.snapshot import ReadOutcome, WriteOutcome

METADATA: dict[str, Any] = yaml.safe_load(
    Path(tapeline.cardinality.__file__).with_name("metadata.yaml").read_text(encoding="utf-8")
)


def figures(*names: str, admitted: int = 8, limit: int = 10) -> list[MetricFigures]:
    """Return figures of metrics that are alike."""
    return [
        MetricFigures(MetricState(name, limit, "overflow", admitted, 3), admitted + 3)
        for name in names
    ]


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return a registry with the metrics, one row of gauges in it."""
    registry = CollectorRegistry()
    metrics_on(registry).show(figures("orders"), global_limit=100, state_bytes=5)
    return registry


def samples(registry: CollectorRegistry) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values of each metric by label values, as Prometheus' own parser reads them."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = tuple(sample.labels.values())
            of_metric = found.setdefault(sample.name, {})
            assert labels not in of_metric
            of_metric[labels] = sample.value
    return found


def test_the_file_and_the_code_name_the_same_metrics(registry: CollectorRegistry) -> None:
    """Type, description and labels included."""
    in_code = {}
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {
            label
            for sample in family.samples
            if not sample.name.endswith("_created")
            for label in sample.labels
        }
        in_code[name] = (family.type, family.documentation, labels)

    assert in_code == {
        name: (listed["type"], listed["description"], set(listed["attributes"]))
        for name, listed in METADATA["metrics"].items()
    }


def test_the_file_and_the_code_name_the_same_values() -> None:
    """Whoever writes an alert reads the file."""
    of_code = {
        "result": set(RESULTS),
        "reason": {*REFUSED, *LIMITED},
        "kind": {*TEXT_KINDS, *EVICTED},
        "bound": set(BOUNDS),
        "outcome": {*ReadOutcome, *WriteOutcome},
    }
    for label, values in of_code.items():
        assert set(METADATA["attributes"][label]["values"]) == values, label
    assert set(METADATA["attributes"]) == {*of_code, "metric"}
    for name in METADATA["metrics"].values():
        assert name.get("attempts", "tapeline_cardinality_points_total") in METADATA["metrics"]


def _values(of: type) -> set[str]:
    return {value for name, value in vars(of).items() if name.isupper() and value}


def test_every_fate_of_a_point_can_be_counted(registry: CollectorRegistry) -> None:
    """One that is not known would fail the batch."""
    metrics = metrics_on(registry)
    results = {*FoldOutcome, *_values(tally.Result)}
    reasons = _values(Reason) | _values(tally.Reason)

    metrics.count_points(dict.fromkeys(results, 1))
    metrics.count_limited(dict.fromkeys(reasons, 1))

    found = samples(registry)
    refused = found["tapeline_cardinality_refused_points_total"]
    points = found["tapeline_cardinality_points_total"]
    assert sum(points.values()) == len(results)
    assert points["refused",] == sum(refused.values()) == len(REFUSED)
    assert set(found["tapeline_cardinality_limited_streams_total"].values()) == {1.0}


def test_counters_begin_at_nothing_and_count(registry: CollectorRegistry) -> None:
    """A rate over a counter that begins with its first event hides that event."""
    before = samples(registry)
    metrics = metrics_on(registry)
    metrics.count_texts("span_name", 10, 4)
    metrics.count_evictions("series", 3)
    metrics.count_bound_hits("producers", 5)
    metrics.count_conflicts(1)
    metrics.count_read(ReadOutcome.DAMAGED)
    metrics.count_written(WriteOutcome.WRITTEN)

    changed = {
        (name, *labels): value
        for name, of_metric in samples(registry).items()
        for labels, value in of_metric.items()
        if before[name][labels] != value
    }
    assert {before[name][labels] for name, *rest in changed for labels in [tuple(rest)]} == {0.0}
    prefix = "tapeline_cardinality_"
    assert changed == {
        (f"{prefix}texts_total", "span_name"): 10,
        (f"{prefix}replaced_texts_total", "span_name"): 4,
        (f"{prefix}evictions_total", "series"): 3,
        (f"{prefix}bound_hits_total", "producers"): 5,
        (f"{prefix}conflicts_total",): 1,
        (f"{prefix}snapshot_reads_total", "damaged"): 1,
        (f"{prefix}snapshot_writes_total", "written"): 1,
    }


def test_only_the_metrics_nearest_to_their_limits_are_named(registry: CollectorRegistry) -> None:
    """The rest is one, with sums and the worst of its ratios."""
    named = figures(*(f"m{number}" for number in range(MAX_NAMED_METRICS)), admitted=20)
    rest = [*figures("r1", admitted=7), *figures("r2", "r3", admitted=1)]

    metrics_on(registry).show([*named, *rest], global_limit=10_000, state_bytes=77)

    found = samples(registry)
    admitted = found["tapeline_cardinality_admitted_series"]
    assert len(admitted) == MAX_NAMED_METRICS + 1
    assert admitted[OTHER_METRICS,] == 9
    assert found["tapeline_cardinality_demand_series"][OTHER_METRICS,] == 18
    assert found["tapeline_cardinality_limit_ratio"][OTHER_METRICS,] == 1.0
    assert found["tapeline_cardinality_global_limit_ratio"][()] == 0.1009
    assert found["tapeline_cardinality_state_bytes"][()] == 77


def test_a_metric_that_is_gone_is_no_longer_shown(registry: CollectorRegistry) -> None:
    """A gauge that stays would tell of limits that hold nothing."""
    metrics_on(registry).show(figures("fills"), global_limit=100, state_bytes=5)

    assert set(samples(registry)["tapeline_cardinality_limit_ratio"]) == {("fills",)}


@pytest.mark.parametrize(
    "names",
    [
        (OTHER_METRICS, *(f"m{number}" for number in range(2 * MAX_NAMED_METRICS))),
        ('a"b\\c\nd', "e\x00f", "\udcff", "?"),
        ("m" * 1000, "m" * 999),
    ],
)
def test_hostile_names_leave_a_scrape_readable(
    registry: CollectorRegistry, names: tuple[str, ...]
) -> None:
    """One series twice, or a byte that is no UTF-8, would cost the whole scrape."""
    metrics_on(registry).show(figures(*names), global_limit=100, state_bytes=5)

    admitted = samples(registry)["tapeline_cardinality_admitted_series"]
    assert sum(admitted.values()) == 8 * len(names)
    assert len(admitted) <= MAX_NAMED_METRICS + 1


def test_a_registry_has_the_metrics_once() -> None:
    """Two processors on one registry count together."""
    registry = CollectorRegistry()

    assert metrics_on(registry) is metrics_on(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        CardinalityMetrics(registry)
