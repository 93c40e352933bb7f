"""The section of the configuration: what it takes, and what it refuses with its place."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from tapeline.cardinality.config import CardinalityConfig, Mode, SummaryPolicy
from tapeline.pipeline.loader import ConfigError, read_document, validate_document

LOKI = Path(__file__).parents[2] / "config" / "loki" / "loki.yaml"


@pytest.mark.parametrize(
    "section",
    [
        {"mode": "off"},
        {"modes": "enforce"},
        {"default_limit": -1},
        {"global_limit": 0},
        {"idle_ttl": "1s"},
        {"idle_ttl": 3600},
        {"max_folded_streams": 0},
        {"metrics": [{}]},
        {"metrics": [{"match": []}]},
        {"metrics": [{"match": ""}]},
        {"metrics": [{"match": "a[b"}]},
        {"metrics": [{"match": "a", "policy": "replace_value"}]},
        {"metrics": [{"match": "a", "labels": {"x": {}}}]},
        {"metrics": [{"match": "a", "labels": {"x": {"limit": 1, "policy": "pass"}}}]},
        {"metrics": [{"match": "a", "labels": {"otel.metric.overflow": {"limit": 1}}}]},
        {"metrics": [{"match": "a", "normalize": {"x": ["ip"]}}]},
        {"metrics": [{"match": "a", "normalize": {"x": [{"pattern": "(", "with": "y"}]}}]},
        {"metrics": [{"match": "a", "normalize": {"x": [{"pattern": "a", "with": "{y}"}]}}]},
        {"metrics": [{"match": "a", "normalize": {"x": [{"pattern": "[a-z]", "with": "y"}]}}]},
        {"protect": {"labels": {"venue": "binance"}}},
        {"protect": {"labels": {"venue": [""]}}},
        {"logs": {"labels": {"x": {"limit": 1, "policy": "drop_label"}}}},
        {"traces": {"attributes": {"span.name": {"limit": 1}}}},
        {"traces": {"span_names": {"normalize": ["uuid"]}}},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(section: dict[str, Any]) -> None:
    """Unknown keys, wrong units, and patterns that can't be used."""
    with pytest.raises(ValidationError):
        CardinalityConfig.model_validate(section)


