"""Alertmanager configurations with other shapes than the lint looks for: told, not a traceback."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tapeline import cli
from tapeline.alerting.alertmanager_lint import LintInput, lint, routes_of
from tapeline.alerting.alertmanager_shape import shape_problems
from tapeline.alerting.inhibition_lint import AlertRule, lint_inhibition

KEYS = ("route", "routes", "receivers", "receiver", "name", "matchers", "templates",
        "inhibit_rules", "source_matchers", "target_matchers", "equal", "time_intervals",
        "active_time_intervals", "mute_time_intervals", "group_interval", "repeat_interval",
        "webhook_configs", "url_file", "api_key", "match")  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(("a", "5m", 'a="b"')))
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=6,
)
MAPPINGS = st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=4)
DOCUMENTS = st.fixed_dictionaries(
    {"route": MAPPINGS},
    optional={
        "receivers": st.lists(MAPPINGS, max_size=2),
        "inhibit_rules": st.lists(MAPPINGS, max_size=2),
        "time_intervals": st.lists(MAPPINGS, max_size=2),
        "templates": ANYTHING,
    },
)
RULES = (AlertRule("A", {"severity": "critical"}, "sum by (job) (up) == 0"),)


@given(DOCUMENTS)
def test_what_has_the_right_shape_can_be_looked_at(document: dict[str, Any]) -> None:
    """And what has not is told of, with its place."""
    problems = list(shape_problems(document))
    if problems:
        assert all(problem.where for problem in problems)
        return

    lint(LintInput(document))
    lint_inhibition(document, RULES)


def _deep(levels: int) -> dict[str, Any]:
    route: dict[str, Any] = {"receiver": "a"}
    for _ in range(levels):
        route = {"receiver": "a", "routes": [route]}
    return route


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"route": 3}, "route: it is no mapping but 3"),
        ({"route": {"routes": [3]}}, "route.routes[0]: it is no mapping but 3"),
        ({"route": {"routes": {"a": 1}}}, "route.routes: it is no list but"),
        ({"route": {"matchers": 'a="b"'}}, "route.matchers: it is no list but"),
        ({"route": _deep(21)}, "routes are nested more than 20 deep"),
        ({"receivers": {"a": "b"}}, "receivers: it is no list but {'a': 'b'}"),
        ({"receivers": ["a"]}, "receivers[0]: it is no mapping but 'a'"),
        ({"inhibit_rules": [{"equal": "a"}]}, "inhibit_rules[0].equal: it is no list but 'a'"),
        ({"route": {"receiver": ["a"]}}, "route.receiver: it is no text but ['a']"),
        ({"route": {"receiver": False}}, "route.receiver: it is no text but False"),
        ({"receivers": [{"name": 5}]}, "receivers[0].name: it is no text but 5"),
        ({"inhibit_rules": [{"equal": [1]}]}, "inhibit_rules[0].equal[0]: it is no text but 1"),
        ({"templates": "a.tmpl"}, "templates: it is no list but 'a.tmpl'"),
    ],
)
def test_another_shape_is_told_with_its_place(document: dict[str, Any], told: str) -> None:
    """One line for it."""
    (problem,) = shape_problems(document)

    assert told in str(problem)


def test_an_empty_part_of_a_route_is_inherited() -> None:
    """As Alertmanager has it: `receiver:` without a value, and a text that is empty, are none."""
    child = {"receiver": None, "group_interval": None, "repeat_interval": None, "matchers": None}
    document = {
        "route": {
            "receiver": "a",
            "group_interval": "1m",
            "repeat_interval": "1h",
            "routes": [child, {"receiver": ""}],
        }
    }

    assert not list(shape_problems(document))
    _, *children = routes_of(document["route"])
    assert [(each.receiver, each.group_interval, each.repeat_interval) for each in children] == [
        ("a", "1m", "1h")
    ] * 2


@pytest.mark.parametrize("part", ["receivers", "time_intervals"])
def test_a_name_without_a_value_is_an_empty_one(part: str) -> None:
    """Which the lint tells of as of any other that leads nowhere; never as None."""
    document = {"route": {"receiver": "a"}, "receivers": [{"name": "a", "x_configs": [{}]}]}
    document[part] = [*document.get(part, []), {"name": None}]

    assert not list(shape_problems(document))
    problems = lint(LintInput(document))
    assert problems
    assert not [problem for problem in problems if "None" in str(problem)]


def test_the_command_says_what_is_no_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another shape is a problem, exit 1; what is no text is no configuration, exit 2."""
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump({"route": {"receiver": "a", "routes": [3]}}), encoding="utf-8")
    assert cli.main(["alert", "lint", str(path)]) == 1
    assert "route.routes[0]: it is no mapping" in capsys.readouterr().out

    path.write_bytes(b"\xa1\xff")
    assert cli.main(["alert", "lint", str(path)]) == 2
    assert f"{path}: no YAML" in capsys.readouterr().err
