"""Alerts from their start to the inbox, through the real Loki, Prometheus and Alertmanager."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from backends import fetch
from loki_rule_cases import RULES, LogAlertCase, cases, push, quick_rules, rule_names
from tapeline import cli
from tapeline.alerting.alertmanager_api import HandmadeAlert, alerts_named, send
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

PROMETHEUS_RULES = SOURCE_ROOT / "config" / "prometheus" / "rules"
_OF_LOKIS_RULER = re.compile(r"\bloki_prometheus_\w+")

OWN = LogAlertCase(
    alert="LoginsFail",
    stream={"service_name": "alert-test", "log_class": "auth"},
    line='{"action": "login_failed"}',
    metadata={"level": "ERROR"},
    silent_with=5,
    fires_with=6,
)
OWN_RULES = {
    "groups": [
        {
            "name": "own",
            "rules": [
                {
                    "alert": "LoginsFail",
                    "expr": 'sum by (service_name) (count_over_time({service_name="alert-test"}'
                    ' | level="ERROR" | json | action="login_failed" [5m])) > 5',
                    "for": "1m",
                    "labels": {
                        "severity": "critical",
                        "system": "veloz",
                        "service": "auth",
                        "team": "risk",
                    },
                    "annotations": {"summary": "{{ $value }} failed logins"},
                }
            ],
        }
    ]
}


@pytest.fixture(name="stack", scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("alerts")
    source = folder / "source" / "fake"
    source.mkdir(parents=True)
    (source / "own.yaml").write_text(yaml.safe_dump(OWN_RULES), encoding="utf-8")
    for path in RULES.glob("fake/*.yaml"):
        (source / path.name).write_bytes(path.read_bytes())
    prometheus_rules = folder / "rules"
    prometheus_rules.mkdir()
    (prometheus_rules / "one.yml").write_text(
        "groups: [{name: one, interval: 1s, rules: [{alert: Watchdog, expr: vector(1),"
        " labels: {severity: info, system: tapeline, service: prometheus, team: platform}}]}]",
        encoding="utf-8",
    )
    overrides = Overrides(
        rules_folder=prometheus_rules,
        loki_rules_folder=quick_rules(folder / "quick", source.parent),
        alert_time_scale=60,
    )
    servers = ("inbox", "alertmanager", "prometheus", "loki")
    with Stack(folder / "run", Ports.free(), servers=servers, overrides=overrides) as stack:
        yield stack


def inbox(stack: Stack, name: str, status: str = "firing") -> list[Mapping[str, Any]]:
    """Return the notices of an alert in the inbox, newest first."""
    text = fetch(f"{stack.url('inbox')}/api/alerts?alertname={name}&status={status}")
    found: list[Mapping[str, Any]] = json.loads(text)["alerts"]
    return found


def receivers(stack: Stack, name: str, status: str = "firing") -> set[str]:
    """Return who was told of an alert."""
    return {notice["receiver"] for notice in inbox(stack, name, status)}


def log_rules(stack: Stack) -> dict[str, Mapping[str, Any]]:
    """Return what Loki's ruler says of each alert."""
    document = json.loads(fetch(f"{stack.url('loki')}/prometheus/api/v1/rules"))
    return {rule["name"]: rule for group in document["data"]["groups"] for rule in group["rules"]}


def test_alertmanager_and_prometheus_know_each_other(stack: Stack) -> None:
    """What fires in Prometheus arrives; the watchdog at the dead man's switch alone."""
    eventually(lambda: inbox(stack, "Watchdog"))
    assert receivers(stack, "Watchdog") == {"dead-mans-switch"}
    query = f"{stack.url('prometheus')}/api/v1/query?query=up%7Bjob%3D%22alertmanager%22%7D"
    (up,) = eventually(lambda: json.loads(fetch(query))["data"]["result"])
    assert up["value"][1] == "1"


