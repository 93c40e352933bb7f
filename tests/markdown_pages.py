"""Reads the project's Markdown pages: links, headings, code blocks, commands, tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^\s*```(\w*)\s*$")
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+(?:\([^()]*\))?)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_COMMENT = re.compile(r"\s+#\s.*$")


@dataclass(frozen=True)
class Block:
    """A fenced code block: its language, its lines, and the page's line of the first of them."""

    language: str
    lines: tuple[str, ...]
    line: int

    @property
    def text(self) -> str:
        """The content, with a final newline."""
        return "".join(f"{line}\n" for line in self.lines)


@dataclass(frozen=True)
class Command:
    """A command after a `$`, and the lines that the page shows as its output."""

    text: str
    output: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Page:
    """One Markdown file, split into prose and code blocks."""

    path: Path
    prose: tuple[tuple[int, str], ...]
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        """The path from the repository's root."""
        return str(self.path.relative_to(ROOT)) if self.path.is_relative_to(ROOT) else "page"

    def links(self) -> Iterator[tuple[int, str]]:
        """Yield the line and target of each link."""
        for number, line in self.prose:
            yield from ((number, target) for target in _LINK.findall(_CODE.sub("", line)))

    def code(self) -> Iterator[tuple[int, str, str]]:
        """Yield line number, content and whole line of each inline `code`."""
        for number, line in self.prose:
            yield from ((number, content, line) for content in _CODE.findall(line))

    def anchors(self) -> frozenset[str]:
        """Return the anchors of the headings, as GitHub makes them."""
        headings = (line.lstrip("#") for _, line in self.prose if line.startswith("#"))
        return frozenset(_anchor(heading) for heading in headings)

    def commands(self) -> Iterator[Command]:
        """Yield what follows a `$` in the blocks of a console, comments taken off."""
        for block in self.blocks:
            if block.language == "console":
                yield from _commands(block)

    def table(self, first_heading: str) -> tuple[tuple[str, ...], ...]:
        """Return the rows below the table header whose first cell is this; fail without one."""
        lines = [line for _, line in self.prose]
        for position, line in enumerate(lines):
            if line.startswith(f"| {first_heading} |"):
                rows = lines[position + 2 :]
                end = next((i for i, row in enumerate(rows) if not row.startswith("|")), len(rows))
                return tuple(_cells(row) for row in rows[:end])
        raise AssertionError(f"{self.name} has no table that begins with {first_heading!r}")


def page(path: Path) -> Page:
    """Read one page."""
    prose: list[tuple[int, str]] = []
    blocks: list[Block] = []
    inside: tuple[str, int, list[str]] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if inside is not None and fence:
            language, begins, lines = inside
            blocks.append(Block(language, tuple(lines), begins))
            inside = None
        elif inside is not None:
            inside[2].append(line)
        elif fence:
            inside = (fence.group(1), number + 1, [])
        else:
            prose.append((number, line))
    if inside is not None:
        raise AssertionError(f"{path}:{inside[1]}: a code block without an end")
    return Page(path, tuple(prose), tuple(blocks))


def pages() -> tuple[Page, ...]:
    """Read every page of the project, what tools and tests leave behind aside."""
    found = (
        path
        for path in sorted(ROOT.rglob("*.md"))
        if not any(part.startswith((".", "_")) for part in path.relative_to(ROOT).parts)
    )
    return tuple(page(path) for path in found)


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", _LINK.sub("", heading).strip().lower())
    return kept.replace(" ", "-")


def _commands(block: Block) -> Iterator[Command]:
    starts = [i for i, line in enumerate(block.lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        text = _COMMENT.sub("", block.lines[start][2:]).strip()
        yield Command(text, block.lines[start + 1 : end], block.line + start)


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row.strip().strip("|").split("|"))
