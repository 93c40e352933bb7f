"""The store that a URL names, one for each worker; and the URL as it may be shown."""

import re
from pathlib import Path
from typing import Final

from tapeline.signals.store import Store, StoreError, StoreFault
from tapeline.signals.store_memory import MemoryStore
from tapeline.signals.store_sqlite import SqliteStore

__all__ = ["open_store", "safe_url"]

MEMORY: Final = "memory"

_SQLITE: Final = "sqlite:///"
_POSTGRESQL: Final = ("postgresql://", "postgres://")
_HOST: Final = r"(?:[A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]*\])(?::[0-9]{1,5})?"
_SHOWN: Final = re.compile(rf"{_HOST}(?:,{_HOST}){{0,16}}(?:/[A-Za-z0-9_.-]*)?")


def open_store(url: str, worker: int = 0, *, is_read_only: bool = False) -> Store:
    """Return one worker's store; nothing is opened before it is loaded.

    `memory`; `sqlite:///relative/path` or `sqlite:////absolute/path`, to which workers but the
    first add `-1`, `-2` …; or `postgresql://…` with all that libpq takes: TLS by `sslmode=
    verify-full&sslrootcert=…`, a schema by `options=-csearch_path%3Dname`. Raises StoreError.
    """
    if url == MEMORY:
        return MemoryStore()
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        path = Path(url.removeprefix(_SQLITE))
        return SqliteStore(
            path if worker == 0 else path.with_name(f"{path.name}-{worker}"),
            is_read_only=is_read_only,
        )
    if not url.startswith(_POSTGRESQL):
        raise StoreError(
            StoreFault.BAD_URL,
            f"{safe_url(url)} names no state: write sqlite:///path, postgresql://… or memory",
        )
    try:
        # Here, since the driver is an extra that not every installation has.
        from tapeline.signals.store_postgresql import PostgresqlStore  # noqa: PLC0415
    except ImportError as error:
        raise StoreError(
            StoreFault.NO_DRIVER,
            "state in PostgreSQL needs its driver: pip install 'tapeline[postgresql]'",
        ) from error
    return PostgresqlStore(url, worker, safe_url(url), is_read_only=is_read_only)


def safe_url(url: str) -> str:
    """Return a URL without credentials and parameters, for logs and errors.

    Where it can't be told what belongs to the password (as it is not percent-encoded), only the
    scheme is left.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"sqlite", "postgresql", "postgres"}:
        return "the URL of the state"
    if scheme == "sqlite":
        return url
    place = rest.rpartition("@")[2].partition("?")[0]
    is_clear = rest.count("@") <= 1 and "?" not in rest.rpartition("@")[0]
    is_clear = (
        is_clear and rest.partition("?")[0].count("/") <= 1 and _SHOWN.fullmatch(place) is not None
    )
    return f"{scheme}://{place if is_clear else '…'}"
