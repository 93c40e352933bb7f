"""The section on recordings as text and as JSON, and its bars with met or missed."""

from dataclasses import asdict
from typing import Any, Final

from bench.recording import ProcessRow, RecordingResult, ReplayRow
from bench.redaction_report import MB, Bar
from bench.table import aligned

__all__ = ["recording_as_json", "recording_bars", "recording_table"]

# Issue 7's bars: a core for `process`, two for `replay` and the gate that it sends to.
PROCESS_PER_S_MIN: Final = {"proto": 250_000, "json": 30_000}
REPLAY_PER_S_MIN: Final = 300_000
RESIDENT_MB_MAX: Final = 150

_PROCESS_HEADINGS: Final = (
    "process",
    "form",
    "records",
    "records/s",
    "records/CPU s",
    "when it runs",
    "peak MB",
)
_REPLAY_HEADINGS: Final = ("replay, flat out", "records/s", "CPU s/M of the gate", "peak MB")


def recording_bars(result: RecordingResult, *, quick: bool = False) -> list[Bar]:
    """Return the bars in order; none of a quick run, as each hangs on the machine."""
    if quick:
        return []
    bars = [
        Bar(
            f"process, {row.load}, {row.form}",
            f"{row.started_records_per_cpu_s:,.0f}/CPU s",
            f"{PROCESS_PER_S_MIN[row.form]:,}/s a core",
            row.started_records_per_cpu_s >= PROCESS_PER_S_MIN[row.form],
        )
        for row in result.process
    ]
    first = result.replay[0]
    bars.append(
        Bar(
            f"replay, {first.what}",
            f"{first.records_per_s:,.0f}/s",
            f"{REPLAY_PER_S_MIN:,}/s",
            first.records_per_s >= REPLAY_PER_S_MIN,
        )
    )
    peaks = [row.peak_bytes for row in result.process] + [row.peak_bytes for row in result.replay]
    peak_bytes = max(peaks)
    bars.append(
        Bar(
            "peak memory of process and replay",
            f"{peak_bytes / MB:.0f} MB",
            f"at most {RESIDENT_MB_MAX} MB",
            peak_bytes / MB <= RESIDENT_MB_MAX,
        )
    )
    return bars


def recording_table(result: RecordingResult, bars: list[Bar]) -> str:
    """Return the section as text."""
    return "\n".join(
        [
            "recordings, one core each, batches of 1,000 records:",
            *aligned([_PROCESS_HEADINGS, *map(_process_cells, result.process)]),
            *aligned([_REPLAY_HEADINGS, *map(_replay_cells, result.replay)]),
            f"process takes {result.start_cpu_s:.1f} CPU s to start",
            *map(str, bars),
        ]
    )


def _process_cells(row: ProcessRow) -> tuple[str, ...]:
    return (
        row.load,
        row.form,
        f"{row.records:,}",
        f"{row.records_per_s:,.0f}",
        f"{row.records_per_cpu_s:,.0f}",
        f"{row.started_records_per_cpu_s:,.0f}",
        f"{row.peak_bytes / MB:.0f}",
    )


def _replay_cells(row: ReplayRow) -> tuple[str, ...]:
    return (
        row.what,
        f"{row.records_per_s:,.0f}",
        f"{row.cpu_s_per_million_of_gate:,.1f}",
        f"{row.peak_bytes / MB:.0f}",
    )


def recording_as_json(result: RecordingResult, bars: list[Bar]) -> dict[str, Any]:
    """Return the section as it is written to results.json."""
    return {**asdict(result), "bars": [asdict(bar) for bar in bars]}
