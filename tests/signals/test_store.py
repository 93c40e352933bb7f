"""What holds for every store: what was committed is there, once, whatever was damaged."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postgresql_server import PostgresqlServer
from store_kinds import MemoryKind, PostgresqlKind, SqliteKind, StoreKind
from tapeline.signals.store import Loaded, LogRow, Store, StoreError, StoreFault
from waiting import eventually

START_NS = 1_750_000_000_000_000_000


def row(sequence: int, greatest_ns: int = 0, watermark_ns: int = 0) -> LogRow:
    """Return a row that is told from all others."""
    return LogRow(sequence, greatest_ns or sequence, watermark_ns, b"events %d" % sequence)


def begun(kind: StoreKind, row_count: int = 0) -> Store:
    """Return a store with a new state and as many rows."""
    store = kind.opened()
    store.load()
    store.begin(START_NS)
    append(store, 1, row_count)
    return store


def append(store: Store, first: int, last: int) -> None:
    """Append rows from the first to the last, both included."""
    for sequence in range(first, last + 1):
        store.append(row(sequence))


def checkpoint(store: Store, sequence: int, newest_ns: int = 10, drop_ns: int = 0) -> None:
    """Write a checkpoint and a chunk that are told from all others."""
    store.checkpoint(
        sequence, b"state %d" % sequence, b"executions %d" % sequence, newest_ns, drop_ns
    )


def loaded_again(kind: StoreKind, store: Store) -> Loaded:
    """Return what another process finds there."""
    store.close()
    other = kind.opened()

    def look() -> Loaded | None:
        try:
            return other.load()
        except StoreError as error:
            # PostgreSQL ends a session, and lets go of its lock, some time after it was closed.
            if error.reason is not StoreFault.IN_USE:
                raise
            return None

    try:
        return eventually(look)
    finally:
        other.close()


def test_nothing_is_there_before_it_began(kind: StoreKind) -> None:
    """Loading alone makes no state, so the start time is that of who begins it."""
    store = kind.opened()

    assert store.load() == Loaded()
    assert loaded_again(kind, store) == Loaded()


def test_rows_come_back_in_order(kind: StoreKind) -> None:
    """With the times and the events that they had, however large those are."""
    store = begun(kind, 2)
    rows = [
        LogRow(3, 2**64 - 1, 0, b""),
        LogRow(4, 0, -5, b"\x00" * 100_000),
        LogRow(5, 2**100, 2**70, b"\xff"),
    ]
    for each in rows:
        store.append(each)

    loaded = loaded_again(kind, store)

    assert loaded == Loaded(START_NS, rows=(row(1), row(2), *rows))
    assert loaded.last_sequence == 5


def test_a_state_goes_on_where_it_ended(kind: StoreKind) -> None:
    """Row follows row over any number of starts."""
    begun(kind, 1).close()
    for sequence in (2, 3):
        store = kind.opened()
        assert store.load().last_sequence == sequence - 1
        store.append(row(sequence))
        store.close()

    assert loaded_again(kind, kind.opened()).rows == (row(1), row(2), row(3))


def test_a_checkpoint_takes_the_place_of_rows(kind: StoreKind) -> None:
    """State begins at the newest one; rows stay back to the one before it."""
    store = begun(kind, 4)
    checkpoint(store, 2)
    assert kind.sequences("log") == [1, 2, 3, 4]
    checkpoint(store, 4)
    append(store, 5, 6)
    checkpoint(store, 5)
    append(store, 7, 7)

    assert kind.sequences("checkpoint") == [4, 5]
    assert kind.sequences("log") == [5, 6, 7]
    assert loaded_again(kind, store) == Loaded(
        START_NS,
        5,
        b"state 5",
        (b"executions 2", b"executions 4", b"executions 5"),
        (row(6), row(7)),
    )


def test_the_same_checkpoint_again_is_nothing(kind: StoreKind) -> None:
    """An idle gate does not push the older one out."""
    store = begun(kind, 2)
    checkpoint(store, 1)
    checkpoint(store, 2)
    checkpoint(store, 2, newest_ns=99)

    assert kind.sequences("checkpoint") == [1, 2]
    assert loaded_again(kind, store).checkpoint == b"state 2"


def test_a_damaged_checkpoint_costs_a_longer_replay(kind: StoreKind) -> None:
    """The older one and the rows since make the same state; its executions come by the rows."""
    store = begun(kind, 5)
    checkpoint(store, 2)
    checkpoint(store, 4)
    kind.damage("checkpoint", 4)

    assert loaded_again(kind, store) == Loaded(
        START_NS,
        2,
        b"state 2",
        (b"executions 2",),
        (row(3), row(4), row(5)),
        damaged_checkpoints=1,
    )


def test_a_checkpoint_after_a_damaged_one_leaves_a_whole_one(kind: StoreKind) -> None:
    """The damaged one is never the older one of two."""
    store = begun(kind, 5)
    checkpoint(store, 2)
    checkpoint(store, 4)
    kind.damage("checkpoint", 4)
    store.close()
    store = kind.opened()
    store.load()
    checkpoint(store, 5)

    assert kind.sequences("checkpoint") == [2, 5]
    assert kind.sequences("executions") == [2, 5]
    assert kind.sequences("log") == [3, 4, 5]
    kind.damage("checkpoint", 5)
    assert loaded_again(kind, store).checkpoint == b"state 2"


def test_the_first_checkpoint_may_be_damaged(kind: StoreKind) -> None:
    """All rows since the start are there still."""
    store = begun(kind, 3)
    checkpoint(store, 2)
    kind.damage("checkpoint", 2)

    loaded = loaded_again(kind, store)

    assert (loaded.checkpoint, loaded.rows) == (None, (row(1), row(2), row(3)))
    assert loaded.damaged_checkpoints == 1


def test_without_any_whole_checkpoint_a_state_is_lost(kind: StoreKind) -> None:
    """That is said, and a new one can begin at once."""
    store = begun(kind, 5)
    checkpoint(store, 2)
    checkpoint(store, 4)
    kind.damage("checkpoint", 2)
    kind.damage("checkpoint", 4)
    store.close()
    store = kind.opened()

    assert store.load() == Loaded(was_lost=True)
    store.begin(START_NS + 1)
    store.append(row(1))
    checkpoint(store, 1)

    assert loaded_again(kind, store) == Loaded(START_NS + 1, 1, b"state 1", (b"executions 1",))


@pytest.mark.parametrize("sequence", [2, 3, 4])
@pytest.mark.parametrize("how", ["damage", "remove"])
def test_a_damaged_row_is_counted(kind: StoreKind, sequence: int, how: str) -> None:
    """The others count; a missing one is seen by its number, unless it is the last."""
    store = begun(kind, 4)
    checkpoint(store, 1)
    getattr(kind, how)("log", sequence)
    was_last = (how, sequence) == ("remove", 4)

    loaded = loaded_again(kind, store)

    assert loaded.rows == tuple(row(other) for other in (2, 3, 4) if other != sequence)
    assert loaded.damaged_rows == (0 if was_last else 1)
    assert loaded.last_sequence == (3 if was_last else 4)


def test_a_damaged_chunk_is_counted(kind: StoreKind) -> None:
    """Positions are in the checkpoint; only late corrections miss what was in it."""
    store = begun(kind, 2)
    checkpoint(store, 1)
    checkpoint(store, 2)
    kind.damage("executions", 1)

    loaded = loaded_again(kind, store)

    assert (loaded.chunks, loaded.damaged_chunks) == ((b"executions 2",), 1)


def test_executions_go_when_neither_checkpoint_needs_them(kind: StoreKind) -> None:
    """A chunk is as old as its newest execution; the older checkpoint may need it still."""
    store = begun(kind, 5)
    checkpoint(store, 1, newest_ns=100)
    checkpoint(store, 2, newest_ns=200, drop_ns=150)
    assert loaded_again(kind, store).chunks == (b"executions 2",)
    store = kind.opened()
    store.load()
    assert kind.sequences("executions") == [1, 2]

    checkpoint(store, 3, newest_ns=2**70, drop_ns=210)
    assert kind.sequences("executions") == [2, 3]
    checkpoint(store, 4, newest_ns=300, drop_ns=2**69)
    assert kind.sequences("executions") == [3, 4]
    checkpoint(store, 5, newest_ns=300, drop_ns=2**69)

    assert kind.sequences("executions") == [3, 4, 5]
    assert loaded_again(kind, store).chunks == (b"executions 3", b"executions 5")


def test_a_checkpoint_always_has_its_own_executions(kind: StoreKind) -> None:
    """Old ones that are handed in with it belong to what it holds."""
    store = begun(kind, 2)
    checkpoint(store, 1, newest_ns=1, drop_ns=500)
    checkpoint(store, 2, newest_ns=1, drop_ns=500)
    kind.damage("checkpoint", 2)

    assert loaded_again(kind, store).chunks == (b"executions 1",)


def test_the_older_checkpoint_can_be_asked_for(kind: StoreKind) -> None:
    """With the rows up to the newest, and after: so a replay can be compared with that."""
    store = begun(kind, 5)
    checkpoint(store, 2)
    checkpoint(store, 4)

    older = store.load(before_sequence=4)

    assert older == Loaded(START_NS, 2, b"state 2", (b"executions 2",), (row(3), row(4), row(5)))
    store.append(row(6))
    assert loaded_again(kind, store).last_sequence == 6


def test_beginning_anew_forgets_all(kind: StoreKind) -> None:
    """Nothing of the old state is left under the new start time."""
    store = begun(kind, 3)
    checkpoint(store, 2)
    store.begin(START_NS + 5)
    store.append(row(1))

    assert loaded_again(kind, store) == Loaded(START_NS + 5, rows=(row(1),))


def test_each_worker_has_its_own_state(kind: StoreKind) -> None:
    """Side by side in one place, and at the same time."""
    first = begun(kind, 2)
    second = kind.opened(1)
    assert second.load() == Loaded()
    second.begin(START_NS + 1)
    append(second, 1, 3)
    checkpoint(second, 3)
    append(first, 3, 3)

    assert first.load().last_sequence == 3
    assert second.load() == Loaded(START_NS + 1, 3, b"state 3", (b"executions 3",))
    first.close()
    second.close()


def test_a_row_out_of_turn_is_a_bug(kind: StoreKind) -> None:
    """It is refused before anything is written; so is one before loading."""
    store = begun(kind, 2)
    for sequence in (2, 4):
        with pytest.raises(ValueError, match="does not follow"):
            store.append(row(sequence))
    with pytest.raises(ValueError, match="no checkpoint 3"):
        checkpoint(store, 3)

    assert loaded_again(kind, store).rows == (row(1), row(2))


@pytest.mark.pure
def test_what_is_too_large_is_refused(kind: StoreKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its reason; the state stays as it was, and goes on."""
    store = begun(kind, 1)
    monkeypatch.setattr("tapeline.signals.store.MAX_PIECE_BYTES", 20)
    with pytest.raises(StoreError) as caught:
        store.append(LogRow(2, 0, 0, b"x" * 21))

    assert caught.value.reason is StoreFault.TOO_LARGE
    store.append(row(2))
    assert loaded_again(kind, store).rows == (row(1), row(2))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_a_second_process_is_refused(kind: StoreKind) -> None:
    """It does not wait, and the first one goes on; when that has ended, it is let in."""
    first, second = begun(kind, 1), kind.opened()

    with pytest.raises(StoreError, match="in use by another process") as caught:
        second.load()

    assert caught.value.reason is StoreFault.IN_USE
    first.append(row(2))
    first.close()
    assert second.load().last_sequence == 2
    second.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_who_only_reads_needs_no_lock(kind: StoreKind) -> None:
    """`tapeline signals show` works beside the gate, and changes nothing."""
    with pytest.raises(StoreError) as caught:
        kind.opened(is_read_only=True).load()
    assert caught.value.reason is StoreFault.ABSENT

    store, reader = begun(kind, 3), kind.opened(is_read_only=True)
    checkpoint(store, 2)
    assert reader.load().rows == (row(3),)
    store.append(row(4))
    assert reader.load().rows == (row(3), row(4))
    with pytest.raises(StoreError):
        reader.append(row(5))
    with pytest.raises(StoreError):
        reader.begin(START_NS)
    reader.close()

    store.append(row(5))
    assert loaded_again(kind, store).last_sequence == 5


