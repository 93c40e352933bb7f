"""docs/instrumentation.md, done: its files written, its commands run, their output compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.demo_sink import OtlpSink, attributes_of
from markdown_pages import ROOT, Command, page

PAGE = page(ROOT / "docs" / "instrumentation.md")
COMMANDS = tuple(PAGE.commands())
FILES = ("orders.py", "ask.py")
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files."""
    made = tmp_path_factory.mktemp("page")
    blocks = [block for block in PAGE.blocks if block.language == "python"]
    for name, block in zip(FILES, blocks, strict=True):
        (made / name).write_text(block.text, encoding="utf-8")
    return made


def run(text: str, folder: Path, environment: dict[str, str]) -> list[str]:
    """Return what a command prints on both streams, in order."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-c", text],
        cwd=folder,
        env=os.environ | environment | {"PATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def matches(printed: list[str], shown: tuple[str, ...]) -> bool:
    """Say whether lines are those of the page, of which `…` stands for anything, also for lines."""
    pattern = ".*".join(re.escape(part) for part in "\n".join(shown).split("…"))
    return re.fullmatch(pattern, "\n".join(printed), re.DOTALL) is not None


@pytest.mark.parametrize("command", COMMANDS, ids=[f"line {each.line}" for each in COMMANDS])
def test_a_command_prints_what_the_page_shows(command: Command, folder: Path) -> None:
    """Times and ids differ."""
    printed = run(command.text, folder, {})

    assert matches(printed, command.output), "\n".join(printed)


def test_what_the_page_sends_arrives(folder: Path) -> None:
    """The last command, with the endpoint of a test in place of the demo's."""
    (send,) = [
        block.text for block in PAGE.blocks if block.language == "sh" and "VELOZ_ENV" in block.text
    ]
    with OtlpSink() as sink:
        run(send, folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint})

        assert {service for service, _ in sink.spans()} == {"orders"}
        bodies = [record.body.string_value for _, record in sink.logs()]
        assert bodies.count("Operation started") == 2
        refused = [span for _, span in sink.spans() if span.status.code == 2]
        assert [attributes_of(span)["error.size"] for span in refused] == [500]
        assert b"paper" in sink.raw()


def test_the_comparison_can_fail() -> None:
    """A page that shows something else is found out."""
    assert matches(["a [1] b", "c"], ("a [1] …", "c"))
    assert not matches(["a [1] b", "c"], ("a [2] …", "c"))
    assert not matches(["a", "more"], ("a",))
