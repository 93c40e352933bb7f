"""What pages point at exists: links, headings, files, make targets, commands and their flags."""

import argparse
import re
from pathlib import Path

import pytest

from markdown_pages import ROOT, Page, page, pages
from tapeline import cli

PAGES = pages()
TOP = frozenset(path.name for path in ROOT.iterdir() if path.is_dir() and path.name != ".tapeline")
GENERATED = frozenset(
    line.lstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
)
_PATH = re.compile(r"^\.?[\w.*-]+(?:/[\w.*-]+)+/?$")
_PLANNED = re.compile(r"\*planned", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"@[A-Z][A-Z_]*@|\bTODO\b|\bFIXME\b|\bXXX\b")
# Paths of a home or a workplace, and hosts of registries.
_PRIVATE = re.compile(r"/root/|/work/|/home/\w|\b(?:pypi|npmjs|crates|golang)\.(?:org|com|io)\b")


def broken_links(read: Page) -> list[str]:
    """Return each link that leads nowhere."""
    found = []
    for number, target in read.links():
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (read.path.parent / name).resolve() if name else read.path
        wrong = not path.exists()
        if not wrong and anchor:
            wrong = path.suffix != ".md" or anchor not in page(path).anchors()
        if wrong:
            found.append(f"{read.name}:{number}: {target}")
    return found


def missing_paths(read: Page) -> list[str]:
    """Return each path in inline code that is no file: from the root, or from the page's folder."""
    found = []
    for number, content, line in read.code():
        if not _PATH.match(content) or content.split("/")[0] not in TOP:
            continue
        exists = any(any(folder.glob(content.rstrip("/"))) for folder in (ROOT, read.path.parent))
        if not exists and content not in GENERATED and not _PLANNED.search(line):
            found.append(f"{read.name}:{number}: {content}")
    return found


def make_targets() -> frozenset[str]:
    """Return what the Makefile makes."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of a command's own commands by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def wrong_invocation(words: list[str]) -> str | None:
    """Return what of `tapeline WORDS` does not exist, or None."""
    parser = cli._parser()
    for word in words:
        below = subparsers(parser)
        if word.startswith("--"):
            if word.partition("=")[0] not in parser._option_string_actions:
                return word
        elif below:
            if word not in below:
                return word
            parser = below[word]
    return None


def invocations(text: str, program: str) -> list[list[str]]:
    """Return the words after each call of a program in a command line."""
    calls = re.findall(rf"(?:^|[\s/;&|(]){program}((?:\s+[^\s|&;<>()`]+)*)", text)
    return [re.sub(r"['\",]", " ", call).split() for call in calls]


def commands_of(read: Page) -> list[tuple[int, str]]:
    """Return line and text of everything on a page that is written as a command."""
    inline = [
        (number, content) for number, content, line in read.code() if not _PLANNED.search(line)
    ]
    return inline + [(command.line, command.text) for command in read.commands()]


def unknown_commands(read: Page) -> list[str]:
    """Return each make target, tapeline command or flag on a page that there is none of."""
    found = []
    for number, text in commands_of(read):
        for words in invocations(text, "make"):
            found += [
                f"{read.name}:{number}: make {word}"
                for word in words[:1]
                if word not in make_targets()
            ]
        for words in invocations(text, "tapeline"):
            wrong = wrong_invocation([word for word in words if word != "…"])
            if wrong is not None:
                found.append(f"{read.name}:{number}: tapeline {' '.join(words)}: {wrong}")
    return found


def forbidden(read: Page) -> list[str]:
    """Return each placeholder, and each address or folder that is only this machine's."""
    text = read.path.read_text(encoding="utf-8")
    return [
        match.group() for match in re.finditer(f"{_PLACEHOLDER.pattern}|{_PRIVATE.pattern}", text)
    ]


@pytest.fixture
def bad_page(tmp_path: Path) -> Page:
    """Return a page on which everything is wrong once."""
    path = tmp_path / "page.md"
    path.write_text(
        "# A page\n"
        "[gone](gone.md) [no heading](#nowhere) [here](#a-page) `docs/gone.md`\n"
        "`make nothing`, `tapeline recrod x`, `tapeline check --colector F`, @LATER@\n"
        "```console\n$ .venv/bin/tapeline stack upp | cat\n```\n",
        encoding="utf-8",
    )
    return page(path)


def test_these_checks_see_what_is_wrong(bad_page: Page) -> None:
    """The oracle of the tests below is not blind."""
    assert broken_links(bad_page) == ["page:2: gone.md", "page:2: #nowhere"]
    assert missing_paths(bad_page) == ["page:2: docs/gone.md"]
    assert unknown_commands(bad_page) == [
        "page:3: make nothing",
        "page:3: tapeline recrod x: recrod",
        "page:3: tapeline check --colector F: --colector",
        "page:5: tapeline stack upp: upp",
    ]
    assert forbidden(bad_page) == ["@LATER@"]


def test_the_pages_are_found() -> None:
    """With enough on them that an empty list of mistakes means something."""
    names = {read.name for read in PAGES}
    expected = {"README.md", "CONTRIBUTING.md", "collector/README.md"}
    expected |= {
        f"docs/{name}.md" for name in ("architecture", "collector", "limits", "operations")
    }
    assert expected <= names
    assert sum(len(list(read.links())) for read in PAGES) > 40
    assert sum("tapeline" in text for read in PAGES for _, text in commands_of(read)) > 50


@pytest.mark.parametrize("read", PAGES, ids=lambda read: read.name)
def test_every_link_leads_somewhere(read: Page) -> None:
    """To a file that is there, and to a heading that it has."""
    assert broken_links(read) == []


@pytest.mark.parametrize("read", PAGES, ids=lambda read: read.name)
def test_every_path_that_is_named_exists(read: Page) -> None:
    """Unless its line says that it is planned."""
    assert missing_paths(read) == []


@pytest.mark.parametrize("read", PAGES, ids=lambda read: read.name)
def test_every_command_and_flag_that_is_named_exists(read: Page) -> None:
    """Make targets, and commands of tapeline with their flags."""
    assert unknown_commands(read) == []


@pytest.mark.parametrize("read", PAGES, ids=lambda read: read.name)
def test_no_page_is_unfinished_or_of_this_machine(read: Page) -> None:
    """No placeholder, no private folder, no registry's host."""
    assert forbidden(read) == []


def test_every_decision_is_listed() -> None:
    """docs/adr/README.md names each record."""
    records = {path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md")}
    listed = {target for _, target in page(ROOT / "docs" / "adr" / "README.md").links()}
    assert records == listed
