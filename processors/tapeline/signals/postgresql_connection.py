"""A connection to PostgreSQL on which nothing waits without end, and whose errors tell no secrets.

libpq quotes what it can't make sense of, and that may be a part of a password that was not
percent-encoded. So no text of its connection errors is passed on, only what kind of error it is.
"""

from collections.abc import Generator
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.abc import PQGen

from tapeline.signals.store import StoreError, StoreFault

__all__ = ["BoundedConnection", "connect", "parameters_of", "statement_error"]

CONNECT_TIMEOUT_S: Final = 5
"""For each host of the URL; the URL may say another one (`connect_timeout`)."""

_POLL_S: Final = 0.1
_DEFAULTS: Final[dict[str, Any]] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "application_name": "tapeline signals",
    # A peer that is gone without a word is noticed after about 10 + 3 * 3 seconds.
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_STATES: Final = {
    "53100": StoreFault.FULL,
    "25006": StoreFault.READ_ONLY,
    "55P03": StoreFault.LOCKED,
    "57014": StoreFault.TIMEOUT,
    "42501": StoreFault.NOT_PERMITTED,
    "42P01": StoreFault.OTHER_VERSION,
    "42703": StoreFault.OTHER_VERSION,
    "58030": StoreFault.INPUT_OUTPUT,
    "3D000": StoreFault.NOT_PERMITTED,
    "3F000": StoreFault.NOT_PERMITTED,
    "XX001": StoreFault.DAMAGED,
    "XX002": StoreFault.DAMAGED,
}
_STATE_CLASSES: Final = {
    "08": StoreFault.UNREACHABLE,
    "28": StoreFault.NOT_PERMITTED,
    "40": StoreFault.LOCKED,
    "53": StoreFault.UNREACHABLE,
    "57": StoreFault.UNREACHABLE,
}
_CONNECTION_TEXTS: Final = (
    ("password authentication failed", StoreFault.NOT_PERMITTED, "user or password is refused"),
    ("no password supplied", StoreFault.NOT_PERMITTED, "it asks for a password"),
    ("pg_hba.conf", StoreFault.NOT_PERMITTED, "pg_hba.conf lets nobody in from here"),
    ("does not exist", StoreFault.NOT_PERMITTED, "there is no such database or role"),
    ("certificate", StoreFault.UNREACHABLE, "the TLS certificate is not accepted"),
    ("SSL", StoreFault.UNREACHABLE, "the two do not agree on TLS"),
    ("translate host name", StoreFault.UNREACHABLE, "the host has no address"),
    ("refused", StoreFault.UNREACHABLE, "nothing listens there"),
    ("No such file", StoreFault.UNREACHABLE, "nothing listens there"),
    ("timeout", StoreFault.UNREACHABLE, "it does not answer in time"),
    ("starting up", StoreFault.UNREACHABLE, "it is starting up"),
    ("shutting down", StoreFault.UNREACHABLE, "it is shutting down"),
    ("too many", StoreFault.UNREACHABLE, "it has too many connections"),
)

ResultT = TypeVar("ResultT")


class NoAnswerError(psycopg.OperationalError):
    """The server took longer than we wait."""


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """Waits for each answer for at most `limit_s`, also where the server is stopped, not gone."""

    limit_s: float = 60.0

    def wait(
        self,
        gen: PQGen[ResultT],
        interval: float = _POLL_S,
        timeout: float | None = None,
    ) -> ResultT:
        """Wait for what the generator returns. psycopg calls it for every exchange."""
        limit_s = self.limit_s if timeout is None else timeout
        return super().wait(_bounded(gen, limit_s), interval=interval)


def _bounded(steps: PQGen[ResultT], limit_s: float) -> Generator[Any, Any, ResultT]:
    """Pass on all steps; raise NoAnswerError when there is nothing new after the limit."""
    deadline = monotonic() + limit_s
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and monotonic() > deadline:
                raise NoAnswerError(f"no answer for {limit_s:g} s")
            wanted = steps.send(ready)
    except StopIteration as end:
        result: ResultT = end.value
        return result


def parameters_of(url: str) -> dict[str, Any]:
    """Return the parameters of a URL; raises StoreError where it can't be read."""
    try:
        found: dict[str, Any] = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        problem = (
            "the URL of the state can't be read: write postgresql://user:password@host:port/database"
            " with other characters than letters and digits of the password percent-encoded"
        )
    else:
        return found
    raise StoreError(StoreFault.BAD_URL, problem)


def connect(parameters: dict[str, Any], where: str) -> BoundedConnection:
    """Return a connection on which each statement is a transaction; raises StoreError."""
    try:
        return BoundedConnection.connect(
            **{**_DEFAULTS, **parameters}, autocommit=True, prepare_threshold=2
        )
    except psycopg.Error as error:
        fault, why = _connection_fault(error)
    except (UnicodeError, ValueError):
        fault, why = StoreFault.BAD_URL, "a part of its URL is no text"
    # Outside of the handler, so that the error with libpq's text is not told as its cause.
    raise StoreError(fault, f"{where} can't be reached: {why}")


def statement_error(error: psycopg.Error, where: str) -> StoreError:
    """Return what is told of a statement that failed."""
    state = error.sqlstate or ""
    if isinstance(error, NoAnswerError):
        return StoreError(StoreFault.TIMEOUT, f"{where}: {error}")
    fault = _STATES.get(state) or _STATE_CLASSES.get(state[:2])
    if fault is None:
        is_lost = not state and isinstance(error, psycopg.OperationalError)
        fault = StoreFault.UNREACHABLE if is_lost else StoreFault.OTHER
    name = type(error).__name__
    return StoreError(
        fault, f"{where}: {fault.replace('_', ' ')} ({name} {state or 'without code'})"
    )


def _connection_fault(error: psycopg.Error) -> tuple[StoreFault, str]:
    text = str(error)
    for part, fault, why in _CONNECTION_TEXTS:
        if part in text:
            return fault, why
    return StoreFault.UNREACHABLE, type(error).__name__
