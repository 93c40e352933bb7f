"""State in a real PostgreSQL that is stopped, killed, frozen, full of locks, or somebody else's."""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest

from postgresql_server import DATABASE, ROLE, PostgresqlServer
from store_kinds import PostgresqlKind
from tapeline.signals.opening import open_store, safe_url
from tapeline.signals.store import Loaded, LogRow, StoreError, StoreFault
from tapeline.signals.store_postgresql import VERSION, PostgresqlStore
from waiting import eventually

ANSWER_TIMEOUT_S = 0.5
NO_HANG_S = 60.0
"""Far above all timeouts here, far below what a hang is."""


@pytest.fixture
def place(postgresql: PostgresqlServer) -> Iterator[PostgresqlKind]:
    """Return a new schema; stores that are left open are closed."""
    place = PostgresqlKind(postgresql)
    yield place
    place.close()


def row(sequence: int, content: bytes = b"events") -> LogRow:
    """Return a row."""
    return LogRow(sequence, sequence, 0, content)


def impatient(url: str, worker: int = 0) -> PostgresqlStore:
    """Return a store that waits but briefly."""
    return PostgresqlStore(url, worker, safe_url(url), answer_timeout_s=ANSWER_TIMEOUT_S)


@pytest.fixture
def store(place: PostgresqlKind) -> Iterator[PostgresqlStore]:
    """Return a store with one row."""
    store = impatient(place.url)
    store.load()
    store.begin(1)
    store.append(row(1))
    yield store
    store.close()


def refused(store: PostgresqlStore, each: LogRow) -> StoreFault:
    """Return why a row is not taken."""
    with pytest.raises(StoreError) as caught:
        store.append(each)
    return caught.value.reason


def failed(url: str) -> StoreError:
    """Return why a state can't be opened."""
    store = impatient(url)
    with pytest.raises(StoreError) as caught:
        store.load()
    return caught.value


def rows(place: PostgresqlKind) -> tuple[LogRow, ...]:
    """Return what another process reads."""
    reader = place.opened(is_read_only=True)
    try:
        return reader.load().rows
    finally:
        reader.close()


def taken(store: PostgresqlStore, each: LogRow) -> bool:
    """Append a row, and say whether that worked."""
    try:
        store.append(each)
    except StoreError:
        return False
    return True


def backend(store: PostgresqlStore) -> int:
    """Return the process of the server that a store talks to."""
    assert store._connection is not None
    return store._connection.info.backend_pid


def test_a_lost_connection_is_made_anew(
    postgresql: PostgresqlServer, place: PostgresqlKind, store: PostgresqlStore
) -> None:
    """Within the same call, and the row is there once."""
    with postgresql.connected() as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", (backend(store),))
    store.append(row(2))

    assert rows(place) == (row(1), row(2))


def test_a_restarted_server_is_found_again(
    postgresql: PostgresqlServer, place: PostgresqlKind, store: PostgresqlStore
) -> None:
    """It crashes; batches are refused at once or soon; when it is back, all goes on."""
    postgresql.stop(at_once=True)
    try:
        begun_s = time.monotonic()
        reasons = {refused(store, row(2)) for _ in range(20)}
        waited_s = time.monotonic() - begun_s
    finally:
        postgresql.start()

    assert reasons == {StoreFault.UNREACHABLE}
    assert waited_s < NO_HANG_S
    eventually(lambda: taken(store, row(2)))
    store.append(row(3))
    assert rows(place) == (row(1), row(2), row(3))


def test_a_server_that_is_not_there_yet_is_tried_again(postgresql: PostgresqlServer) -> None:
    """Loading says so, and works later."""
    _, url = postgresql.schema()
    store = impatient(url)
    postgresql.stop()
    try:
        with pytest.raises(StoreError, match="can't be reached: nothing listens there") as caught:
            store.load()
        with pytest.raises(StoreError, match="could not be reached lately"):
            store.load()
    finally:
        postgresql.start()

    assert caught.value.reason is StoreFault.UNREACHABLE
    assert eventually(lambda: loads(store)) == Loaded()
    store.close()


def loads(store: PostgresqlStore) -> Loaded | None:
    """Return what is loaded, or None where that fails."""
    try:
        return store.load()
    except StoreError:
        return None


