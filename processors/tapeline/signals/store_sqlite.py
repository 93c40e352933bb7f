"""The state in a SQLite file: write-ahead log, synchronous FULL, one process at a time.

A commit is on the disk when `append` returns (as far as the disk tells the truth). A file that is
damaged is set aside and never written again; one that is not ours is left alone.
"""

import contextlib
import itertools
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tapeline.pipeline.kept_files import FileLock, beside
from tapeline.signals.state_file import create_file, fault_of, require_regular, set_aside
from tapeline.signals.store import (
    Loaded,
    LogRow,
    Progress,
    Sealed,
    StoreError,
    StoreFault,
    put_together,
    sealed_checkpoint,
    sealed_chunk,
    sealed_row,
)

__all__ = ["APPLICATION_ID", "VERSION", "SqliteStore"]

logger = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x54504C53
"""`TPLS` in the header of the file."""
VERSION: Final = 1
"""Of the tables below; in the header of the file, too."""
DEFAULT_BUSY_TIMEOUT_S: Final = 5.0
"""How long another process may keep a lock on the database, as a backup does."""

_MAX_JOURNAL_BYTES: Final = 64 * 1024 * 1024
_MAX_INTEGER: Final = 2**63 - 1
_CHECKPOINTS: Final = (
    "SELECT sequence, content FROM checkpoint WHERE sequence < ? ORDER BY sequence DESC"
)
_EXECUTIONS: Final = "SELECT sequence, content FROM executions ORDER BY sequence"
_LOG: Final = "SELECT sequence, content FROM log ORDER BY sequence"
_DROP_EXECUTIONS: Final = (
    "DELETE FROM executions"
    " WHERE (sequence < ? AND newest_time_ns < ?) OR (sequence > ? AND sequence < ?)"
)
_EXECUTIONS_TABLE: Final = (
    "CREATE TABLE executions (sequence INTEGER PRIMARY KEY, newest_time_ns INTEGER NOT NULL,"
    " content BLOB NOT NULL)"
)
_TABLES: Final = (
    "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 0), start_time_ns INTEGER NOT NULL)",
    "CREATE TABLE log (sequence INTEGER PRIMARY KEY, content BLOB NOT NULL)",
    "CREATE TABLE checkpoint (sequence INTEGER PRIMARY KEY, content BLOB NOT NULL)",
    _EXECUTIONS_TABLE,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
_FAULTS: Final = {
    sqlite3.SQLITE_BUSY: StoreFault.LOCKED,
    sqlite3.SQLITE_LOCKED: StoreFault.LOCKED,
    sqlite3.SQLITE_FULL: StoreFault.FULL,
    sqlite3.SQLITE_READONLY: StoreFault.READ_ONLY,
    sqlite3.SQLITE_PERM: StoreFault.NOT_PERMITTED,
    sqlite3.SQLITE_CANTOPEN: StoreFault.NOT_PERMITTED,
    sqlite3.SQLITE_AUTH: StoreFault.NOT_PERMITTED,
    sqlite3.SQLITE_CORRUPT: StoreFault.DAMAGED,
    sqlite3.SQLITE_NOTADB: StoreFault.DAMAGED,
    sqlite3.SQLITE_TOOBIG: StoreFault.TOO_LARGE,
    sqlite3.SQLITE_IOERR: StoreFault.INPUT_OUTPUT,
}
_ADVICE: Final = {
    StoreFault.LOCKED: "another process keeps a lock on it; end that process",
    StoreFault.FULL: "the disk is full; make room",
    StoreFault.READ_ONLY: "it is read-only; make it writable, and its folder",
    StoreFault.NOT_PERMITTED: "it can't be opened; look at the rights of it and of its folder",
    StoreFault.DAMAGED: "it is damaged; it will be set aside at the next start",
    StoreFault.INPUT_OUTPUT: "the disk refuses to read or write it; look at the disk and at limits",
}


class SqliteStore:
    """One worker's file, with `-wal` and `-shm` of SQLite's and a `.lock` of ours beside it."""

    is_durable = True

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float = DEFAULT_BUSY_TIMEOUT_S,
        is_read_only: bool = False,
    ) -> None:
        """Touch nothing yet. Read-only needs no lock: who writes goes on meanwhile."""
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._is_read_only = is_read_only
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        self._database: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._progress = Progress()

    def load(self, before_sequence: int | None = None) -> Loaded:
        """Open the file, set it aside where it is damaged, and return what is in it."""
        try:
            with self._told():
                return self._loaded_or_anew(before_sequence)
        except StoreError:
            if before_sequence is None:
                self.close()
            raise

    def begin(self, start_time_ns: int) -> None:
        """Empty the file, and begin."""
        with self._told(), self._transaction() as database:
            for table in ("state", "log", "checkpoint", "executions"):
                database.execute(f"DELETE FROM {table}")  # noqa: S608 - the names stand above
            database.execute("INSERT INTO state VALUES (0, ?)", (start_time_ns,))
        self._progress = Progress(is_loaded=True)

    def append(self, row: LogRow) -> None:
        """Commit a row."""
        self._progress.expect(row)
        content = sealed_row(row)
        with self._told():
            self._require_file()
            # A statement of its own is a transaction of its own.
            self._opened().execute(
                "INSERT OR REPLACE INTO log VALUES (?, ?)", (row.sequence, content)
            )
        self._progress.last_sequence = row.sequence

    def checkpoint(
        self,
        sequence: int,
        body: bytes,
        executions: bytes,
        newest_time_ns: int,
        drop_before_ns: int,
    ) -> None:
        """Commit a checkpoint, and drop what is older than the one before it."""
        progress = self._progress
        if not progress.is_new(sequence):
            return
        older, older_drop_ns = progress.base_sequence, progress.base_drop_ns
        state = sealed_checkpoint(sequence, drop_before_ns, body)
        chunk = (
            sequence,
            _bounded(newest_time_ns),
            sealed_chunk(sequence, newest_time_ns, executions),
        )
        with self._told(), self._transaction() as database:
            self._require_file()
            database.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?)", (sequence, state))
            database.execute("INSERT OR REPLACE INTO executions VALUES (?, ?, ?)", chunk)
            database.execute(
                "DELETE FROM checkpoint WHERE sequence NOT IN (?, ?)", (older, sequence)
            )
            database.execute(_DROP_EXECUTIONS, (older, _bounded(older_drop_ns), older, sequence))
            database.execute("DELETE FROM log WHERE sequence <= ?", (older,))
        progress.base_sequence, progress.base_drop_ns = sequence, drop_before_ns

    def size_bytes(self) -> int:
        """Return the size of the file and of its log; 0 where neither is there."""
        sizes = 0
        for path in (self._path, beside(self._path, "-wal")):
            with contextlib.suppress(OSError):
                sizes += path.stat().st_size
        return sizes

    def close(self) -> None:
        """Close the file, and let another process have it."""
        database, self._database = self._database, None
        self._progress = Progress()
        if database is not None:
            with contextlib.suppress(sqlite3.Error):  # All that was committed is on the disk.
                database.close()
        self._lock.release()

    def _loaded_or_anew(self, before_sequence: int | None) -> Loaded:
        try:
            return self._load(before_sequence)
        except _DamagedError as error:
            why = str(error)
        except sqlite3.DatabaseError as error:
            if _code(error) not in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise
            why = str(error)
        if self._is_read_only or before_sequence is not None:
            raise StoreError(StoreFault.DAMAGED, f"{self._path} is damaged: {why}")
        self._set_aside(why)
        return self._load(None)._replace(was_lost=True)

    def _load(self, before_sequence: int | None) -> Loaded:
        if self._database is None:
            self._open()
        limit = _MAX_INTEGER if before_sequence is None else before_sequence
        with self._transaction() as database:
            begun = database.execute("SELECT start_time_ns FROM state").fetchone()
            found = None
            if begun is not None:
                found = put_together(
                    begun[0],
                    [Sealed(*row) for row in database.execute(_CHECKPOINTS, (limit,))],
                    itertools.starmap(Sealed, database.execute(_EXECUTIONS)),
                    itertools.starmap(Sealed, database.execute(_LOG)),
                )
        if begun is not None and found is None:
            raise _DamagedError("no checkpoint in it is whole")
        loaded, drop_ns = found or (Loaded(), 0)
        if before_sequence is None:
            self._progress.take(loaded, drop_ns)
        return loaded

    def _open(self) -> None:
        require_regular(self._path, beside(self._path, "-wal"), beside(self._path, "-shm"))
        if self._is_read_only:
            if not self._path.exists():
                raise StoreError(StoreFault.ABSENT, f"{self._path} is not there")
        else:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._lock.take():
                raise StoreError(
                    StoreFault.IN_USE,
                    f"{self._path} is in use by another process; give each one its own state",
                )
            create_file(self._path)
        self._database = self._connected()
        found = self._path.stat()
        self._identity = (found.st_dev, found.st_ino)
        self._check(self._database)

    def _connected(self) -> sqlite3.Connection:
        mode = "ro" if self._is_read_only else "rw"
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,  # Calls come one at a time, from any thread.
        )

    def _check(self, database: sqlite3.Connection) -> None:
        """Make sure that the file is ours, whole, and written as it must be."""
        (found_id,) = database.execute("PRAGMA application_id").fetchone()
        (found_version,) = database.execute("PRAGMA user_version").fetchone()
        (table_count,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        is_empty = not (found_id or found_version or table_count)
        if is_empty and self._is_read_only:
            raise StoreError(StoreFault.ABSENT, f"{self._path} holds no state yet")
        if not is_empty and found_id != APPLICATION_ID:
            raise StoreError(
                StoreFault.NOT_OURS,
                f"{self._path} is another program's database; name another file",
            )
        if not is_empty and found_version != VERSION:
            raise StoreError(
                StoreFault.OTHER_VERSION,
                f"{self._path} has version {found_version}, and this build knows {VERSION}: use the"
                " build that wrote it, or move the file away to begin anew",
            )
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise _DamagedError(f"SQLite's check says: {str(verdict)[:200]}")
        if self._is_read_only:
            return
        (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(
                StoreFault.OTHER, f"{self._path} can't have a write-ahead log; use a local disk"
            )
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA journal_size_limit = {_MAX_JOURNAL_BYTES}")
        # A file that can only be read is found out by writing: SQLite opens it without a word.
        statements = _TABLES if is_empty else (f"PRAGMA user_version = {VERSION}",)
        with self._transaction():
            for statement in statements:
                database.execute(statement)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._opened()
        database.execute("BEGIN" if self._is_read_only else "BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # The first error is the one to tell.
                    database.execute("ROLLBACK")

    def _require_file(self) -> None:
        """Raise StoreError where the file was removed: SQLite would write on, and all be lost."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise StoreError(
                StoreFault.ABSENT,
                f"{self._path} was removed or replaced while it was in use; start again to begin"
                " with what is there",
            )

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise ValueError("the store was not loaded")
        return self._database

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn errors of SQLite and of the file system into StoreError."""
        try:
            yield
        except sqlite3.Error as error:
            fault = _FAULTS.get(_code(error), StoreFault.OTHER)
            advice = _ADVICE.get(fault, "SQLite refuses")
            raise StoreError(fault, f"{self._path}: {advice} ({error})") from error
        except OSError as error:
            raise StoreError(fault_of(error), f"{self._path}: {error.strerror or error}") from error

    def _set_aside(self, why: str) -> None:
        """Move a damaged file away; the lock stays ours."""
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):  # It is damaged: nothing more is expected.
                database.close()
        place = set_aside(self._path)
        logger.error(
            "the state %s is not restored: %s; it was set aside as %s. Positions, P&L and counters"
            " begin anew, with a new start time",
            self._path,
            why,
            place.name,
        )


class _DamagedError(Exception):
    """The file is ours, and can't be used."""


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code; 0 where the error is not SQLite's own."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _bounded(time_ns: int) -> int:
    """Return a time that a column holds: times beyond are only compared, and compare alike."""
    return max(-_MAX_INTEGER, min(time_ns, _MAX_INTEGER))
