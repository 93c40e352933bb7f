"""Goldens on disk: `goldens/<name of the test file>/<name>.yaml` beside the test file."""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tapeline.testing.golden_text import GoldenError, read_text, write_text

__all__ = ["GoldenFolder"]

_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
_MAX_LINES: Final = 200
_KEY: Final = re.compile(r"^( *)(?:- )*([^\s#][^:]*):")


@dataclass(slots=True)
class GoldenFolder:
    """The goldens of one test file, as one test asks for them.

    `asserted` are the texts of this run by path, of all its tests; `written` what it wrote.
    """

    path: Path
    rewrite: bool
    command: str
    asserted: dict[Path, str]
    written: list[Path] = field(default_factory=list)

    def check(self, name: str, text: str) -> None:
        """Compare with the golden of this name; raises AssertionError with what to do.

        With `rewrite`, one that is missing or differs is written.
        """
        __tracebackhide__ = True
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"a golden's name is a file's: {name!r} has other signs than A-z0-9_.-"
            )
        path = self.path / f"{name}.yaml"
        first = self.asserted.setdefault(path, text)
        if first != text:
            lines = "\n".join(_difference(first, text))
            raise AssertionError(
                f"two assertions of this run share the golden {_shown(path)}, and what they got"
                f" differs (- the first, + this one):\n{lines}\nGive each a name of its own, unless"
                " they should have got the same"
            )
        problem = _problem(path, text, self.command)
        if problem is None:
            return
        if not self.rewrite:
            raise AssertionError(problem)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.written.append(path)


def _problem(path: Path, text: str, command: str) -> str | None:
    """Return how what is there differs from a text; None where it says the same."""
    try:
        kept = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return f"there is no golden {_shown(path)}; write it, and review it:\n  {command}"
    except UnicodeDecodeError:
        return f"{_shown(path)}: not UTF-8; write it anew, and review it:\n  {command}"
    if kept == text:
        return None
    try:
        # Comments, quotes and line breaks are a person's: what counts is what it says.
        plain = write_text(read_text(kept, _shown(path)))
    except GoldenError as error:
        return f"{error}; write it anew, and review it:\n  {command}"
    if plain == text:
        return None
    lines = _difference(plain, text)
    return (
        f"not as in {_shown(path)} (- golden, + now):\n"
        + "\n".join(lines)
        + f"\nWhere that is as it should be, write it anew, and review it:\n  {command}"
    )


def _difference(before_text: str, after_text: str) -> list[str]:
    """Return a unified difference, each part under the keys that lead to it."""
    before, after = before_text.splitlines(), after_text.splitlines()
    lines = []
    for line in list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]:
        hunk = re.match(r"@@ -(\d+)", line)
        lines.append(f"@@ {_keys_above(before, int(hunk[1]) - 1)}" if hunk else line)
    if len(lines) > _MAX_LINES:
        rest = len(lines) - _MAX_LINES
        return [*lines[:_MAX_LINES], f"… and {rest} lines more"]
    return lines


def _keys_above(lines: list[str], number: int) -> str:
    """Return the keys that enclose a line, outermost first, as `logs > records`."""
    if not lines:
        return ""
    keys: list[str] = []
    line = lines[min(number, len(lines) - 1)]
    indent = len(line) - len(line.lstrip(" -"))
    for above in reversed(lines[:number]):
        own = len(above) - len(above.lstrip(" -"))
        match = _KEY.match(above)
        if match and own < indent:
            keys.append(match[2])
            indent = own
    return " > ".join(reversed(keys))


def _shown(path: Path) -> str:
    """Return a path from where the user stands, if it is below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