def test_a_frozen_server_is_not_waited_for(place: PostgresqlKind, store: PostgresqlStore) -> None:
    """Its kernel still takes what is sent, so only a limit of our own ends the wait."""
    frozen = backend(store)
    os.kill(frozen, signal.SIGSTOP)
    try:
        begun_s = time.monotonic()
        assert refused(store, row(2, b"frozen")) is StoreFault.TIMEOUT
        waited_s = time.monotonic() - begun_s
        # The old session still holds the lock: nothing is written that it might overwrite later.
        assert refused(store, row(2, b"later")) is StoreFault.IN_USE
    finally:
        os.kill(frozen, signal.SIGCONT)

    assert waited_s < NO_HANG_S
    eventually(lambda: taken(store, row(2, b"later")))
    assert rows(place) == (row(1), row(2, b"later"))


def test_a_lock_on_the_table_is_waited_for_but_briefly(
    place: PostgresqlKind, store: PostgresqlStore
) -> None:
    """A batch is refused; when the lock is gone, all goes on."""
    with psycopg.connect(place.url) as other:
        other.execute("LOCK TABLE tapeline_signals_log")
        begun_s = time.monotonic()
        assert refused(store, row(2)) in {StoreFault.LOCKED, StoreFault.TIMEOUT}
        assert time.monotonic() - begun_s < NO_HANG_S
        other.rollback()
    eventually(lambda: taken(store, row(2)))

    assert rows(place) == (row(1), row(2))


def test_a_commit_of_which_the_answer_was_lost_counts_once(
    place: PostgresqlKind, store: PostgresqlStore
) -> None:
    """The row is there, though its batch was refused: the next row takes its place."""
    with psycopg.connect(place.url) as other:
        other.execute(
            "INSERT INTO tapeline_signals_log"
            " SELECT worker, 2, content FROM tapeline_signals_log WHERE sequence = 1"
        )
    store.append(row(2, b"another batch"))
    store.append(row(3))

    assert rows(place) == (row(1), row(2, b"another batch"), row(3))


def test_who_was_taken_over_writes_nothing_more(
    postgresql: PostgresqlServer, place: PostgresqlKind, store: PostgresqlStore
) -> None:
    """Also where the lock did not keep the other one out, as behind a pool of connections."""
    with postgresql.connected() as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", (backend(store),))
    with contextlib.closing(place.opened()) as other:
        other.load()
        other.append(row(2, b"theirs"))

    assert refused(store, row(2, b"ours")) is StoreFault.IN_USE
    assert rows(place) == (row(1), row(2, b"theirs"))


def test_an_overtaken_session_is_fenced_off(place: PostgresqlKind, store: PostgresqlStore) -> None:
    """A row and a checkpoint are only written by who owns the state."""
    with psycopg.connect(place.url) as other:
        other.execute("UPDATE tapeline_signals_state SET owner = 'another'")

    assert refused(store, row(2)) is StoreFault.IN_USE
    with pytest.raises(StoreError, match="taken over"):
        store.checkpoint(1, b"state", b"", 0, 0)
    assert place.sequences("checkpoint") == []


def test_a_failed_checkpoint_leaves_all_as_it_was(
    place: PostgresqlKind, store: PostgresqlStore
) -> None:
    """It is one transaction; the session goes on after it."""
    with psycopg.connect(place.url) as other:
        other.execute("ALTER TABLE tapeline_signals_executions ADD CHECK (sequence < 0) NOT VALID")
    with pytest.raises(StoreError, match="CheckViolation 23514") as caught:
        store.checkpoint(1, b"state", b"", 0, 0)
    store.append(row(2))

    assert caught.value.reason is StoreFault.OTHER
    assert place.sequences("checkpoint") == []
    assert rows(place) == (row(1), row(2))


def test_commits_are_durable_whatever_the_role_says(
    postgresql: PostgresqlServer, place: PostgresqlKind
) -> None:
    """A role or database that is set to answer before the disk has it does not count here."""
    url = place.url.replace("options=", "options=-csynchronous_commit%3Doff%20")
    with contextlib.closing(impatient(url)) as store:
        store.load()
        assert store._connection is not None
        found = store._connection.execute("SHOW synchronous_commit").fetchone()
    assert found == ("on",)
    del postgresql


