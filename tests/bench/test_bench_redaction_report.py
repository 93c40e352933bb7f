"""The section on redaction names each bar, with met or missed."""

from dataclasses import replace

import pytest
from bench.measure import Latency, Throughput
from bench.pack_compile import PackCompile
from bench.planted import Share
from bench.redaction import RedactionResult, RedactionRow
from bench.redaction_report import (
    RECORDS_PER_S_MIN,
    bars_of,
    redaction_as_json,
    redaction_table,
)
from bench.series import Encoding
from bench.subjects import GATE_REDACTION, STOCK

PLANTED = {Share.NONE: 0, Share.ONE_PERCENT: 10_000, Share.ALL: 1_000_000}


def _row(signal: str, share: Share) -> RedactionRow:
    throughput = Throughput(
        records=1_000_000,
        records_per_s=float(RECORDS_PER_S_MIN[signal, share]),
        cpu_s_per_million=1.5,
        subject_busy=0.99,
        load_busy=0.5,
        others_busy=0.0,
        planted=PLANTED[share],
        masks=PLANTED[share],
    )
    return RedactionRow(
        subject=GATE_REDACTION,
        signal=signal,
        share=share.value,
        encoding=Encoding.FORWARDS.value,
        throughput=throughput,
        ratio_to_relay=0.5,
        added=Latency(2.0, 4.9),
        peak_bytes=149_000_000,
    )


GOOD = RedactionResult(
    rows=tuple(_row(signal, share) for signal in ("logs", "traces") for share in Share),
    skipped="",
    compiling=PackCompile(cold_s=2.9, warm_s=0.3),
)


def _with(**changes: object) -> RedactionResult:
    """Return the good result with other values in the row of logs with secrets in 1 %."""
    first, second, *rest = GOOD.rows
    of_throughput = {
        name: changes.pop(name) for name in ("records_per_s", "leaks", "masks") if name in changes
    }
    throughput = replace(second.throughput, **of_throughput)  # type: ignore[arg-type]
    changed = replace(second, throughput=throughput, **changes)  # type: ignore[arg-type]
    return replace(GOOD, rows=(first, changed, *rest))


def test_what_is_good_enough_meets_every_bar() -> None:
    """Six rates, four latencies, and one bar each of leaks, compiling and memory."""
    bars = bars_of(GOOD)

    assert len(bars) == 13
    assert all(bar.met for bar in bars)
    assert all(str(bar).startswith("met ") for bar in bars)


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (_with(records_per_s=299_999.0), "logs, 1 %"),
        (_with(leaks={"password": 1}), "secrets that reached the sink"),
        (_with(masks=9_999), "secrets that reached the sink"),
        (_with(added=Latency(2.0, 5.0)), "added p99, logs, 1 %"),
        (_with(peak_bytes=150_000_000), "peak memory"),
        (replace(GOOD, compiling=PackCompile(3.0, 0.3)), "compile of the whole pack, empty cache"),
    ],
)
def test_each_bar_is_held(result: RedactionResult, name: str) -> None:
    """One value beyond its bar misses that bar and no other."""
    missed = [bar for bar in bars_of(result) if not bar.met]

    assert [bar.name for bar in missed] == [name]
    assert str(missed[0]).startswith("MISSED")


def test_a_quick_run_judges_leaks_alone() -> None:
    """A busy machine moves every other figure."""
    slow = _with(records_per_s=1.0, added=Latency(900.0, 900.0))

    assert [bar.met for bar in bars_of(slow, quick=True)] == [True]
    assert [bar.met for bar in bars_of(_with(leaks={"x": 1}), quick=True)] == [False]


def test_the_table_says_what_the_stock_processor_let_through() -> None:
    """Its coverage stands beside its rate, by kind of secret; JSON has the same."""
    last = GOOD.rows[2]
    throughput = replace(last.throughput, leaks={"x-mbx-apikey": 125_000}, records_per_s=500.0)
    stock = replace(last, subject=STOCK, throughput=throughput, added=None, ratio_to_relay=0.0005)
    result = replace(GOOD, rows=(*GOOD.rows, stock))

    text = redaction_table(result, bars_of(result), 180)
    assert "stock redaction let through, logs: x-mbx-apikey 125,000 (of 1,000,000)" in text
    assert "87.5%" in text
    assert "180 rules" in text
    written = redaction_as_json(result, bars_of(result), 180)
    assert written["rows"][-1]["leaked"] == 125_000
    assert len(written["bars"]) == 13


def test_the_table_says_why_the_stock_processor_is_not_there() -> None:
    """A peer that can't run is named with its reason."""
    result = replace(GOOD, skipped="the collector is not built")

    assert "the collector is not built" in redaction_table(result, [], 180)


def test_a_row_of_the_collectors_writing_has_no_bar_but_must_not_leak() -> None:
    """The issue's rates are of what SDKs write; a secret is one however it is written."""
    slow = replace(GOOD.rows[2], encoding=Encoding.BACKWARDS.value, added=None)
    leaky = replace(slow, throughput=replace(slow.throughput, records_per_s=1.0, leaks={"jwt": 1}))
    bars = bars_of(replace(GOOD, rows=(*GOOD.rows, leaky)))

    assert len(bars) == len(bars_of(GOOD))
    assert [bar.name for bar in bars if not bar.met] == ["secrets that reached the sink"]
