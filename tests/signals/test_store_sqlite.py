"""The file of a state where things go wrong: a reason each time, no wait without end, no loss."""

import contextlib
import logging
import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tapeline.pipeline.kept_files import MAX_SET_ASIDE
from tapeline.signals.store import Loaded, LogRow, StoreError, StoreFault
from tapeline.signals.store_sqlite import APPLICATION_ID, VERSION, SqliteStore

NOBODY = 65534
BUSY_TIMEOUT_S = 0.2
MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path in a folder that is not there yet."""
    return tmp_path / "state" / "signals.db"


def row(sequence: int, size_bytes: int = 10) -> LogRow:
    """Return a row of that size."""
    return LogRow(sequence, sequence, 0, bytes((sequence % 256,)) * size_bytes)


def begun(path: Path, row_count: int = 0) -> SqliteStore:
    """Return a store with a new state and as many rows, which waits for others but briefly."""
    store = SqliteStore(path, busy_timeout_s=BUSY_TIMEOUT_S)
    store.load()
    store.begin(1)
    for sequence in range(1, row_count + 1):
        store.append(row(sequence))
    return store


def loaded(path: Path) -> Loaded:
    """Return what is there, and let go of it."""
    store = SqliteStore(path, busy_timeout_s=BUSY_TIMEOUT_S)
    try:
        return store.load()
    finally:
        store.close()


def failed(path: Path) -> StoreFault:
    """Return why a state can't be opened."""
    with pytest.raises(StoreError, match=path.name) as caught:
        loaded(path)
    return caught.value.reason


def refused(store: SqliteStore, each: LogRow) -> StoreFault:
    """Return why a row is not taken."""
    with pytest.raises(StoreError) as caught:
        store.append(each)
    return caught.value.reason


