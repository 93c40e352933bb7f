"""A real PostgreSQL for the tests of the state, and each kind of store in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from postgresql_server import PostgresqlServer, why_not
from store_kinds import MemoryKind, PostgresqlKind, SqliteKind, StoreKind


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """Return a server that runs; skips where there can be none."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreKind]:
    """Return an empty place of each kind; what a test leaves open is closed."""
    place: StoreKind
    if request.param == "memory":
        place = MemoryKind()
    elif request.param == "sqlite":
        place = SqliteKind(tmp_path / "state" / "signals.db")
    else:
        place = PostgresqlKind(request.getfixturevalue("postgresql"))
    yield place
    place.close()
