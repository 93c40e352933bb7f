"""Recordings of a real gate: redacted, by worker, refused where they would not be redacted."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_secrets import secret_text, seeded
from gate_process import GateProcess, gate_config, running_gate
from otlp_client import logs, send
from recorded_files import metadata_of
from recording_process import bodies_in
from waiting import eventually

SECRET = secret_text(seeded(21))
BODY = f"pass{'word'}={SECRET}"
REDACTED = f"pass{'word'}=[REDACTED:password]"


def recorded_by(folder: Path) -> list[Path]:
    """Return the recordings in a folder."""
    return sorted(path for path in folder.glob("gate-*") if path.suffix != ".json")


@pytest.fixture(name="gate")
def _gate(tmp_path: Path) -> Iterator[GateProcess]:
    """A gate that records JSON lines into the folder `recordings`."""
    record = {"folder": str(tmp_path / "recordings"), "format": "json", "compression": "none"}
    with running_gate(tmp_path, gate_config("discard", {}, record=record)) as gate:
        yield gate


def test_a_gate_records_what_it_redacted(gate: GateProcess, tmp_path: Path) -> None:
    """No secret reaches the folder; the metadata names the rules; SIGTERM completes the file."""
    send(gate.address, logs([BODY]))
    eventually(lambda: gate.count("tapeline_record_records_total") == 1)
    gate.process.send_signal(signal.SIGTERM)
    assert gate.process.wait(30) == 0

    (path,) = recorded_by(tmp_path / "recordings")
    assert bodies_in(path) == [REDACTED]
    metadata = metadata_of(path)
    assert metadata["closed"] is True
    policy = metadata["policy"]
    assert isinstance(policy, dict)
    assert (policy["raw"], len(policy["config_sha256"]), len(policy["rules"])) == (False, 64, 64)


def test_a_reload_that_would_record_secrets_is_refused(gate: GateProcess, tmp_path: Path) -> None:
    """The section may be gone from the file: what is recorded now goes on, so redaction must."""
    config = tmp_path / "gate.yaml"
    document = json.loads(config.read_text(encoding="utf-8"))
    del document["record"]
    document["redaction"] = {"mode": "observe"}
    config.write_text(json.dumps(document), encoding="utf-8")
    gate.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reload refused" in gate.log.read_text(encoding="utf-8"))
    send(gate.address, logs([BODY]))
    eventually(lambda: gate.count("tapeline_record_records_total") == 1)

    assert bodies_in(*recorded_by(tmp_path / "recordings")) == [REDACTED]


def test_other_rules_begin_another_file(gate: GateProcess, tmp_path: Path) -> None:
    """After a reload the metadata names the rules that are in effect from then on."""
    send(gate.address, logs(["a"]))
    config = tmp_path / "gate.yaml"
    document = json.loads(config.read_text(encoding="utf-8"))
    document["redaction"] = {"enable": ["email"]}
    config.write_text(json.dumps(document), encoding="utf-8")
    gate.process.send_signal(signal.SIGHUP)
    eventually(lambda: gate.count("tapeline_reloads_total") == 1)
    (first,) = recorded_by(tmp_path / "recordings")
    eventually(lambda: metadata_of(first)["closed"])
    send(gate.address, logs(["b"]))
    eventually(lambda: gate.count("tapeline_record_records_total") == 2)

    files = recorded_by(tmp_path / "recordings")
    assert bodies_in(*files) == ["a", "b"]
    assert metadata_of(files[0])["policy"] != metadata_of(files[1])["policy"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"chain": {"logs": []}}, "chain.logs has no redaction"),
        ({"redaction": {"mode": "observe"}}, "only observes logs"),
        ({"redaction": {"signals": {"traces": {"mode": "observe"}}}}, "only observes traces"),
        ({"redaction": {"allow": {"services": ["legacy"]}}}, "the service 'legacy' pass"),
        ({"redaction": {"services": {"old": {"mode": "observe"}}}}, "the service 'old' pass"),
    ],
)
def test_what_would_not_be_redacted_is_refused_at_start(
    more: dict[str, object], told: str, tmp_path: Path
) -> None:
    """Exit code 2 and a line that says what to change; with `signals` or `services` it is fine."""
    path = tmp_path / "gate.yaml"
    document = {"record": {"folder": str(tmp_path / "recordings")}, **more}
    path.write_text(json.dumps(document), encoding="utf-8")

    ended = subprocess.run(
        [sys.executable, "-m", "tapeline.cli", "serve", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 2
    assert told in ended.stderr
    assert not (tmp_path / "recordings").exists()


def test_each_worker_has_files_of_its_own(tmp_path: Path) -> None:
    """Named by the worker's index, in one folder, each under a lock of its own."""
    record = {"folder": str(tmp_path / "recordings"), "format": "proto", "compression": "none"}
    config = gate_config("discard", {"workers": 2}, record=record)
    with running_gate(tmp_path, config) as gate:
        for index in range(2):
            send(f"127.0.0.1:{gate.port + index}", logs([str(index)]))
        eventually(lambda: gate.count("tapeline_record_records_total") == 2)
        gate.process.send_signal(signal.SIGTERM)
        gate.process.wait(30)

    files = recorded_by(tmp_path / "recordings")
    assert [path.name.split("-")[1] for path in files] == ["0", "1"]
    assert bodies_in(*files) == ["0", "1"]
    assert [metadata_of(path)["source"] for path in files] == ["gate worker 0", "gate worker 1"]
