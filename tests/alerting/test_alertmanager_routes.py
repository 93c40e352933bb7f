"""The routing tree, inhibition and templates of production, by Alertmanager's own amtool."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeline.alerting.alertmanager_files import rules_in
from tapeline.alerting.alertmanager_lint import Route, routes_of
from tapeline.stack import binaries
from tapeline.stack.alertmanager import CONFIG_FILE, TEMPLATES, local_text

pytestmark = pytest.mark.stack

ROOT = binaries.SOURCE_ROOT
CONFIG = ROOT / CONFIG_FILE
DOCUMENT: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
ROUTES: tuple[Route, ...] = tuple(routes_of(DOCUMENT["route"]))

CASES: tuple[tuple[str, str, str], ...] = (
    # labels; the receivers in order; the branch of the tree that the case is for
    ("alertname=Watchdog severity=info", "dead-mans-switch", "route.routes[0]"),
    (
        "severity=critical system=veloz team=infrastructure service=gateway",
        "pagerduty-critical,slack-critical",
        "route.routes[1]",
    ),
    (
        "severity=critical system=py_rt team=risk",
        "risk-alerts,slack-critical",
        "route.routes[1].routes[0]",
    ),
    (
        "severity=critical system=veloz team=infrastructure service=risk",
        "risk-alerts,slack-critical",
        "route.routes[1].routes[1]",
    ),
    (
        "severity=critical system=b25 team=trading service=order-execution",
        "trading-alerts,slack-critical",
        "route.routes[1].routes[2]",
    ),
    (
        "severity=critical system=veloz team=platform service=execution",
        "trading-alerts,slack-critical",
        "route.routes[1].routes[3]",
    ),
    (
        "severity=critical system=ktrdr team=ml",
        "pagerduty-critical,slack-critical",
        "route.routes[2]",
    ),
    ("severity=warning system=b25 team=infrastructure", "slack-warnings", "route.routes[3]"),
    ("severity=warning system=b25 team=risk", "risk-alerts", "route.routes[3].routes[0]"),
    (
        "severity=warning system=veloz team=platform service=risk",
        "risk-alerts",
        "route.routes[3].routes[1]",
    ),
    ("severity=warning system=py_rt team=trading", "trading-alerts", "route.routes[3].routes[2]"),
    (
        "severity=warning system=veloz team=platform service=oms",
        "trading-alerts",
        "route.routes[3].routes[3]",
    ),
    (
        "severity=warning system=veloz team=infrastructure service=gateway",
        "opsgenie-warning",
        "route.routes[3].routes[4]",
    ),
    ("severity=warning system=py_rt team=ml", "ml-warnings", "route.routes[3].routes[5]"),
    ("severity=info system=b25 team=trading", "slack-info", "route.routes[4]"),
    ("alertname=Nameless system=veloz", "default-receiver", "route"),
    ("severity=high system=veloz", "default-receiver", "route"),
)


def amtool(*arguments: str, config: Path = CONFIG) -> subprocess.CompletedProcess[str]:
    """Run amtool on a configuration."""
    program = binaries.require("amtool")
    words = [argument.replace("CONFIG", str(config)) for argument in arguments]
    return subprocess.run(
        [str(program), *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def routed(labels: str, config: Path = CONFIG) -> str:
    """Return the receivers that amtool finds, in its own form."""
    run = amtool("config", "routes", "test", "--config.file=CONFIG", *labels.split(), config=config)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def local_file(folder: Path, time_scale: int = 1) -> Path:
    """Write the configuration that the demo runs."""
    path = folder / "local.yml"
    text = CONFIG.read_text(encoding="utf-8")
    templates = str(ROOT / TEMPLATES / "*.tmpl")
    path.write_text(local_text(text, "http://127.0.0.1:1", templates, time_scale), encoding="utf-8")
    return path


def test_amtool_accepts_the_configuration(tmp_path: Path) -> None:
    """Production's, that of containers, and the demo's at every scale."""
    compose = CONFIG.with_name("alertmanager.compose.yml")
    for path in (CONFIG, compose, local_file(tmp_path), local_file(tmp_path, 60)):
        run = amtool("--enable-feature=utf8-strict-mode", "check-config", "CONFIG", config=path)
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(("labels", "receivers", "_branch"), CASES)
def test_an_alert_is_routed(labels: str, receivers: str, _branch: str) -> None:
    """To whom its severity, team and system say, in this order."""
    assert routed(labels) == receivers
    run = amtool(
        *("config", "routes", "test", "--config.file=CONFIG"),
        f"--verify.receivers={receivers}x",
        *labels.split(),
    )
    assert run.returncode == 1, "amtool would not notice a wrong receiver"


def test_every_branch_has_its_case() -> None:
    """The table is whole: every leaf and the default stand in it, and every receiver is reached."""
    assert sorted({branch for _, _, branch in CASES}) == sorted(route.where for route in ROUTES)
    reached = {name for _, receivers, _ in CASES for name in receivers.split(",")}
    assert reached == {receiver["name"] for receiver in DOCUMENT["receivers"]}


def test_the_demo_routes_as_production_does(tmp_path: Path) -> None:
    """Only the receivers' means differ."""
    local = local_file(tmp_path, time_scale=10)
    for labels, receivers, _ in CASES:
        assert routed(labels, local) == receivers, labels


