"""Inputs that carry the identity of a series which Tapeline writes itself are part of it."""

from typing import Any

import pytest

from metric_requests import Series, at, batch_of, counted
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.pipeline.batch import Batch

LIMITED = {"labels": {"id": {"limit": 1, "policy": "replace_value"}}}
DROPPED = {"labels": {"id": {"limit": 0, "policy": "drop_label"}}}
NORMALIZED = {"normalize": {"id": ["number"]}}
OUTPUTS = [
    (LIMITED, {"id": "__other__"}),
    (DROPPED, {"venue": "x"}),
    (NORMALIZED, {"id": "{number}"}),
]


def limiter(rule: dict[str, Any]) -> MetricsLimiter:
    """Return a limiter with one rule for all metrics."""
    config = {"metrics": [{"match": "*", **rule}]}
    return MetricsLimiter(CardinalityConfig.model_validate(config), seed=3)


def of_identity(batch: Batch, labels: dict[str, str]) -> list[int]:
    """Return the values of all points with these labels, in their order."""
    message: Any = batch.request
    return [
        point.as_int
        for around in message.resource_metrics
        for scoped in around.scope_metrics
        for metric in scoped.metrics
        for point in metric.sum.data_points
        if {pair.key: pair.value.string_value for pair in point.attributes} == labels
    ]


@pytest.mark.parametrize(("rule", "identity"), OUTPUTS)
@pytest.mark.parametrize("temporality", [1, 2])
def test_an_input_with_the_identity_of_an_output_is_folded_into_it(
    rule: dict[str, Any], identity: dict[str, str], temporality: int
) -> None:
    """Also where the output was there first: passed on, it would be a second series of that name.

    One of the two would then overwrite the other in Prometheus.
    """
    limits = limiter(rule)
    varied = {"id": "1", "venue": "x"} if rule is DROPPED else {"id": "1"}
    if rule is LIMITED:
        labels = {"id": "taken"}
        limits.process(batch_of(Series("m", [counted(labels, 1, 1, 0)])), at(0))
    points = [counted(varied, 5, 2, 1)]
    first = limits.process(batch_of(Series("m", points, temporality=temporality)), at(0)).batch
    assert of_identity(first, identity) == [5]

    points = [counted(identity, 7, 3, 2)]
    second = limits.process(batch_of(Series("m", points, temporality=temporality)), at(0)).batch

    assert of_identity(second, identity) == [12]


@pytest.mark.parametrize(("rule", "identity"), OUTPUTS)
def test_rules_that_changed_judge_what_was_admitted_anew(
    rule: dict[str, Any], identity: dict[str, str]
) -> None:
    """A series that they rewrite is a baseline, and one that they let be goes on as it is."""
    before = MetricsLimiter(CardinalityConfig(), seed=3)
    names = ("1", "2")
    many = [counted({"id": name, "venue": "x"}, 5, 2, 1) for name in names]
    one = [counted(identity, 100, 2, 1)]
    before.process(batch_of(Series("m", [*many, *one]), Series("plain", one)), at(2))
    rule = {"metrics": [{"match": "m", **rule}]}
    after = MetricsLimiter(CardinalityConfig.model_validate(rule), seed=4)
    after.load(before.dump(), is_clean=True)

    many = [counted({"id": name, "venue": "x"}, 7, 3, 1) for name in names]
    one = [counted(identity, 103, 3, 1)]
    first = after.process(batch_of(Series("m", [*many, *one]), Series("plain", one)), at(3))
    one = [counted(identity, 107, 4, 1)]
    second = after.process(batch_of(Series("m", one)), at(4))

    assert first.tally.admitted["plain"] == 1
    assert of_identity(first.batch, identity) == [103, 0]
    assert of_identity(second.batch, identity) == [4]
