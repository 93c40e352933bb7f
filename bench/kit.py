"""The section on the processor kit: what a record costs a function of it, and one on raw bytes."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.processes import ROOT, BenchError, Cores, pinned
from bench.table import aligned

__all__ = ["KitRow", "kit_as_json", "kit_table", "measure_kit", "rows_of"]

TIMEOUT_S: Final = 300.0
ROUNDS: Final = 15
QUICK_ROUNDS: Final = 1
MIXES: Final = {"none": 0.0, "1 %": 0.01, "all": 1.0}
_HEADINGS: Final = ("in process", *(f"{mix}: ns a record" for mix in MIXES), "records/CPU s (none)")


@dataclass(frozen=True, slots=True)
class KitRow:
    """CPU nanoseconds a log record of a processor, where so many of the records change."""

    processor: str
    mix: str
    ns_a_record: float
    changed_of_records: float


def measure_kit(cores: Cores, *, quick: bool = False) -> list[KitRow]:
    """Measure every processor with every mix, in a process of its own on a core of its own."""
    print("kit: in process …", flush=True)
    rounds = QUICK_ROUNDS if quick else ROUNDS
    done = subprocess.run(
        pinned([sys.executable, "-m", "bench.kit_core", str(rounds)], cores.subject),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"bench.kit_core ended with {done.returncode}: {done.stderr[-1500:]}")
    return rows_of(json.loads(done.stdout))


def rows_of(found: Sequence[dict[str, Any]]) -> list[KitRow]:
    """Return the rows; raises BenchError where a processor did not change what it was to."""
    rows = [KitRow(**row) for row in found]
    for row in rows:
        if row.changed_of_records != MIXES[row.mix]:
            raise BenchError(
                f"{row.processor} changed {row.changed_of_records:.2%} of the records,"
                f" not {row.mix}: its figures say nothing"
            )
    return rows


def kit_table(rows: Sequence[KitRow]) -> str:
    """Return a table: a line for each processor, a column for each mix."""
    by_processor: dict[str, dict[str, float]] = {}
    for row in rows:
        by_processor.setdefault(row.processor, {})[row.mix] = row.ns_a_record
    lines = [_HEADINGS] + [
        (name, *(f"{costs[mix]:,.0f}" for mix in MIXES), f"{1e9 / costs['none']:,.0f}")
        for name, costs in by_processor.items()
    ]
    return "\n" + "\n".join(aligned(lines))


def kit_as_json(rows: Sequence[KitRow]) -> list[dict[str, Any]]:
    """Return the rows as JSON has them."""
    return [asdict(row) for row in rows]
