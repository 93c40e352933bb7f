"""The signals' state in PostgreSQL: dumped, destroyed, restored, read back, by the scripts."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from postgresql_server import DATABASE, ROLE, PostgresqlServer, running_postgresql
from tapeline.signals.store import Loaded, LogRow
from tapeline.signals.store_postgresql import PostgresqlStore
from tapeline.stack.binaries import SOURCE_ROOT

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(shutil.which("pg_dump") is None, reason="pg_dump is not installed"),
]

SCRIPTS = SOURCE_ROOT / "scripts"


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as server:
        yield server


def opened(server: PostgresqlServer, *, is_read_only: bool = False) -> PostgresqlStore:
    """Return a store on the server's own database that is not loaded."""
    return PostgresqlStore(server.url(), 0, "the test's", is_read_only=is_read_only)


def contents(server: PostgresqlServer) -> Loaded:
    """Return what another process reads."""
    store = opened(server, is_read_only=True)
    try:
        return store.load()
    finally:
        store.close()


def run(
    server: PostgresqlServer, script: str, *arguments: str, database: str | None = DATABASE
) -> subprocess.CompletedProcess[str]:
    """Run a script with the server in libpq's environment, its password in a file."""
    passwords = Path(arguments[-1]).parent / "passwords"
    passwords.write_text(f"127.0.0.1:*:*:*:{server.password}\n", encoding="utf-8")
    passwords.chmod(0o600)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": ROLE,
        "PGPASSFILE": str(passwords),
        **({} if database is None else {"PGDATABASE": database}),
    }
    return subprocess.run(
        [str(SCRIPTS / script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def drop(server: PostgresqlServer) -> None:
    """Destroy the state."""
    with server.connected() as connection:
        for name in ("layout", "state", "log", "checkpoint", "executions"):
            connection.execute(f"DROP TABLE IF EXISTS tapeline_signals_{name}".encode())


def test_a_state_in_postgresql_comes_back(server: PostgresqlServer, tmp_path: Path) -> None:
    """Dumped while the sidecar writes; then gone, restored and gone on from."""
    target = tmp_path / "backups"
    drop(server)
    nothing = run(server, "backup-postgresql", str(target))
    assert nothing.returncode != 0
    assert list(target.glob("*")) == []

    writer = opened(server)
    writer.load()
    writer.begin(1)
    for number in range(1, 100):
        writer.append(LogRow(number, number, 0, f"row {number} \0\xff".encode("latin-1") * 1000))
    before = contents(server)
    assert len(before.rows) == 99
    assert run(server, "backup-postgresql", str(target)).returncode == 0
    writer.append(LogRow(100, 100, 0, b"after the backup"))
    writer.close()
    (dump,) = target.glob("*.dump")
    assert dump.stat().st_mode & 0o077 == 0

    refused = run(server, "restore-postgresql", str(dump))
    assert refused.returncode != 0
    assert "already exists" in refused.stderr
    assert len(contents(server).rows) == 100, "a refused restore changes nothing"
    assert run(server, "restore-postgresql", "--replace", str(dump)).returncode == 0
    assert contents(server) == before
    drop(server)
    assert run(server, "restore-postgresql", str(dump)).returncode == 0
    assert contents(server) == before
    again = opened(server)
    assert again.load() == before
    again.append(LogRow(100, 100, 0, b"goes on"))
    again.close()
    assert len(contents(server).rows) == 100


def test_a_dump_that_was_changed_is_refused(server: PostgresqlServer, tmp_path: Path) -> None:
    """Before the database is touched; and wrong calls say how to call it."""
    drop(server)
    store = opened(server)
    store.load()
    store.begin(1)
    store.append(LogRow(1, 1, 0, b"x"))
    store.close()
    assert run(server, "backup-postgresql", str(tmp_path / "b")).returncode == 0
    (dump,) = (tmp_path / "b").glob("*.dump")
    content = bytearray(dump.read_bytes())
    content[-1] ^= 1
    dump.write_bytes(content)
    refused = run(server, "restore-postgresql", "--replace", str(dump))
    assert refused.returncode == 1
    assert "its SHA-256 differs" in refused.stderr
    assert len(contents(server).rows) == 1
    assert run(server, "restore-postgresql", "a", str(dump)).returncode == 2


def test_without_a_database_both_take_the_users_own(
    server: PostgresqlServer, tmp_path: Path
) -> None:
    """What libpq takes: a dump is never put into another database than it came from."""
    drop(server)
    store = opened(server)
    store.load()
    store.close()
    with server.connected() as connection:
        connection.autocommit = True
        connection.execute(f"CREATE DATABASE {ROLE} TEMPLATE {DATABASE}".encode())
    drop(server)

    backup = run(server, "backup-postgresql", str(tmp_path / "b"), database=None)
    assert backup.returncode == 0, backup.stderr
    (dump,) = (tmp_path / "b").glob("*.dump")
    restored = run(server, "restore-postgresql", "--replace", str(dump), database=None)

    assert restored.returncode == 0, restored.stderr
    with server.connected() as connection:
        (row,) = connection.execute("SELECT to_regclass('tapeline_signals_state')")
    assert row == (None,)
