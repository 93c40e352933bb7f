"""The state in PostgreSQL: one set of tables a schema, rows by worker, one writer a worker.

A session lock keeps a second process out. A token in the state's own row is the fence behind it:
each reconnection writes a new one, and what a lost session still had under way finds another.
"""

import contextlib
from collections.abc import Callable, Iterator
from secrets import token_hex
from time import monotonic
from typing import Final, TypeVar

import psycopg

from tapeline.signals.postgresql_connection import (
    BoundedConnection,
    connect,
    parameters_of,
    statement_error,
)
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

__all__ = ["VERSION", "PostgresqlStore"]

VERSION: Final = 1
"""Of the tables below."""
DEFAULT_ANSWER_TIMEOUT_S: Final = 5.0
"""For one row; a checkpoint, and reading all of a state, may take LONG_FACTOR times that."""
LONG_FACTOR: Final = 12
_FIRST_PAUSE_S: Final = 0.25
_MAX_PAUSE_S: Final = 5.0
"""Between attempts to connect; a batch that comes meanwhile is refused at once."""
_MAX_INTEGER: Final = 2**63 - 1

_TABLES: Final = """
CREATE TABLE tapeline_signals_layout (version integer PRIMARY KEY);
CREATE TABLE tapeline_signals_state (
    worker integer PRIMARY KEY, start_time_ns bigint NOT NULL, owner text NOT NULL);
CREATE TABLE tapeline_signals_log (
    worker integer, sequence bigint, content bytea NOT NULL, PRIMARY KEY (worker, sequence));
CREATE TABLE tapeline_signals_checkpoint (
    worker integer, sequence bigint, content bytea NOT NULL, PRIMARY KEY (worker, sequence));
CREATE TABLE tapeline_signals_executions (
    worker integer, sequence bigint, newest_time_ns bigint NOT NULL, content bytea NOT NULL,
    PRIMARY KEY (worker, sequence));
ALTER TABLE tapeline_signals_log ALTER content SET STORAGE EXTERNAL;
ALTER TABLE tapeline_signals_checkpoint ALTER content SET STORAGE EXTERNAL;
ALTER TABLE tapeline_signals_executions ALTER content SET STORAGE EXTERNAL;
"""
# A server may be set up to answer before a commit is on its disk; this session never is.
_SESSION: Final = """
SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('tapeline.signals.' || current_schema()), %s)"
_LAYOUT_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('tapeline.signals.layout'), 0)"
_APPEND: Final = """
INSERT INTO tapeline_signals_log
    SELECT worker, %s, %b FROM tapeline_signals_state WHERE worker = %s AND owner = %s
