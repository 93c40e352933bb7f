"""The bench of the instrumentation kit, run briefly: all rows are there, its checks can fail."""

import pytest
from bench.instrument import (
    FORMS,
    CoreRow,
    InstrumentResult,
    RequestRow,
    core_rows,
    instrument_as_json,
    instrument_bars,
    instrument_table,
    measure_instrument,
)
from bench.processes import BenchError, choose_cores

CORE = (
    "bare SDK",
    "span()",
    "@traced",
    "@traced, async",
    "a log line",
    "an httpx call",
    "a request",
)


def test_a_run_gives_every_row() -> None:
    """Of spans, lines, calls and requests, with what arrived at the sink counted."""
    result = measure_instrument(choose_cores(), quick=True)

    assert tuple(row.what for row in result.core) == CORE
    assert all(row.us > 0 for row in result.core)
    assert tuple(row.form for row in result.requests) == FORMS
    assert all(row.median_ms > 5 for row in result.requests)
    assert instrument_bars(result, quick=True) == []
    assert set(instrument_as_json(result, [])) == {"core", "requests", "request_over", "bars"}
    assert len(instrument_table(result, []).strip().splitlines()) == 2 + len(CORE) + len(FORMS)


def measured(span_us: float, request_ms: float) -> InstrumentResult:
    """Return a result with a span that costs so much more, and a request that takes so long."""
    core = [CoreRow(what, 15.0 + span_us, span_us) for what in CORE[1:4]]
    core = [CoreRow("bare SDK", 15.0, 0.0), *core, CoreRow("a log line", 10.0, 10.0)]
    medians = (5.0, 6.0, 6.0, request_ms, 6.0)
    requests = [
        RequestRow(form, 100, median_ms, 9.0, 100.0)
        for form, median_ms in zip(FORMS, medians, strict=True)
    ]
    return InstrumentResult(core, requests)


@pytest.mark.parametrize(
    ("span_us", "request_ms", "missed"),
    [(4.9, 5.14, 0), (5.1, 5.14, 3), (4.9, 5.16, 1)],
)
def test_bars_are_those_of_the_contract(span_us: float, request_ms: float, missed: int) -> None:
    """Below 5 us a span, below 3 % a request; each form of a span is judged."""
    bars = instrument_bars(measured(span_us, request_ms))

    assert len(bars) == 5
    assert sum(not bar.met for bar in bars) == missed


def test_lost_spans_are_no_cheap_spans() -> None:
    """Fewer that are exported are fewer than were measured."""
    with pytest.raises(BenchError, match="not every span was exported"):
        core_rows([{"what": "span()", "us": 1.0, "over_us": 0.1, "whole": False}])
