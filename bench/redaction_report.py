"""The section on redaction as text and as JSON, and its bars with met or missed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from bench.planted import Share
from bench.redaction import RedactionResult, RedactionRow
from bench.series import Encoding
from bench.subjects import GATE_REDACTION, RELAY
from bench.table import aligned

__all__ = ["Bar", "bars_of", "redaction_as_json", "redaction_table"]

# Issue 4's bars for the gate with its whole default pack, on one core.
RECORDS_PER_S_MIN: Final = MappingProxyType(
    {
        ("logs", Share.NONE.value): 400_000,
        ("logs", Share.ONE_PERCENT.value): 300_000,
        ("logs", Share.ALL.value): 70_000,
        ("traces", Share.NONE.value): 250_000,
        ("traces", Share.ONE_PERCENT.value): 200_000,
        ("traces", Share.ALL.value): 60_000,
    }
)
ADDED_P99_MS_MAX: Final = 5.0
COMPILE_S_MAX: Final = 3.0
RESIDENT_BYTES_MAX: Final = 150_000_000
MB: Final = 1e6

_HEADINGS: Final = (
    ("signal", "secrets", "written by", "subject"),
    ("records/s", "of relay", "CPU s/M", "added p50 ms", "added p99 ms", "gone", "peak MB", "busy"),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise: what was measured, what is asked, and whether it was kept."""

    name: str
    measured: str
    asked: str
    met: bool

    def __str__(self) -> str:
        verdict = "met" if self.met else "MISSED"
        return f"{verdict:6}  {self.name}: {self.measured} (bar: {self.asked})"


def bars_of(result: RedactionResult, *, quick: bool = False) -> list[Bar]:
    """Return the bars in order; of a quick run only those that no busy machine can move."""
    gate = [row for row in result.rows if row.subject == GATE_REDACTION]
    bars = [_nothing_leaked(gate)]
    if quick:
        return bars
    bars += [_rate(row) for row in gate if row.encoding == Encoding.FORWARDS]
    bars += list(_latencies(gate))
    compiling = result.compiling
    peak_bytes = max(row.peak_bytes for row in gate)
    return [
        *bars,
        Bar(
            "compile of the whole pack, empty cache",
            f"{compiling.cold_s:.2f} s, {compiling.warm_s:.2f} s from the cache",
            f"under {COMPILE_S_MAX:g} s",
            compiling.cold_s < COMPILE_S_MAX,
        ),
        Bar(
            "peak memory",
            f"{peak_bytes / MB:.0f} MB",
            f"under {RESIDENT_BYTES_MAX / MB:.0f} MB",
            peak_bytes < RESIDENT_BYTES_MAX,
        ),
    ]


def _nothing_leaked(gate: list[RedactionRow]) -> Bar:
    planted = sum(row.throughput.planted for row in gate)
    leaked = sum(row.leaked for row in gate)
    masks = sum(row.throughput.masks for row in gate)
    return Bar(
        "secrets that reached the sink",
        f"{leaked:,} of {planted:,}, with {masks:,} masks",
        "none, and a mask for each",
        leaked == 0 and masks >= planted > 0,
    )


def _rate(row: RedactionRow) -> Bar:
    least = RECORDS_PER_S_MIN[row.signal, row.share]
    rate = row.throughput.records_per_s
    return Bar(f"{row.signal}, {row.share}", f"{rate:,.0f}/s", f"{least:,}/s", rate >= least)


def _latencies(gate: list[RedactionRow]) -> Iterator[Bar]:
    """Yield the bar of each load but `every`: there the bar's own rate takes longer than that."""
    for row in gate:
        if row.added is not None and row.share != Share.ALL:
            yield Bar(
                f"added p99, {row.signal}, {row.share}",
                f"{row.added.p99_ms:.2f} ms",
                f"under {ADDED_P99_MS_MAX:g} ms",
                row.added.p99_ms < ADDED_P99_MS_MAX,
            )


def redaction_table(result: RedactionResult, bars: list[Bar], rules: int) -> str:
    """Return the section as text; `rules` is how many both the gate and the stock one have."""
    texts, numbers = _HEADINGS
    cells = [(*texts, *numbers), *(_cells(row) for row in result.rows)]
    lines = [f"redaction, {rules} rules, one core, batches of 1,000:"]
    lines += aligned(cells, len(texts))
    if result.skipped:
        lines.append(f"stock redaction: {result.skipped}")
    lines += _missed_kinds(result)
    return "\n".join([*lines, *map(str, bars)])


def _cells(row: RedactionRow) -> tuple[str, ...]:
    planted = row.throughput.planted
    return (
        row.signal,
        row.share,
        row.encoding,
        row.subject,
        f"{row.throughput.records_per_s:,.0f}",
        f"{row.ratio_to_relay:.4f}",
        f"{row.throughput.cpu_s_per_million:,.2f}",
        "-" if row.added is None else f"{row.added.p50_ms:.2f}",
        "-" if row.added is None else f"{row.added.p99_ms:.2f}",
        f"{1 - row.leaked / planted:.1%}" if planted else "-",
        f"{row.peak_bytes / MB:.0f}",
        f"{row.throughput.subject_busy:.0%}",
    )


def _missed_kinds(result: RedactionResult) -> Iterator[str]:
    """Yield what each subject but the relay let through, by kind, where every record had one."""
    for row in result.rows:
        leaks = row.throughput.leaks
        if leaks and row.share == Share.ALL and row.subject != RELAY:
            told = ", ".join(f"{name} {count:,}" for name, count in sorted(leaks.items()))
            yield f"{row.subject} let through, {row.signal}: {told} (of {row.throughput.planted:,})"


def redaction_as_json(result: RedactionResult, bars: list[Bar], rules: int) -> dict[str, Any]:
    """Return the section as it is written to results.json."""
    return {
        "rules": rules,
        "rows": [{**asdict(row), "leaked": row.leaked} for row in result.rows],
        "stock_skipped": result.skipped,
        "compile": asdict(result.compiling),
        "bars": [asdict(bar) for bar in bars],
    }
