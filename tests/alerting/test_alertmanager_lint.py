"""What our own lint finds in an Alertmanager configuration, each planted into the real one."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeline import cli
from tapeline.alerting.alertmanager_files import LintSources, lint_files, rules_in
from tapeline.alerting.alertmanager_lint import LintInput, lint, matcher_of
from tapeline.alerting.inhibition_lint import AlertRule, lint_inhibition
from tapeline.stack.alertmanager import CONFIG_FILE, TEMPLATES, local_configuration, scaled
from tapeline.stack.binaries import SOURCE_ROOT

CONFIG = SOURCE_ROOT / CONFIG_FILE
RULES = (SOURCE_ROOT / "config/prometheus/rules", SOURCE_ROOT / "config/loki/rules")
DOCUMENT: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
TEXTS = {
    path.name: path.read_text(encoding="utf-8") for path in (SOURCE_ROOT / TEMPLATES).glob("*.tmpl")
}
ALERTS = tuple(rules_in(RULES))

Change = Callable[[dict[str, Any]], object]


def found(change: Change) -> list[str]:
    """Return what the lint says of the real configuration after a change."""
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return [str(problem) for problem in lint(LintInput(document, TEXTS))]


def inhibition_found(change: Change) -> list[str]:
    """Return what the lint says of the real inhibition rules after a change."""
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return [str(problem) for problem in lint_inhibition(document, ALERTS)]


@pytest.fixture(name="secrets")
def _secrets(tmp_path: Path) -> Path:
    """A folder with every secret that the configuration names."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in (
        "smtp_password",
        "slack_webhook_url",
        "opsgenie_api_key",
        "dead_mans_switch_url",
        "pagerduty_routing_key",
        "pagerduty_trading_routing_key",
        "pagerduty_risk_routing_key",
    ):
        (folder / name).write_text("not-a-real-one\n", encoding="utf-8")
        (folder / name).chmod(0o600)
    return folder


def test_the_configuration_is_clean(secrets: Path) -> None:
    """With its secrets in place, its templates, and every rule that there is."""
    assert len(ALERTS) > 50
    assert lint_files(LintSources(CONFIG, RULES, secrets)) == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda d: d["route"]["routes"][0].update(match={"severity": "info"}),
            "route.routes[0].match: `match` is deprecated; write matchers:",
        ),
        (
            lambda d: d["route"]["routes"][1]["routes"][0].update(match_re={"team": "r.*"}),
            "route.routes[1].routes[0].match_re: `match_re` is deprecated",
        ),
        (
            lambda d: d["inhibit_rules"][0].update(source_match={"severity": "critical"}),
            "inhibit_rules[0].source_match: `source_match` is deprecated; write source_matchers",
        ),
        (
            lambda d: d.update(mute_time_intervals=[]),
            "mute_time_intervals: is deprecated; write time_intervals",
        ),
        (
            lambda d: d["route"]["routes"][3].update(matchers=["severity=warning"]),
            "route.routes[3].matchers: 'severity=warning' is no quoted matcher",
        ),
        (
            lambda d: d["route"]["routes"][4].update(receiver="slack-inof"),
            "route.routes[4]: leads to the receiver 'slack-inof', which there is none of; there",
        ),
        (
            lambda d: d["receivers"].append(
                {"name": "lonely", "slack_configs": [{"channel": "#a"}]}
            ),
            "receivers.lonely: no route leads there",
        ),
        (
            lambda d: d["receivers"][0].update(email_configs=[], slack_configs=[]),
            "receivers.default-receiver: tells nobody",
        ),
        (
            lambda d: d["route"].update(matchers=['severity="critical"']),
            "route: the root has matchers",
        ),
        (
            lambda d: d["route"]["routes"][1].update(repeat_interval="soon"),
            "route.routes[1]: not a duration: 'soon'",
        ),
        (
            lambda d: d["route"]["routes"][1].update(repeat_interval="90s"),
            "route.routes[1]: repeat_interval 90s is no multiple of group_interval 1m",
        ),
        (
            lambda d: d["route"]["routes"][2].update(mute_time_intervals=["working-hours"]),
            "route.routes[2]: the clock mutes alerts that are not of severity info",
        ),
        (
            lambda d: d["route"]["routes"][4].update(active_time_intervals=["weekend"]),
            "route.routes[4]: there is no time interval 'weekend'",
        ),
        (
            lambda d: d["route"]["routes"][4].pop("active_time_intervals"),
            "time_intervals.working-hours: no route uses it",
        ),
        (
            lambda d: d["receivers"][3]["slack_configs"][0].update(
                text='{{ template "slack.txt" . }}'
            ),
            "receivers[3].slack_configs[0].text: the template 'slack.txt' is not defined",
        ),
        (
            lambda d: d["global"].update(slack_api_url="https://hooks.example.com/x"),
            "global.slack_api_url: a secret stands in the file itself; use slack_api_url_file",
        ),
        (
            lambda d: d["receivers"][2]["pagerduty_configs"][0].update(routing_key="0" * 32),
            "receivers[2].pagerduty_configs[0].routing_key: a secret stands in the file itself",
        ),
        (
            lambda d: d["global"].update(smtp_from="${SMTP_FROM}"),
            "global.smtp_from: '${SMTP_FROM}' has a variable, and Alertmanager expands none",
        ),
        (lambda d: d.pop("route"), "route: there is none"),
    ],
)
def test_what_amtool_lets_pass_is_found(change: Change, told: str) -> None:
    """It says where it is and what to do; what follows from it may be told, too."""
    problem, *_ = found(change)
    assert problem.startswith(told)


