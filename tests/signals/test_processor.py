"""The signals in a chain: committed, applied, shown, and kept over restarts and reloads."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from metric_requests import Series, batch_of, counted
from signal_steps import (
    at,
    built,
    event,
    fill,
    on_disk,
    other,
    points,
    samples,
    start_times,
    totals,
)
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import NotNowError
from tapeline.signals import processor as processor_module
from tapeline.signals.opening import open_store
from tapeline.signals.processor import SignalsProcessor
from tapeline.signals.store import LogRow, Store, StoreError, StoreFault
from tapeline.signals.store_sqlite import SqliteStore

X2 = {"BTCUSDT": {"base_currency": "BTC", "quote_currency": "USD", "multiplier": "2"}}


def executions(processor: SignalsProcessor, second: float) -> float:
    """Return how many executions an emission at that time tells of."""
    return totals(processor.tick(at(second))).get("trading.executions", 0)


def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, StoreError]:
    """Let the store of what is built next fail with what is put under "append"."""
    faults: dict[str, StoreError] = {}

    def opened(url: str, worker: int = 0) -> Store:
        store = open_store(url, worker)
        append = store.append

        def guarded(row: LogRow) -> None:
            if "append" in faults:
                raise faults["append"]
            append(row)

        monkeypatch.setattr(store, "append", guarded)
        return store

    monkeypatch.setattr(processor_module, "open_store", opened)
    return faults


def test_logs_and_traces_end_here_and_metrics_pass() -> None:
    """Also those that are no events."""
    processor = built()
    metrics = batch_of(Series("m", [counted({}, 1, 20)]))
    assert processor.process(metrics, at(0)).batch is metrics
    assert processor.process(fill("e1"), at(0)).batch is None
    assert processor.process(other(), at(0)).batch is None
    assert not processor.process(other(), at(0)).derived


def test_figures_come_once_a_period() -> None:
    """And carry the series' start, which is when the processor saw its first input."""
    processor = built()
    processor.process(fill("e1"), at(1))
    assert totals(processor.tick(at(1)))["trading.position.quantity"] == 0.5
    processor.process(other(20), at(20))
    assert processor.tick(at(5.9)) == ()
    emitted = processor.tick(at(20))
    assert points(emitted)["trading.volume", "default", "BTCUSDT", "buy", "default"] == 0.5
    assert start_times(emitted) == {at(1)}


def test_a_batch_that_can_not_be_committed_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused until it can; said once, counted each time, and applied once."""
    faults, registry = failing(monkeypatch), CollectorRegistry()
    processor = built(on_disk(tmp_path), registry=registry)
    processor.process(fill("e1"), at(0))
    faults["append"] = StoreError(StoreFault.FULL, "the disk is full")
    good_and_bad = Batch(
        Signal.LOGS, fill("e2", 1).payload + fill("e3", 1, price="nonsense").payload
    )
    for _ in range(3):
        with pytest.raises(NotNowError, match="the disk is full"):
            processor.process(good_and_bad, at(1))
    engine = processor._recorder.engine
    assert engine.events == {"trade": 1}
    assert len(engine.live.ledger.executions.events) == 1
    assert not processor.refused

    del faults["append"]
    processor.process(good_and_bad, at(2))
    processor.process(other(20), at(20))
    assert executions(processor, 20) == 2
    assert samples(registry)["store_failures_total", "full"] == 3
    assert sum(processor.refused.values()) == 1
    assert [record.message for record in caplog.records if "full" in record.message] == [
        "the state of the signals: the disk is full"
    ]


def test_while_nothing_can_be_committed_what_was_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the exporter forgets no series, and the own metrics tell what is wrong."""
    faults, registry = failing(monkeypatch), CollectorRegistry()
    processor = built(on_disk(tmp_path), registry=registry)
    processor.process(fill("e1"), at(0))
    processor.process(fill("e2", 20), at(20))
    assert executions(processor, 20) == 1
    watermark_ns = processor._recorder.engine.watermark_ns
    faults["append"] = StoreError(StoreFault.FULL, "the disk is full")
    processor.process(other(90), at(90))
    shown = points(processor.tick(at(90)))
    assert sum(value for key, value in shown.items() if key[0] == "trading.executions") == 1
    assert processor._recorder.engine.watermark_ns == watermark_ns
    assert samples(registry)["store_failures_total", "full"] == 1


