"""Rules by metric name: the first that matches counts, alone."""

from typing import Any

from tapeline.cardinality.config import CardinalityConfig, GaugePolicy, SeriesPolicy
from tapeline.cardinality.rules import MAX_NAMES, NO_RULE, Rules


def _rules(**section: Any) -> Rules:
    return Rules(CardinalityConfig.model_validate(section))


def test_the_first_rule_that_matches_counts_alone() -> None:
    """Nothing is taken from a later rule, nor from an earlier one that does not match."""
    rules = _rules(
        metrics=[
            {"match": "http.server.*", "gauge": "max"},
            {"match": ["http.*", "rpc.*"], "limit": 5, "policy": "drop_series"},
        ]
    )

    first, second = rules.for_metric("http.server.duration"), rules.for_metric("rpc.x")

    assert (first.number, first.limit, first.gauge) == (0, 2000, GaugePolicy.MAX)
    assert first.policy is SeriesPolicy.OVERFLOW
    assert (second.number, second.limit, second.policy) == (1, 5, SeriesPolicy.DROP_SERIES)
    assert rules.for_metric("http.client.x") is second


def test_without_a_rule_the_default_holds() -> None:
    """And its attributes need no look."""
    rule = _rules(default_limit=7).for_metric("x")

    assert (rule.number, rule.limit, rule.is_plain) == (NO_RULE, 7, True)


def test_of_a_protected_metric_only_ids_are_rewritten() -> None:
    """No limit of a rule that matches it holds."""
    rules = _rules(
        protect={"metrics": ["pnl.*"], "labels": {"venue": ["binance"]}},
        metrics=[
            {"match": "pnl.total", "labels": {"x": {"limit": 1}}, "normalize": {"y": ["hex"]}},
            {"match": "*", "resource": {"labels": {"x": {"limit": 1}}}},
        ],
    )

    total, other = rules.for_metric("pnl.total"), rules.for_metric("pnl.other")

    assert total.is_protected
    assert {*total.labels} == {b"y"}
    assert not total.limits_labels
    assert (other.is_protected, other.is_plain) == (True, True)
    assert not rules.for_metric("x").is_protected


def test_a_protected_value_is_known_without_a_rule() -> None:
    """Its label is looked at in every metric."""
    rule = _rules(protect={"labels": {"venue": ["binance"]}}).for_metric("x")

    assert not rule.is_plain
    assert rule.protects_values
    assert not rule.limits_labels


def test_tenants_have_their_own_limit_or_the_default() -> None:
    """None is no limit."""
    rules = _rules(tenants={"limits": {"gw": 5}})

    assert rules.tenant_limit("gw") == 5
    assert rules.tenant_limit("other") is None
    assert _rules(tenants={"default_limit": 9}).tenant_limit("other") == 9


def test_a_flood_of_names_takes_bounded_memory() -> None:
    """Names beyond the bound get their rule too, they are only not remembered."""
    rules = _rules(metrics=[{"match": "n1*", "limit": 1}])

    for number in range(MAX_NAMES + 10):
        rules.for_metric(f"n{number}")

    assert rules.for_metric(f"n1{MAX_NAMES}").limit == 1
    assert len(rules._by_name) == MAX_NAMES
