"""docs/testing.md: its examples are run, its tables are those of the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from markdown_pages import ROOT, Block, page
from tapeline import cli
from tapeline.recording.ignoring import GROUPS
from tapeline.testing.matching import OPERATORS
from tapeline.testing.outcome import Outcome

TESTING = page(ROOT / "docs" / "testing.md")


def _blocks(language: str) -> list[Block]:
    return [block for block in TESTING.blocks if block.language == language]


def _pytest(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *words],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_example_for_pytest_passes_with_the_golden_that_is_shown(tmp_path: Path) -> None:
    """And --tapeline-update writes that golden, to the letter."""
    (example,) = _blocks("python")
    golden, _ = _blocks("yaml")
    (tmp_path / "test_orders.py").write_text(example.text, encoding="utf-8")

    writing = _pytest(tmp_path, "--tapeline-update")
    held = _pytest(tmp_path)

    assert writing.returncode == 1, writing.stdout
    assert held.returncode == 0, held.stdout
    written = tmp_path / "goldens" / "test_orders" / "no_password.yaml"
    assert written.read_text(encoding="utf-8") == golden.text


def test_the_example_in_yaml_fails_as_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the lines of the file that the page shows."""
    _, example = _blocks("yaml")
    (shown,) = _blocks("")
    (tmp_path / "orders.test.yaml").write_text(example.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert cli.main(["test", "orders.test.yaml"]) == 1

    assert capsys.readouterr().out == shown.text


def test_every_operator_is_explained() -> None:
    """With those that stand alone."""
    named = {name for row in TESTING.table("operator") for name in re.findall(r"\$\w+", row[0])}
    assert named == set(OPERATORS) | {"$any", "$absent"}


def test_what_is_said_of_an_outcome_exists() -> None:
    """Each attribute and method of the table."""
    names = {
        name for row in TESTING.table("of an outcome") for name in re.findall(r"`\.(\w+)", row[0])
    }
    assert len(names) > 10
    assert {name for name in names if not hasattr(Outcome, name)} <= {
        "audit", "derived", "outputs", "refused",
    }  # fmt: skip


def test_every_group_that_can_be_ignored_is_named() -> None:
    """Where the flag is explained, and in its help."""
    (sentence,) = [line for _, line in TESTING.prose if line.startswith("- `--ignore ")]
    groups = {*GROUPS, "resource", "scope"}
    assert groups <= set(re.findall(r"`(\w+)`", sentence))
    parser = cli._parser()
    help_text = parser._subparsers._group_actions[0].choices["diff"].format_help()  # type: ignore[union-attr, index]
    assert groups <= set(re.findall(r"\w+", help_text))
