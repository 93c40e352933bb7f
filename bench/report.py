"""The bench's result: rows, the table that is printed, and the JSON that is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.measure import Latency, Throughput
from bench.startup import Startup
from bench.table import aligned, widths_of

__all__ = ["Row", "Skipped", "as_json", "bars_missed", "table"]

BUSY: Final = 0.9  # of a core: who was not so busy had to wait for somebody
DISTURBED: Final = 0.05  # of the subject's core, used by others
MIB: Final = 1024 * 1024

# Issue 3's bars for the gate with nothing to change, on one core.
LOG_RECORDS_PER_S_MIN: Final = 500_000
RESIDENT_BYTES_MAX: Final = 120_000_000
LIVE_S_MAX: Final = 1.0
READY_S_MAX: Final = 1.5


@dataclass(frozen=True, slots=True)
class Row:
    """One subject with one signal; `added` is the latency above the direct way's."""

    subject: str
    note: str
    signal: str
    throughput: Throughput
    latency: Latency
    added: Latency
    peak_bytes: int
    ratio_to_relay: float
    cpu_ratio_to_relay: float

    @property
    def load_bound(self) -> bool:
        """Whether the load and the sink, not the subject, set the rate."""
        return self.throughput.subject_busy < BUSY <= self.throughput.load_busy

    @property
    def disturbed(self) -> bool:
        """Whether other processes took a part of the subject's core."""
        return self.throughput.others_busy > DISTURBED


@dataclass(frozen=True, slots=True)
class Skipped:
    """A subject that could not run here, and why."""

    subject: str
    reason: str


_TEXT_COLUMNS = 2
_HEADINGS: Final = (
    "signal",
    "subject",
    "records/s",
    "of relay",
    "CPU s/M",
    "x relay",
    "records/CPU s",
    "added p50 ms",
    "added p99 ms",
    "peak MiB",
    "busy",
)


def table(rows: Sequence[Row], skipped: Iterable[Skipped], startup: dict[str, Startup]) -> str:
    """Return the result as text."""
    cells = [_HEADINGS, *(_cells(row) for row in rows)]
    lines = list(aligned(cells, _TEXT_COLUMNS))
    lines.insert(1, "  ".join("-" * width for width in widths_of(cells)))
    if any(row.load_bound for row in rows):
        lines.append(
            "* the load and the sink, on a core of their own, set the rate; `records/CPU s` is "
            "what the subject alone could do."
        )
    if any(row.disturbed for row in rows):
        lines.append(
            f"! other processes took more than {DISTURBED:.0%} of the subject's core: its rate and "
            "latency would be better on a quiet machine."
        )
    lines += [f"left out: {each.subject}: {each.reason}" for each in skipped]
    lines += [
        f"{name}: live {each.live_s:.2f} s and ready {each.ready_s:.2f} s after its start"
        for name, each in startup.items()
    ]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    cost = row.throughput.cpu_s_per_million
    return (
        row.signal,
        row.subject,
        f"{row.throughput.records_per_s:,.0f}{_marks(row)}",
        f"{row.ratio_to_relay:.2f}",
        f"{cost:.3f}",
        f"{row.cpu_ratio_to_relay:.2f}",
        f"{1e6 / cost:,.0f}" if cost else "-",
        f"{row.added.p50_ms:.2f}",
        f"{row.added.p99_ms:.2f}",
        f"{row.peak_bytes / MIB:.0f}",
        f"{row.throughput.subject_busy:.0%}",
    )


def _marks(row: Row) -> str:
    return ("*" if row.load_bound else "") + ("!" if row.disturbed else "")


def bars_missed(rows: Iterable[Row], startup: dict[str, Startup], gate: str) -> list[str]:
    """Return which of the gate's bars were missed, in words; empty where it met them all."""
    missed = []
    for row in rows:
        if row.subject != gate:
            continue
        rate = row.throughput.records_per_s
        if row.signal == "logs" and rate < LOG_RECORDS_PER_S_MIN:
            missed.append(f"{rate:,.0f} log records/s, below {LOG_RECORDS_PER_S_MIN:,}")
        if row.peak_bytes > RESIDENT_BYTES_MAX:
            missed.append(
                f"{row.peak_bytes / 1e6:.0f} MB resident with {row.signal}, "
                f"above {RESIDENT_BYTES_MAX / 1e6:.0f} MB"
            )
    for name, each in startup.items():
        if each.live_s > LIVE_S_MAX:
            missed.append(f"{name} live after {each.live_s:.2f} s, above {LIVE_S_MAX:g} s")
        if each.ready_s > READY_S_MAX:
            missed.append(f"{name} ready after {each.ready_s:.2f} s, above {READY_S_MAX:g} s")
    return missed


def as_json(
    rows: Iterable[Row],
    skipped: Iterable[Skipped],
    startup: dict[str, Startup],
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Return the result as it is written to results.json."""
    return {
        "facts": facts,
        "rows": [
            {**asdict(row), "load_bound": row.load_bound, "disturbed": row.disturbed}
            for row in rows
        ],
        "skipped": [asdict(each) for each in skipped],
        "startup": {name: asdict(each) for name, each in startup.items()},
    }
