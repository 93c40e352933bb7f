"""Every alert there is: valid, proven on both sides of its threshold, labelled, and explained."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from promtool import promtool, promtool_result
from rule_cases import RULE_FILES, TEST_FILES, Case, alerts, cases, failing, rules
from rule_checks import (
    ALWAYS,
    FIRES,
    NEVER,
    SILENT,
    WATCHDOG,
    bounds_complaints,
    case_complaints,
    fences,
    label_complaints,
    query_complaints,
    runbook_complaints,
    section_complaints,
    template_complaints,
)
from tapeline.stack.binaries import SOURCE_ROOT

LOKI_FILES = sorted((SOURCE_ROOT / "config" / "loki" / "rules").rglob("*.yaml"))
RUNBOOKS = SOURCE_ROOT / "docs" / "runbooks"
DASHBOARDS = sorted((SOURCE_ROOT / "config" / "grafana" / "dashboards").rglob("*.json"))
PAGES = sorted(RUNBOOKS.glob("*.md"))
SYSTEMS = ("veloz", "py_rt", "b25", "ktrdr", "tapeline", "host")


def _told(complaints: Sequence[str]) -> str:
    return "\n" + "\n".join(complaints)


@pytest.mark.stack
def test_every_rule_file_is_valid_and_without_a_lint() -> None:
    """By Prometheus' own tool, with all that it finds made an error."""
    told = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)

    assert told.count("SUCCESS") == len(RULE_FILES)


@pytest.mark.stack
@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_every_case_passes(path: Path, tmp_path: Path) -> None:
    """Each in the real durations of its rules."""
    wrong, told = failing(cases([path]), tmp_path)

    assert not wrong, told


def test_there_are_alerts_of_every_system() -> None:
    """What follows would pass with no alerts at all."""
    systems = {alert["labels"]["system"] for alert in alerts()}

    assert systems == set(SYSTEMS)
    assert len(alerts()) > 150
    assert sum(len(rules(path)) for path in RULE_FILES) > len(alerts())
    assert sum(alert["alert"] == WATCHDOG for alert in alerts()) == 1


def test_every_alert_has_its_two_cases() -> None:
    """By name: a misspelt one that expects nothing passes promtool."""
    complaints = list(case_complaints(alerts(), cases()))

    assert not complaints, _told(complaints)


def _changed(expression: str) -> Any:
    def change(alert: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**alert, "expr": expression}

    return change


def unbroken(some: Sequence[Case], form: str, expression: str, folder: Path) -> set[str]:
    """Return the names of cases that pass though their alert's expression says something else."""
    chosen = [
        case
        for case in some
        for name in case.alerts
        if case.name == form.format(name) and name != WATCHDOG
    ]
    broken, told = failing(chosen, folder, _changed(expression))
    assert broken or not chosen, told
    return {case.name for case in chosen} - broken


@pytest.mark.stack
@pytest.mark.parametrize(
    ("form", "expression"), [(SILENT, ALWAYS), (FIRES, NEVER)], ids=["always", "never"]
)
def test_every_case_can_fail(form: str, expression: str, tmp_path: Path) -> None:
    """An alert that is always true breaks its silent case; one that is never true, the firing one.

    A silent case that ends before its alert's `for` is silent whatever the rule says.
    """
    passed = unbroken(cases(), form, expression, tmp_path)

    assert not passed, f"they pass though the expression is {expression}: {sorted(passed)}"


