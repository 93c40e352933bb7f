"""The bench of the signals measures what it says, and judges it by issue 6's bars."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from bench.signals import (
    EmissionRow,
    PositionsRow,
    RateRow,
    RestartRow,
    SidecarRow,
    SignalsResult,
)
from bench.signals_core import measure_emission, measure_positions, measure_restart, processor_of
from bench.signals_events import FIRST_NS, Mix, batches_of, events_of, payloads_of, quotes_of
from bench.signals_report import signals_as_json, signals_bars, signals_table

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.signals.events import Execution, Order, Quote
from tapeline.signals.instruments import Instruments
from tapeline.signals.intake import Intake

MET = SignalsResult(
    rates=(
        RateRow("ledger", 150_000, 160_000, 1.0),
        RateRow("engine, executions alone", 30_000, 31_000, 1.0),
        RateRow("quotes", 200_000, 210_000, 0.0),
        RateRow("otlp to SQLite, executions alone", 25_000, 26_000, 1.0),
    ),
    sidecar=(SidecarRow("executions alone", 25_000, 39.0, 0.01, 120_000_000),),
    positions=PositionsRow(100_000, 45_000_000, 399_000_000, 400_000_000),
    emission=EmissionRow(10_000, 60_327, 340.0, 110.0, 140.0),
    restart=RestartRow(100_000, 4.0, 2.0),
    series={"add_ns": 200.0, "observe_ns": 300.0},
)


@pytest.mark.parametrize("mix", list(Mix))
def test_the_requests_hold_the_events(mix: Mix) -> None:
    """What the sidecar is sent and what the engine is given are the same, and none is refused."""
    (batch,) = batches_of(events_of(mix), 1)
    (payload,) = payloads_of([batch])
    taken = Intake(Instruments()).read(Batch(Signal.LOGS, payload), None)
    assert taken.events == batch
    assert not taken.refused
    kinds = {type(event) for event in batch}
    assert (
        kinds
        == {
            Mix.PLAIN: {Execution},
            Mix.QUOTES: {Execution, Quote},
            Mix.ORDERS: {Execution, Quote, Order},
        }[mix]
    )


def test_no_event_comes_twice() -> None:
    """Or duplicates would be measured."""
    events = [
        event
        for event in islice(events_of(Mix.ORDERS), 5_000)
        if isinstance(event, Order | Execution)
    ]
    assert len({event.identity for event in events}) == len(events)
    quotes = list(islice(quotes_of(), 500))
    assert len(set(quotes)) == len(quotes)


def test_memory_emission_and_restart_are_of_what_was_asked_for(tmp_path: Path) -> None:
    """Every position is there, has its gauges, and is back."""
    positions = measure_positions(200)
    assert positions["positions"] == 200
    emission = measure_emission(400)
    assert emission["points"] > 5 * 400
    assert measure_restart(2_000, tmp_path)["executions"] == 2_000


def test_the_processor_commits_to_its_file(tmp_path: Path) -> None:
    """What is timed from OTLP on is in SQLite when it has returned."""
    processor = processor_of(tmp_path / "signals.db")
    (payload,) = payloads_of(batches_of(events_of(Mix.PLAIN), 1))
    assert processor.process(Batch(Signal.LOGS, payload), FIRST_NS).batch is None
    assert (tmp_path / "signals.db").stat().st_size + (
        tmp_path / "signals.db-wal"
    ).stat().st_size > 100_000
    processor.close(FIRST_NS)


def test_bars_are_met_at_the_bar_and_missed_below() -> None:
    """Each by itself; the report names every row."""
    bars = signals_bars(MET)
    assert all(bar.met for bar in bars)
    assert not signals_bars(MET, quick=True)
    slow = replace(
        MET,
        rates=tuple(replace(row, events_per_s=row.events_per_s - 1) for row in MET.rates),
        sidecar=tuple(replace(row, records_per_s=24_999) for row in MET.sidecar),
        positions=replace(MET.positions, state_bytes=401_000_000, emitted_bytes=900_000_000),
        emission=replace(MET.emission, median_ms=250.0),
    )
    missed = signals_bars(slow)
    assert not any(bar.met for bar in missed)
    assert len(missed) == 7
    text = signals_table(slow, missed)
    assert all(row.what in text for row in slow.rates)
    assert text.count("MISSED") == 7
    assert len(signals_as_json(slow, missed)["bars"]) == 7
