"""The example plugin, installed and run as its README says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "drop_heartbeats"


@pytest.fixture(scope="module", name="environment")
def _environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the example from its sources into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-build-isolation", "--target", str(folder), str(EXAMPLE)],
        check=True,
        timeout=120,
    )  # fmt: skip
    return {**os.environ, "PYTHONPATH": str(folder)}


def _tapeline(*arguments: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tapeline.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_installed_plugin_is_found_and_checked(environment: dict[str, str]) -> None:
    """Its name may stand in a chain, its section is validated by its own model."""
    run = _tapeline("check", "--config", str(EXAMPLE / "gate.yaml"), environment=environment)

    assert run.returncode == 0, run.stderr
    assert "redaction → drop_heartbeats" in run.stdout


def test_an_installed_plugin_does_its_work(environment: dict[str, str]) -> None:
    """The heartbeats of the recorded session are gone, the quote stays."""
    run = _tapeline(
        "process", "--config", str(EXAMPLE / "gate.yaml"), str(EXAMPLE / "session.otlp.jsonl"),
        environment=environment,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    (line,) = run.stdout.splitlines()
    records = json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert [record["body"]["stringValue"] for record in records] == [
        "quote BTCUSDT 37000.1 37000.2"
    ]


def test_an_uninstalled_plugin_is_a_clear_error() -> None:
    """Without the package the chain names something that is not there."""
    run = _tapeline("check", "--config", str(EXAMPLE / "gate.yaml"), environment=dict(os.environ))

    assert run.returncode == 2
    assert "gate.yaml:3: chain.logs: no processor 'drop_heartbeats' is installed" in run.stderr


def test_the_plugins_section_is_in_the_schema(environment: dict[str, str]) -> None:
    """Editors complete what is installed."""
    run = _tapeline("check", "--schema", environment=environment)

    assert run.returncode == 0, run.stderr
    assert "drop_heartbeats" in json.loads(run.stdout)["properties"]
