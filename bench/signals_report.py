"""The section on signals as text and as JSON, and its bars with met or missed."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from bench.redaction_report import MB, Bar
from bench.signals import RateRow, SidecarRow, SignalsResult
from bench.table import aligned

__all__ = ["signals_as_json", "signals_bars", "signals_table"]

# Issue 6's bars, on one core.
LEDGER_PER_S_MIN: Final = 150_000
STATE_PER_S_MIN: Final = 25_000
QUOTES_PER_S_MIN: Final = 200_000
POSITIONS_MB_MAX: Final = 400
EMISSION_MS_MAX: Final = 250

_RATE_HEADINGS: Final = ("in process", "events/s", "events/CPU s", "executions/s")
_SIDECAR_HEADINGS: Final = ("through gRPC", "records/s", "CPU s/M", "others busy", "peak MB")


def signals_bars(result: SignalsResult, *, quick: bool = False) -> list[Bar]:
    """Return the bars in order; none of a quick run, as each hangs on the machine or on size."""
    if quick:
        return []
    bars = [_rate("in process, ledger", _named(result, "ledger"), LEDGER_PER_S_MIN)]
    bars += [
        _rate(row.what, row.events_per_s, STATE_PER_S_MIN)
        for row in result.rates
        if row.what.startswith("otlp")
    ]
    bars += [
        _rate(f"through gRPC, {row.mix}", row.records_per_s, STATE_PER_S_MIN)
        for row in result.sidecar
    ]
    bars.append(_rate("in process, quotes", _named(result, "quotes"), QUOTES_PER_S_MIN))
    positions, emission = result.positions, result.emission
    bars += [
        Bar(
            f"{positions.positions:,} open positions, {what}",
            f"{size / MB:.0f} MB",
            f"at most {POSITIONS_MB_MAX} MB",
            size / MB <= POSITIONS_MB_MAX,
        )
        for what, size in (
            ("state", positions.state_bytes),
            ("state and emitted gauges", positions.emitted_bytes),
        )
    ]
    bars.append(
        Bar(
            f"emission of {emission.positions:,} positions",
            f"{emission.median_ms:.0f} ms",
            f"under {EMISSION_MS_MAX} ms",
            emission.median_ms < EMISSION_MS_MAX,
        )
    )
    return bars


def _named(result: SignalsResult, what: str) -> float:
    return next(row.events_per_s for row in result.rates if row.what == what)


def _rate(name: str, rate: float, least: int) -> Bar:
    return Bar(name, f"{rate:,.0f}/s", f"{least:,}/s", rate >= least)


def signals_table(result: SignalsResult, bars: list[Bar]) -> str:
    """Return the section as text."""
    return "\n".join(
        [
            "signals, one core, batches of 1,000 events:",
            *aligned([_RATE_HEADINGS, *map(_rate_cells, result.rates)]),
            "signals, the sidecar with SQLite:",
            *aligned([_SIDECAR_HEADINGS, *map(_sidecar_cells, result.sidecar)]),
            *_sentences(result),
            *map(str, bars),
        ]
    )


def _sentences(result: SignalsResult) -> Iterator[str]:
    positions, emission, restart = result.positions, result.emission, result.restart
    empty, state, emitted = (
        f"{size / MB:.0f} MB"
        for size in (positions.empty_bytes, positions.state_bytes, positions.emitted_bytes)
    )
    yield (
        f"{positions.positions:,} open positions: {empty} resident without, {state} with them,"
        f" {emitted} when all were emitted"
    )
    yield (
        f"emission of {emission.positions:,} positions, {emission.points:,} gauges:"
        f" {emission.median_ms:.0f} ms, of which gauges {emission.gauges_ms:.0f} ms;"
        f" the first one {emission.first_ms:.0f} ms"
    )
    yield (
        f"restart with {restart.executions:,} executions: {restart.after_kill_s:.1f} s after a"
        f" kill, {restart.after_stop_s:.1f} s after a stop"
    )
    add_ns, observe_ns = result.series["add_ns"], result.series["observe_ns"]
    yield f"an addition to a series: {add_ns:.0f} ns, an observation: {observe_ns:.0f} ns"


def _rate_cells(row: RateRow) -> tuple[str, ...]:
    return (
        row.what,
        f"{row.events_per_s:,.0f}",
        f"{row.events_per_cpu_s:,.0f}",
        f"{row.events_per_s * row.executions_of_events:,.0f}",
    )


def _sidecar_cells(row: SidecarRow) -> tuple[str, ...]:
    return (
        row.mix,
        f"{row.records_per_s:,.0f}",
        f"{row.cpu_s_per_million:,.1f}",
        f"{row.others_busy:.0%}",
        f"{row.peak_bytes / MB:.0f}",
    )


def signals_as_json(result: SignalsResult, bars: list[Bar]) -> dict[str, Any]:
    """Return the section as it is written to results.json."""
    return {**asdict(result), "bars": [asdict(bar) for bar in bars]}
