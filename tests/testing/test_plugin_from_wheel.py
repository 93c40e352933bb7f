"""The plugin from a built wheel, in a project that knows nothing of this repository.

The virtual environment is new and has the wheel; what the wheel depends on is that of the
environment that runs this test, so that no package index is needed.
"""

import json
import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from fake_secrets import secret_text, seeded

ROOT = Path(__file__).parents[2]
SECRET = secret_text(seeded(11))
TEST = """
import tapeline


def test_the_package_is_the_wheels():
    assert "REPOSITORY" not in tapeline.__file__


def test_the_recording_leaks_nothing(tapeline_replay):
    outcome = tapeline_replay("session.otlp.jsonl", config="gate.yaml")

    assert len(outcome.logs) == 2
    assert outcome.sums() == {"fills": 5}
    assert outcome.audit.total("tapeline_redaction_hits_total") == 1
    outcome.assert_no_secret("SECRET")
    outcome.assert_golden("session")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """Return the folder of programs of a new environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    bin_folder = folder / "bin"
    installer = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-index"]
    subprocess.run(
        [*installer, "--no-deps", "--python", str(bin_folder / "python"), str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    (packages,) = folder.glob("lib/python*/site-packages")
    # Only folders are added: an editable install in them is not followed.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return bin_folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project: a recording, a configuration and a test."""
    body = {"stringValue": f"login password={SECRET}"}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": "1767225600000000001", "body": body},
        {"timeUnixNano": "1767225600000000002", "body": {"stringValue": "sent"}},
    ]}]}]}  # fmt: skip
    point = {"timeUnixNano": "1767225600000000003", "asInt": "5"}
    total = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]}
    metrics = {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "fills", "sum": total}]}]}]
    }
    lines = "".join(f"{json.dumps(request)}\n" for request in (logs, metrics))
    (tmp_path / "session.otlp.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "gate.yaml").write_text("chain: {logs: [redaction]}\n", encoding="utf-8")
    test = TEST.replace("REPOSITORY", str(ROOT)).replace("SECRET", SECRET)
    (tmp_path / "test_session.py").write_text(test, encoding="utf-8")
    return tmp_path


def _run(programs: Path, project: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    kept = ("HOME", "PATH", "TAPELINE_STATE_DIR", "TMPDIR", "XDG_CACHE_HOME")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(
        [str(programs / words[0]), *words[1:]],
        cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def _pytest(programs: Path, project: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    # Warnings are errors: the plugin must give none.
    return _run(programs, project, "python", "-W", "error", "-m", "pytest", "-q", *words)


def test_installing_the_wheel_is_enough_for_goldens(programs: Path, project: Path) -> None:
    """Missing, written, held, and told when the configuration changes what comes out."""
    missing = _pytest(programs, project)
    assert (missing.returncode, "1 failed, 1 passed" in missing.stdout) == (1, True), missing.stdout
    assert "pytest --tapeline-update 'test_session.py::" in missing.stdout

    writing = _pytest(programs, project, "--tapeline-update")
    assert (writing.returncode, "2 passed, 1 error" in writing.stdout) == (1, True)
    golden = project / "goldens" / "test_session" / "session.yaml"
    text = golden.read_text(encoding="utf-8")
    assert "body: login password=[REDACTED:password]" in text
    assert SECRET not in text

    held = _pytest(programs, project)
    assert (held.returncode, "2 passed" in held.stdout) == (0, True), held.stdout

    (project / "gate.yaml").write_text(
        "chain: {logs: [redaction]}\nredaction: {actions: {password: partial}}\n", encoding="utf-8"
    )
    changed = _pytest(programs, project)
    assert changed.returncode == 1
    assert "-        body: login password=[REDACTED:password]" in changed.stdout


def test_tests_in_yaml_and_differences_need_the_wheel_alone(programs: Path, project: Path) -> None:
    """By the command that it installs; pytest has no part in it."""
    (project / "gate.test.yaml").write_text(
        "tests:\n- name: masks\n  given: [{recording: session.otlp.jsonl}]\n"
        "  expect: {counts: {logs: 2, metrics: 1}, others: allowed, no_secret: true}\n",
        encoding="utf-8",
    )
    processed = project / "processed.otlp.jsonl"

    tested = _run(programs, project, "tapeline", "test", ".")
    process = ["process", "--config", "gate.yaml", "session.otlp.jsonl", "-o", str(processed)]
    assert _run(programs, project, "tapeline", *process).returncode == 0
    different = _run(programs, project, "tapeline", "diff", "session.otlp.jsonl", str(processed))

    assert (tested.returncode, tested.stdout) == (0, "1 passed, 0 failed, in 1 file\n")
    assert different.returncode == 1
    assert different.stdout.endswith("2 equal, 1 changed, 0 removed, 0 added\n")