def test_every_rule_reaches_a_receiver_of_its_severity() -> None:
    """No alert that there is ends in the default, and none that is critical in a quiet channel."""
    rules = {
        rule.name: rule
        for rule in rules_in((ROOT / "config/prometheus/rules", ROOT / "config/loki/rules"))
    }
    assert len(rules) > 50
    seen: dict[str, str] = {}
    for rule in rules.values():
        # A label that is a template comes from the series: no branch depends on it.
        known = {name: value for name, value in rule.labels.items() if "{{" not in value}
        if rule.name == "Watchdog":
            known["alertname"] = rule.name
        names = ("alertname", "severity", "system", "team", "service")
        labels = " ".join(f"{name}={known[name]}" for name in names if name in known)
        if labels not in seen:
            seen[labels] = routed(labels)
        assert seen[labels] != "default-receiver", (rule.name, labels)
        if known.get("severity") == "critical":
            assert "slack-critical" in seen[labels], rule.name


GROUP: Mapping[str, Any] = {
    "receiver": "slack-critical",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "VeloZGatewayDown",
                "severity": "critical",
                "service": "gateway",
                "instance": "gw-1:8080",
            },
            "annotations": {
                "summary": "The gateway does not answer",
                "description": "No scrape of gw-1 in a minute.",
                "runbook_url": "docs/runbooks/VeloZGatewayDown.md",
            },
            "startsAt": "2026-01-02T03:04:05Z",
            "endsAt": "0001-01-01T00:00:00Z",
        }
    ],
    "groupLabels": {"alertname": "VeloZGatewayDown"},
    "commonLabels": {
        "alertname": "VeloZGatewayDown",
        "severity": "critical",
        "priority": "P0",
        "system": "veloz",
        "service": "gateway",
    },
    "commonAnnotations": {"runbook_url": "docs/runbooks/VeloZGatewayDown.md"},
    "externalURL": "http://alertmanager.example.com",
}
RUNBOOK = "https://git.example.com/tapeline/blob/main/docs/runbooks/VeloZGatewayDown.md"


def rendered(text: str, folder: Path, **changes: Any) -> str:
    """Render a template's text for the group above."""
    data = folder / "data.json"
    data.write_text(json.dumps({**GROUP, **changes}), encoding="utf-8")
    run = amtool(
        *("template", "render", f"--template.glob={ROOT / TEMPLATES / '*.tmpl'}"),
        f"--template.text={text}",
        f"--template.data={data}",
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tapeline.title", "[FIRING:1] P0 VeloZGatewayDown (veloz, gateway)"),
        ("tapeline.runbook", RUNBOOK),
        ("tapeline.color", "danger"),
        ("pagerduty.severity", "critical"),
        ("opsgenie.priority", "P1"),
        ("opsgenie.tags", "veloz,gateway,critical"),
        (
            "tapeline.text",
            f"""\
FIRING: The gateway does not answer
No scrape of gw-1 in a minute.
severity critical, service gateway, instance gw-1:8080
since 2026-01-02 03:04:05 UTC
runbook: {RUNBOOK}

""",
        ),
        (
            "slack.text",
            f"""\
*The gateway does not answer*
No scrape of gw-1 in a minute.
*Severity:* critical  *Service:* gateway  *Instance:* gw-1:8080
*Runbook:* <{RUNBOOK}|VeloZGatewayDown>
""",
        ),
        (
            "tapeline.firing",
            """\
The gateway does not answer [alertname=VeloZGatewayDown instance=gw-1:8080 \
service=gateway severity=critical ]
""",
        ),
    ],
)
def test_a_template_renders(name: str, expected: str, tmp_path: Path) -> None:
    """As it arrives in the channel; runbooks have the one base in front."""
    assert rendered(f'{{{{ template "{name}" . }}}}', tmp_path) == expected


def test_what_is_over_is_told_apart_in_a_channel(tmp_path: Path) -> None:
    """A notice of a group holds both while one of its alerts still fires."""
    (alert,) = GROUP["alerts"]
    over = {**alert, "status": "resolved", "endsAt": "2026-01-02T04:04:05Z"}
    text = rendered('{{ template "slack.text" . }}', tmp_path, alerts=[alert, over])
    first, second = (line for line in text.splitlines() if "does not answer" in line)
    assert first == "*The gateway does not answer*"
    assert second == "Resolved: *The gateway does not answer*"


@pytest.mark.parametrize(
    ("severity", "status", "priority", "expected"),
    [
        ("warning", "firing", "P2", "warning error P2"),
        ("warning", "resolved", "P2", "good info P5"),
        ("info", "firing", "P4", "#439FE0 info P4"),
        ("", "firing", "", "#439FE0 info P3"),
    ],
)
def test_colours_and_priorities_follow_the_severity(
    severity: str, status: str, priority: str, expected: str, tmp_path: Path
) -> None:
    """Slack's colour, PagerDuty's severity, Opsgenie's priority."""
    names = ("tapeline.color", "pagerduty.severity", "opsgenie.priority")
    text = " ".join(f'{{{{ template "{name}" . }}}}' for name in names)
    labels = {**GROUP["commonLabels"], "severity": severity, "priority": priority}
    assert rendered(text, tmp_path, status=status, commonLabels=labels) == expected


def test_every_text_of_a_receiver_renders(tmp_path: Path) -> None:
    """Not one that fails when the first alert of its kind comes."""
    texts = [
        value
        for receiver in DOCUMENT["receivers"]
        for kind, configs in receiver.items()
        if kind.endswith("_configs")
        for config in configs
        for value in (
            *config.values(),
            *config.get("details", {}).values(),
            *config.get("headers", {}).values(),
        )
        if isinstance(value, str) and "{{" in value
    ]
    assert len(texts) > 20
    for text in dict.fromkeys(texts):
        assert rendered(text, tmp_path).strip(), text
    whole = {"annotations": {"runbook_url": "https://else.example.com/r", "summary": "s"}}
    other = [{**GROUP["alerts"][0], **whole}]
    assert "<https://else.example.com/r|" in rendered(
        '{{ template "slack.text" . }}', tmp_path, alerts=other
    )