def test_a_missing_template_of_a_template_is_found() -> None:
    """Templates use each other."""
    texts = {"a.tmpl": '{{ define "x" }}{{ template "y" . }}{{ template "__subject" . }}{{ end }}'}
    problems = [str(one) for one in lint(LintInput({**DOCUMENT, "receivers": []}, texts))]
    assert "a.tmpl: the template 'y' is not defined; define it in a template" in problems
    assert not [one for one in problems if "__subject" in one]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda d: d["inhibit_rules"][1].update(source_matchers=['alertname="GatewayDown"']),
            'inhibit_rules[1].source_matchers: no alerting rule can have alertname="GatewayDown"',
        ),
        (
            lambda d: d["inhibit_rules"][2].update(
                target_matchers=['system="velos"', 'service="risk"']
            ),
            'inhibit_rules[2].target_matchers: no alerting rule can have system="velos"',
        ),
        (
            lambda d: d["inhibit_rules"][5].update(equal=["system", "rack"]),
            "inhibit_rules[5].equal: the label 'rack' is not on B25DiskSpaceLow",
        ),
        (
            lambda d: d["inhibit_rules"][4].update(target_matchers=[]),
            "inhibit_rules[4].target_matchers: has no matcher",
        ),
    ],
)
def test_inhibition_that_can_not_work_is_found(change: Change, told: str) -> None:
    """Names that no rule has, and labels that would be equal because both sides lack them."""
    problems = inhibition_found(change)
    assert problems
    assert problems[0].startswith(told)


def test_labels_that_an_aggregation_drops_are_missing() -> None:
    """What stays is in the rule's own labels or in its `by`."""
    rule = AlertRule("A", {"system": "s"}, "sum by (job, venue) (rate(x[5m])) > 1")
    assert [label for label in ("alertname", "system", "job", "venue") if not rule.has(label)] == []
    assert not rule.has("instance")
    assert AlertRule("B", {}, "up == 0").has("instance")
    document = {
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="A"'],
                "target_matchers": ['alertname="B"'],
                "equal": ["instance"],
            }
        ]
    }
    (problem,) = lint_inhibition(document, (rule, AlertRule("B", {}, "up == 0")))
    assert "'instance' is not on A (source_matchers)" in str(problem)


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (None, 0o600, "does not exist"),
        ("", 0o600, "is empty"),
        ("one\ntwo\n", 0o600, "has more than one line"),
        ("one\n", 0o644, "can be read by everybody"),
    ],
)
def test_a_secret_file_that_is_of_no_use_is_found(
    secrets: Path, text: str | None, mode: int, told: str
) -> None:
    """Alertmanager would notice when the first page is due."""
    path = secrets / "pagerduty_routing_key"
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
    (problem,) = lint_files(LintSources(CONFIG, (), secrets))
    assert problem.where == "receivers[2].pagerduty_configs[0].routing_key_file"
    assert told in problem.what


