"""Engine and store in step: a restart has what was committed, and says what it could not read."""

import logging
from decimal import Decimal
from pathlib import Path

import pytest

from execution_events import trade
from signal_events import SETTINGS, figures
from store_kinds import SqliteKind
from tapeline.pipeline.processor import NotNowError
from tapeline.signals.cash import CashBook
from tapeline.signals.engine import Engine
from tapeline.signals.events import Cash
from tapeline.signals.recorder import Recorder
from tapeline.signals.store import LogRow


def recorder(kind: SqliteKind) -> Recorder:
    """Return a recorder over what is there, which has begun."""
    found = Recorder(SETTINGS, kind.opened())
    found.begin(1)
    return found


def crashed(kind: SqliteKind) -> Recorder:
    """Return what starts after a crash."""
    kind.close()
    return recorder(kind)


@pytest.fixture
def place(tmp_path: Path) -> SqliteKind:
    """Return a file in which two checkpoints lie, with a trade before, between and after them."""
    kind = SqliteKind(tmp_path / "signals.db")
    found = recorder(kind)
    for index in range(3):
        found.take([trade(1_000 + index, 1, 100, f"e{index}")], 1_000 + index)
        if index < 2:
            found.checkpoint()
    found.settle(1_500)
    kind.close()
    return kind


def whole() -> dict[str, object]:
    """Return the figures of an engine that never restarted."""
    engine = Engine(SETTINGS)
    for index in range(3):
        engine.apply([trade(1_000 + index, 1, 100, f"e{index}")], 1_000 + index)
    engine.advance(1_500)
    return _lasting(engine)


def _lasting(engine: Engine) -> dict[str, object]:
    return {key: value for key, value in figures(engine).items() if key != "exemplars"}


def test_a_restart_has_what_was_committed(place: SqliteKind) -> None:
    """From the newest checkpoint and the rows after it, the clock's among them."""
    found = recorder(place)
    assert _lasting(found.engine) == whole()
    assert (found.start_time_ns, found.is_new, found.damaged) == (1, False, 0)
    place.close()


def test_a_damaged_checkpoint_costs_nothing_and_is_counted(
    place: SqliteKind, caplog: pytest.LogCaptureFixture
) -> None:
    """The older one and its rows give the same."""
    place.damage("checkpoint", place.sequences("checkpoint")[-1])
    found = recorder(place)
    assert _lasting(found.engine) == whole()
    assert found.damaged == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "1 pieces of it are damaged" in caplog.text
    place.close()


@pytest.mark.parametrize("how", ["damaged", "removed"])
def test_a_row_that_is_not_whole_is_left_out_and_counted(place: SqliteKind, how: str) -> None:
    """What it held is in no figure; what comes after it is."""
    row = place.sequences("log")[-2]
    (place.damage if how == "damaged" else place.remove)("log", row)
    found = recorder(place)
    assert found.damaged == 1
    assert [event.id for event in found.engine.live.ledger.executions.events] == ["e0", "e1"]
    assert found.engine.watermark_ns == 1_500
    found.take([trade(1_600, 1, 100, "e3")], 1_600)
    place.close()


def test_a_row_of_another_build_is_counted_and_stops_nothing(place: SqliteKind) -> None:
    """It is whole, and no event of this build."""
    store = place.opened()
    last = store.load().last_sequence
    store.append(LogRow(last + 1, 1_600, 0, b'{"from": "the future"}'))
    found = crashed(place)
    assert found.damaged == 1
    found.take([trade(1_600, 1, 100, "e3")], 1_600)
    assert len(found.engine.live.ledger.executions.events) == 4
    place.close()


@pytest.mark.pure
def test_what_made_an_engine_stumble_stops_no_start(
    place: SqliteKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be a bug, and no reason to count nothing ever after."""

    def stumble(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(CashBook, "add", stumble)
    found = recorder(place)
    with pytest.raises(ArithmeticError):
        found.take([Cash(1_600, "a", "c", Decimal(1))], 1_600)
    found = crashed(place)
    assert found.damaged == 1
    found.take([trade(1_700, 1, 100, "e3")], 1_700)
    assert len(found.engine.live.ledger.executions.events) == 4
    place.close()


def test_a_checkpoint_of_another_build_is_refused_and_read_once(
    place: SqliteKind, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is begun anew over it; the message says what to do."""
    store = place.opened()
    loaded = store.load()
    store.checkpoint(loaded.last_sequence, b'{"layout": 99}', b"[]", 1_500, 0)
    place.close()
    found = Recorder(SETTINGS, place.opened())
    for _ in range(3):
        with pytest.raises(NotNowError, match="move it away to begin anew"):
            found.begin(1)
    assert found.failures == {"unreadable": 1}
    assert len(caplog.records) == 1
    assert len(place.sequences("checkpoint")) == 2


def test_time_that_stands_is_no_row(place: SqliteKind) -> None:
    """An idle gate writes nothing."""
    found = recorder(place)
    for _ in range(3):
        found.settle()
        found.settle(1_400)
    assert found.commits == 0
    found.settle(1_501)
    found.settle(1_501)
    assert found.commits == 1
    place.close()


def test_a_close_leaves_nothing_to_replay(place: SqliteKind) -> None:
    """So a start after it is quick, and other settings of time apply to what comes."""
    recorder(place).close()
    store = place.opened()
    loaded = store.load()
    assert loaded.rows == ()
    assert loaded.checkpoint is not None
    store.close()
    assert _lasting(recorder(place).engine) == whole()
    place.close()