def test_other_telemetry_moves_time_with_the_next_commit(tmp_path: Path) -> None:
    """No batch of it is a write to the disk by itself: one before each emission is enough."""
    processor = built(on_disk(tmp_path))
    processor.process(fill("e1"), at(0))
    recorder = processor._recorder
    assert recorder.commits == 1
    for second in range(1, 20):
        processor.process(other(second), at(second))
    assert recorder.commits == 1
    assert recorder.engine.watermark_ns == at(-5)
    processor.tick(at(19))
    assert recorder.commits == 2
    assert recorder.engine.watermark_ns == at(14)
    processor.tick(at(24))
    assert recorder.commits == 2


def test_time_of_uncommitted_telemetry_is_as_if_it_had_never_come(tmp_path: Path) -> None:
    """After a crash an execution that came in time before it comes in time again."""
    processor = built(on_disk(tmp_path))
    processor.process(fill("e1"), at(0))
    processor.process(other(100), at(100))
    processor._recorder._store.close()  # A crash: nothing of it is written.
    following = built(on_disk(tmp_path))
    following.process(fill("e2", 50), at(101))
    engine = following._recorder.engine
    assert engine.watermark_ns == at(45)
    assert not +engine.late


def test_without_input_time_goes_on_by_the_clock() -> None:
    """At the distance of the timeout, from 30 s after the last input on."""
    processor = built()
    processor.process(fill("e1"), at(0))
    assert executions(processor, 29) == 0
    assert executions(processor, 40) == 1
    assert processor._recorder.engine.watermark_ns == at(10)


def test_the_clock_moves_nothing_before_there_was_input_in_this_process(tmp_path: Path) -> None:
    """After a restart the batches that were not acknowledged come again, and are not late."""
    processor = built(on_disk(tmp_path))
    processor.process(fill("e1"), at(0))
    processor._recorder._store.close()  # A crash.
    registry = CollectorRegistry()
    following = built(on_disk(tmp_path), registry=registry)
    following.tick(at(600))
    assert following._recorder.engine.watermark_ns == at(-5)
    assert samples(registry)["watermark_lag_seconds",] == 0
    following.process(fill("e2", 1), at(601))
    assert not +following._recorder.engine.late
    following.tick(at(640))
    assert following._recorder.engine.watermark_ns == at(610)
    assert samples(registry)["watermark_lag_seconds",] == 30


def test_figures_are_shown_again_before_anything_comes(tmp_path: Path) -> None:
    """A restart in a quiet night leaves no gap: the kept state is read at the first tick."""
    processor = built(on_disk(tmp_path))
    processor.process(fill("e1"), at(0))
    processor.tick(at(40))
    processor.close(at(41))
    following = built(on_disk(tmp_path))
    shown = following.tick(at(60))
    assert totals(shown)["trading.executions"] == 1
    assert totals(shown)["trading.position.quantity"] == 0.5
    assert start_times(shown) == {at(0)}


@pytest.mark.parametrize("crash", [False, True], ids=["closed", "crashed"])
def test_sums_go_on_over_a_restart(tmp_path: Path, *, crash: bool) -> None:
    """With their start time; what is delivered again counts once."""
    processor = built(on_disk(tmp_path))
    for index in range(4):
        processor.process(fill(f"e{index}", index), at(index))
    (processor._recorder._store.close if crash else lambda: processor.close(at(5)))()
    following = built(on_disk(tmp_path))
    following.process(fill("e3", 3), at(9))
    following.process(fill("e4", 30), at(30))
    following.process(other(60), at(60))
    shown = following.tick(at(60))
    assert totals(shown)["trading.executions"] == 5
    assert totals(shown)["trading.volume"] == 2.5
    assert start_times(shown) == {at(0)}
    assert following._recorder.engine.live.ledger.executions.events.duplicate_count == 1


