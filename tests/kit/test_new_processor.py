"""`tapeline new processor`: a folder that passes its own tests as it is."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from small_disk import fill, mounted
from tapeline import cli
from tapeline.kit.scaffold import NewProcessorError, write_processor
from tapeline.otlp.signals import Signal
from tapeline.settings import load_settings, taken_names

# An environment that was set up before the entry point was there has to be told of the plugin.
KNOWN = "tapeline" in entry_points(group="pytest11").names
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider") + (
    () if KNOWN else ("-p", "tapeline.testing.plugin")
)


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder that knows nothing of this repository."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(
        command, cwd=folder, env={**environment, "PATH": path}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("signal", Signal)
def test_a_new_processor_passes_its_own_tests_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: Signal
) -> None:
    """And they see it when the processor does something else."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", "processor", "my_filter", "--signal", signal]) == 0
    folder = tmp_path / "my_filter"

    passed = run(folder, *PYTEST)
    assert passed.returncode == 0, passed.stdout
    assert "2 passed" in passed.stdout

    code = folder / "my_filter.py"
    changed = {
        Signal.LOGS: ("        record.drop()\n", ""),
        Signal.TRACES: ('["slow"] = True', '["slow"] = False'),
        Signal.METRICS: ("settings.names[venue]", "venue.lower()"),
    }[signal]
    text = code.read_text(encoding="utf-8")
    assert changed[0] in text
    code.write_text(text.replace(*changed), encoding="utf-8")
    failed = run(folder, *PYTEST)
    assert failed.returncode == 1, failed.stdout
    assert "session.yaml" in failed.stdout or "assert" in failed.stdout


def test_the_commands_of_its_readme_work(tmp_path: Path) -> None:
    """Those that print something and end."""
    write_processor("my_filter", Signal.METRICS, tmp_path / "new", taken_names())
    folder = tmp_path / "new"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    commands = [
        line.removeprefix("$ ").partition("  ")[0]
        for line in readme.splitlines()
        if line.startswith(("$ tapeline check", "$ tapeline process"))
    ]
    assert len(commands) == 2

    for command in commands:
        done = run(folder, *command.split())
        assert done.returncode == 0, done.stderr
        assert "my_filter" in done.stdout


def test_what_is_generated_is_formatted_typed_and_whole(tmp_path: Path) -> None:
    """No template's field is left, and ruff and mypy have nothing to say."""
    files = []
    for signal in Signal:
        name, folder = f"my_{signal}", tmp_path / signal
        written = write_processor(name, signal, folder, taken_names())
        assert {str(path.relative_to(folder)) for path in written} == {
            f"{name}.py", f"test_{name}.py", "gate.yaml", "session.otlp.jsonl", "Dockerfile",
            "README.md", f"goldens/test_{name}/session.yaml",
        }  # fmt: skip
        files += written

    assert not [path for path in files if "{{" in path.read_text(encoding="utf-8")]
    config = ["--config", str(Path(__file__).parents[2] / "pyproject.toml")]
    code = [str(path) for path in files if path.suffix == ".py"]
    ignored = "INP001,S101,ANN401,PLR2004"  # no package, and a test among them
    for command in (["check", "--ignore", ignored], ["format", "--check"]):
        done = run(tmp_path, "ruff", *command, *config, "--no-cache", *code)
        assert done.returncode == 0, done.stdout
    typed = run(tmp_path, "mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), *code)
    assert typed.returncode == 0, typed.stdout


def test_its_configuration_names_the_processor_behind_the_redaction(tmp_path: Path) -> None:
    """What comes after the redaction sees no secret, and derived metrics run through all of it."""
    for signal in Signal:
        folder = tmp_path / signal
        write_processor("my_filter", signal, folder, taken_names())
        chain = load_settings(folder / "gate.yaml", {}).chain
        assert [chain.of(each)[0] for each in Signal] == ["redaction"] * 3
        assert [each for each in Signal if "my_filter" in chain.of(each)] == [signal]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My-Filter", "; my_filter would do"),
        ("7", "a letter first"),
        ("server", "is the name of a processor or section already"),
        ("plugins", "is the name of a processor or section already"),
        ("redaction", "is the name of a processor or section already"),
        ("json", "means something in Python"),
        ("import", "means something in Python"),
        ("../escape", "a letter first"),
        ("yaml", "a package that is installed here"),
        ("tapeline", "a package that is installed here"),
        ("test_it", "means something to pytest"),
        ("conftest", "means something to pytest"),
    ],
)
def test_a_name_that_can_not_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    """Nothing is written."""
    assert cli.main(["new", "processor", name, "--folder", str(tmp_path / "new")]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_on_the_disk_is_not_in_the_way_of_the_next_try(tmp_path: Path) -> None:
    """A half of the folder would be met as somebody's work."""
    disk = tmp_path / "disk"
    with mounted(disk, 1024 * 1024):
        fill(disk / "filling")
        with pytest.raises(NewProcessorError, match="No space left"):
            write_processor("my_filter", Signal.LOGS, disk / "new", frozenset())
        (disk / "filling").unlink()

        assert write_processor("my_filter", Signal.LOGS, disk / "new", frozenset())


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """Nobody's work is written over; an empty one may be there."""
    (tmp_path / "empty").mkdir()
    write_processor("my_filter", Signal.LOGS, tmp_path / "empty", frozenset())

    with pytest.raises(NewProcessorError, match="is there already"):
        write_processor("my_filter", Signal.LOGS, tmp_path / "empty", frozenset())
    (tmp_path / "file").touch()
    with pytest.raises(NewProcessorError, match="is there already"):
        write_processor("my_filter", Signal.LOGS, tmp_path / "file", frozenset())
    with pytest.raises(NewProcessorError, match="can't be written: Not a directory"):
        write_processor("my_filter", Signal.LOGS, tmp_path / "file" / "below", frozenset())
