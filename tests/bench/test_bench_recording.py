"""The bench of recordings writes what it says, and judges it by issue 7's bars."""

from dataclasses import replace
from pathlib import Path

import pytest
from bench.payloads import BATCH_RECORDS, load_of
from bench.recording import Effort, ProcessRow, RecordingResult, ReplayRow, _peak_in, _rate_in
from bench.recording import _write as write
from bench.recording_report import recording_as_json, recording_bars, recording_table

from tapeline.otlp.signals import Signal
from tapeline.recorded.forms import Format
from tapeline.recorded.reader import RecordedBatch, read_recording

MET = RecordingResult(
    process=(
        ProcessRow("logs, clean", "proto", 1000, 200_000, 240_000, 250_000, 150_000_000),
        ProcessRow("logs, clean", "json", 1000, 20_000, 29_000, 30_000, 100_000_000),
    ),
    replay=(
        ReplayRow("as recorded", 300_000, 1.0, 60_000_000),
        ReplayRow("new times", 200_000, 1.0, 60_000_000),
    ),
    start_cpu_s=1.0,
)


@pytest.mark.parametrize("form", Format)
def test_the_recordings_hold_as_many_records_as_is_said(form: Format, tmp_path: Path) -> None:
    """In either form."""
    path = tmp_path / "in"
    records = write(path, load_of(Signal.TRACES), form, 9)

    with path.open("rb") as file:
        items = list(read_recording(file))
    batches = [item.batch for item in items if isinstance(item, RecordedBatch)]
    assert len(batches) == len(items) == 9
    assert sum(batch.framing.record_count for batch in batches) == records == 9 * BATCH_RECORDS


def test_what_the_commands_say_is_read() -> None:
    """The peak of memory, and the rate of a replay that was whole."""
    effort = Effort(1, 1, 1, replay_batches=12)
    said = "tapeline replay: 12 batches in 4.0 s, 1,234,567 records/s accepted, 0 retries\n"

    assert _rate_in(said, effort) == 1_234_567
    assert _peak_in("VmHWM:\t  103 kB\n") == 103 * 1024


def test_bars_are_met_at_the_bar_and_missed_below() -> None:
    """By CPU seconds where a core is meant; the report names every row."""
    bars = recording_bars(MET)
    assert [bar.met for bar in bars] == [True] * 4
    assert recording_bars(MET, quick=True) == []
    slow = replace(
        MET,
        process=tuple(
            replace(
                row,
                started_records_per_cpu_s=row.started_records_per_cpu_s - 1,
                peak_bytes=150_000_001,
            )
            for row in MET.process
        ),
        replay=tuple(replace(row, records_per_s=299_999) for row in MET.replay),
    )

    missed = recording_bars(slow)

    assert [bar.met for bar in missed] == [False] * 4
    text = recording_table(slow, missed)
    assert all(row.load in text for row in slow.process)
    assert all(row.what in text for row in slow.replay)
    assert text.count("MISSED") == 4
    assert len(recording_as_json(slow, missed)["bars"]) == 4