def test_a_state_in_memory_goes_on_over_reloads() -> None:
    """Over any number of them, with what was counted of itself; nothing of it piles up."""
    processor, registry = built(), CollectorRegistry()
    for index in range(6):
        processor.process(fill(f"e{index}", index, price=""), at(index))
        processor.process(fill(f"e{index}", index), at(index))
        assert len(processor._recorder.engine.log) == 0
        processor.close(at(index))
        following = built(registry=(registry := CollectorRegistry()))
        following.take_over(processor)
        processor = following
    processor.process(event("execution", 7, execution__id="r1", execution__ref_id="e0",
                            execution__kind="bust", instrument="BTCUSDT"), at(7))  # fmt: skip
    processor.process(other(60), at(60))
    shown = processor.tick(at(60))
    assert totals(shown)["trading.executions"] == 7
    assert totals(shown)["trading.volume.reversed"] == 0.5
    assert totals(shown)["trading.position.quantity"] == 2.5
    assert start_times(shown) == {at(0)}
    rejected = ("rejected_events_total", "missing", "trading.execution.price", "")
    assert samples(registry)[rejected] == 6


def test_points_of_a_reloaded_processor_come_after_those_before() -> None:
    """Though the clock stands, and a gauge that has no value any more ends."""
    processor = built()
    processor.process(fill("e1"), at(0))
    processor.tick(at(40))
    processor.close(at(40))
    following = built()
    following.take_over(processor)
    following.process(other(60), at(40))
    assert totals(following.tick(at(40)))["trading.executions"] == 1
    assert following._emitter is not None
    assert following._emitter.time_ns > at(40)


def test_a_state_on_disk_goes_on_over_a_reload(tmp_path: Path) -> None:
    """The new processor reads it when the old one has let it go."""
    processor = built(on_disk(tmp_path))
    processor.process(fill("e1"), at(0))
    following = built(on_disk(tmp_path))
    processor.close(at(1))
    following.take_over(processor)
    following.process(fill("e2", 1), at(1))
    following.process(other(60), at(60))
    assert executions(following, 60) == 2
    assert following._recorder.commits == 3


def test_changed_units_refuse_the_state_and_say_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Told once, shown as a metric, and not read again; as it was, it is taken again."""
    processor = built(on_disk(tmp_path))
    processor.process(fill("e1"), at(0))
    processor.close(at(1))
    registry = CollectorRegistry()
    changed = built(on_disk(tmp_path, instruments=X2), registry=registry)
    for _ in range(3):
        with pytest.raises(NotNowError, match=r"'BTCUSDT' has positions.*give it another name"):
            changed.process(fill("e2", 2), at(2))
        assert changed.tick(at(2)) == ()
    assert samples(registry)["store_failures_total", "settings_changed"] == 1
    assert len([record for record in caplog.records if "BTCUSDT" in record.message]) == 1
    changed.close(at(3))

    again = built(on_disk(tmp_path))
    again.process(fill("e2", 2), at(4))
    assert len(again._recorder.engine.live.ledger.executions.events) == 2


def test_another_number_of_workers_is_refused(tmp_path: Path) -> None:
    """Accounts would move to workers that don't have their positions; without any they may."""
    for name in ("quotes", "trades"):
        folder = tmp_path / name
        folder.mkdir()
        processor = built(on_disk(folder))
        quote: dict[str, Any] = {"instrument": "BTCUSDT", "quote__bid": "1", "quote__ask": "1"}
        processor.process(event("quote", **quote), at(0))
        if name == "trades":
            processor.process(fill("e1"), at(0))
        processor.close(at(1))
    built(on_disk(tmp_path / "quotes"), workers=2).process(fill("e2", 2), at(2))
    more = built(on_disk(tmp_path / "trades"), workers=2)
    with pytest.raises(NotNowError, match=r"server\.workers was 1.*change it back"):
        more.process(fill("e2", 2), at(2))


