"""A real PostgreSQL of the tests' own, from Debian's package, on the loopback only."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import trustme

from ports import free_port
from waiting import eventually

DATABASE = "postgres"
ROLE = "tapeline"
_OWNER = "postgres"
"""Who a server runs as where the tests run as root, which PostgreSQL refuses to be."""


def programs() -> Path | None:
    """Return the folder of the newest server's programs, or None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    if found:
        return found[-1].parent
    path = shutil.which("postgres")
    return Path(path).parent if path else None


def why_not() -> str | None:
    """Return the reason why no server can be started here, or None."""
    if programs() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and _owner() is None:
        return f"PostgreSQL does not run as root, and there is no user {_OWNER}"
    return None


class PostgresqlServer:
    """A server with a password, with TLS, and without fsync: no test cuts the power."""

    def __init__(self) -> None:
        """Make its data; it does not run yet."""
        found = programs()
        assert found is not None
        self._programs = found
        self._folder = Path(tempfile.mkdtemp(prefix="tapeline-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_hex(8)
        self.authority = self._folder / "authority.pem"
        self.port = free_port()
        self._make_data()

    def url(self, parameters: str = "", *, password: str | None = None) -> str:
        """Return the URL of its database, by TCP."""
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{ROLE}:{secret}@127.0.0.1:{self.port}/{DATABASE}?{parameters}"

    def connected(self) -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection of its superuser."""
        return psycopg.connect(self.url(), autocommit=True, connect_timeout=5)

    def schema(self) -> tuple[str, str]:
        """Return the name of a new schema, and the URL of who sees that one only."""
        name = f"s{secrets.token_hex(6)}"
        with self.connected() as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return name, self.url(f"options=-csearch_path%3D{name}")

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": self._folder / "server.pem",
            "ssl_key_file": self._folder / "server.key",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *options],
                stdout=log,
                stderr=log,
                user=_owner(),
                cwd=self._folder,
            )
        eventually(self._answers)

    def stop(self, *, at_once: bool = False) -> None:
        """Stop; `at_once` is as a crash: nothing is written any more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            self._process.wait(timeout=60)
            self._process = None

    def remove(self) -> None:
        """Stop, and delete its data."""
        self.stop(at_once=True)
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            self.connected().close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_data(self) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(str(self.authority))
        certificate.cert_chain_pems[0].write_to_path(str(self._folder / "server.pem"))
        key = self._folder / "server.key"
        certificate.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)
        password = self._folder / "password"
        password.write_text(self.password)
        owner = _owner()
        if owner is not None:
            for path in (self._folder, *self._folder.iterdir()):
                shutil.chown(path, owner)
        self.authority.chmod(0o644)
        self._folder.chmod(0o755)
        subprocess.run(
            [
                self._programs / "initdb",
                f"--pgdata={self._folder / 'data'}",
                f"--username={ROLE}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
            user=owner,
            cwd=self._folder,
            check=True,
            capture_output=True,
        )
        password.unlink()


def _owner() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return _OWNER if _OWNER in names else None


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parent.parent.name.split(".") if part.isdigit())


@contextmanager
def running_postgresql() -> Iterator[PostgresqlServer]:
    """Run a server until the block ends; skips where there can be none."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()