@contextlib.contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a disk of one MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs to fill needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)  # noqa: S607 - found by PATH
    if mounted.returncode:
        pytest.skip(f"a tmpfs can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 - found by PATH


def test_a_full_disk_refuses_rows_until_there_is_room(small_disk: Path) -> None:
    """What was committed stays; the row that found no room is taken when there is some."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (MIB // 2))
    store = begun(small_disk / "signals.db", 1)
    big = row(2, MIB * 3 // 4)

    assert [refused(store, big) for _ in range(3)] == [StoreFault.FULL] * 3
    with pytest.raises(StoreError, match="disk is full"):
        store.checkpoint(1, b"x" * MIB, b"", 0, 0)
    ballast.unlink()
    store.append(row(2))
    store.checkpoint(2, b"state", b"", 0, 0)
    store.append(row(3))
    store.close()

    assert loaded(small_disk / "signals.db") == Loaded(1, 2, b"state", (b"",), (row(3),))


def test_a_disk_without_any_room_holds_no_new_state(small_disk: Path) -> None:
    """It is said at the start, and nothing is left half made: with room it begins."""
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(b"x" * 2 * MIB)

    assert failed(small_disk / "signals.db") is StoreFault.FULL
    ballast.unlink()
    assert loaded(small_disk / "signals.db") == Loaded()


def test_a_limit_of_file_sizes_refuses_rows(path: Path) -> None:
    """The kernel's own, RLIMIT_FSIZE, which is no full disk to SQLite."""
    store = begun(path, 1)
    with largest_file(path.with_name("signals.db-wal").stat().st_size + 1000):
        assert refused(store, row(2, MIB)) is StoreFault.INPUT_OUTPUT
        assert refused(store, row(2, MIB)) is StoreFault.INPUT_OUTPUT
    store.append(row(2, MIB))
    store.close()

    assert loaded(path).rows == (row(1), row(2, MIB))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user may look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Lose root's right to write everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_file_is_refused(open_folder: Path) -> None:
    """SQLite would open it, and only then find that it can't write."""
    path = open_folder / "signals.db"
    begun(path, 1).close()
    for each in open_folder.iterdir():
        each.chmod(0o666)
    path.chmod(0o444)
    open_folder.chmod(0o777)

    with as_nobody():
        assert failed(path) is StoreFault.READ_ONLY
    path.chmod(0o666)
    assert loaded(path).rows == (row(1),)


def test_a_read_only_folder_is_refused(open_folder: Path) -> None:
    """Neither the lock nor the log can be made."""
    begun(open_folder / "signals.db", 1).close()
    (open_folder / "signals.db.lock").unlink()
    open_folder.chmod(0o555)

    with as_nobody():
        assert failed(open_folder / "signals.db") is StoreFault.NOT_PERMITTED


def test_a_lock_of_another_program_is_waited_for_but_briefly(path: Path) -> None:
    """A shell with an open transaction costs batches, not the gate; then all goes on."""
    store = begun(path, 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        begun_s = time.monotonic()
        assert refused(store, row(2)) is StoreFault.LOCKED
        with pytest.raises(StoreError, match="end that process"):
            store.checkpoint(1, b"state", b"", 0, 0)
        waited_s = time.monotonic() - begun_s
        shell.execute("ROLLBACK")
    store.append(row(2))

    assert 2 * BUSY_TIMEOUT_S <= waited_s < 60
    store.close()
    assert loaded(path).rows == (row(1), row(2))


def test_an_exclusive_lock_is_told_at_the_start(path: Path) -> None:
    """By who keeps the whole file to itself."""
    begun(path, 1).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("PRAGMA locking_mode = EXCLUSIVE")
        shell.execute("BEGIN EXCLUSIVE")
        assert failed(path) is StoreFault.LOCKED
    assert loaded(path).rows == (row(1),)


def test_a_crashed_process_leaves_no_lock(path: Path) -> None:
    """The lock is the kernel's; its file stays, and means nothing."""
    begun(path, 1).close()
    assert path.with_name("signals.db.lock").exists()

    assert loaded(path).rows == (row(1),)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda content: b"no database" * (len(content) // 11),
    "garbage_inside": lambda content: content[:4096] + b"\xa5" * (len(content) - 4096),
    "a_header_alone": lambda content: content[:100],
    "half": lambda content: content[: len(content) // 2],
    "a_page_less": lambda content: content[:-4096],
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With one error; a new state begins at once, and the old file is kept as it was found."""
    store = begun(path)
    for sequence in range(1, 30):
        store.append(row(sequence, 10_000))
    store.close()
    damaged = DAMAGES[damage](path.read_bytes())
    path.write_bytes(damaged)

    assert loaded(path) == Loaded(was_lost=True)

    assert path.with_name("signals.db.damaged-1").read_bytes() == damaged
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "set aside as signals.db.damaged-1" in caplog.text
    begun(path, 2).close()
    assert loaded(path).rows == (row(1), row(2))


def test_damage_of_the_log_itself_loses_its_end_at_most(path: Path) -> None:
    """SQLite's own checksums end the log where it is torn, as a loss of power leaves it."""
    store = begun(path, 5)
    store.append(row(6, 20_000))
    copies = {name: path.with_name(name).read_bytes() for name in ("signals.db", "signals.db-wal")}
    store.close()
    torn = copies["signals.db-wal"][:-10_000]
    path.write_bytes(copies["signals.db"])
    path.with_name("signals.db-wal").write_bytes(torn)

    assert loaded(path).rows == tuple(row(sequence) for sequence in range(1, 6))


def test_the_log_restores_what_it_has(path: Path) -> None:
    """As long as SQLite never moved it into the file, the log alone is the state."""
    copied_beside_garbage(begun(path, 5), path)

    assert loaded(path).rows == tuple(row(sequence) for sequence in range(1, 6))


def test_the_log_of_a_damaged_file_is_not_read_into_a_new_one(path: Path) -> None:
    """It may hold rows that the file has not: SQLite moves them there, or it is set aside, too."""
    store = begun(path, 5)
    assert store._database is not None
    store._database.execute("PRAGMA wal_checkpoint(RESTART)")
    store.append(row(6))
    copied_beside_garbage(store, path)

    assert loaded(path) == Loaded(was_lost=True)
    assert loaded(path) == Loaded()
    begun(path, 1).close()
    assert loaded(path).rows == (row(1),)


def copied_beside_garbage(store: SqliteStore, path: Path) -> None:
    """Leave the log as a crash does, but garbage in the place of the file."""
    log = path.with_name("signals.db-wal").read_bytes()
    store.close()
    path.write_bytes(b"no database" * 1000)
    path.with_name("signals.db-wal").write_bytes(log)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_file_that_was_removed_under_us_takes_no_more(path: Path, *, is_replaced: bool) -> None:
    """SQLite would go on to write what nobody can ever read."""
    store = begun(path, 1)
    path.rename(path.with_name("moved.db"))
    if is_replaced:
        shutil.copy(path.with_name("moved.db"), path)

    assert refused(store, row(2)) is StoreFault.ABSENT
    with pytest.raises(StoreError, match="removed or replaced"):
        store.checkpoint(1, b"state", b"", 0, 0)
    store.close()


def test_only_so_many_damaged_files_are_kept(path: Path) -> None:
    """A disk that damages every file does not fill up with them."""
    begun(path).close()
    for number in range(MAX_SET_ASIDE + 2):
        path.write_bytes(b"damaged %d" % number * 100)
        assert loaded(path).was_lost

    kept = sorted(path.parent.glob("*.damaged-?"))
    assert len(kept) == MAX_SET_ASIDE
    assert kept[-1].read_bytes() == b"damaged %d" % (MAX_SET_ASIDE + 1) * 100


def test_a_damaged_file_is_not_touched_by_who_only_reads(path: Path) -> None:
    """It says so, and leaves it to the gate."""
    begun(path, 1).close()
    path.write_bytes(b"no database" * 1000)
    reader = SqliteStore(path, is_read_only=True)

    with pytest.raises(StoreError) as caught:
        reader.load()

    assert caught.value.reason is StoreFault.DAMAGED
    assert path.read_bytes() == b"no database" * 1000


def test_a_newer_version_is_left_alone(path: Path) -> None:
    """Going back to the newer build finds it as it was."""
    begun(path, 1).close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()

    assert failed(path) is StoreFault.OTHER_VERSION
    assert path.read_bytes() == before


@pytest.mark.parametrize("application_id", [0, APPLICATION_ID - 1])
def test_a_database_of_others_is_left_alone(path: Path, application_id: int) -> None:
    """A path that was mistyped costs nobody's data."""
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (name TEXT)")
        database.execute(f"PRAGMA application_id = {application_id}")
    before = path.read_bytes()

    assert failed(path) is StoreFault.NOT_OURS
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["signals.db", "signals.db-wal", "signals.db-shm"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused(path: Path, name: str, make: Callable[[Path], None]) -> None:
    """A FIFO, too, which would wait for a writer without end."""
    path.parent.mkdir()
    make(path.with_name(name))

    assert failed(path) is StoreFault.NOT_A_FILE


def test_a_lock_that_is_no_file_is_refused(path: Path) -> None:
    """A folder in its place."""
    path.with_name("signals.db.lock").mkdir(parents=True)

    assert failed(path) is StoreFault.NOT_A_FILE


def test_a_folder_that_is_a_file_is_refused(path: Path) -> None:
    """The path of the state goes through a file."""
    path.parent.write_text("")

    assert failed(path) is StoreFault.NOT_A_FILE


def test_what_fails_at_the_start_may_be_tried_again(path: Path) -> None:
    """A store keeps neither lock nor half of a state after an error."""
    path.mkdir(parents=True)
    store = SqliteStore(path, busy_timeout_s=BUSY_TIMEOUT_S)
    with pytest.raises(StoreError):
        store.load()
    path.rmdir()

    assert loaded(path) == Loaded()
    assert store.load() == Loaded()
    store.close()


def test_files_are_for_their_owner_alone(path: Path) -> None:
    """Under any umask: positions are in there."""
    before = os.umask(0)
    try:
        store = begun(path, 1)
        modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    store.close()

    assert set(modes) >= {"signals.db", "signals.db-wal", "signals.db-shm", "signals.db.lock"}
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_each_commit_is_on_the_disk(path: Path) -> None:
    """The settings that promise it are those of every connection, also of a file that was there."""
    begun(path).close()
    store = SqliteStore(path)
    store.load()
    assert store._database is not None
    settings = [
        store._database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    ]
    store.close()

    assert settings == ["wal", 2]
