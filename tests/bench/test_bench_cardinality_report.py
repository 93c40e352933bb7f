"""The section on cardinality names each bar, with met or missed."""

from dataclasses import replace

from bench.cardinality import CardinalityResult, CoreRow, GateRow
from bench.cardinality_report import (
    CORE_POINTS_PER_S_MIN,
    GATE_POINTS_PER_S_MIN,
    cardinality_as_json,
    cardinality_bars,
    cardinality_table,
)
from bench.measure import Latency, Throughput
from bench.series import Encoding
from bench.subjects import GATE_BOTH, GATE_CARDINALITY

THROUGHPUT = Throughput(
    records=1_000_000,
    records_per_s=float(GATE_POINTS_PER_S_MIN),
    cpu_s_per_million=1.5,
    subject_busy=0.99,
    load_busy=0.5,
    others_busy=0.0,
)
SLOW = replace(THROUGHPUT, records_per_s=100_000.0)
GOOD = CardinalityResult(
    core=tuple(
        CoreRow(encoding.value, mix, float(least), 2e6, 1.0, 4.9, 20_000)
        for encoding in Encoding
        for mix, least in CORE_POINTS_PER_S_MIN.items()
    ),
    gate=tuple(
        row
        for encoding in Encoding
        for row in (
            GateRow(
                GATE_CARDINALITY, encoding.value, THROUGHPUT, 0.5, Latency(2.0, 4.9), 100_000_000
            ),
            # No bar is set for both processors together.
            GateRow(GATE_BOTH, encoding.value, SLOW, 0.1, Latency(9.0, 9.9), 150_000_000),
        )
    ),
    bytes_an_admitted_series=120.0,
    bytes_a_folded_series=250.0,
    skipped=("another limiter: none to be had.",),
)


def missed(result: CardinalityResult) -> list[str]:
    """Return the names of the bars that were missed."""
    return [bar.name for bar in cardinality_bars(result) if not bar.met]


def test_what_is_just_good_enough_misses_nothing() -> None:
    """Six rates and latencies of the limiter, two of the gate, and two of the state."""
    assert missed(GOOD) == []
    assert len(cardinality_bars(GOOD)) == 18


def test_each_bar_is_missed_by_its_own_row() -> None:
    """A row that is too slow or too late is named, and no other."""
    slow = replace(GOOD.core[1], points_per_s=GOOD.core[1].points_per_s - 1)
    late = replace(GOOD.core[2], p99_ms=5.0)
    result = replace(GOOD, core=(GOOD.core[0], slow, late, *GOOD.core[3:]))
    assert missed(result) == [
        f"in process, sdk, {slow.mix}",
        f"p99 in process, sdk, {late.mix}",
    ]

    gate = replace(GOOD.gate[0], throughput=SLOW, added=Latency(4.0, 5.0))
    assert missed(replace(GOOD, gate=(gate, *GOOD.gate[1:]))) == [
        f"{GATE_CARDINALITY}, sdk",
        "added p99, sdk",
    ]

    large = replace(GOOD, bytes_an_admitted_series=121.0, bytes_a_folded_series=251.0)
    assert missed(large) == ["state of an admitted series", "state of a folded series"]


def test_a_quick_run_judges_no_time() -> None:
    """Only what no busy machine can move."""
    assert [bar.name for bar in cardinality_bars(GOOD, quick=True)] == [
        "state of an admitted series",
        "state of a folded series",
    ]


def test_the_table_has_every_row_and_every_bar() -> None:
    """And says which peer is not there."""
    bars = cardinality_bars(GOOD)
    lines = cardinality_table(GOOD, bars).splitlines()
    assert sum(line.startswith(("sdk ", "collector ")) for line in lines) == 10
    assert GOOD.skipped[0] in lines
    assert sum(line.startswith("met ") for line in lines) == len(bars)


def test_json_has_rows_and_bars() -> None:
    """What a reader of results.json judges by."""
    written = cardinality_as_json(GOOD, cardinality_bars(GOOD))
    assert len(written["core"]) == 6
    assert len(written["gate"]) == 4
    assert all(bar["met"] for bar in written["bars"])