def test_tables_of_a_newer_version_are_left_alone(
    place: PostgresqlKind, store: PostgresqlStore
) -> None:
    """Going back to the newer build finds them as they were."""
    store.close()
    with psycopg.connect(place.url) as other:
        other.execute("INSERT INTO tapeline_signals_layout VALUES (%s)", (VERSION + 1,))

    error = failed(place.url)

    assert error.reason is StoreFault.OTHER_VERSION
    assert "use the build that wrote them" in str(error)
    assert place.sequences("log") == [1]


def test_tables_that_are_not_as_expected_are_told(
    place: PostgresqlKind, store: PostgresqlStore
) -> None:
    """A table that someone dropped is not made anew behind his back."""
    with psycopg.connect(place.url) as other:
        other.execute("DROP TABLE tapeline_signals_log")

    assert refused(store, row(2)) is StoreFault.OTHER_VERSION


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ALTER ROLE {role} SET default_transaction_read_only = on", StoreFault.READ_ONLY),
        ("REVOKE ALL ON SCHEMA {schema} FROM {role}", StoreFault.NOT_PERMITTED),
    ],
)
def test_a_role_without_rights_is_told(
    postgresql: PostgresqlServer, change: str, reason: StoreFault
) -> None:
    """A standby, too, is read-only; each says what to look at."""
    schema, _ = postgresql.schema()
    role = f"r{schema}"
    with postgresql.connected() as superuser:
        superuser.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{postgresql.password}'".encode())
        superuser.execute(f"GRANT ALL ON SCHEMA {schema} TO {role}".encode())
        superuser.execute(change.format(role=role, schema=schema).encode())
    url = postgresql.url(f"options=-csearch_path%3D{schema}").replace(f"{ROLE}:", f"{role}:")

    assert failed(url).reason is reason


def test_tls_is_what_the_url_asks_for(postgresql: PostgresqlServer) -> None:
    """A server with the right certificate is taken, one with another is not."""
    schema, _ = postgresql.schema()
    verified = f"options=-csearch_path%3D{schema}&sslmode=verify-full&sslrootcert="
    with contextlib.closing(impatient(postgresql.url(verified + str(postgresql.authority)))) as one:
        one.load()
        assert one._connection is not None
        assert one._connection.pgconn.ssl_in_use
    error = failed(postgresql.url(verified + "system"))

    assert error.reason is StoreFault.UNREACHABLE
    assert "TLS" in str(error)


def test_no_error_shows_credentials(
    postgresql: PostgresqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in messages, causes, logs at any level, nor in what an object says of itself."""
    caplog.set_level(logging.DEBUG)
    secret = "hunter" + postgresql.password
    host = f"127.0.0.1:{postgresql.port}/{DATABASE}"
    urls = [
        postgresql.url(password=secret),
        f"postgresql://{ROLE}:{secret}@127.0.0.1:1/{DATABASE}",
        f"postgresql://{ROLE}:{secret}@more@{host}",
        f"postgresql://{ROLE}:a/{secret}@{host}",
        f"postgresql://{ROLE}:{secret}?more@{host}",
        f"postgresql://{ROLE}:{secret}%zz@{host}",
        f"postgresql://{ROLE}:{secret}",
        f"postgresql://{host}?password={secret}&user={ROLE}",
        f"postgresql://{host}?passwort={secret}&user={ROLE}",
        f"postgresql://{ROLE}:{secret}@[::1/{DATABASE}",
    ]
    told: list[str] = []
    reasons = {reason_of(url, told) for url in urls}

    assert reasons <= {StoreFault.NOT_PERMITTED, StoreFault.UNREACHABLE, StoreFault.BAD_URL}
    assert not [text for text in [*told, caplog.text] if secret in text]
    assert any("user or password is refused" in text for text in told)


def reason_of(url: str, told: list[str]) -> StoreFault | None:
    """Return why a URL lets nobody in; add to `told` all that was said on the way."""
    try:
        store = open_store(url)
        told += [repr(store), str(store)]
        store.load()
    except StoreError as error:
        told += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
        return error.reason
    store.close()
    return None
