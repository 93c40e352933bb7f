"""The table says what was measured, and the bars are held."""

from dataclasses import replace

import pytest
from bench.measure import Latency, Throughput
from bench.processes import BenchError
from bench.report import Row, Skipped, as_json, bars_missed, table
from bench.startup import Startup
from bench.subjects import GATE, RELAY, find_subjects

GOOD = Row(
    subject=GATE,
    note="",
    signal="logs",
    throughput=Throughput(
        records=1_000_000,
        records_per_s=600_000.0,
        cpu_s_per_million=1.5,
        subject_busy=0.99,
        load_busy=0.5,
        others_busy=0.0,
    ),
    latency=Latency(2.0, 3.0),
    added=Latency(1.25, 2.5),
    peak_bytes=80_000_000,
    ratio_to_relay=0.5,
    cpu_ratio_to_relay=2.0,
)
QUICK_START = {GATE: Startup(live_s=0.4, ready_s=0.6)}


def test_a_gate_within_its_bars_misses_none() -> None:
    """Fast enough, small enough, up soon enough."""
    assert bars_missed([GOOD], QUICK_START, GATE) == []


def test_each_bar_is_held() -> None:
    """Rate, memory, live and ready are each named when they are missed."""
    slow = replace(GOOD, throughput=replace(GOOD.throughput, records_per_s=499_999.0))
    large = replace(GOOD, signal="traces", peak_bytes=121_000_000)

    assert "499,999 log records/s" in bars_missed([slow], {}, GATE)[0]
    assert "121 MB resident with traces" in bars_missed([large], {}, GATE)[0]
    late = bars_missed([], {GATE: Startup(1.01, 1.51)}, GATE)
    assert [each.split(",")[0] for each in late] == [
        "gate live after 1.01 s",
        "gate ready after 1.51 s",
    ]


def test_bars_are_the_gates_alone() -> None:
    """A slow peer is a row, not a failure."""
    slow = replace(GOOD, throughput=replace(GOOD.throughput, records_per_s=1.0))

    assert bars_missed([replace(slow, subject="collector")], {}, GATE) == []
    assert bars_missed([slow], {}, GATE) != []


def test_a_rate_set_by_the_load_is_marked() -> None:
    """Where the load was busy and the subject was not, the rate carries a star with its reason."""
    waiting = replace(GOOD, throughput=replace(GOOD.throughput, subject_busy=0.7, load_busy=0.95))

    assert "600,000*" in table([waiting], [], {})
    assert "set the rate" in table([waiting], [], {})
    assert "*" not in table([GOOD], [], {})


def test_a_disturbed_rate_is_marked() -> None:
    """Where other processes ran on the subject's core the table says so."""
    disturbed = replace(GOOD, throughput=replace(GOOD.throughput, others_busy=0.2))

    assert "600,000!" in table([disturbed], [], {})
    assert "on a quiet machine" in table([disturbed], [], {})
    assert "!" not in table([GOOD], [], {})


def test_the_table_names_what_was_left_out_and_the_start() -> None:
    """A skipped subject is there with its reason, and the gate's start with its times."""
    text = table([GOOD], [Skipped("rotel + python", "no libpython")], QUICK_START)

    assert "left out: rotel + python: no libpython" in text
    assert "live 0.40 s and ready 0.60 s" in text


def test_json_holds_every_figure() -> None:
    """What the table shows can be read by a program, with the machine that it belongs to."""
    result = as_json([GOOD], [Skipped("x", "y")], QUICK_START, {"cpu_model": "z"})

    assert result["facts"] == {"cpu_model": "z"}
    assert result["rows"][0]["throughput"]["cpu_s_per_million"] == 1.5
    assert result["rows"][0]["load_bound"] is False
    assert result["skipped"] == [{"subject": "x", "reason": "y"}]
    assert result["startup"][GATE]["ready_s"] == 0.6


def test_subjects_are_found_by_name_and_the_relay_is_always_there() -> None:
    """Ratios need the relay, so it comes first whatever was asked for."""
    assert [each.name for each in find_subjects((GATE,))] == [RELAY, GATE]
    with pytest.raises(BenchError, match="no subject 'gat'"):
        find_subjects(("gat",))
