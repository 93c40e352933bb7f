"""The folder of a new processor: code, configuration, tests, golden, image, README.

The templates are files in `template/`; `{{name}}` and a few more stand for what differs.
"""

import keyword
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from tapeline import __version__
from tapeline.kit.definition import NAME
from tapeline.otlp.signals import Signal

__all__ = ["NewProcessorError", "write_processor"]

_TEMPLATE: Final = Path(__file__).with_name("template")
_FIELD: Final = re.compile(r"\{\{(\w+)\}\}")
_WHAT: Final = {
    Signal.LOGS: "Drops the heartbeat lines of market data feeds, and counts them.",
    Signal.TRACES: "Marks slow spans, and counts those that failed.",
    Signal.METRICS: "Gives venues one name each, and drops points without one.",
}


class NewProcessorError(ValueError):
    """A folder that can't be made; the message says why, and what to do."""


def write_processor(name: str, signal: Signal, folder: Path, taken: frozenset[str]) -> list[Path]:
    """Write the folder, and return its files.

    `taken` are names that processors and sections have. Raises NewProcessorError for a name that
    can't be, for a folder that holds something, and where it can't be written.
    """
    _check_name(name, taken)
    files = _files(name, signal)
    begun: list[Path] = []
    try:
        if folder.exists() and (not folder.is_dir() or any(map(_is_kept, folder.rglob("*")))):
            raise NewProcessorError(f"{folder} is there already; give another name, or --folder")
        for relative, text in files.items():
            path = folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            begun.append(path)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        # Else the next try would meet a folder that holds something.
        for path in begun:
            path.unlink(missing_ok=True)
        raise NewProcessorError(f"{folder}: can't be written: {error.strerror}") from error
    return [folder / relative for relative in files]


def _is_kept(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir()


def _check_name(name: str, taken: frozenset[str]) -> None:
    if not NAME.fullmatch(name):
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        near = f"; {plain} would do" if NAME.fullmatch(plain) else ""
        raise NewProcessorError(
            f"{name!r} can't be a processor's name: a letter first, then a-z, 0-9 and _{near}"
        )
    if name in taken:
        raise NewProcessorError(f"{name!r} is the name of a processor or section already")
    # The file's folder is where its tests import from first: json.py would stand in for Python's.
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in sys.stdlib_module_names:
        raise NewProcessorError(f"{name!r} means something in Python; give it another name")
    if name == "conftest" or name.startswith("test_"):
        raise NewProcessorError(f"{name!r} means something to pytest; give it another name")
    if name == "tapeline" or name in packages_distributions():
        raise NewProcessorError(
            f"{name!r} is a package that is installed here, and the new file would stand in for"
            " it; give it another name"
        )


def _files(name: str, signal: Signal) -> dict[str, str]:
    """Return the text of each file by its path in the folder."""
    own = _TEMPLATE / signal
    lists = {Signal.METRICS: ["redaction", "cardinality"], Signal.LOGS: ["redaction"]}
    lists.setdefault(Signal.TRACES, ["redaction"])
    lists[signal] = ["redaction", name, *lists[signal][1:]]
    fields = {
        "name": name,
        "version": __version__,
        "what": _WHAT[signal],
        "chain": "\n".join(f"  {each}: [{', '.join(lists[each])}]" for each in Signal),
        "section": (own / "section.yaml").read_text(encoding="utf-8").rstrip("\n"),
    }
    sources = {
        f"{name}.py": own / "processor.py.txt",
        f"test_{name}.py": own / "test.py.txt",
        "session.otlp.jsonl": own / "session.otlp.jsonl",
        f"goldens/test_{name}/session.yaml": own / "golden.yaml",
        **{each: _TEMPLATE / "common" / each for each in ("gate.yaml", "Dockerfile", "README.md")},
    }
    return {
        relative: _FIELD.sub(lambda match: fields[match[1]], path.read_text(encoding="utf-8"))
        for relative, path in sources.items()
    }
