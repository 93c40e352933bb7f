"""The kinds of stores, as the tests of all of them need them: reopened, read, damaged."""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import psycopg

from postgresql_server import PostgresqlServer
from tapeline.signals.opening import open_store
from tapeline.signals.store import Store
from tapeline.signals.store_memory import MemoryStore

TABLES = {"log": "_rows", "checkpoint": "_checkpoints", "executions": "_chunks"}


class StoreKind(Protocol):
    """One place for a state."""

    url: str

    def opened(self, worker: int = 0, *, is_read_only: bool = False) -> Store:
        """Return a store of that place that is not loaded."""

    def damage(self, table: str, sequence: int) -> None:
        """Flip a bit of a piece."""

    def remove(self, table: str, sequence: int) -> None:
        """Delete a piece."""

    def sequences(self, table: str) -> list[int]:
        """Return what pieces there are."""

    def close(self) -> None:
        """Close all stores that were opened."""


class MemoryKind:
    """A store that lives as long as this object."""

    url = "memory"

    def __init__(self) -> None:
        self._stores: dict[int, MemoryStore] = {}

    def opened(self, worker: int = 0, *, is_read_only: bool = False) -> Store:
        del is_read_only
        return self._stores.setdefault(worker, MemoryStore())

    def damage(self, table: str, sequence: int) -> None:
        pieces = self._pieces(table)
        content = pieces[sequence]
        if isinstance(content, tuple):
            pieces[sequence] = (content[0], _flipped(content[1]))
        else:
            pieces[sequence] = _flipped(content)

    def remove(self, table: str, sequence: int) -> None:
        del self._pieces(table)[sequence]

    def sequences(self, table: str) -> list[int]:
        return sorted(self._pieces(table))

    def close(self) -> None:
        _close(list(self._stores.values()))

    def _pieces(self, table: str) -> dict[int, bytes | tuple[int, bytes]]:
        pieces: dict[int, bytes | tuple[int, bytes]] = getattr(self._stores[0], TABLES[table])
        return pieces


class SqliteKind:
    """A file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self._stores: list[Store] = []

    def opened(self, worker: int = 0, *, is_read_only: bool = False) -> Store:
        self._stores.append(open_store(self.url, worker, is_read_only=is_read_only))
        return self._stores[-1]

    def close(self) -> None:
        _close(self._stores)

    def damage(self, table: str, sequence: int) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as database, database:
            query = _on(table, "SELECT content FROM $ WHERE sequence = ?")
            (content,) = database.execute(query, (sequence,)).fetchone()
            query = _on(table, "UPDATE $ SET content = ? WHERE sequence = ?")
            database.execute(query, (_flipped(content), sequence))

    def remove(self, table: str, sequence: int) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as database, database:
            database.execute(_on(table, "DELETE FROM $ WHERE sequence = ?"), (sequence,))

    def sequences(self, table: str) -> list[int]:
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            found = database.execute(_on(table, "SELECT sequence FROM $ ORDER BY 1"))
            return [sequence for (sequence,) in found]


class PostgresqlKind:
    """A schema of a server."""

    def __init__(self, server: PostgresqlServer) -> None:
        self.server = server
        self.schema, self.url = server.schema()
        self._stores: list[Store] = []

    def opened(self, worker: int = 0, *, is_read_only: bool = False) -> Store:
        self._stores.append(open_store(self.url, worker, is_read_only=is_read_only))
        return self._stores[-1]

    def close(self) -> None:
        _close(self._stores)

    def damage(self, table: str, sequence: int) -> None:
        changing = "UPDATE $ SET content = set_byte(content, 0, get_byte(content, 0) # 1)"
        self._execute(table, f"{changing} WHERE sequence = %s", sequence)

    def remove(self, table: str, sequence: int) -> None:
        self._execute(table, "DELETE FROM $ WHERE sequence = %s", sequence)

    def sequences(self, table: str) -> list[int]:
        with psycopg.connect(self.url) as connection:
            query = _on(f"tapeline_signals_{table}", "SELECT sequence FROM $ ORDER BY 1")
            return [sequence for (sequence,) in connection.execute(query.encode())]

    def _execute(self, table: str, query: str, sequence: int) -> None:
        with psycopg.connect(self.url) as connection:
            changing = _on(f"tapeline_signals_{table}", query).encode()
            assert connection.execute(changing, (sequence,)).rowcount == 1


def _close(stores: Sequence[Store]) -> None:
    for store in stores:
        store.close()


def _on(table: str, query: str) -> str:
    return query.replace("$", table)


def _flipped(content: bytes) -> bytes:
    return content[:-1] + bytes((content[-1] ^ 1,))
