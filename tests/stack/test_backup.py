"""Backup and restore, with the real servers: written, backed up, destroyed, restored, read back."""

import json
import shutil
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import backends
from backends import fetch
from otlp_client import Span, histogram, logs, send, traces
from signals_stack import SECOND_NS, chunks, demo_session, in_logs, own_count, passed
from tapeline import cli
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.stores import STORES
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

TRACE_ID = bytes(range(16))
TAKEN = "tapeline_signals_events_total"
SHOP = {"service.name": "shop", "service.instance.id": "1"}
LINES = {f"line {number}" for number in range(500)}


@dataclass(frozen=True)
class Kept:
    """What of a stack must be the same after a restore."""

    lines: frozenset[str]
    spans: int
    samples: int
    silences: tuple[str, ...]
    accounts: Any
    key: bytes


def open_stack(folder: Path, ports: Ports) -> Stack:
    """Return the whole stack, without sampling, with the gate's state in the folder."""
    state = folder / "gate-state"
    environment = {"gate": {"TAPELINE_STATE_DIR": str(state)}}
    overrides = Overrides(
        egress_files=(SOURCE_ROOT / "collector" / "no_sampling.yaml",), environment=environment
    )
    return Stack(folder / "run", ports, overrides=overrides)


def silence(stack: Stack, name: str) -> None:
    """Silence an alert for an hour."""
    now = time.time()
    body = {
        "matchers": [{"name": "alertname", "value": name, "isRegex": False}],
        "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 3600)),
        "createdBy": "test",
        "comment": "test",
    }
    request = urllib.request.Request(  # noqa: S310 - the test's own server
        f"{stack.url('alertmanager')}/api/v2/silences",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        assert answer.status == 200


def fill(stack: Stack) -> None:
    """Send logs, a trace and a metric, and silence an alert."""
    otlp = f"{HOST}:{stack.ports.otlp_grpc}"
    send(otlp, logs(sorted(LINES), SHOP))
    send(otlp, traces([Span(TRACE_ID, name="buy")], SHOP))
    send(otlp, histogram("shop.order.latency", 0.2, TRACE_ID, SHOP))
    silence(stack, "VeloZGatewayDown")


def trade(stack: Stack) -> None:
    """Send a session of ten minutes ago, and wait for its figures.

    Behind it comes a record of now. No figure is still to come, and no quote still gets too old to
    value a position: nothing changes with time any more.
    """
    otlp = f"{HOST}:{stack.ports.otlp_grpc}"
    session = demo_session(7, 60, time.time_ns() - 600 * SECOND_NS, SECOND_NS // 4)
    for chunk in chunks(session, 100):
        send(otlp, in_logs(chunk))
    eventually(lambda: own_count(stack, TAKEN) == len(session), timeout_s=60)
    send(otlp, passed(time.time_ns()))
    eventually(lambda: _is_settled(stack), timeout_s=60)


def _is_settled(stack: Stack) -> bool:
    """Tell whether the accounts stay as they are; figures are made anew each second or so."""
    before = signals(stack)
    time.sleep(2.0)
    return bool(signals(stack) == before)


def signals(stack: Stack) -> Any:
    """Return positions and P&L of each account, as the page has them in JSON."""
    url = f"http://{HOST}:{stack.ports.signals_admin}/signals?format=json"
    return json.loads(fetch(url)).get("accounts")


def _is_back(stack: Stack, folder: Path, until_unix_s: float, name: str, expected: object) -> bool:
    """Tell whether a store holds again what it held."""
    found = getattr(held(stack, folder, until_unix_s), name)
    assert found == expected, f"{name}: {found!r} for {expected!r}"
    return True


def held(stack: Stack, folder: Path, until_unix_s: float) -> Kept:
    """Return what the stores hold now; of samples, those up to a time."""
    of = backends.of(stack)
    asked = {"query": 'count_over_time(up{job="gate"}[1h])', "time": until_unix_s}
    query = f"{stack.url('prometheus')}/api/v1/query?{urllib.parse.urlencode(asked)}"
    result = json.loads(fetch(query))["data"]["result"]
    silences = json.loads(fetch(f"{stack.url('alertmanager')}/api/v2/silences"))
    return Kept(
        lines=frozenset(of.loki.lines("shop")) & LINES,
        spans=sum(len(trace["spans"]) for trace in of.jaeger.traces("shop")),
        samples=int(result[0]["value"][1]) if result else 0,
        silences=tuple(sorted(one["id"] for one in silences)),
        accounts=signals(stack),
        key=(folder / "gate-state" / "hmac_key").read_bytes(),
    )


def test_a_restored_stack_has_what_was_backed_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every store; and the servers that were held still lose nothing of what came meanwhile."""
    ports, target = Ports.free(), tmp_path / "backups"
    options = ["--run-dir", str(tmp_path / "run"), "--gate-state", str(tmp_path / "gate-state")]
    stop, sent = threading.Event(), list[str]()

    with open_stack(tmp_path, ports) as stack:
        trade(stack)
        fill(stack)
        eventually(lambda: held(stack, tmp_path, time.time()).lines == LINES)
        eventually(lambda: held(stack, tmp_path, time.time()).spans == 1)
        eventually(lambda: held(stack, tmp_path, time.time()).samples >= 3)
        assert signals(stack)
        silences = stack.directory / "data" / "alertmanager" / "silences"
        eventually(lambda: silences.exists() and silences.stat().st_size > 0, timeout_s=60)

        def send_on() -> None:
            while not stop.is_set():
                line = f"meanwhile {len(sent)}"
                send(f"{HOST}:{ports.otlp_grpc}", logs([line], SHOP), timeout_s=60)
                sent.append(line)
                stop.wait(0.02)

        thread = threading.Thread(target=send_on)
        thread.start()
        until_unix_s = time.time() - 6.0  # What was scraped by then is there by now
        before = held(stack, tmp_path, until_unix_s)
        assert cli.main(["backup", str(target), *options]) == 0
        stop.set()
        thread.join()
        told = capsys.readouterr().out
        assert told.count("held still for") == 4
        assert [store.name for store in STORES if f"{store.name} " not in told] == []
        eventually(lambda: set(sent) <= backends.of(stack).loki.lines("shop"))
        assert cli.main(["restore", str(next(target.iterdir())), *options]) == 1
        assert "a stack runs in" in capsys.readouterr().err

    shutil.rmtree(tmp_path / "gate-state")
    assert not (tmp_path / "run").exists()
    assert cli.main(["restore", str(next(target.iterdir())), *options]) == 0

    with open_stack(tmp_path, ports) as stack:
        for name in ("lines", "spans", "samples", "silences", "accounts", "key"):
            expected = getattr(before, name)
            back = partial(_is_back, stack, tmp_path, until_unix_s, name, expected)
            eventually(back, timeout_s=60)
        fill(stack)  # And it takes more.
        eventually(lambda: held(stack, tmp_path, time.time()).spans == 2)
