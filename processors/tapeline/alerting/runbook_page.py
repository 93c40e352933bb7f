"""A runbook's Markdown as a page: the few forms that runbooks use, and nothing that runs. Pure.

Headings, paragraphs, lists, tables, fenced code, `code` and links; all else stays text.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from tapeline.pipeline.markup import Markup, element, joined

__all__ = ["RUNBOOK_NAME", "runbook_body"]

RUNBOOK_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,99}")
"""An alert's name, and nothing that could be a path."""
_HEADING: Final = re.compile(r"(#{1,4})\s+(.*)")
_ITEM: Final = re.compile(r"\s*(?:[-*]|\d{1,3}\.)\s+(.*)")
_ROW: Final = re.compile(r"\s*\|(.*)\|\s*")
_RULE_ROW: Final = re.compile(r"[\s|:-]+")
_INLINE: Final = re.compile(
    r"`(?P<code>[^`\n]{1,500})`"
    r"|\[(?P<text>[^\]\n]{1,200})\]\((?P<target>[^)\s]{1,500})\)"
    r"|\*\*(?P<strong>[^*\n]{1,300})\*\*"
)
_SAFE_TARGET: Final = re.compile(r"https?://[^\s\"'<>]+|[A-Za-z][A-Za-z0-9]{0,99}\.md")


def runbook_body(text: str) -> Markup:
    """Return the elements of a runbook's text; the document around it is the caller's."""
    return joined(*_blocks(text.splitlines()))


def _blocks(lines: Sequence[str]) -> Iterator[Markup]:
    position = 0
    while position < len(lines):
        line = lines[position]
        heading = _HEADING.fullmatch(line)
        if line.lstrip().startswith("```"):
            end = _fence_end(lines, position)
            code = "\n".join(lines[position + 1 : end])
            yield element("pre", element("code", code))
            position = end + 1
        elif heading is not None:
            yield element(f"h{len(heading[1])}", _inline(heading[2]))
            position += 1
        elif not line.strip():
            position += 1
        else:
            end = _run_end(lines, position)
            yield _run(lines[position:end])
            position = end


def _fence_end(lines: Sequence[str], begin: int) -> int:
    """Return the line of the closing fence, or the end of the text where there is none."""
    following = range(begin + 1, len(lines))
    return next((n for n in following if lines[n].strip() == "```"), len(lines))


def _kind(line: str) -> str:
    if _ITEM.fullmatch(line):
        return "item"
    return "row" if _ROW.fullmatch(line) else "text"


def _run_end(lines: Sequence[str], begin: int) -> int:
    """Return where a paragraph, list or table ends; an item's further lines belong to it."""
    kind = _kind(lines[begin])
    position = begin + 1
    while position < len(lines):
        line = lines[position]
        if not line.strip() or line.lstrip().startswith(("```", "#")):
            break
        same = _kind(line) == kind or (kind == "item" and line.startswith(" "))
        if not same:
            break
        position += 1
    return position


def _run(lines: Sequence[str]) -> Markup:
    kind = _kind(lines[0])
    if kind == "text":
        return element("p", _inline(" ".join(line.strip() for line in lines)))
    if kind == "row":
        return _table(lines)
    items: list[str] = []
    for line in lines:
        item = _ITEM.fullmatch(line)
        if item is not None:
            items.append(item[1])
        else:
            items[-1] += " " + line.strip()
    name = "ol" if lines[0].lstrip()[0].isdigit() else "ul"
    return element(name, *(element("li", _inline(item)) for item in items))


def _table(lines: Sequence[str]) -> Markup:
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in lines
        if not _RULE_ROW.fullmatch(line)
    ]
    made = [
        element("tr", *(element("td" if number else "th", _inline(cell)) for cell in row))
        for number, row in enumerate(rows)
    ]
    return element("div", element("table", *made), class_="wide")


def _inline(text: str) -> Markup:
    parts: list[str] = []
    position = 0
    for match in _INLINE.finditer(text):
        parts.append(text[position : match.start()])
        parts.append(_marked(match))
        position = match.end()
    return joined(*parts, text[position:])


def _marked(match: re.Match[str]) -> Markup:
    if match["code"] is not None:
        return element("code", match["code"])
    if match["strong"] is not None:
        return element("strong", match["strong"])
    target = match["target"]
    if not _SAFE_TARGET.fullmatch(target):
        return joined(match["text"])  # A path of the repository: there is no page of it here
    here = target.removesuffix(".md") if "://" not in target else target
    return element("a", match["text"], href=here, rel="noreferrer")
