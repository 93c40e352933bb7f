"""Writes the dashboards; with `--check` it only says what is out of step, as a diff.

python -m dashboards [--check]
"""

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dashboards.catalog import FOLDER, generated_files

SOURCE_ROOT: Final = Path(__file__).resolve().parents[1]


def differences(source_root: Path) -> Iterator[str]:
    """Yield the lines of a diff from what is there to what must be; nothing where all is well."""
    wanted = generated_files()
    for path, content in wanted.items():
        file = source_root / path
        there = file.read_text(encoding="utf-8") if file.exists() else ""
        yield from difflib.unified_diff(
            there.splitlines(keepends=True),
            content.splitlines(keepends=True),
            fromfile=f"{path} (in the checkout)",
            tofile=f"{path} (as `python -m dashboards` writes it)",
        )
    for path in _stale(source_root):
        yield f"{path}: no dashboard of dashboards/catalog.py makes this file\n"


def write(source_root: Path) -> None:
    """Write every file, and remove those that nothing makes any more."""
    for path, content in generated_files().items():
        file = source_root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    for path in _stale(source_root):
        (source_root / path).unlink()


def _stale(source_root: Path) -> list[Path]:
    wanted = generated_files()
    there = (file.relative_to(source_root) for file in (source_root / FOLDER).rglob("*.json"))
    return sorted(path for path in there if path not in wanted)


def main(arguments: list[str]) -> int:
    """Write, or check; 1 where something is out of step."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m dashboards [--check]\n")
        return 2
    if not arguments:
        write(SOURCE_ROOT)
        return 0
    lines = list(differences(SOURCE_ROOT))
    sys.stdout.writelines(lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
