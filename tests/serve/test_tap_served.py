"""The tap of a real gate: readers under load, hostile processors, refusals, reloads, workers."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from browser import Browser, browsing
from fake_secrets import secret_text, seeded
from gate_process import GateProcess, gate_config, running_gate
from otlp_client import Span, histogram, key_values, logs, traces
from ports import ports_in_a_row
from scripted_downstream import Reply, running_downstream
from sidecars import Client, client
from tap_readers import TOKEN, asked, everything_of, looking, tapped
from tapeline.otlp.signals import Signal
from waiting import eventually

KEY = "pass" + "word"
SECRET = secret_text(seeded(11))
BROUGHT = secret_text(seeded(12))
SMUGGLED = secret_text(seeded(13))
PLUGIN = f'''
"""Processors of a test: one writes secrets in front of the redaction, one behind it, or raises."""

from pydantic import BaseModel

from tapeline.pipeline.processor import Result
from tapeline.pipeline.registry import ProcessorFactory


class Nothing(BaseModel):
    pass


class Writer:
    def __init__(self, name, text):
        self.name, self.text = name, text

    def process(self, batch, now_unix_nano):
        if batch.signal != "logs":
            return Result(batch)
        request = type(batch.request).FromString(batch.payload)
        for group in request.resource_logs:
            for scoped in group.scope_logs:
                for record in scoped.log_records:
                    if self.name == "bringer" and "explode" in record.body.string_value:
                        raise ValueError(record.body.string_value)
                    record.attributes.add(key=self.name).value.string_value = self.text
        return Result(batch.with_payload(request.SerializeToString()))

    def tick(self, now_unix_nano):
        return ()

    close = tick


SMUGGLER = ProcessorFactory(
    "smuggler", Nothing, lambda config, context: Writer("smuggler", "{KEY}={SMUGGLED}")
)
BRINGER = ProcessorFactory(
    "bringer", Nothing, lambda config, context: Writer("bringer", "{KEY}={BROUGHT}")
)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """An environment in which the processors of PLUGIN are installed."""
    site = tmp_path / "site"
    info = site / "tapped_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "tapped_plugin.py").write_text(PLUGIN, encoding="utf-8")
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tapped-plugin\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        "[tapeline.processors]\nsmuggler = tapped_plugin:SMUGGLER\n"
        "bringer = tapped_plugin:BRINGER\n",
        encoding="utf-8",
    )
    return {"PYTHONPATH": str(site)}


def log_bytes(*bodies: str, service: str = "desk", **attributes: str) -> bytes:
    """Return a request of logs."""
    request = logs(bodies, {"service.name": service})
    for record in request.resource_logs[0].scope_logs[0].log_records:
        record.attributes.extend(key_values(attributes))
    return request.SerializeToString()


def send_all(sender: Client, round_number: int) -> None:
    """Send all three signals, each with a secret."""
    trace_id = round_number.to_bytes(16, "big")
    span = Span(trace_id, f"place {round_number}", {"auth": f"{KEY}={SECRET}"})
    point = histogram("latency", 0.1, trace_id, {"service.name": "desk", "k": f"{KEY}={SECRET}"})
    for kind, payload in (
        (Signal.LOGS, log_bytes(*[f"login {n} {KEY}={SECRET}" for n in range(40)])),
        (Signal.LOGS, log_bytes("ping", service="other")),
        (Signal.TRACES, traces([span], {"service.name": "desk"}).SerializeToString()),
        (Signal.METRICS, point.SerializeToString()),
    ):
        assert sender.export(payload, kind).code is grpc.StatusCode.OK


def test_readers_under_load_see_samples_without_secrets(
    tmp_path: Path, plugin: dict[str, str]
) -> None:
    """Two who read, one who does not, wrong tokens beside: the gate takes everything all the same.

    A processor in front of the redaction writes a secret into each log, and one behind it as well.
    """
    chain = {"logs": ["smuggler", "redaction", "bringer"]}
    config = tapped(tmp_path, chain={**gate_config("", {})["chain"], **chain})  # type: ignore[dict-item]
    with (
        running_gate(tmp_path, config, environment=plugin) as gate,
        client(gate.address) as sender,
        socket.create_connection(("127.0.0.1", gate.admin_port)) as deaf,
        looking(gate.admin_port) as everything,
        looking(gate.admin_port, "service=other") as other,
    ):
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(
            f"GET /tap/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        rounds = 0

        def has_seen_all() -> bool:
            nonlocal rounds
            rounds += 1
            send_all(sender, rounds)
            time.sleep(0.02)
            signals = {record["signal"] for record in everything.records}
            return signals == set(Signal) and len(other.records) > 5

        eventually(has_seen_all, timeout_s=60, poll_s=0)
        assert asked(gate, "wrong" * 8) == 401
        eventually(lambda: everything.counts["left_out"] > 0, timeout_s=20)
        eventually(lambda: everything.counts["passed"] >= 43 * (rounds - 1), timeout_s=20)
        told = everything_of(gate, everything, other)
        counted = {
            name: gate.count(f"tapeline_tap_{name}")
            for name in ("readers", "shown_records_total", "dropped_records_total",
                         "refused_requests_total", "records_total", "failures_total")
        }  # fmt: skip

    assert [secret for secret in (SECRET, BROUGHT, SMUGGLED) if secret in told] == []
    assert {record["service"] for record in other.records} == {"other"}
    log = next(r for r in everything.records if "login" in r["fields"].get("body", ""))
    assert log["fate"] == "changed"
    assert {change["field"]: (change["before"], change["after"]) for change in log["changed"]} == {
        "body": (
            log["fields"]["body"].replace("[REDACTED:password]", "●●● (password)"),
            log["fields"]["body"],
        ),
        "attributes.smuggler": (f"{KEY}=●●● (password)", f"{KEY}=[REDACTED:password]"),
        "attributes.bringer": (None, f"{KEY}=[REDACTED:password]"),
    }
    assert counted["readers"] >= 2
    assert counted["shown_records_total"] > 0
    assert counted["dropped_records_total"] > 0
    assert counted["refused_requests_total"] == 1
    assert counted["records_total"] >= 43 * (rounds - 1)
    assert counted["failures_total"] == 0


def test_what_is_refused_does_not_show(tmp_path: Path, plugin: dict[str, str]) -> None:
    """By the chain, by downstream for good, and by downstream for now until it takes it."""
    with running_downstream() as downstream:
        chain = {
            "logs": ["redaction", "bringer"],
            "traces": ["redaction"],
            "metrics": ["redaction"],
        }
        config = tapped(tmp_path, downstream.address, chain=chain)
        with (
            running_gate(tmp_path, config, environment=plugin) as gate,
            client(gate.address) as sender,
            looking(gate.admin_port) as reader,
        ):
            assert sender.export(log_bytes(f"explode {SECRET}")).code.name == "UNAVAILABLE"
            assert sender.export(b"\x0a\xff broken").code.name == "INVALID_ARGUMENT"
            downstream.always(Reply(grpc.StatusCode.INVALID_ARGUMENT))
            assert sender.export(log_bytes("condemned")).code.name == "INVALID_ARGUMENT"
            downstream.always(Reply(grpc.StatusCode.UNAVAILABLE))
            assert sender.export(log_bytes("later")).code.name == "UNAVAILABLE"
            downstream.always(Reply())
            assert sender.export(log_bytes("later")).code.name == "OK"
            eventually(lambda: reader.records, timeout_s=30)
            assert sender.export(log_bytes("last")).code.name == "OK"
            eventually(lambda: "last" in reader.bodies(), timeout_s=20)
            told = everything_of(gate, reader)

    assert [record["fields"]["body"] for record in reader.records] == ["later", "last"]
    assert SECRET not in told
    assert BROUGHT not in told


def exit_of(folder: Path, config: Mapping[str, object]) -> tuple[int, str]:
    """Start a gate that can't start; return its exit status and what it says."""
    path = folder / "refused.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tapeline.cli", "serve", "--config", str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"chain": {"logs": [], "traces": ["redaction"], "metrics": ["redaction"]}},
         "chain.logs has no redaction"),
        ({"redaction": {"mode": "observe"}}, "only observes traces"),
        ({"redaction": {"signals": {"metrics": {"mode": "observe"}}}}, "only observes metrics"),
    ],
)  # fmt: skip
def test_where_nothing_is_redacted_there_is_no_tap(
    tmp_path: Path, more: dict[str, Any], reason: str
) -> None:
    """The gate does not start, and says where and what to do."""
    status, said = exit_of(tmp_path, {**tapped(tmp_path), **more})
    assert status == 2
    assert reason in said
    assert "leave the tap out" in said
    assert "refused.yaml:1" in said