def _planted(folder: Path, *, until: str, asked: str = "A") -> list[Case]:
    """Return cases of an alert with `for: 5m`, the silent one of which ends at `until`."""
    rule = {"alert": "A", "expr": "x > 1", "for": "5m", "labels": {"severity": "info"}}
    (folder / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "a", "rules": [rule]}]}), encoding="utf-8"
    )
    entries = [
        {
            "name": "A fires",
            "interval": "1m",
            "input_series": [{"series": "x", "values": "2x20"}],
            "alert_rule_test": [
                {
                    "eval_time": "10m",
                    "alertname": "A",
                    "exp_alerts": [{"exp_labels": {"severity": "info"}}],
                }
            ],
        },
        {
            "name": "A is silent just below",
            "interval": "1m",
            "input_series": [{"series": "x", "values": "1x20"}],
            "alert_rule_test": [{"eval_time": until, "alertname": asked, "exp_alerts": []}],
        },
    ]
    path = folder / "cases.yml"
    path.write_text(
        yaml.safe_dump(
            {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": entries}
        ),
        encoding="utf-8",
    )
    return cases([path])


@pytest.mark.stack
def test_a_silent_case_that_can_not_fail_is_found(tmp_path: Path) -> None:
    """One that ends before `for` passes promtool whatever the expression is."""
    (tmp_path / "good").mkdir()
    (tmp_path / "early").mkdir()
    good = _planted(tmp_path / "good", until="10m")
    early = _planted(tmp_path / "early", until="4m")

    assert failing([*good, *early], tmp_path)[0] == set()
    assert unbroken(good, SILENT, ALWAYS, tmp_path) == set()
    assert unbroken(good, FIRES, NEVER, tmp_path) == set()
    with pytest.raises(AssertionError):
        unbroken(early, SILENT, ALWAYS, tmp_path)


def test_a_case_of_a_misspelt_alert_is_found(tmp_path: Path) -> None:
    """Promtool passes it: an alert that is not there is silent."""
    (tmp_path / "misspelt").mkdir()
    misspelt = _planted(tmp_path / "misspelt", until="10m", asked="B")
    known = [{"alert": "A"}]

    complaints = list(case_complaints(known, misspelt))

    assert "cases.yml: 'A is silent just below' asks for B, which is no alert" in complaints
    assert "cases.yml: 'A is silent just below' does not ask for A" in complaints
    assert list(case_complaints(known, misspelt[:1])) == [
        "0 cases are named 'A is silent just below', not one"
    ]
    assert list(case_complaints(known, [misspelt[0], *_planted(tmp_path, until="9m")])) == [
        "2 cases are named 'A fires', not one"
    ]


def test_every_alert_has_the_labels_of_the_scheme() -> None:
    """Prometheus' and Loki's alike: routes and inhibition are by these labels."""
    complaints = list(label_complaints([*alerts(), *alerts(LOKI_FILES)]))

    assert not complaints, _told(complaints)


def test_every_dashboard_that_an_alert_names_is_there() -> None:
    """A notice links it: at night nobody looks for the one that was meant."""
    uids = {json.loads(path.read_text(encoding="utf-8"))["uid"] for path in DASHBOARDS}
    named = {
        alert["alert"]: alert["annotations"]["dashboard"]
        for alert in [*alerts(), *alerts(LOKI_FILES)]
        if "dashboard" in alert["annotations"]
    }
    assert len(named) > 100

    assert {name: uid for name, uid in named.items() if uid not in uids} == {}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"severity": "high"}, "severity 'high' is none of"),
        ({"priority": "P4"}, "priority 'P4' does not go with severity critical"),
        ({"team": "ops"}, "team 'ops' is none of"),
        ({"system": "acme"}, "system 'acme' is none of"),
        ({"system": "b25"}, "its name does not begin with B25"),
        ({"note": "{{ $value }}"}, "label note changes with the value"),
    ],
)
def test_a_label_that_is_not_of_the_scheme_is_found(change: Mapping[str, str], told: str) -> None:
    """With the alert's name."""
    labels = {"severity": "critical", "priority": "P1", "team": "ml", "system": "veloz"}
    annotations = {
        "summary": "s",
        "description": "d",
        "runbook_url": "docs/runbooks/VelozA.md",
    }
    alert = {"alert": "VelozA", "expr": "x > 1", "labels": labels, "annotations": annotations}
    assert list(label_complaints([alert])) == []

    (complaint,) = label_complaints([{**alert, "labels": {**labels, **change}}])

    assert complaint.startswith(f"VelozA: {told}")
    assert len(list(label_complaints([{**alert, "annotations": {}}]))) == 3
    assert len(list(label_complaints([{**alert, "expr": "sum(x) > 1"}]))) == 1


def test_every_label_in_a_text_is_one_that_the_alert_has() -> None:
    """Prometheus' and Loki's alike: one that is aggregated away is written as nothing."""
    complaints = [
        *template_complaints(alerts(), cases()),
        *template_complaints(alerts(LOKI_FILES), ()),
    ]

    assert not complaints, _told(complaints)


def test_a_label_that_is_aggregated_away_is_found(tmp_path: Path) -> None:
    """In a text or in a label; not where the template asks for it first."""
    alert = {
        "alert": "A",
        "expr": "sum by (job) (x) > 1",
        "labels": {"severity": "info", "service": "{{ $labels.pod }}"},
        "annotations": {
            "summary": "{{ $labels.job }} of {{ $labels.instance }}",
            "description": "{{ with $labels.symbol }} of {{ . }}{{ end }}",
        },
    }
    told = [
        "A: a template has $labels.instance, which the alert does not have",
        "A: a template has $labels.pod, which the alert does not have",
    ]
    fires, _ = _planted(tmp_path, until="10m")
    expected = fires.entry["alert_rule_test"][0]["exp_alerts"][0]["exp_labels"]

    assert list(template_complaints([alert], ())) == told
    expected.update(job="j", pod="p", instance="")
    assert list(template_complaints([alert], [fires])) == told[:1]
    expected.update(instance="i")
    assert list(template_complaints([alert], [fires])) == []
    assert list(template_complaints([{**alert, "expr": "x > 1"}], ())) == [
        "A: nothing tells which labels it has"
    ]


