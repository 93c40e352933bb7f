"""Suggested configuration: it loads, and it bounds the label that it is for."""

import uuid

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.fixes import Fix, WideLabel, fix_of
from tapeline.cardinality.rules import Rules

UUIDS = [str(uuid.UUID(int=number * 0x1234567, version=4)) for number in range(1, 6)]


def wide(name: str = "id", metric: str = "orders", **known: object) -> WideLabel:
    """Return a label with many values, of which some are known."""
    given: dict[str, object] = {
        "distinct_values": 5000,
        "new_streams": 20_000,
        "samples": ["alpha", "beta"],
        "limit": 2000,
    }
    return WideLabel(metric, name, **(given | known))  # type: ignore[arg-type]


def suggested(label: WideLabel) -> Fix:
    """Return the fix of a label that has one."""
    fix = fix_of(label)
    assert fix is not None
    return fix


def loaded(fix: Fix) -> CardinalityConfig:
    """Return the suggested section, as the gate would read it."""
    document = yaml.safe_load(fix.yaml)
    assert set(document) == {"cardinality"}
    return CardinalityConfig.model_validate(document["cardinality"])


@pytest.mark.parametrize(
    ("samples", "shapes"),
    [
        (UUIDS, ["uuid"]),
        (["9f86d081884c7d65", "2c26b46b68ffc68f"], ["hex"]),
        (["41", "42", "43"], ["number"]),
        (["/orders/41/fills", "/orders/42/fills"], ["number"]),
        ([f"/orders/42/{text}" for text in UUIDS], ["uuid", "number"]),
        ([*UUIDS[:4], "none"], ["uuid"]),
    ],
)
def test_ids_of_a_known_shape_are_rewritten(samples: list[str], shapes: list[str]) -> None:
    """All the shapes that the samples hold, and no other."""
    fix = suggested(wide(samples=samples))

    (rule,) = loaded(fix).metrics
    assert fix.kind == "normalize"
    assert rule.normalize == {"id": tuple(shapes)}
    normaliser = Rules(loaded(fix)).for_metric("orders").labels[b"id"].normaliser
    assert normaliser is not None
    assert len({normaliser.rewrite(sample) for sample in samples}) <= 2


def test_a_label_that_names_the_stream_is_taken_out() -> None:
    """Another value in nearly every stream, and no shape to know it by."""
    fix = suggested(wide(samples=["quick fox", "lazy dog"], distinct_values=19_000))

    (rule,) = loaded(fix).metrics
    assert fix.kind == "drop_label"
    assert (rule.labels["id"].limit, rule.labels["id"].policy) == (0, "drop_label")


def test_any_other_label_gets_a_limit() -> None:
    """Below that of its metric, so that other labels have room."""
    fix = suggested(wide(samples=["BTC-USD", "ETH-USD"], distinct_values=3000))

    (rule,) = loaded(fix).metrics
    assert fix.kind == "replace_value"
    assert (rule.labels["id"].limit, rule.labels["id"].policy) == (100, "replace_value")
    assert rule.limit is None


def test_a_limit_that_a_rule_gives_is_kept() -> None:
    """The first rule that matches counts alone, so the suggested one must say it again."""
    (rule,) = loaded(suggested(wide(limit=300, has_rule=True))).metrics

    assert rule.limit == 300


@given(
    st.text(min_size=1, max_size=256),
    st.text(min_size=1, max_size=256),
    st.lists(st.text(max_size=80), max_size=5),
    st.integers(0, 10**7),
)
def test_every_suggestion_loads_and_matches_its_metric(
    metric: str, name: str, samples: list[str], distinct_values: int
) -> None:
    """Whatever hostile text the names and values are; another metric is not matched."""
    fix = fix_of(wide(name, metric, samples=samples, distinct_values=distinct_values))
    if fix is None:
        assert name == "otel.metric.overflow" or name.endswith("…") or "\ufffd" in metric + name
        return

    rules = Rules(loaded(fix))

    found = rules.for_metric(metric)
    assert list(found.labels) == [name.encode()]
    assert rules.for_metric(metric + "x").labels == {}


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("m" * 257, "id"),
        ("m", "i" * 257),
        ("m", ""),
        ("m", "otel.metric.overflow"),
        ("m", "\ufffd"),
    ],
)
def test_what_no_rule_can_name_gets_no_suggestion(metric: str, name: str) -> None:
    """Names that were cut or replaced would match nothing, or something else."""
    assert fix_of(wide(name, metric)) is None