def test_without_good_tokens_the_gate_does_not_start(tmp_path: Path) -> None:
    """Missing, empty, or easily guessed."""
    config = tapped(tmp_path)
    tokens = tmp_path / "tokens"
    for content, reason in ((None, "can't be read"), ("", "no token"), ("abc", "16 characters")):
        tokens.unlink()
        if content is not None:
            tokens.write_text(content, encoding="ascii")
        status, said = exit_of(tmp_path, config)
        assert status == 1
        assert reason in said
        tokens.touch()


def reloaded(gate: GateProcess, config: dict[str, object], result: str) -> None:
    """Change the configuration, and wait until the gate says what became of it."""
    name = f'tapeline_reloads_total{{result="{result}"}} '
    before = gate.get("/metrics")[1].decode()
    count = float(before.partition(name)[2].split()[0])
    path = gate.log.parent / "gate.yaml"
    now = json.loads(path.read_text())
    path.write_text(json.dumps({**now, **config}), encoding="utf-8")
    gate.process.send_signal(signal.SIGHUP)

    def is_told() -> bool:
        text = gate.get("/metrics")[1].decode()
        return float(text.partition(name)[2].split()[0]) == count + 1

    eventually(is_told, timeout_s=30)


def test_a_reload_never_opens_the_tap_to_secrets(tmp_path: Path) -> None:
    """With traffic all the while: what is not redacted does not show, before, after or between."""
    ended = threading.Event()
    with (
        running_gate(tmp_path, tapped(tmp_path, rate=1000)) as gate,
        client(gate.address) as sender,
        looking(gate.admin_port) as reader,
    ):

        def load() -> None:
            number = 0
            while not ended.is_set():
                number += 1
                sender.export(log_bytes(f"{number} {KEY}={SECRET}", f"{number} clean"))
                time.sleep(0.005)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            eventually(lambda: reader.records, timeout_s=20)
            admin = json.loads((tmp_path / "gate.yaml").read_text())["admin"]
            without = {key: value for key, value in admin.items() if key != "tap"}
            reloaded(gate, {"redaction": {"mode": "observe"}}, "refused")
            reloaded(gate, {"redaction": {"mode": "enforce", "depth": 2}}, "applied")
            seen = len(reader.records)
            eventually(lambda: len(reader.records) > seen + 5, timeout_s=20)
            # Without a tap in it, a configuration may observe: then nothing shows at all.
            reloaded(gate, {"redaction": {"mode": "observe"}, "admin": without}, "applied")
            time.sleep(0.5)
            seen = len(reader.records)
            time.sleep(1.5)
            assert len(reader.records) == seen
            reloaded(gate, {"redaction": {"allow": {"services": ["desk"]}}, "admin": admin},
                     "applied")  # fmt: skip
            eventually(lambda: len(reader.records) > seen + 5, timeout_s=20)
            eventually(lambda: reader.counts["withheld"] > 5, timeout_s=20)
        finally:
            ended.set()
            thread.join(20)
        told = everything_of(gate, reader)

    assert SECRET not in told
    assert "[REDACTED:password]" in told