def test_the_size_grows_with_what_is_in_it(kind: StoreKind) -> None:
    """It is what a metric shows, so that a growing state is seen."""
    store = begun(kind, 1)
    before = store.size_bytes()
    store.append(LogRow(2, 0, 0, b"x" * 1_000_000))
    checkpoint(store, 2)

    assert store.size_bytes() > before + 900_000
    store.close()


STEPS = st.lists(
    st.sampled_from(["append", "append", "append", "checkpoint", "reopen", "damage"]), max_size=30
)


def run_steps(kind: StoreKind, steps: list[str]) -> None:
    """Do what was drawn; after each start compare with a plain list of all that was appended.

    The state of this engine is how many rows it has seen. Of two checkpoints at most the newest is
    damaged, and none while there is only one that is whole.
    """
    store = begun(kind)
    count, archived, whole = 0, 0, 0
    for step in [*steps, "reopen"]:
        if step == "append":
            count += 1
            store.append(row(count))
        elif step == "checkpoint":
            executions = b",".join(b"%d" % number for number in range(archived + 1, count + 1))
            store.checkpoint(count, b"%d" % count, executions, count, 0)
            whole += count > archived
            archived = max(archived, count)
        elif step == "damage" and whole >= 2:
            kind.damage("checkpoint", kind.sequences("checkpoint")[-1])
            whole = 1
            store, archived = reopened(kind, store, count)
        elif step == "reopen":
            store, archived = reopened(kind, store, count)
    store.close()


