"""The bench itself, cut short: the gate keeps a fraction of a trivial relay's rate."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.stack
def test_the_gate_keeps_a_fraction_of_the_relays_rate(tmp_path: Path) -> None:
    """In one run, with every record counted at the sink; ratios only, no absolute figure."""
    output = tmp_path / "results.json"
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "bench" / "run.py"),
            "--quick",
            "--pure",
            "--output",
            str(output),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(output.read_text())["rows"]
    assert {(row["subject"], row["signal"]) for row in rows} == {
        (subject, signal)
        for subject in ("relay", "gate", "gate + redaction")
        for signal in ("logs", "traces", "metrics")
    }
    assert all(row["throughput"]["records"] > 0 for row in rows)


@pytest.mark.stack
@pytest.mark.timeout(900)  # it may have to be compiled
def test_no_secret_comes_through_the_gate_under_load(tmp_path: Path) -> None:
    """Logs and spans, with secrets in none, 1 % and all records: counted at the sink, masked all.

    The relay beside it passes every secret on, so the sink is not blind.
    """
    output = tmp_path / "results.json"
    program = str(ROOT / "bench" / "run.py")
    done = subprocess.run(
        [sys.executable, program, "--quick", "--only", "redaction", "--output", str(output)],
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(output.read_text())
    assert f"measured in its {found['facts']['form']} form" in done.stdout
    assert (found["facts"]["form"] == "pure") == ("THE PURE FORM IS MEASURED" in done.stderr)
    rows = found["redaction"]["rows"]
    assert len(rows) == 24
    assert {row["encoding"] for row in rows} == {"sdk", "collector"}
    for row in rows:
        planted, leaked = row["throughput"]["planted"], row["leaked"]
        assert leaked == (planted if row["subject"] == "relay" else 0)
        assert row["throughput"]["records"] > 0
        assert (planted > 0) == (row["share"] != "clean")


@pytest.mark.stack
def test_the_limiter_is_measured_in_process_and_through_grpc(tmp_path: Path) -> None:
    """Every row with both encodings, and the state of a series within its bounds."""
    output = tmp_path / "results.json"
    program = str(ROOT / "bench" / "run.py")
    done = subprocess.run(
        [
            sys.executable,
            program,
            "--quick",
            "--pure",
            "--only",
            "cardinality",
            "--output",
            str(output),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(output.read_text())["cardinality"]
    assert len(found["core"]) == 6
    assert len(found["gate"]) == 8
    assert all(row["points_per_s"] > 0 for row in found["core"])
    assert all(row["throughput"]["records"] > 0 for row in found["gate"])
    # Streams beyond the limit are folded, and none of those that have room.
    assert {row["mix"]: row["folded_streams"] for row in found["core"]} == {
        "all admitted": 0,
        "half over, 20,000 streams": 20_000,
        "half over, every one new": 30_000,
    }
