"""Which store a URL names, and that no part of a password is ever shown."""

import sys
from pathlib import Path

import pytest

from tapeline.signals.opening import open_store, safe_url
from tapeline.signals.store import StoreError, StoreFault
from tapeline.signals.store_memory import MemoryStore
from tapeline.signals.store_sqlite import SqliteStore


def test_memory_is_a_store() -> None:
    """It outlives nothing, and says so."""
    store = open_store("memory")

    assert isinstance(store, MemoryStore)
    assert not store.is_durable


@pytest.mark.parametrize(
    ("url", "worker", "name"),
    [
        ("sqlite:///signals.db", 0, "signals.db"),
        ("sqlite:///signals.db", 2, "signals.db-2"),
        ("sqlite:////var/lib/signals.db", 1, "/var/lib/signals.db-1"),
    ],
)
def test_each_worker_has_its_own_file(url: str, worker: int, name: str) -> None:
    """The first one has the very name; nothing is touched before it is loaded."""
    store = open_store(url, worker)

    assert isinstance(store, SqliteStore)
    assert store._path == Path(name)


@pytest.mark.parametrize("url", ["", "signals.db", "sqlite://", "sqlite:///", "mysql://u:pw1@h/d"])
def test_other_urls_are_refused(url: str) -> None:
    """With what can be written instead."""
    with pytest.raises(StoreError, match="write sqlite:///path") as caught:
        open_store(url)

    assert caught.value.reason is StoreFault.BAD_URL
    assert "pw1" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.delitem(sys.modules, "tapeline.signals.store_postgresql", raising=False)
    monkeypatch.delitem(sys.modules, "tapeline.signals.postgresql_connection", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(StoreError, match=r"pip install 'tapeline\[postgresql\]'") as caught:
        open_store("postgresql://localhost/tapeline")

    assert caught.value.reason is StoreFault.NO_DRIVER


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///signals.db", "sqlite:///signals.db"),
        ("postgresql://localhost/db", "postgresql://localhost/db"),
        (
            "postgres://u:pw1@db.example:5432/tape?sslmode=require",
            "postgres://db.example:5432/tape",
        ),
        ("postgresql://u:pw1@[::1]:5432/tape", "postgresql://[::1]:5432/tape"),
        ("postgresql://u:pw1@a:1,b:2/tape", "postgresql://a:1,b:2/tape"),
        ("postgresql:///tape?host=/run&password=pw1", "postgresql:///tape"),
        # What is not percent-encoded could be anything.
        ("postgresql://u:pw1@more@db/tape", "postgresql://…"),
        ("postgresql://u:pw1/more@db/tape", "postgresql://…"),
        ("postgresql://u:pw1?more@db/tape", "postgresql://…"),
        ("postgresql://db/tape?password=pw1@more", "postgresql://…"),
        ("postgresql://u:pw1", "postgresql://…"),
        ("postgresql://u:pw1#more@db/tape", "postgresql://db/tape"),
        ("u:pw1@db/tape", "the URL of the state"),
        ("pw1://u", "the URL of the state"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    """Neither user nor password, nor any piece of one."""
    assert safe_url(url) == shown
    assert "pw1" not in safe_url(url)