@pytest.mark.parametrize(
    ("section", "path", "message"),
    [
        (
            {"metrics": [{"match": "http.*"}, {"match": ["rpc.*", "http.server.*"]}]},
            ("metrics", 1, "match", 1),
            "never applies: metrics[0] ('http.*') matches all of it first",
        ),
        (
            {"metrics": [{"match": "a"}, {"match": "a"}]},
            ("metrics", 1, "match", 0),
            "never applies: metrics[0] ('a')",
        ),
        (
            {"protect": {"metrics": "pnl.*"}, "metrics": [{"match": "pnl.total"}]},
            ("metrics", 0, "match", 0),
            "never applies: protect.metrics has 'pnl.*'",
        ),
        (
            {"global_limit": 100, "metrics": [{"match": "a", "limit": 101}]},
            ("metrics", 0, "limit"),
            "can't be reached, since global_limit is 100",
        ),
        (
            {"global_limit": 100, "tenants": {"limits": {"gw": 200}}},
            ("tenants", "limits", "gw"),
            "can't be reached",
        ),
        (
            {"global_limit": 100, "tenants": {"default_limit": 200}},
            ("tenants", "default_limit"),
            "can't be reached",
        ),
        (
            {"protect": {"labels": {"venue": ["__other__"]}}},
            ("protect", "labels", "venue", 0),
            "stands for values beyond a limit",
        ),
        (
            {
                "metrics": [{"match": "a", "normalize": {"route": ["number"]}}],
                "protect": {"labels": {"route": ["/orders/7"]}},
            },
            ("protect", "labels", "route", 0),
            "does not occur: normalize of metrics[0] makes '/orders/{number}' of it",
        ),
    ],
)
def test_rules_against_each_other_are_found(
    section: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    """What never applies, can't be reached or can't occur is named where it stands."""
    with pytest.raises(ValidationError) as caught:
        CardinalityConfig.model_validate(section)

    (problem,) = caught.value.errors()
    assert problem["loc"] == path
    assert problem["msg"].startswith(message)


def test_all_problems_are_named_with_their_lines(tmp_path: Path) -> None:
    """One start is enough to find them all."""
    path = tmp_path / "gate.yaml"
    path.write_text(
        """
default_limit: 5
metrics:
  - match: http.*
    labels:
      x: 5
    normalize:
      y: [uid, {pattern: (, with: z}]
  - match:
      - a[
""",
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as caught:
        validate_document(read_document(path), CardinalityConfig)

    lines = [problem.removeprefix(f"{path}:") for problem in caught.value.problems]
    assert [line.split(": ")[:2] for line in lines] == [
        ["6", "metrics[0].labels.x"],
        ["8", "metrics[0].normalize.y[0].built_in"],
        ["8", "metrics[0].normalize.y[1].own.pattern"],
        ["10", "metrics[1].match[0]"],
    ]
    assert "Input should be 'uuid', 'hex' or 'number' (got 'uid')" in lines[1]


def test_a_narrower_rule_before_a_wider_one_is_fine() -> None:
    """That is what the order is for; one pattern or a list are the same."""
    config = CardinalityConfig.model_validate(
        {
            "mode": "observe",
            "metrics": [
                {"match": "http.server.*", "limit": 0, "labels": {"route": {"limit": 0}}},
                {"match": ["http.*", "rpc.*"], "policy": "drop_series"},
            ],
        }
    )

    assert config.mode is Mode.OBSERVE
    assert config.metrics[1].summary is SummaryPolicy.COUNT_SUM
    assert config.metrics[0].match == ("http.server.*",)


def test_a_rule_that_rewrites_may_meet_what_is_protected() -> None:
    """Protection is from limits; a placeholder can be protected, ids can't."""
    config = CardinalityConfig.model_validate(
        {
            "metrics": [{"match": "pnl.total", "normalize": {"order": ["number"]}}],
            "protect": {"metrics": ["pnl.*"], "labels": {"order": ["{number}"]}},
        }
    )

    assert config.protect.metrics == ("pnl.*",)


def test_a_section_written_out_reads_back_equal() -> None:
    """Patterns of one's own, durations and all: what a snippet shows can be pasted."""
    config = CardinalityConfig.model_validate(
        {
            "idle_ttl": "30m",
            "metrics": [
                {"match": "a", "normalize": {"x": ["uuid", {"pattern": "A[0-9]", "with": "a"}]}}
            ],
            "traces": {"span_names": None},
        }
    )

    again = CardinalityConfig.model_validate(config.model_dump(mode="json", by_alias=True))

    assert again == config


@pytest.mark.parametrize("match", ["http.*", ["http.*", "rpc.*"]])
def test_the_schema_allows_what_can_be_read(match: object) -> None:
    """One pattern or a list, built-in patterns or one's own."""
    section = {
        "idle_ttl": "30m",
        "metrics": [{"match": match, "normalize": {"x": ["uuid", {"pattern": "a1", "with": "a"}]}}],
        "protect": {"metrics": "pnl.*"},
    }

    jsonschema.validate(section, CardinalityConfig.model_json_schema())

    assert CardinalityConfig.model_validate(section).protect.metrics == ("pnl.*",)


def test_by_default_the_labels_are_limited_that_loki_indexes() -> None:
    """The section's default and Loki's configuration name the same resource attributes."""
    loki = yaml.safe_load(LOKI.read_text(encoding="utf-8"))
    rules = loki["limits_config"]["otlp_config"]["resource_attributes"]["attributes_config"]
    indexed = {
        name for rule in rules if rule["action"] == "index_label" for name in rule["attributes"]
    }

    assert {*CardinalityConfig().logs.labels} == indexed
