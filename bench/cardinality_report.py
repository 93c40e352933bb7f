"""The section on cardinality as text and as JSON, and its bars with met or missed."""

from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Final

from bench.cardinality import CardinalityResult, CoreRow, GateRow
from bench.redaction_report import MB, Bar
from bench.series import Mix
from bench.subjects import GATE_CARDINALITY
from bench.table import aligned

__all__ = ["cardinality_as_json", "cardinality_bars", "cardinality_table"]

# Issue 5's bars, on one core.
CORE_POINTS_PER_S_MIN: Final = MappingProxyType(
    {Mix.ADMITTED.value: 800_000, Mix.REPEATING.value: 250_000, Mix.NEW.value: 250_000}
)
GATE_POINTS_PER_S_MIN: Final = 400_000
P99_MS_MAX: Final = 5.0
ADMITTED_BYTES_MAX: Final = 120
FOLDED_BYTES_MAX: Final = 250

_CORE_HEADINGS: Final = (
    *("written by", "points", "points/s", "points/CPU s"),
    *("p50 ms", "p99 ms", "folded"),
)
_GATE_HEADINGS: Final = (
    *("written by", "subject", "points/s", "of relay", "CPU s/M"),
    *("added p50 ms", "added p99 ms", "peak MB", "busy"),
)
_TEXT_COLUMNS: Final = 2


def cardinality_bars(result: CardinalityResult, *, quick: bool = False) -> list[Bar]:
    """Return the bars in order; of a quick run only those that no busy machine can move."""
    admitted, folded = result.bytes_an_admitted_series, result.bytes_a_folded_series
    bars = [
        _bytes("state of an admitted series", admitted, ADMITTED_BYTES_MAX),
        _bytes("state of a folded series", folded, FOLDED_BYTES_MAX),
    ]
    if quick:
        return bars
    gate = [row for row in result.gate if row.subject == GATE_CARDINALITY]
    rates = [_core_rate(row) for row in result.core] + [_gate_rate(row) for row in gate]
    latencies = [
        *((f"p99 in process, {row.encoding}, {row.mix}", row.p99_ms) for row in result.core),
        *((f"added p99, {row.encoding}", row.added.p99_ms) for row in gate if row.added),
    ]
    return [
        *rates,
        *(
            Bar(name, f"{p99_ms:.2f} ms", f"under {P99_MS_MAX:g} ms", p99_ms < P99_MS_MAX)
            for name, p99_ms in latencies
        ),
        *bars,
    ]


def _core_rate(row: CoreRow) -> Bar:
    least = CORE_POINTS_PER_S_MIN[row.mix]
    name = f"in process, {row.encoding}, {row.mix}"
    return Bar(name, f"{row.points_per_s:,.0f}/s", f"{least:,}/s", row.points_per_s >= least)


def _gate_rate(row: GateRow) -> Bar:
    rate = row.throughput.records_per_s
    return Bar(
        f"{row.subject}, {row.encoding}",
        f"{rate:,.0f}/s",
        f"{GATE_POINTS_PER_S_MIN:,}/s",
        rate >= GATE_POINTS_PER_S_MIN,
    )


def _bytes(name: str, measured: float, most: int) -> Bar:
    return Bar(name, f"{measured:.0f} bytes", f"at most {most} bytes", measured <= most)


def cardinality_table(result: CardinalityResult, bars: list[Bar]) -> str:
    """Return the section as text."""
    core = [_CORE_HEADINGS, *(_core_cells(row) for row in result.core)]
    gate = [_GATE_HEADINGS, *(_gate_cells(row) for row in result.gate)]
    return "\n".join(
        [
            "cardinality, in process, one core, batches of 1,000 points with 5 labels:",
            *aligned(core, _TEXT_COLUMNS),
            "cardinality, through gRPC, every point admitted:",
            *aligned(gate, _TEXT_COLUMNS),
            *result.skipped,
            *map(str, bars),
        ]
    )


def _core_cells(row: CoreRow) -> tuple[str, ...]:
    return (
        row.encoding,
        row.mix,
        f"{row.points_per_s:,.0f}",
        f"{row.points_per_cpu_s:,.0f}",
        f"{row.p50_ms:.2f}",
        f"{row.p99_ms:.2f}",
        f"{row.folded_streams:,}",
    )


def _gate_cells(row: GateRow) -> tuple[str, ...]:
    return (
        row.encoding,
        row.subject,
        f"{row.throughput.records_per_s:,.0f}",
        f"{row.ratio_to_relay:.2f}",
        f"{row.throughput.cpu_s_per_million:,.2f}",
        "-" if row.added is None else f"{row.added.p50_ms:.2f}",
        "-" if row.added is None else f"{row.added.p99_ms:.2f}",
        f"{row.peak_bytes / MB:.0f}",
        f"{row.throughput.subject_busy:.0%}",
    )


def cardinality_as_json(result: CardinalityResult, bars: list[Bar]) -> dict[str, Any]:
    """Return the section as it is written to results.json."""
    return {**asdict(result), "bars": [asdict(bar) for bar in bars]}
