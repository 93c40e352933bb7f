"""An engine that crashes at any batch, with redelivery and damage, goes on as if it had not."""

from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution_events import correct, trade
from signal_events import LATENESS_NS, SETTINGS, figures, in_arrival_order, random_events
from store_kinds import MemoryKind, SqliteKind, StoreKind
from tapeline.signals.codec import decode_events, encode_events
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.engine_state import dump_archive, dump_engine, restore_engine
from tapeline.signals.events import Event
from tapeline.signals.plain import decode_state, encode_state
from tapeline.signals.store import LogRow

SHORT_WINDOW = replace(SETTINGS, revision_window_ns=60)
IDLE_NS = 30


class Gate:
    """An engine and its store, as the processor uses them."""

    def __init__(self, chosen: EngineSettings, kind: StoreKind) -> None:
        """Go on with what is there."""
        self.kind = kind
        self.store = kind.opened()
        self.engine = Engine(chosen)
        loaded = self.store.load()
        if loaded.start_time_ns is None:
            self.store.begin(1)
        if loaded.checkpoint is not None:
            archives = map(decode_state, loaded.chunks)
            restore_engine(self.engine, decode_state(loaded.checkpoint), archives)
        for row in loaded.rows:
            self._apply(row)
        self.sequence = loaded.last_sequence

    def take(self, events: list[Event]) -> None:
        """Commit a batch, then count it."""
        greatest_ns = max(event.time_ns for event in events)
        self._commit(LogRow(self.sequence + 1, greatest_ns, 0, encode_events(events)))

    def idle(self, watermark_ns: int) -> None:
        """Let the clock move the watermark."""
        self._commit(LogRow(self.sequence + 1, 0, watermark_ns, b""))

    def checkpoint(self) -> None:
        """Write all that the engine knows."""
        engine = self.engine
        self.store.checkpoint(
            self.sequence,
            encode_state(dump_engine(engine)),
            encode_state(dump_archive(engine)),
            engine.present_ns,
            engine.live.ledger.horizon_ns or 0,
        )

    def crashed(self) -> "Gate":
        """Return what starts after a crash: nothing in memory is left."""
        self.store.close()
        return Gate(self.engine.settings, self.kind)

    def _commit(self, row: LogRow) -> None:
        self.store.append(row)
        self.sequence += 1
        self._apply(row)

    def _apply(self, row: LogRow) -> None:
        if row.watermark_ns:
            self.engine.advance(row.watermark_ns)
        else:
            self.engine.apply(decode_events(row.events), row.greatest_time_ns)


def run(gate: Gate, batches: list[list[Event]], crashes: Random | None) -> dict[str, Any]:
    """Return the figures of all batches; with crashes, redelivery, checkpoints and damage."""
    for index, batch in enumerate(batches):
        gate.take(batch)
        if index % 7 == 6:
            gate.idle(gate.engine.present_ns - IDLE_NS)
        if crashes is None:
            continue
        if crashes.random() < 0.3:
            gate.checkpoint()
        if crashes.random() < 0.3:
            if crashes.random() < 0.3 and len(gate.kind.sequences("checkpoint")) == 2:
                gate.kind.damage("checkpoint", gate.kind.sequences("checkpoint")[-1])
            gate = gate.crashed()
        if crashes.random() < 0.2 and gate.engine.settings is SETTINGS:
            # The acknowledgement was lost. Only what is in the window is known by identity; in
            # the short one a batch may refer to what has left it.
            gate.take(batch)
    gate.engine.end()
    gate.store.close()
    found = figures(gate.engine)
    del found["exemplars"]  # They are of an emission, and not of the state.
    return found


def check(chosen: EngineSettings, kind: StoreKind, seed: int, count: int) -> None:
    """Compare a run with crashes with one without."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    arrived = in_arrival_order(random, random_events(random, count), LATENESS_NS)
    batches, index = [], 0
    while index < count:
        size = random.randrange(1, 12)
        batches.append(arrived[index : index + size])
        index += size

    expected = run(Gate(chosen, MemoryKind()), batches, None)

    assert run(Gate(chosen, kind), batches, random) == expected


@pytest.mark.parametrize("chosen", [SETTINGS, SHORT_WINDOW], ids=["long_window", "short_window"])
@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 120))
def test_crashes_change_nothing(chosen: EngineSettings, seed: int, count: int) -> None:
    """Whatever was checkpointed when, delivered twice, or damaged."""
    check(chosen, MemoryKind(), seed, count)


def test_what_went_with_its_trade_stays_away() -> None:
    """A correction is as old as its trade, also where the archive holds it and not the trade."""
    gate = Gate(SHORT_WINDOW, MemoryKind())
    for event in (
        trade(1_000, 1, 100, "e1"),
        correct(1_050, "r1", "e1", price="101"),
        trade(1_090, 1, 100, "e2"),
    ):
        gate.take([event])
        gate.checkpoint()
    assert [event.id for event in gate.engine.live.ledger.executions.events] == ["e2"]

    following = gate.crashed()

    assert len(following.store.load().chunks) == 2
    for ledger in (following.engine.live.ledger, following.engine.sampled.ledger):
        assert "r1" not in [event.id for event in ledger.executions.events]
        assert ledger.executions.parked_count == 0


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_crashes_change_nothing_on_a_disk(seed: int) -> None:
    """As above, with files."""
    with TemporaryDirectory() as folder:
        check(SETTINGS, SqliteKind(Path(folder) / "signals.db"), seed, 100)