def test_what_a_client_sends_last_shows_where_it_is_asked_for(tmp_path: Path) -> None:
    """`tapeline tap` prints lines of JSON, or for people; what it can't do it says."""
    with running_gate(tmp_path, tapped(tmp_path)) as gate, client(gate.address) as sender:
        command = [
            sys.executable, "-m", "tapeline.cli", "tap", "--admin",
            f"127.0.0.1:{gate.admin_port}", "--token-file", str(tmp_path / "tokens"),
        ]  # fmt: skip
        ended = threading.Event()

        def load() -> None:
            while not ended.is_set():
                sender.export(log_bytes(f"\x1b[31mred {KEY}={SECRET}"))
                sender.export(log_bytes("other", service="b"))
                time.sleep(0.02)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            found = subprocess.run(
                [*command, "--json", "--limit", "3", "--name", "RED", "--signal", "logs"],
                capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            shown = subprocess.run(
                [*command, "--limit", "3", "--service", "desk"],
                capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
        finally:
            ended.set()
            thread.join(20)
        (tmp_path / "wrong").write_text("f" * 32, encoding="ascii")
        refused = subprocess.run(
            [*command[:-1], str(tmp_path / "wrong")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(lines) == 3
    assert {line["service"] for line in lines} == {"desk"}
    assert "●●● (password)" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert SECRET not in found.stdout + shown.stdout
    assert refused.returncode == 1
    assert "refused (401)" in refused.stderr
    assert "f" * 32 not in refused.stderr


def test_all_workers_are_one_tap(tmp_path: Path) -> None:
    """Events of each, counts together; one that dies is missing until it is back."""
    port = ports_in_a_row(3)
    config = tapped(tmp_path, server={"workers": 2})
    config["server"] = {"max_value_bytes": 0, "workers": 2, "listen": f"127.0.0.1:{port}"}
    config["admin"] = {**dict(config["admin"]), "listen": f"127.0.0.1:{port + 2}"}  # type: ignore[call-overload]
    path = tmp_path / "workers.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    log = tmp_path / "workers.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tapeline.cli", "serve", "--config", str(path)],
            stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, "TAPELINE_STATE_DIR": str(tmp_path)},
        )  # fmt: skip
    gate = GateProcess(port, port + 2, process, log)
    try:
        eventually(lambda: gate.get("/health/ready")[0] == 200)
        with (
            client(f"127.0.0.1:{port}") as first,
            client(f"127.0.0.1:{port + 1}") as second,
            looking(gate.admin_port, "service=desk") as reader,
        ):

            def seen(*workers: int) -> bool:
                for number, sender in enumerate((first, second)):
                    if number in workers:
                        sender.export(log_bytes(f"of {number} {KEY}={SECRET}"))
                return {record["worker"] for record in reader.records[-20:]} >= set(workers)

            eventually(lambda: seen(0, 1), timeout_s=40)
            eventually(lambda: reader.counts["workers"] == 2, timeout_s=20)
            assert asked(gate, "wrong" * 8) == 401
            assert gate.count("tapeline_tap_readers") == 1
            assert gate.count("tapeline_tap_refused_requests_total") == 1
            passed = reader.counts["passed"]
            workers = json.loads(gate.get("/health")[1])["workers"]
            os.kill(workers[1]["pid"], signal.SIGKILL)
            eventually(lambda: reader.counts["workers"] == 1, timeout_s=20)
            reader.records.clear()
            eventually(lambda: seen(0, 1), timeout_s=60)
            eventually(lambda: reader.counts["workers"] == 2, timeout_s=20)
            assert reader.counts["passed"] >= passed
            told = everything_of(gate, reader)
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert SECRET not in told


def look_by(browser: Browser, admin_port: int) -> None:
    """Look at the page: with a wrong token, with the right one, then at all fields of a record."""
    browser.show_as(1200, 900)
    browser.open(f"http://127.0.0.1:{admin_port}/tap")
    look = "document.getElementById('look').requestSubmit()"
    browser.value("document.getElementById('token').value = 'wrong'.repeat(8)")
    browser.value(look)
    browser.until("document.getElementById('live').textContent.includes('401')")
    browser.troubles.clear()  # A browser's own line on the 401.
    browser.value(f"document.getElementById('token').value = '{TOKEN}'")
    browser.value(look)
    browser.until("document.querySelectorAll('#records > li').length > 10")
    browser.until("document.getElementById('live').textContent.includes('Live')")
    # Of many records a sample is shown: until the one with the attack is in it.
    browser.until("document.getElementById('records').textContent.includes('owned')")
    browser.value(
        "document.querySelector('#records details').open = true;"
        "document.getElementById('pause').click()"
    )
    browser.until("document.querySelector('table.fields') !== null")
    folder = os.environ.get("TAPELINE_TEST_PICTURES")
    if folder:
        for is_dark in (False, True):
            browser.show_as(1200, 900, is_dark=is_dark)
            name = f"tap-{'dark' if is_dark else 'light'}.png"
            browser.picture(Path(folder) / name, (0, 0, 1200, 1100))


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """It asks for the token, shows what passes as text, and keeps the token to itself."""
    attack = "</td><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    ended = threading.Event()
    with (
        running_gate(tmp_path, tapped(tmp_path)) as gate,
        client(gate.address) as sender,
        browsing() as browser,
    ):

        def load() -> None:
            number = 0
            while not ended.is_set():
                number += 1
                sender.export(log_bytes(f"{number} {attack} {KEY}={SECRET}", user="a\u202eb"))
                send_all(sender, number)
                time.sleep(0.2)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            look_by(browser, gate.admin_port)
            text = browser.value("document.body.innerText")
            html = browser.value("document.documentElement.outerHTML")
            kept = browser.value("JSON.stringify([localStorage, sessionStorage, document.cookie])")
            title = browser.value("document.title")
            requests = list(browser.requests)
            troubles = list(browser.troubles)
        finally:
            ended.set()
            thread.join(20)

    assert title == "Tap · Tapeline"
    assert attack in text
    assert "●●● (password)" in text
    assert "a\\u202eb" in text or "\u202e" not in text
    assert SECRET not in html
    assert TOKEN not in html
    assert TOKEN not in kept
    assert TOKEN not in "".join(requests)
    assert troubles == []
    assert all(url.startswith(f"http://127.0.0.1:{gate.admin_port}/tap") for url in requests)


def test_a_gate_without_a_tap_answers_404(tmp_path: Path) -> None:
    """Off unless it is configured; the command says what to set."""
    with running_gate(tmp_path, gate_config("discard", {})) as gate:
        assert gate.get("/tap")[0] == 404
        assert gate.get("/tap/events")[0] == 404
        assert "tapeline_tap" not in gate.get("/metrics")[1].decode()
        (tmp_path / "tokens").write_text(TOKEN, encoding="ascii")
        told = subprocess.run(
            [sys.executable, "-m", "tapeline.cli", "tap",
             "--admin", f"127.0.0.1:{gate.admin_port}", "--token-file", str(tmp_path / "tokens")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert told.returncode == 1
    assert "set admin.tap" in told.stderr
