"""Each silent case stands at the edge of its alert: it has the data, and lacks value or time.

Goal: no case is silent because its series are misspelt, or because nothing has happened yet.
Method: every comparison of the alert's rule is turned round, one at a time, and its `for` is taken
away. What was just below the edge is beyond it then, so at least one of these breaks the case.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from rule_cases import Case, alerts, cases, failing
from rule_checks import SILENT

TURNED = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_COMPARISON = re.compile(r"==|!=|<=|>=|<|>")
# In strings and matchers, the same signs compare nothing.
_NOT_COMPARED = re.compile(r'"(?:[^"\\]|\\.)*"|\{[^}]*\}')


def turned(expression: str) -> list[str]:
    """Return the expression with each of its comparisons turned round, one at a time."""
    plain = _NOT_COMPARED.sub(lambda found: " " * len(found[0]), expression)
    return [
        expression[: found.start()] + TURNED[found[0]] + expression[found.end() :]
        for found in _COMPARISON.finditer(plain)
    ]


def far_from_the_edge(
    some: Sequence[Case], rules: Sequence[Mapping[str, Any]], folder: Path
) -> set[str]:
    """Return the alerts whose silent case stays silent whatever is changed.

    Those whose rule compares nothing are about what is there, and not looked at; nor are those of
    error budgets, whose cases are made from the same numbers as their rules.
    """
    expressions = {
        rule["alert"]: rule["expr"] for rule in rules if "slo" not in rule.get("labels", {})
    }
    mutants = {name: turned(expression) for name, expression in expressions.items()}
    left = {
        name: case
        for case in some
        for name in case.alerts
        if case.name == SILENT.format(name) and mutants.get(name)
    }
    assert left

    def rest(changed: Mapping[str, Mapping[str, Any]]) -> dict[str, Case]:
        chosen = [left[name] for name in changed if name in left]
        broken, _ = failing(chosen, folder, lambda rule: changed.get(rule["alert"], rule))
        return {name: case for name, case in left.items() if case.name not in broken}

    left = rest({rule["alert"]: {**rule, "for": "0s"} for rule in rules})
    for number in range(max(map(len, mutants.values()))):
        left = rest(
            {
                rule["alert"]: {**rule, "expr": mutants[rule["alert"]][number]}
                for rule in rules
                if number < len(mutants.get(rule["alert"], ()))
            }
        )
    return set(left)


@pytest.mark.stack
def test_every_silent_case_is_at_the_edge_of_its_alert(tmp_path: Path) -> None:
    """Of every alert that compares something."""
    far = far_from_the_edge(cases(), alerts(), tmp_path)

    assert not far, f"their silent case is silent whatever the rule asks for: {sorted(far)}"


def _planted(folder: Path, series: str, values: str) -> tuple[list[Case], list[dict[str, Any]]]:
    """Return the silent case, at 10 minutes, of an alert on `x`, and the rule."""
    folder.mkdir(exist_ok=True)
    rule = {"alert": "A", "expr": 'x{job="a"} > 1', "for": "5m"}
    (folder / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "a", "rules": [rule]}]}), encoding="utf-8"
    )
    entry = {
        "name": "A is silent just below",
        "interval": "1m",
        "input_series": [{"series": series, "values": values}],
        "alert_rule_test": [{"eval_time": "10m", "alertname": "A", "exp_alerts": []}],
    }
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [entry]}
    path = folder / "cases.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return cases([path]), [rule]


@pytest.mark.stack
@pytest.mark.parametrize(
    ("name", "series", "values", "is_far"),
    [
        ("below", 'x{job="a"}', "1x20", False),
        ("not yet", 'x{job="a"}', "1x6 2x20", False),
        ("misspelt", 'y{job="a"}', "1x20", True),
        ("other label", 'x{job="b"}', "1x20", True),
        ("nothing yet", 'x{job="a"}', "_x20", True),
    ],
)
def test_a_silent_case_far_from_the_edge_is_found(
    tmp_path: Path, name: str, series: str, values: str, is_far: bool  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    """Misspelt or mislabelled series pass promtool: what is not there is silent."""
    some, rules = _planted(tmp_path / name.replace(" ", "_"), series, values)

    assert failing(some, tmp_path)[0] == set()
    assert far_from_the_edge(some, rules, tmp_path) == ({"A"} if is_far else set())


def test_comparisons_are_turned_one_at_a_time() -> None:
    """And what stands in quotes or matchers is none."""
    assert turned('a{b!="c > d"} > 1 and e{f=~"g"} <= 2') == [
        'a{b!="c > d"} <= 1 and e{f=~"g"} <= 2',
        'a{b!="c > d"} > 1 and e{f=~"g"} > 2',
    ]
    assert turned('absent(up{job="a"})') == []
