"""The command line: help for newcomers, exit codes for programs, and a fast start."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tapeline import __version__
from tapeline.cli import main
from tapeline.pipeline.form import running_form
from tapeline.pipeline.registry import ENTRY_POINT_GROUP

ROOT = Path(__file__).parents[2]
GATE = ROOT / "config" / "gate.yaml"
COLLECTOR = tuple(
    str(ROOT / "collector" / f"{name}.yaml") for name in ("ingress", "egress", "one_process")
)
COMMANDS = ("serve", "check", "process", "replay", "explain", "stack", "doctor", "demo", "tap")


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """The first thing a newcomer types."""
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])

    printed = capsys.readouterr().out
    assert exit_.value.code == 0
    assert "exit codes:" in printed
    assert [command for command in COMMANDS if command not in printed] == []


def test_the_version_says_which_form_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Compiled or pure: whoever reads a figure or a report must know of which."""
    assert main(["version"]) == 0

    assert capsys.readouterr().out == f"tapeline {__version__} ({running_form()})\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And --help exits 0."""
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])

    assert exit_.value.code == 0
    assert f"tapeline {command}" in capsys.readouterr().out


def test_a_reader_that_leaves_early_is_no_stack_trace() -> None:
    """`tapeline check --schema | head -1`: the rest is not wanted, and that is all."""
    command = [sys.executable, "-m", "tapeline.cli", "check", "--schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()

    assert complaint == b""
    assert process.returncode == 1


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with what there is."""
    with pytest.raises(SystemExit) as exit_:
        main([])

    assert exit_.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_check_prints_the_plan_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs."""
    assert main(["check", "--config", str(GATE), "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["plan"]["chain"]["metrics"] == ["redaction", "cardinality"]
    assert answer["findings"] == []


def test_check_of_a_bad_configuration_exits_2_with_each_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error for people, as JSON for programs."""
    bad = tmp_path / "gate.yaml"
    bad.write_text("server: {wokers: 1}\n", encoding="utf-8")

    assert main(["check", "--config", str(bad)]) == 2
    assert "did you mean 'workers'?" in capsys.readouterr().err
    assert main(["check", "--config", str(bad), "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 1


def test_check_of_a_looping_collector_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The finding names rule, file and line."""
    overlay = tmp_path / "loop.yaml"
    overlay.write_text(
        "service: {pipelines: {logs/egress: {exporters: [otlp_grpc/gate]}}}", encoding="utf-8"
    )

    code = main(["check", "--config", str(GATE), "--collector", *COLLECTOR, str(overlay)])

    assert code == 1
    assert f"{overlay}:1: error: " in capsys.readouterr().out


def test_check_of_the_collector_wants_the_gates_configuration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the other sidecar's, every branch would look like a loop."""
    config = str(GATE.with_name("signals.yaml"))

    assert main(["check", "--config", config]) == 0
    assert main(["check", "--config", config, "--collector", *COLLECTOR]) == 2
    assert "gate's configuration" in capsys.readouterr().err


def test_doctor_names_each_hop_that_fails_and_the_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing listens on port 1: every hop fails, each with what to do."""
    config = tmp_path / "gate.yaml"
    config.write_text(
        "server: {listen: '127.0.0.1:1'}\n"
        "downstream: {endpoint: '127.0.0.1:1'}\n"
        "admin: {listen: '127.0.0.1:1'}\n",
        encoding="utf-8",
    )
    arguments = ["doctor", "--config", str(config), "--json", "--collector-address", "127.0.0.1:1"]
    for hop in ("collector-health", "prometheus", "loki", "jaeger", "alertmanager"):
        arguments += [f"--{hop}-address", "http://127.0.0.1:1/"]
    for hop in ("signals", "signals-admin"):
        arguments += [f"--{hop}-address", "127.0.0.1:1"]

    assert main(arguments) == 1

    findings = json.loads(capsys.readouterr().out)["findings"]
    assert len(findings) == 14
    assert all(finding["fix"] for finding in findings)


def test_doctor_leaves_out_hops_without_an_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not everybody runs every backend."""
    config = tmp_path / "gate.yaml"
    config.write_text("downstream: {endpoint: discard}\n", encoding="utf-8")
    arguments = ["doctor", "--config", str(config)]
    backends = ("collector", "collector-health", "prometheus", "loki", "jaeger", "alertmanager")
    for hop in (*backends, "signals", "signals-admin"):
        arguments += [f"--{hop}-address", ""]

    main(arguments)

    hops = [line for line in capsys.readouterr().out.splitlines() if line[:4] in {"FAIL", "ok  "}]
    assert len(hops) == 3


def test_the_command_line_starts_without_importing_what_it_does_not_need() -> None:
    """`serve` must be live within a second, `--help` at once."""
    code = (
        "import sys, tapeline.cli;"
        "print(sorted({'grpc','aiohttp','pydantic','yaml','hypothesis'} & set(sys.modules)))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout

    assert printed.strip() == "[]"


def test_the_schema_of_a_broken_plugin_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message and exit code 2, not a traceback."""
    broken = EntryPoint(name="broken", value="no.such.module:X", group=ENTRY_POINT_GROUP)
    monkeypatch.setattr("tapeline.settings.discover", lambda: {"broken": broken})

    assert main(["check", "--schema"]) == 2

    assert "the processor 'broken' of" in capsys.readouterr().err