@pytest.mark.parametrize(
    ("severity", "labels", "expected"),
    [
        ("critical", (), {"pagerduty-critical", "slack-critical"}),
        ("warning", (), {"slack-warnings"}),
        ("info", (), {"slack-info"}),
        ("critical", ("team=risk",), {"risk-alerts", "slack-critical"}),
        ("warning", ("system=veloz", "service=gateway"), {"opsgenie-warning"}),
    ],
)
def test_a_test_alert_arrives_and_ends(
    stack: Stack,
    severity: str,
    labels: tuple[str, ...],
    expected: set[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`tapeline alert test` says who is told; they are, and told of its end, too."""
    name = f"TestAlert{severity}{len(labels)}{'x'.join(labels)}".translate(
        {ord(character): None for character in "=-"}
    )
    command = ["alert", "test", "--severity", severity, "--alertname", name]
    command += ["--alertmanager", stack.url("alertmanager") + "/"]
    for label in labels:
        command += ["--label", label]
    assert cli.main(command) == 0
    told = capsys.readouterr().out.splitlines()[1].removeprefix("it goes to: ")
    assert set(told.split(", ")) == expected
    eventually(lambda: receivers(stack, name) == expected)
    (alert, *_) = alerts_named(stack.url("alertmanager"), name)
    assert alert["labels"]["severity"] == severity
    assert cli.main([*command, "--lasts", "0"]) == 0
    eventually(lambda: receivers(stack, name, "resolved") == expected, timeout_s=60)


def test_what_is_wrong_with_a_test_alert_is_said(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label without a name, an address that is none, one where nobody is, a name it refuses."""
    url = stack.url("alertmanager")
    for arguments, code, told in (
        (["--label", "risk", "--alertmanager", url], 2, "not name=value"),
        (["--alertmanager", "127.0.0.1:9093"], 2, "write http://127.0.0.1:9093"),
        (["--alertmanager", "http://127.0.0.1:1"], 1, "does not answer"),
        (["--lasts", "soon", "--alertmanager", url], 2, "not a duration"),
        (["--alertmanager", stack.url("inbox")], 1, "refuses (404)"),
        (["--alertmanager", f"{url}/a b"], 1, "does not answer"),
        (["--alertname", "", "--alertmanager", url], 2, "must have a name"),
        (["--label", "alertname=", "--alertmanager", url], 2, "must have a name"),
        (["--label", "team=\udcff", "--alertmanager", url], 2, "is not UTF-8"),
        (["--lasts", "8d", "--alertmanager", url], 2, "7d at most"),
    ):
        assert cli.main(["alert", "test", *arguments]) == code, arguments
        assert told in capsys.readouterr().err


def test_any_name_and_label_is_found_again(stack: Stack) -> None:
    """Quotes, backslashes and braces are asked for as they were sent."""
    odd = 'a"b\\c}\n{é'
    command = ["alert", "test", "--alertname", odd, "--label", f"odd={odd}"]
    assert cli.main([*command, "--alertmanager", stack.url("alertmanager")]) == 0


def by_hand(name: str, **labels: str) -> HandmadeAlert:
    """Return an alert of five minutes."""
    return HandmadeAlert({"alertname": name, **labels}, "s", "d", 300.0)


@pytest.mark.parametrize(
    ("source", "target", "other"),
    [
        (
            by_hand("Same", severity="critical", system="s1", service="a"),
            by_hand("Same", severity="warning", system="s1", service="a"),
            by_hand("Same", severity="warning", system="s1", service="b"),
        ),
        (
            by_hand("VeloZGatewayDown", severity="critical", system="veloz", service="gateway"),
            by_hand("GatewaySlow", severity="warning", system="veloz", service="gateway"),
            by_hand("MarketSlow", severity="warning", system="veloz", service="market"),
        ),
        (
            by_hand("VeloZEngineDown", severity="critical", system="veloz", service="engine"),
            by_hand("RiskOdd", severity="warning", system="veloz", service="risk"),
            by_hand("RiskOdd", severity="warning", system="py_rt", service="risk"),
        ),
        (
            by_hand("VeloZEngineDown", severity="critical", system="veloz", service="engine"),
            by_hand("OrdersOdd", severity="critical", system="veloz", service="execution"),
            by_hand("RiskBroken", severity="critical", system="veloz", service="risk"),
        ),
        (
            by_hand("B25ServiceDown", severity="critical", system="b25", service="market-data"),
            by_hand("B25Slow", severity="warning", system="b25", service="market-data"),
            by_hand("B25Slow", severity="warning", system="b25", service="risk-manager"),
        ),
        (
            by_hand("B25DiskSpaceLow", severity="critical", system="b25", instance="h1"),
            by_hand("B25HighMemoryUsage", severity="warning", system="b25", instance="h1"),
            by_hand("B25HighMemoryUsage", severity="warning", system="b25", instance="h2"),
        ),
    ],
)
def test_inhibition_holds_back_what_follows(
    stack: Stack, source: HandmadeAlert, target: HandmadeAlert, other: HandmadeAlert
) -> None:
    """The cause is told, what follows from it is not, and what is of another service is."""
    url = stack.url("alertmanager")
    send(url, source)
    eventually(lambda: inbox(stack, source.labels["alertname"]))
    send(url, target)
    send(url, other)

    def told(alert: HandmadeAlert) -> bool:
        notices = inbox(stack, alert.labels["alertname"])
        return any(notice["labels"] == dict(alert.labels) for notice in notices)

    def state(alert: HandmadeAlert) -> Mapping[str, Any]:
        found = alerts_named(url, alert.labels["alertname"])
        (status,) = [one["status"] for one in found if one["labels"] == dict(alert.labels)]
        assert isinstance(status, dict)
        return status

    eventually(lambda: told(other))
    assert eventually(lambda: state(target)["inhibitedBy"])
    assert not told(target)
    assert not state(other)["inhibitedBy"]


def test_a_silence_holds_back_what_it_names(stack: Stack) -> None:
    """For maintenance: the alert is there, and nobody is told; another one is."""
    url = stack.url("alertmanager")
    silent, other = (
        by_hand(name, severity="critical", system="b25", service="config-service")
        for name in ("InMaintenance", "NotInMaintenance")
    )
    begins, ends = (datetime.now(tz=UTC) + timedelta(seconds=each) for each in (0, 600))
    matcher = {"name": "alertname", "value": "InMaintenance", "isRegex": False, "isEqual": True}
    silence = {
        "matchers": [matcher],
        "startsAt": begins.isoformat(),
        "endsAt": ends.isoformat(),
        "createdBy": "test",
        "comment": "maintenance",
    }
    request = urllib.request.Request(  # noqa: S310 - the test's own server
        f"{url}/api/v2/silences",
        data=json.dumps(silence).encode(),
        headers={"content-type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - as above
    for alert in (silent, other):
        send(url, alert)

    eventually(lambda: inbox(stack, "NotInMaintenance"))
    (status,) = [one["status"] for one in alerts_named(url, "InMaintenance")]
    assert status["silencedBy"]
    assert not inbox(stack, "InMaintenance")


def test_every_log_alert_has_its_case() -> None:
    """A rule without lines that make it fire is no rule that was tried."""
    assert sorted(case.alert for case in cases()) == sorted(rule_names())
    for case in cases():
        assert case.silent_with < case.fires_with, case.alert


def test_log_alerts_fire_beyond_their_threshold_only(stack: Stack) -> None:
    """Lines of every case, first too few and then enough, into the real Loki; then the inbox."""
    tried = (OWN, *cases())
    loki = stack.url("loki")
    eventually(lambda: set(log_rules(stack)) == {case.alert for case in tried})
    assert {rule["health"] for rule in log_rules(stack).values()} <= {"ok", "unknown"}
    push(loki, [case.lines(0, case.silent_with) for case in tried])
    pushed_at = time.time()
    eventually(
        lambda: all(
            evaluated_unix_s(rule) > pushed_at + 2 and rule["health"] == "ok"
            for rule in log_rules(stack).values()
        ),
        timeout_s=60,
    )
    assert {name for name, rule in log_rules(stack).items() if rule["state"] != "inactive"} == set()
    push(loki, [case.lines(case.silent_with, case.fires_with) for case in tried])
    eventually(
        lambda: (
            [n for n, rule in log_rules(stack).items() if rule["state"] != "firing"] == [] or None
        ),
        timeout_s=60,
    )
    eventually(lambda: receivers(stack, OWN.alert) == {"risk-alerts", "slack-critical"})
    (notice, *_) = inbox(stack, OWN.alert)
    assert notice["annotations"]["summary"] == "6 failed logins"
    assert notice["labels"]["service_name"] == "alert-test"


def evaluated_unix_s(rule: Mapping[str, Any]) -> float:
    """Return when a rule was last evaluated."""
    return datetime.fromisoformat(rule["lastEvaluation"]).timestamp()


def test_what_alerts_ask_of_lokis_ruler_is_counted_there(stack: Stack) -> None:
    """By the names of this Loki: an alert on one that is not there would never fire."""
    texts = [path.read_text(encoding="utf-8") for path in PROMETHEUS_RULES.glob("*.yml")]
    asked = {name for text in texts for name in _OF_LOKIS_RULER.findall(text)}
    assert len(asked) > 3

    def missing() -> set[str]:
        told = fetch(f"{stack.url('loki')}/metrics").decode()
        return asked - set(_OF_LOKIS_RULER.findall(re.sub(r"^#.*", "", told, flags=re.MULTILINE)))

    eventually(lambda: not missing() or None, timeout_s=60)