ON CONFLICT (worker, sequence) DO UPDATE SET content = EXCLUDED.content
"""
_CHECKPOINT: Final = """
INSERT INTO tapeline_signals_checkpoint VALUES (%s, %s, %b)
ON CONFLICT (worker, sequence) DO UPDATE SET content = EXCLUDED.content
"""
_CHUNK: Final = """
INSERT INTO tapeline_signals_executions VALUES (%s, %s, %s, %b)
ON CONFLICT (worker, sequence)
DO UPDATE SET content = EXCLUDED.content, newest_time_ns = EXCLUDED.newest_time_ns
"""
_SIZE: Final = """
SELECT sum(pg_total_relation_size(format('tapeline_signals_%s', name)::regclass))::bigint
FROM unnest(ARRAY['log', 'checkpoint', 'executions']) AS name
"""

ResultT = TypeVar("ResultT")


class PostgresqlStore:
    """One worker's rows. Connects when it is loaded, and again when the connection was lost."""

    is_durable = True

    def __init__(
        self,
        url: str,
        worker: int,
        where: str,
        *,
        answer_timeout_s: float = DEFAULT_ANSWER_TIMEOUT_S,
        is_read_only: bool = False,
    ) -> None:
        """Connect to nothing yet. `where` is the URL as it may be shown."""
        self._parameters = parameters_of(url)
        self._worker = worker
        self._where = where
        self._answer_timeout_s = answer_timeout_s
        self._is_read_only = is_read_only
        self._connection: BoundedConnection | None = None
        self._owner = ""
        self._progress = Progress()
        self._has_begun = False
        self._pause_s = 0.0
        self._not_before_s = 0.0
        self._size_bytes = 0

    def load(self, before_sequence: int | None = None) -> Loaded:
        """Connect, and return what is there."""
        try:
            loaded, drop_ns = self._run(lambda connection: self._load(connection, before_sequence))
        except StoreError:
            if before_sequence is None:
                self.close()
            raise
        if before_sequence is None:
            self._progress.take(loaded, drop_ns)
            self._has_begun = loaded.start_time_ns is not None
        return loaded

    def begin(self, start_time_ns: int) -> None:
        """Delete this worker's rows, and begin."""

        def work(connection: BoundedConnection) -> None:
            with self._transaction(connection):
                for table in ("log", "checkpoint", "executions", "state"):
                    connection.execute(
                        f"DELETE FROM tapeline_signals_{table} WHERE worker = %s",  # noqa: S608 - the names stand above
                        (self._worker,),
                    )
                connection.execute(
                    "INSERT INTO tapeline_signals_state VALUES (%s, %s, %s)",
                    (self._worker, start_time_ns, self._owner),
                )

        self._run(work)
        self._progress = Progress(is_loaded=True)
        self._has_begun = True

    def append(self, row: LogRow) -> None:
        """Commit a row."""
        self._progress.expect(row)
        values = (row.sequence, sealed_row(row), self._worker)

        def work(connection: BoundedConnection) -> None:
            # A statement of its own is a transaction of its own.
            if connection.execute(_APPEND, (*values, self._owner)).rowcount != 1:
                raise self._taken_over()

        self._run(work)
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
        progress, worker = self._progress, self._worker
        if not progress.is_new(sequence):
            return
        older, older_drop_ns = progress.base_sequence, progress.base_drop_ns
        state = sealed_checkpoint(sequence, drop_before_ns, body)
        chunk = sealed_chunk(sequence, newest_time_ns, executions)

        def work(connection: BoundedConnection) -> None:
            with self._transaction(connection):
                self._hold_fence(connection)
                connection.execute(_CHECKPOINT, (worker, sequence, state))
                connection.execute(_CHUNK, (worker, sequence, _bounded(newest_time_ns), chunk))
                connection.execute(
                    "DELETE FROM tapeline_signals_checkpoint"
                    " WHERE worker = %s AND sequence NOT IN (%s, %s)",
                    (worker, older, sequence),
                )
                connection.execute(
                    "DELETE FROM tapeline_signals_executions WHERE worker = %s"
                    " AND ((sequence < %s AND newest_time_ns < %s)"
                    " OR (sequence > %s AND sequence < %s))",
                    (worker, older, _bounded(older_drop_ns), older, sequence),
                )
                connection.execute(
                    "DELETE FROM tapeline_signals_log WHERE worker = %s AND sequence <= %s",
                    (worker, older),
                )
            (self._size_bytes,) = connection.execute(_SIZE).fetchone() or (0,)

        self._run(work)
        progress.base_sequence, progress.base_drop_ns = sequence, drop_before_ns

    def size_bytes(self) -> int:
        """Return the size of all workers' tables as of the last checkpoint, or of the start."""
        return self._size_bytes

    def close(self) -> None:
        """End the connection, and with it the lock."""
        self._disconnect()
        self._progress = Progress()
        self._has_begun = False
        self._owner = ""

    def _load(
        self, connection: BoundedConnection, before_sequence: int | None
    ) -> tuple[Loaded, int]:
        worker = self._worker
        limit = _MAX_INTEGER if before_sequence is None else before_sequence
        with self._transaction(connection, "ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            begun = connection.execute(
                "SELECT start_time_ns FROM tapeline_signals_state WHERE worker = %s", (worker,)
            ).fetchone()
            checkpoints, chunks, rows = (
                _pieces(connection, table, worker, limit if table == "checkpoint" else _MAX_INTEGER)
                for table in ("checkpoint", "executions", "log")
            )
            (self._size_bytes,) = connection.execute(_SIZE).fetchone() or (0,)
        if begun is None:
            return Loaded(), 0
        found = put_together(begun[0], checkpoints[::-1], chunks, rows)
        if found is None:
            # There is no file to set aside: `begin` deletes the rows.
            if self._is_read_only or before_sequence is not None:
                raise StoreError(StoreFault.DAMAGED, f"{self._where}: no checkpoint is whole")
            return Loaded(was_lost=True), 0
        return found

    def _run(self, work: Callable[[BoundedConnection], ResultT]) -> ResultT:
        """Do work that may be done twice; once more where the connection turns out to be lost."""
        problem = self._attempt(work)
        if isinstance(problem, _Lost):
            problem = self._attempt(work)
        if isinstance(problem, _Lost):
            raise problem.error
        return problem

    def _attempt(self, work: Callable[[BoundedConnection], ResultT]) -> "ResultT | _Lost":
        connection = self._connected()
        try:
            return work(connection)
        except psycopg.Error as error:
            told = statement_error(error, self._where)
            was_closed = connection.closed
        if not was_closed and told.reason is not StoreFault.TIMEOUT:
            raise told
        self._disconnect()
        if told.reason is StoreFault.TIMEOUT:
            raise told
        return _Lost(told)

    def _connected(self) -> BoundedConnection:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        now_s = monotonic()
        if now_s < self._not_before_s:
            raise StoreError(
                StoreFault.UNREACHABLE,
                f"{self._where} could not be reached lately; it is tried again in"
                f" {self._not_before_s - now_s:.1f} s",
            )
        try:
            connection = self._connection = connect(self._parameters, self._where)
            self._set_up(connection)
        except psycopg.Error as error:
            told = statement_error(error, self._where)
        except StoreError as error:
            told = error
        else:
            self._pause_s = 0.0
            return connection
        self._disconnect()
        if told.reason in {StoreFault.UNREACHABLE, StoreFault.TIMEOUT}:
            # Each batch would wait for the same silence; what is answered takes no time.
            self._pause_s = min(_MAX_PAUSE_S, 2 * self._pause_s or _FIRST_PAUSE_S)
            self._not_before_s = monotonic() + self._pause_s
        raise told

    def _set_up(self, connection: BoundedConnection) -> None:
        """Make a new session safe, and ours."""
        connection.limit_s = self._answer_timeout_s + 1  # The server's own limit comes first.
        limit_ms = f"{self._answer_timeout_s * 1000:.0f}"
        connection.execute(_SESSION, (limit_ms, limit_ms))
        self._check_layout(connection)
        if self._is_read_only:
            connection.execute("SET default_transaction_read_only = on")
            return
        (is_ours,) = connection.execute(_LOCK, (self._worker,)).fetchone() or (False,)
        if not is_ours:
            raise StoreError(
                StoreFault.IN_USE,
                f"{self._where}: worker {self._worker} of this state is in use by another process,"
                " or by a connection of ours that was lost and has not ended yet; give each process"
                " a schema of its own",
            )
        before, self._owner = self._owner, token_hex(16)
        taken = connection.execute(
            "UPDATE tapeline_signals_state SET owner = %s WHERE worker = %s AND owner = %s",
            (self._owner, self._worker, before),
        )
        if self._has_begun and taken.rowcount == 0:
            raise self._taken_over()
        if not self._has_begun:
            connection.execute(
                "UPDATE tapeline_signals_state SET owner = %s WHERE worker = %s",
                (self._owner, self._worker),
            )

    def _check_layout(self, connection: BoundedConnection) -> None:
        """Make the tables where there are none; raises StoreError where they are others."""
        version = _version(connection)
        if version is None and self._is_read_only:
            raise StoreError(StoreFault.ABSENT, f"{self._where} holds no state yet")
        if version is None:
            with self._transaction(connection):
                connection.execute(_LAYOUT_LOCK)
                version = _version(connection)
                if version is None:
                    connection.execute(_TABLES)
                    connection.execute(
                        "INSERT INTO tapeline_signals_layout VALUES (%s)", (VERSION,)
                    )
                    version = VERSION
        if version != VERSION:
            raise StoreError(
                StoreFault.OTHER_VERSION,
                f"{self._where} has tables of version {version}, and this build knows {VERSION}:"
                " use the build that wrote them, or name another schema to begin anew",
            )

    def _hold_fence(self, connection: BoundedConnection) -> None:
        held = connection.execute(
            "SELECT FROM tapeline_signals_state WHERE worker = %s AND owner = %s FOR UPDATE",
            (self._worker, self._owner),
        )
        if held.rowcount != 1:
            raise self._taken_over()

    def _taken_over(self) -> StoreError:
        return StoreError(
            StoreFault.IN_USE,
            f"{self._where}: another process has taken over worker {self._worker} of this state, or"
            " its rows were deleted; start again to read what is there now",
        )

    @contextlib.contextmanager
    def _transaction(self, connection: BoundedConnection, mode: str = "") -> Iterator[None]:
        """Commit what happens within, which may take long; or nothing of it."""
        limit_s = connection.limit_s
        long_s = self._answer_timeout_s * LONG_FACTOR
        connection.execute(f"BEGIN {mode}")
        try:
            connection.limit_s = long_s + 1
            connection.execute(f"SET LOCAL statement_timeout = {long_s * 1000:.0f}")
            yield
            connection.execute("COMMIT")
        except BaseException:
            connection.limit_s = limit_s
            with contextlib.suppress(psycopg.Error):  # The first error is the one to tell.
                connection.execute("ROLLBACK")
            raise
        finally:
            connection.limit_s = limit_s

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):  # It may be lost already.
                connection.close()


class _Lost:
    """The connection was lost under work, which may have been done or not."""

    def __init__(self, error: StoreError) -> None:
        self.error = error


def _version(connection: BoundedConnection) -> int | None:
    found = connection.execute("SELECT to_regclass('tapeline_signals_layout')").fetchone()
    if found is None or found[0] is None:
        return None
    found = connection.execute("SELECT max(version) FROM tapeline_signals_layout").fetchone()
    version: int | None = None if found is None else found[0]
    return version


def _pieces(
    connection: BoundedConnection, table: str, worker: int, before_sequence: int
) -> list[Sealed]:
    found = connection.execute(
        f"SELECT sequence, content FROM tapeline_signals_{table}"  # noqa: S608 - a table from above
        " WHERE worker = %s AND sequence < %s ORDER BY sequence",
        (worker, before_sequence),
        binary=True,
    )
    return [Sealed(*row) for row in found]


def _bounded(time_ns: int) -> int:
    """Return a time that a column holds: times beyond are only compared, and compare alike."""
    return max(-_MAX_INTEGER, min(time_ns, _MAX_INTEGER))
