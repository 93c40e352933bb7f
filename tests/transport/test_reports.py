"""What processors report reaches the admin server: of one process, and of all workers as one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gate_answers import ask
from otlp_client import logs
from ports import HOST, ports_in_a_row
from sidecars import PlainChain, client, running_sidecar, settings
from tapeline.otlp.signals import Signal
from tapeline.pipeline.chain import Chain
from waiting import eventually

SCRIPT = Path(__file__).with_name("reporting_sidecar.py")


@dataclass
class Gate:
    """A running process, or a parent and its workers."""

    process: subprocess.Popen[bytes]
    port: int
    admin_port: int

    def get(self, path: str, accept: str = "*/*") -> tuple[int, str, str]:
        """Return status, content type and body of what the admin server answers."""
        return ask(self.admin_port, path, accept)

    def report(self) -> dict[str, Any]:
        """Return what the page says as JSON."""
        status, kind, text = self.get("/diary?format=json")
        assert (status, kind) == (200, "application/json")
        found: dict[str, Any] = json.loads(text)
        return found

    def send(self, worker: int, count: int) -> None:
        """Send so many records to a worker."""
        with client(f"{HOST}:{self.port + worker}") as sender:
            answer = sender.export(logs(["filled"] * count).SerializeToString(), Signal.LOGS)
        assert answer.code.name == "OK"


@pytest.fixture(params=[1, 2], name="gate", scope="module")
def _gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gate]:
    workers: int = request.param
    first = ports_in_a_row(workers + 1)
    admin = first + workers
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), f"{HOST}:{first}", f"{HOST}:{admin}", str(workers)],
        env={**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("gate"))},
    )
    gate = Gate(process, first, admin)
    try:
        eventually(lambda: gate.get("/health/ready")[0] == 200, poll_s=0.05)
        yield gate
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()


def _workers(gate: Gate) -> int:
    return gate.admin_port - gate.port


def test_the_reports_of_all_workers_are_one(gate: Gate) -> None:
    """Whole, though each is longer than one read of its socket gives."""
    before = gate.report()["records"]
    counts = [3, 5][: _workers(gate)]
    for worker, count in enumerate(counts):
        gate.send(worker, count)

    report = gate.report()

    assert report["records"] == [old + new for old, new in zip(before, counts, strict=True)]
    assert report["lengths"] == [300_000] * len(counts)
    assert report["workers"] == {"asked": len(counts), "answered": len(counts)}


def test_a_browser_gets_html_and_a_program_json(gate: Gate) -> None:
    """By Accept, and by the query where somebody is in doubt."""
    browser = "text/html,application/xhtml+xml,*/*;q=0.8"

    assert gate.get("/diary", browser)[:2] == (200, "text/html")
    assert gate.get("/diary", "application/json")[:2] == (200, "application/json")
    assert gate.get("/diary?format=json", browser)[:2] == (200, "application/json")
    assert gate.get("/diary?format=html", "application/json")[:2] == (200, "text/html")
    assert '<p id="records">records: [' in gate.get("/diary", browser)[2]
    assert gate.get("/journal")[0] == 404


def test_metrics_of_many_series_arrive_whole(gate: Gate) -> None:
    """An exposition that was cut would lose series without a word."""
    lines = gate.get("/metrics")[2].splitlines()

    found = [line for line in lines if line.startswith("diary_page{")]
    assert len(found) == 20_000 * _workers(gate)


@pytest.mark.parametrize("gate", [2], indirect=True)
def test_a_worker_that_is_gone_is_told(gate: Gate) -> None:
    """What the others report is shown, and that it is not all."""
    whole = gate.report()["records"]
    pids = [worker["pid"] for worker in json.loads(gate.get("/health")[2])["workers"]]
    os.kill(pids[1], signal.SIGSTOP)
    try:
        report = gate.report()
        page = gate.get("/diary")[2]
    finally:
        os.kill(pids[1], signal.SIGCONT)

    assert report["workers"] == {"asked": 2, "answered": 1}
    assert report["records"] == whole[:1]
    assert "from 1 of 2 workers" in page


def test_there_is_no_report_without_a_chain_or_a_processor_that_reports() -> None:
    """Nor of a processor that has another name."""
    with running_sidecar(settings(), PlainChain()) as plain:
        assert plain.sidecar.report("closed-mark") is None
        plain.sidecar.drain()
        assert plain.sidecar.report("diary") is None
    with running_sidecar(settings(), Chain({})) as empty:
        assert empty.sidecar.report("diary") is None
