"""The coverage tables of docs/systems: every thing that a system's document names, as rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COLUMNS", "SYSTEMS_FOLDER", "Row", "rows_of", "system_pages"]

SYSTEMS_FOLDER = Path(__file__).parents[1] / "docs" / "systems"
COLUMNS = ("kind", "name", "document says", "here", "proof")
_CELL_BORDER = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Row:
    """One row: `name` without its backticks, and where it stands."""

    system: str
    line: int
    kind: str
    name: str
    says: str
    here: str
    proof: str

    @property
    def is_another_way(self) -> bool:
        """Whether it is done differently from what the document says."""
        return self.here.startswith("another way:")

    def __str__(self) -> str:
        return f"docs/systems/{self.system}.md:{self.line}: {self.kind} `{self.name}`"


def system_pages() -> tuple[Path, ...]:
    """Return the pages that have coverage tables."""
    return tuple(sorted(SYSTEMS_FOLDER.glob("*.md")))


def rows_of(path: Path) -> Iterator[Row]:
    """Yield the rows of a page's coverage tables; AssertionError for one of another width."""
    inside = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in _CELL_BORDER.split(line)[1:-1]]
        if tuple(cells) == COLUMNS:
            inside = True
            continue
        if not inside or set(line) <= set("|-: "):
            continue
        assert len(cells) == len(COLUMNS), f"{path}:{number}: {len(cells)} cells: {line}"
        kind, name, says, here, proof = cells
        yield Row(path.stem, number, kind, name.strip("`"), says, here, proof)
