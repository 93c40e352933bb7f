"""A real PostgreSQL for the tests of the state, and each kind of store in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from postgresql_server import PostgresqlServer, running_postgresql
from store_kinds import MemoryKind, PostgresqlKind, SqliteKind, StoreKind


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """Return a server that runs; skips where there can be none."""
    with running_postgresql() as server:
        yield server


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
