"""The tutorial, done: its files written, its commands run in one shell, their output compared."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from markdown_pages import ROOT, Block, page
from ports import free_port
from tapeline.stack.binaries import require

TUTORIAL = page(ROOT / "docs" / "tutorial.md")
COLLECTOR = "## 5. Behind the real collector"
BINARY = "~/.cache/tapeline/bin/collector"
ADDRESSES = ("127.0.0.1:4317", "127.0.0.1:4319", "127.0.0.1:14317", "127.0.0.1:8090")
_FILE = re.compile(r"`([\w.-]+)`(?:, as .*)?:$")
_COMMAND_TIMEOUT_S = 180.0
_END = "end of the command"


@dataclass(frozen=True)
class Step:
    """A file to write, or commands to run."""

    block: Block
    file: str = ""
    append: bool = False


def steps() -> list[Step]:
    """Return what a reader does, in order."""
    found = []
    for block in TUTORIAL.blocks:
        if block.language == "console":
            found.append(Step(block))
        elif block.language != "sh":
            above = [line for number, line in TUTORIAL.prose if number < block.line and line]
            match = _FILE.search(above[-1])
            assert match, f"line {block.line}: which file is this?"
            found.append(Step(block, match[1], append="Append" in above[-1]))
    return found


class Shell:
    """One bash, in which a reader goes from command to command."""

    def __init__(self, folder: Path, renamed: dict[str, str]) -> None:
        """`renamed` are addresses that the page has, and those that are free here."""
        self.renamed = renamed
        self._process = subprocess.Popen(
            ["/bin/bash"], cwd=folder, env=_environment(renamed), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def run(self, text: str) -> list[str]:
        """Return what a command prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = f"{self.here(text)}\nprintf '%s\\n' '{_END}'\n"
        self._process.stdin.write(command)
        self._process.stdin.flush()
        printed: list[str] = []
        late = threading.Timer(_COMMAND_TIMEOUT_S, self.end)
        late.start()
        try:
            for line in self._process.stdout:
                if line.rstrip("\n") == _END:
                    return printed
                printed.append(line.rstrip("\n"))
        finally:
            late.cancel()
        raise AssertionError(f"the shell ended, or took too long: {text}")

    def write(self, step: Step) -> None:
        """Write a file where the reader is now."""
        folder = Path(self.run("pwd")[0])
        with (folder / step.file).open("a" if step.append else "w", encoding="utf-8") as file:
            file.write(self.here(step.block.text))

    def here(self, text: str) -> str:
        """Return a text of the page with the addresses of this run."""
        for there, here in self.renamed.items():
            text = text.replace(there, here)
        return text

    def end(self) -> None:
        """End the shell, and what it left running."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def close(self) -> None:
        """End it, and its pipes."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _environment(renamed: dict[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    options = "-p no:cacheprovider"
    if "tapeline" not in entry_points(group="pytest11").names:
        options += " -p tapeline.testing.plugin"  # the environment is older than the entry point
    return {
        **own,
        "PATH": f"{Path(sys.executable).parent}:{own['PATH']}",
        "PYTEST_ADDOPTS": options,
        "TAPELINE_LISTEN": renamed["127.0.0.1:4319"],
        "TAPELINE_DOWNSTREAM": renamed["127.0.0.1:14317"],
        "TAPELINE_ADMIN": renamed["127.0.0.1:8090"],
    }


@contextmanager
def shell_in(folder: Path) -> Iterator[Shell]:
    """Open a shell with ports of its own."""
    shell = Shell(folder, {address: f"127.0.0.1:{free_port()}" for address in ADDRESSES})
    try:
        yield shell
    finally:
        shell.close()


def matches(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Tell whether lines are what a page shows; a line `…` stands for any lines, or for none."""
    wanted = [line for line in shown if line]
    got = [line for line in printed if line]
    return _matches(wanted, got)


def _matches(wanted: list[str], got: list[str]) -> bool:
    if not wanted:
        return not got
    if wanted[0] == "…":
        return any(_matches(wanted[1:], got[start:]) for start in range(len(got) + 1))
    pattern = wanted[0].replace("[", "[[]").replace("…", "*")
    return bool(got) and fnmatchcase(got[0], pattern) and _matches(wanted[1:], got[1:])


def follow(shell: Shell, todo: list[Step]) -> None:
    """Do what the page says, and hold what is printed to what it shows."""
    commands = {command.line: command for command in TUTORIAL.commands()}
    for step in todo:
        if step.file:
            shell.write(step)
            continue
        for line in range(step.block.line, step.block.line + len(step.block.lines)):
            if line not in commands:
                continue
            command = commands[line]
            printed = shell.run(command.text)
            told = "\n".join(printed)
            assert matches(command.output, printed), f"line {line}: {command.text}\n{told}"


def split() -> tuple[list[Step], list[Step]]:
    """Return what needs no server, and what needs the collector."""
    (line,) = [number for number, text in TUTORIAL.prose if text == COLLECTOR]
    every = steps()
    before = [step for step in every if step.block.line < line]
    return before, every[len(before) :]


def test_the_comparison_sees_what_differs() -> None:
    """Another line, one less, one more; `…` alone takes any number of lines."""
    assert matches(("a …", "…", "[z]"), ["a 1", "b", "", "[z]"])
    assert matches(("…", "z"), ["z"])
    assert not matches(("a", "…", "z"), ["a", "b"])
    assert not matches(("a",), ["a", "b"])
    assert not matches(("a", "b"), ["a"])


def test_the_page_has_files_and_commands() -> None:
    """In both of its parts."""
    for part in split():
        assert [step for step in part if step.file]
        assert [step for step in part if not step.file]


@pytest.mark.timeout(900)
def test_the_tutorial_up_to_the_collector(tmp_path: Path) -> None:
    """A processor from nothing, tested, with its failures."""
    with shell_in(tmp_path) as shell:
        follow(shell, split()[0])


@pytest.mark.stack
@pytest.mark.timeout(900)
def test_the_tutorial_behind_the_real_collector(tmp_path: Path) -> None:
    """Sent to the collector, through the gate, and back; then a reload."""
    assert shutil.which("curl"), "the tutorial needs curl"
    before, behind = split()
    with shell_in(tmp_path) as shell:
        shell.renamed[BINARY] = str(require("collector"))
        follow(shell, before)
        follow(shell, behind)
