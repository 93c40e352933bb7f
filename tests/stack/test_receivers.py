"""Production's receivers against stand-ins: what Slack, PagerDuty, Opsgenie and mail would get.

The file is production's own, templates and secret files included; what differs are the addresses of
the services, and that nothing waits for minutes.
"""

import copy
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as changed
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeline.alerting.alertmanager_api import HandmadeAlert, send
from tapeline.stack.alertmanager import CONFIG_FILE, TEMPLATES, scaled
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides, Plan, topology
from waiting import eventually

pytestmark = pytest.mark.stack

KEY = "fake-" + "0123456789abcdef" * 2
DOCUMENT: dict[str, Any] = yaml.safe_load((SOURCE_ROOT / CONFIG_FILE).read_text(encoding="utf-8"))


@dataclass
class Sink:
    """What came: path and authorization of each request with its JSON, and each mail's text."""

    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    def bodies(self, path: str) -> list[Any]:
        """Return what came at a path."""
        return [body for where, _, body in self.requests if where == path]


@contextmanager
def listening(sink: Sink) -> Iterator[tuple[int, int]]:
    """Give the ports of an HTTP and of an SMTP server that take all that comes."""

    class Http(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.requests.append(
                (self.path, self.headers.get("Authorization", ""), json.loads(body))
            )
            self.send_response(202)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 sink\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = b""
                    while (part := self.rfile.readline()) not in {b".\r\n", b""}:
                        text += part
                    sink.mails.append(text.decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    class SmtpServer(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with ThreadingHTTPServer((HOST, 0), Http) as http, SmtpServer((HOST, 0), Smtp) as smtp:
        for server in (http, smtp):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield http.server_address[1], smtp.server_address[1]
        finally:
            http.shutdown()
            smtp.shutdown()


def production(folder: Path, http: int, smtp: int) -> Path:
    """Write production's configuration with these addresses, secrets in files, and quick routes."""
    document = copy.deepcopy(DOCUMENT)
    secrets = {
        "slack_webhook_url": f"http://{HOST}:{http}/slack",
        "dead_mans_switch_url": f"http://{HOST}:{http}/watchdog",
        "pagerduty_routing_key": "general" + KEY,
        "pagerduty_trading_routing_key": "trading" + KEY,
        "pagerduty_risk_routing_key": "risk" + KEY,
        "opsgenie_api_key": KEY,
    }
    for name, text in secrets.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    document["global"] |= {
        "smtp_smarthost": f"{HOST}:{smtp}",
        "smtp_require_tls": False,
        "opsgenie_api_url": f"http://{HOST}:{http}/opsgenie/",
        "pagerduty_url": f"http://{HOST}:{http}/pagerduty",
    }
    for name in ("smtp_auth_username", "smtp_auth_password_file"):
        del document["global"][name]  # The stand-in asks nobody who he is
    document["templates"] = [str(SOURCE_ROOT / TEMPLATES / "*.tmpl")]
    document["time_intervals"][0]["time_intervals"] = [
        {"times": [{"start_time": "00:00", "end_time": "24:00"}]}
    ]
    hurry(document["route"])
    text = yaml.safe_dump(document).replace("/run/secrets/", f"{folder}/")
    path = folder / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    return path


def hurry(route: dict[str, Any]) -> None:
    """Divide the waiting of a branch and all below it by 300."""
    for name in ("group_wait", "group_interval"):
        if name in route:
            route[name] = scaled(route[name], 300)
    for child in route.get("routes", []):
        hurry(child)


def alert(severity: str, team: str, system: str = "py_rt", lasts_s: float = 300.0) -> HandmadeAlert:
    """Return an alert."""
    labels = {"alertname": "T" + severity + team, "severity": severity, "priority": "P2"}
    labels |= {"team": team, "system": system, "service": "svc"}
    return HandmadeAlert(labels, "a summary", "a description", lasts_s)


def test_every_kind_of_receiver_gets_what_it_can_read(tmp_path: Path) -> None:
    """With the secrets of the files, severities in each service's own words, and the runbook."""
    sink, ports = Sink(), Ports.free()
    with listening(sink) as (http, smtp):
        path = production(tmp_path, http, smtp)
        plan = Plan(SOURCE_ROOT, tmp_path / "run", ports, Overrides())
        (unit,) = topology(plan, ("alertmanager",))
        arguments = (f"--config.file={path}", *unit.arguments[1:])
        overrides = Overrides(units=(changed(unit, arguments=arguments),))
        with Stack(tmp_path / "run", ports, servers=(), overrides=overrides) as stack:
            url = stack.url("alertmanager")
            for each in (
                alert("critical", "platform"),
                alert("critical", "trading"),
                alert("warning", "risk"),
                alert("warning", "platform", "veloz"),
                alert("info", "platform"),
                HandmadeAlert({"alertname": "Nobodys"}, "a summary", "", 300.0),
                HandmadeAlert({"alertname": "Watchdog"}, "always", "", 300.0),
            ):
                send(url, each)
            eventually(lambda: len(sink.bodies("/pagerduty")) >= 3)
            eventually(lambda: len(sink.bodies("/opsgenie/v2/alerts")) >= 2)
            eventually(lambda: len(sink.bodies("/slack")) >= 5, timeout_s=60)
            eventually(lambda: sink.mails and sink.bodies("/watchdog"))
            send(url, alert("critical", "platform", lasts_s=0))
            eventually(
                lambda: any(b["event_action"] == "resolve" for b in sink.bodies("/pagerduty"))
            )
    _check_pagerduty(sink)
    _check_opsgenie(sink)
    _check_slack(sink)
    assert sink.bodies("/watchdog")[0]["alerts"][0]["labels"]["alertname"] == "Watchdog"
    (mail, *_) = sink.mails
    assert "Subject: [FIRING:1] Nobodys" in mail
    assert "FIRING: a summary" in mail
    assert "runbook: https://git.example.com/tapeline/blob/main/docs/operations.md" in mail


def _check_pagerduty(sink: Sink) -> None:
    """Each team's key, and PagerDuty's severities: critical, error, info."""
    events = {
        (body["routing_key"].removesuffix(KEY), body["payload"]["severity"])
        for body in sink.bodies("/pagerduty")
        if body["event_action"] == "trigger"
    }
    assert events == {("general", "critical"), ("trading", "critical"), ("risk", "error")}
    (first, *_) = [b for b in sink.bodies("/pagerduty") if b["routing_key"] == "trading" + KEY]
    assert first["payload"]["summary"] == "Trading: [FIRING:1] P2 Tcriticaltrading (py_rt, svc)"
    assert first["payload"]["custom_details"]["num_firing"] == 1
    assert first["client_url"].endswith("/docs/operations.md")


def _check_opsgenie(sink: Sink) -> None:
    """Its key in the header; the alert's own priority."""
    asked = {name for path, name, _ in sink.requests if path.startswith("/opsgenie/v2/alerts")}
    assert asked == {f"GenieKey {KEY}"}
    alerts = {body["message"]: body for body in sink.bodies("/opsgenie/v2/alerts")}
    assert set(alerts) == {
        "Risk: [FIRING:1] P2 Twarningrisk (py_rt, svc)",
        "[FIRING:1] P2 Twarningplatform (veloz, svc)",
    }
    assert {body["priority"] for body in alerts.values()} == {"P2"}
    assert alerts["Risk: [FIRING:1] P2 Twarningrisk (py_rt, svc)"]["tags"] == [
        *("py_rt", "svc", "warning", "risk"),
    ]


def _check_slack(sink: Sink) -> None:
    """A channel for each severity, in its colour, with the runbook as the title's link."""
    told = {
        (body["channel"], part["color"])
        for body in sink.bodies("/slack")
        for part in body["attachments"]
        if part["title"].startswith("[FIRING")
    }
    assert told == {
        ("#trading-alerts-critical", "danger"),
        ("#trading-alerts", "danger"),
        ("#trading-info", "#439FE0"),
        ("#alerts", "#439FE0"),
    }
    (attachment,) = sink.bodies("/slack")[0]["attachments"]
    assert attachment["title_link"].endswith("/docs/operations.md")
    assert "*a summary*" in attachment["text"] or "*always*" in attachment["text"]