def reopened(kind: StoreKind, store: Store, count: int) -> tuple[Store, int]:
    """Load again, compare, and return the store and the last row of the archive."""
    store.close()
    store = kind.opened()
    loaded = store.load()
    base = int(loaded.checkpoint or b"0")
    assert base == loaded.checkpoint_sequence
    numbers = [int(each) for chunk in loaded.chunks for each in chunk.split(b",")]
    assert numbers == list(range(1, base + 1))
    assert loaded.rows == tuple(map(row, range(base + 1, count + 1)))
    assert loaded.damaged_rows == loaded.damaged_chunks == 0
    return store, base


@given(steps=STEPS)
def test_any_sequence_of_steps_keeps_every_row_once(steps: list[str]) -> None:
    """Nothing is missing and nothing is twice, in checkpoint, chunks and rows together."""
    run_steps(MemoryKind(), steps)


@settings(max_examples=25)
@given(steps=STEPS)
def test_a_file_keeps_every_row_once(steps: list[str]) -> None:
    """As above, on a disk."""
    with TemporaryDirectory() as folder:
        run_steps(SqliteKind(Path(folder) / "signals.db"), steps)


def test_tables_keep_every_row_once(postgresql: PostgresqlServer) -> None:
    """As above, for a fixed sequence with much damage, in PostgreSQL."""
    steps = ["append", "checkpoint"] * 5 + ["damage", "append", "checkpoint", "append"] * 3
    run_steps(PostgresqlKind(postgresql), steps)