def test_changed_units_leave_a_state_in_memory_behind(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to change it back in: figures begin anew, with a new start, and said."""
    processor = built()
    processor.process(fill("e1"), at(0))
    processor.close(at(1))
    following = built({"instruments": X2})
    following.take_over(processor)
    following.process(fill("e2", 2), at(2))
    following.process(other(60), at(60))
    shown = following.tick(at(60))
    assert totals(shown)["trading.executions"] == 1
    assert start_times(shown) == {at(2)}
    assert "begin anew" in caplog.text


def test_a_state_that_another_process_has_is_waited_for(tmp_path: Path) -> None:
    """A second gate refuses its batches until the first one has stopped."""
    first, second = built(on_disk(tmp_path)), built(on_disk(tmp_path))
    first.process(fill("e1"), at(0))
    with pytest.raises(NotNowError):
        second.process(fill("e2", 1), at(1))
    first.close(at(2))
    second.process(fill("e2", 1), at(3))
    assert len(second._recorder.engine.live.ledger.executions.events) == 2


def test_a_locked_database_refuses_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program's lock lasts as long as it lasts."""
    path = tmp_path / "signals.db"
    monkeypatch.setattr(
        processor_module, "open_store", lambda *_: SqliteStore(path, busy_timeout_s=0.01)
    )
    registry = CollectorRegistry()
    processor = built(on_disk(tmp_path), registry=registry)
    processor.process(fill("e1"), at(0))
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotNowError):
            processor.process(fill("e2", 1), at(1))
        processor.tick(at(2))
    assert samples(registry)["store_failures_total", "locked"] == 1
    processor.process(fill("e2", 1), at(3))
    assert len(processor._recorder.engine.live.ledger.executions.events) == 2


def test_a_damaged_database_is_set_aside_and_figures_begin_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a new start time, a line of the log and a count; nothing wrong is shown as right."""
    processor = built(on_disk(tmp_path))
    processor.process(fill("e1"), at(0))
    processor.close(at(1))
    (tmp_path / "signals.db").write_bytes(b"no database at all" * 300)
    registry = CollectorRegistry()
    following = built(on_disk(tmp_path), registry=registry)
    following.process(fill("e2", 2), at(2))
    following.process(other(60), at(60))
    shown = following.tick(at(60))
    assert totals(shown)["trading.executions"] == 1
    assert start_times(shown) == {at(2)}
    assert samples(registry)["damaged_pieces_total",] == 1
    assert "set aside" in caplog.text
    assert list(tmp_path.glob("*.damaged-*"))


def test_a_file_that_is_removed_under_us_takes_no_more(tmp_path: Path) -> None:
    """SQLite would write on into nothing."""
    registry = CollectorRegistry()
    processor = built(on_disk(tmp_path), registry=registry)
    processor.process(fill("e1"), at(0))
    (tmp_path / "signals.db").unlink()
    with pytest.raises(NotNowError, match="removed or replaced"):
        processor.process(fill("e2", 1), at(1))
    processor.tick(at(2))
    assert samples(registry)["store_failures_total", "absent"] == 1


def test_a_checkpoint_that_fails_costs_nothing_but_a_longer_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again after its period, not at each emission, with all executions in it."""
    monkeypatch.setattr("tapeline.signals.recorder.CHECKPOINT_ROWS", 1)
    processor = built(on_disk(tmp_path))
    store = processor._recorder._store
    tried: list[int] = []
    whole: Callable[..., None] = store.checkpoint

    def checkpoint(*arguments: object) -> None:
        tried.append(1)
        if len(tried) <= 2:
            raise StoreError(StoreFault.FULL, "the disk is full")
        whole(*arguments)

    monkeypatch.setattr(store, "checkpoint", checkpoint)
    for index in range(10):
        processor.process(fill(f"e{index}", 10 * index), at(10 * index))
        processor.tick(at(10 * index))
    assert len(tried) == 1
    processor.tick(at(400))
    processor.process(fill("e10", 750), at(750))
    processor.tick(at(750))
    assert (len(tried), processor._recorder.checkpoints) == (3, 1)
    store.close()
    following = built(on_disk(tmp_path))
    following.process(fill("e0"), at(751))
    held = following._recorder.engine.live.ledger.executions.events
    assert (len(held), held.duplicate_count) == (11, 1)


def test_a_report_can_be_made_at_any_time() -> None:
    """Before the first batch, too."""
    processor = built()
    assert processor.report()()["positions"] == []
    processor.process(fill("e1"), at(0))
    assert len(processor.report()()["positions"]) == 1