def test_the_command_prints_each_problem_and_fails(
    secrets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 0 without any, 1 with some, 2 for a file that is none."""
    rules = ["--rules", *map(str, RULES)]
    assert cli.main(["alert", "lint", str(CONFIG), "--secrets", str(secrets), *rules]) == 0
    assert "no problems" in capsys.readouterr().out
    assert cli.main(["alert", "lint", str(CONFIG), "--secrets", str(tmp_path), *rules]) == 1
    assert "7 problems" in capsys.readouterr().out
    bad = tmp_path / "bad.yml"
    assert cli.main(["alert", "lint", str(bad)]) == 2
    bad.write_text("[", encoding="utf-8")
    assert cli.main(["alert", "lint", str(bad)]) == 2
    bad.write_text("[]", encoding="utf-8")
    assert cli.main(["alert", "lint", str(bad)]) == 2
    assert "expected a mapping" in capsys.readouterr().err
    bad.write_text("templates: [gone/*.tmpl]\nroute: {receiver: a}\n", encoding="utf-8")
    assert cli.main(["alert", "lint", str(bad), "--rules"]) == 1
    assert "gone/*.tmpl matches no file" in capsys.readouterr().out


def test_the_local_configuration_keeps_the_tree() -> None:
    """Receivers become webhooks that say their name, intervals shrink, the clock mutes nothing."""
    local = local_configuration(DOCUMENT, "http://inbox:8092", "/t/*.tmpl", time_scale=10)
    assert {
        receiver["name"]: receiver["webhook_configs"][0]["url"] for receiver in local["receivers"]
    } == {
        receiver["name"]: f"http://inbox:8092/receivers/{receiver['name']}"
        for receiver in DOCUMENT["receivers"]
    }
    assert local["inhibit_rules"] == DOCUMENT["inhibit_rules"]
    assert local["global"] == {"resolve_timeout": "30s"}
    pairs = list(zip(walked(DOCUMENT["route"]), walked(local["route"]), strict=True))
    assert len(pairs) > 10
    for before, after in pairs:
        assert set(before) == set(after)
        for name, value in before.items():
            if name in {"group_wait", "group_interval", "repeat_interval"}:
                assert after[name] == scaled(value, 10)
            else:
                assert after[name] == value, name
    assert local["time_intervals"] == [
        {
            "name": "working-hours",
            "time_intervals": [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}],
        }
    ]
    with pytest.raises(ValueError, match="time scale of alerts is 0"):
        local_configuration(DOCUMENT, "http://inbox:8092", "/t/*.tmpl", time_scale=0)


def walked(route: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every branch without what hangs below it, from the root on."""
    own = {name: value for name, value in route.items() if name != "routes"}
    return [own, *(each for child in route.get("routes", []) for each in walked(child))]


@pytest.mark.parametrize(
    ("duration", "scale", "expected"),
    [
        ("5m", 10, "30s"),
        ("10s", 10, "1s"),
        ("5s", 10, "1s"),
        ("0s", 10, "0s"),
        ("1h30m", 60, "1m30s"),
        ("15s", 10, "1s500ms"),
        ("1h30m", 1, "1h30m"),
    ],
)
def test_intervals_are_divided_down_to_a_second(duration: str, scale: int, expected: str) -> None:
    """Nothing becomes 0 that was not: Alertmanager refuses it."""
    assert scaled(duration, scale) == expected


@pytest.mark.parametrize("duration", ["", "5", "5 m", "m5", "-5m", "1.5h"])
def test_what_is_no_duration_is_refused(duration: str) -> None:
    """With the way to write it."""
    with pytest.raises(ValueError, match="write it as 30s"):
        scaled(duration, 10)


def test_a_matcher_is_read_in_the_quoted_form_only() -> None:
    """As UTF-8 strict mode wants it."""
    assert matcher_of('severity="critical"') == ("severity", "=", "critical")
    assert matcher_of('service=~"a|b"') == ("service", "=~", "a|b")
    assert matcher_of("severity=critical") is None
    assert matcher_of('{severity="critical"}') is None
