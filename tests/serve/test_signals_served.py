"""`/signals` of a sidecar of two workers: one page of both, in a browser, and after a kill."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from browser import browsing
from gate_answers import ask
from gate_workers import running_workers
from ports import HOST, ports_in_a_row
from sidecars import client
from tapeline.cli import main
from trading_requests import log

SECOND_NS = 1_000_000_000
TRACE = (bytes(range(16)), b"s" * 8)


@dataclass
class Sidecar:
    """A running sidecar of two workers."""

    process: subprocess.Popen[bytes]
    config: Path
    port: int

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.port + 2}/signals"

    def report(self) -> dict[str, Any]:
        """Return the page's data."""
        status, _, text = ask(self.port + 2, "/signals?format=json")
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def send(self, worker: int, name: str, attributes: dict[str, str]) -> None:
        """Send an event of now to a worker."""
        prefix = name.split(".")[1]
        found = {
            f"trading.{'' if key in {'account', 'side'} else prefix + '.'}{key}": value
            for key, value in attributes.items()
        }
        found["trading.instrument"] = "X"
        request = log(name, found, time_ns=time.time_ns(), trace=TRACE)
        with client(f"{HOST}:{self.port + worker}") as sender:
            answer = sender.export(request.SerializeToString())
        assert answer.code.name == "OK", answer

    def trade(self, worker: int, account: str, name: str, price: str) -> None:
        """Send the purchase of one."""
        values = {"account": account, "id": name, "side": "buy", "quantity": "1", "price": price}
        self.send(worker, "trading.execution", values)


@contextmanager
def running(config: Path, port: int) -> Iterator[Sidecar]:
    """Run a sidecar until the test ends it, or the block does."""
    with running_workers(config, port + 2) as process:
        yield Sidecar(process, config, port)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration of two workers."""
    port = ports_in_a_row(3)
    path = tmp_path / "signals.yaml"
    document: dict[str, object] = {
        "server": {"listen": f"{HOST}:{port}", "workers": 2},
        "downstream": {"endpoint": "discard"},
        "admin": {"listen": f"{HOST}:{port + 2}"},
        "chain": {"logs": ["signals"], "traces": ["signals"], "metrics": []},
        "signals": {
            "state": f"sqlite:///{tmp_path / 'signals.db'}",
            "instruments": {"X": {"quote_currency": "USD"}},
            "max_lateness": "100ms",
            "trace_url": "http://127.0.0.1:16686/trace/{trace_id}",
        },
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_two_workers_are_one_page(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It follows what comes to either; the state says the same; a kill takes nothing from it."""
    port = int(yaml.safe_load(config.read_text())["server"]["listen"].rpartition(":")[2])
    with running(config, port) as sidecar, browsing() as browser:
        browser.open(sidecar.url)
        assert "No account has had an event yet." in browser.value("document.body.textContent")
        for worker in (0, 1):
            sidecar.send(worker, "trading.quote", {"bid": "100", "ask": "100"})
            sidecar.trade(worker, f"desk-{worker}", "e1", f"{101 + worker}.5")
            # What waits for the watermark is passed by something later.
            time.sleep(0.15)
            sidecar.send(worker, "trading.quote", {"bid": "104", "ask": "104"})
        browser.until("document.querySelectorAll('main td a').length === 2", 30)
        links = browser.value("[...document.querySelectorAll('main td a')].map(e => e.href)")
        assert links == [f"http://127.0.0.1:16686/trace/{TRACE[0].hex()}"] * 2
        assert browser.troubles == []
        report = sidecar.report()
        assert report["workers"] == {"asked": 2, "answered": 2}
        earned = {row["account"]: row["net_pnl"] for row in report["accounts"]}
        assert earned == {"desk-0": "2.5", "desk-1": "1.5"}
        (slippage,) = [row for row in report["slippage"] if row["benchmark"] == "quote"]
        assert (slippage["cost"], slippage["average_bps"]) == ("4", "200")
        assert [row["cost"] for row in report["worst"][0]["executions"]] == ["2.5", "1.5"]

        assert main(["signals", "show", "--json", "--config", str(config)]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["positions"] == report["positions"]
        assert shown["worst"] == report["worst"]
        workers = json.loads(ask(port + 2, "/health")[2])["workers"]
        for pid in (sidecar.process.pid, *(worker["pid"] for worker in workers)):
            os.kill(pid, signal.SIGKILL)
        sidecar.process.wait(30)

    with running(config, port) as sidecar:
        for worker in (0, 1):  # The state is read at the first batch.
            sidecar.send(worker, "trading.quote", {"bid": "105", "ask": "105"})
        report = sidecar.report()
    earned = {row["account"]: row["net_pnl"] for row in report["accounts"]}
    assert earned == {"desk-0": "3.5", "desk-1": "2.5"}
    assert [row["cost"] for row in report["worst"][0]["executions"]] == ["2.5", "1.5"]
    assert main(["signals", "verify", "--config", str(config)]) == 0
    assert capsys.readouterr().out.count("to the last digit") == 2