def test_the_limits_name_every_alert_that_no_scenario_makes_fire() -> None:
    """By name, but those of error budgets, Tapeline's own and the machine's."""
    expected = {
        name
        for path in (SOURCE_ROOT / "config" / "floor").glob("*.yaml")
        for scenario in yaml.safe_load(path.read_text(encoding="utf-8")).values()
        for name in (scenario or {}).get("expected") or ()
    }
    documents = {
        alert["alert"]
        for alert in [*alerts(), *alerts(LOKI_FILES)]
        if alert["labels"]["system"] not in {"tapeline", "host"} and "slo" not in alert["labels"]
    }
    limits = (SOURCE_ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    (line,) = [line for line in limits.splitlines() if "is seen to fire on the floor" in line]
    named = set(re.findall(r"`(\w+)`", line))

    assert expected & documents
    assert {name for name in named if not name.startswith("Tapeline")} == documents - expected


def test_every_bound_of_a_bucket_is_written_as_it_is_stored() -> None:
    """In rules, in their cases and on the runbooks: le="100" matches nothing, and says nothing."""
    texts = [*RULE_FILES, *TEST_FILES, *PAGES]
    bounds = 0
    complaints = []
    for path in texts:
        text = path.read_text(encoding="utf-8")
        bounds += len(re.findall(r'\ble="', text))
        complaints += [f"{path.name}: {complaint}" for complaint in bounds_complaints(text)]

    assert bounds
    assert not complaints, _told(complaints)


def test_a_bound_that_matches_nothing_is_found() -> None:
    """And a fitting one, a regular expression or infinity is not."""
    assert list(bounds_complaints('x_bucket{le="100"}')) == [
        'le="100" matches nothing: write le="100.0"'
    ]
    assert not list(bounds_complaints('x{le="0.1"} y{le="+Inf"} z{le=~"1|2"} w{le="100.0"}'))


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    """Those of Loki's rules, too."""
    both = [*alerts(), *alerts(LOKI_FILES)]
    assert alerts(LOKI_FILES)

    complaints = list(runbook_complaints(both, RUNBOOKS))

    assert not complaints, _told(complaints)


def test_a_runbook_without_an_alert_is_found(tmp_path: Path) -> None:
    """And an alert without a runbook."""
    (tmp_path / "Old.md").write_text("# Old\n", encoding="utf-8")

    complaints = list(runbook_complaints([{"alert": "New"}], tmp_path))

    assert complaints == [
        f"New has no runbook: write {tmp_path}/New.md",
        f"{tmp_path}/Old.md is the runbook of no alert",
    ]


def test_every_runbook_has_its_sections_with_something_in_them() -> None:
    """Meaning, impact, diagnosis with a query, mitigation, escalation."""
    complaints = [complaint for path in PAGES for complaint in section_complaints(path)]

    assert PAGES
    assert not complaints, _told(complaints)


def test_a_runbook_that_lacks_something_is_found(tmp_path: Path) -> None:
    """Its title, a section, what is in one, a query."""
    path = tmp_path / "A.md"
    path.write_text("# B\n\n## Meaning\n\n## Impact\n\nx\n", encoding="utf-8")

    told = "\n".join(section_complaints(path))

    assert "it begins with '# B', not with '# A'" in told
    assert "its sections are Meaning, Impact; they are Meaning, Impact, Diagnosis" in told
    assert "Meaning is empty" in told
    assert "it has no query" in told


def test_every_diagnosis_asks_for_what_its_alert_looks_at() -> None:
    """One of its metrics at least, as it is or recorded."""
    every = [rule for path in RULE_FILES for rule in rules(path)]

    complaints = list(query_complaints(every, RUNBOOKS))

    assert not complaints, _told(complaints)


def test_a_diagnosis_of_something_else_is_found(tmp_path: Path) -> None:
    """Labels, functions and ranges are no metrics; a name may be a pattern."""
    alert = {
        "alert": "A",
        "expr": "histogram_quantile(0.9, sum by (le) (rate(x_s_bucket[5m]))) > 1",
    }
    page = tmp_path / "A.md"
    every = [alert, {"record": "job:x:p90", "expr": "histogram_quantile(0.9, x_s_bucket)"}]
    for query, fits in (
        ("x_s_count", True),
        ("job:x:p90", True),
        ('{__name__=~"x_.+"}', True),
        ('rate(y_total{le="x_s"}[5m])', False),
        ("histogram_quantile(0.9, y_bucket)", False),
    ):
        page.write_text(f"# A\n\n```promql\n{query}\n```\n", encoding="utf-8")
        told = [] if fits else ["A: no query of its page is of x_s"]
        assert list(query_complaints(every, tmp_path)) == told


@pytest.mark.stack
def test_every_query_of_a_runbook_is_promql(tmp_path: Path) -> None:
    """All of them in one rule file, each under the name of its page."""
    queries = [
        (path.stem, text)
        for path in PAGES
        for kind, text in fences(path.read_text(encoding="utf-8"))
        if kind == "promql"
    ]
    assert len(queries) >= len(PAGES) // 2
    rule_file = tmp_path / "queries.yml"
    records = [
        {"record": f"{name}:query:{number}", "expr": text}
        for number, (name, text) in enumerate(queries)
    ]
    document = {"groups": [{"name": "runbooks", "rules": records}]}
    rule_file.write_text(yaml.safe_dump(document), encoding="utf-8")

    code, told = promtool_result("check", "rules", rule_file)

    assert code == 0, told
