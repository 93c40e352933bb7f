"""The demo's services as child processes: started in order, watched, and stopped in order."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from tapeline.demo.messages import Settings
from tapeline.demo.service import HOST, settings_to_arguments

__all__ = ["DemoError", "DemoServices"]

START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 8.0  # a service finishes its calls (3 s) and flushes its telemetry
POLL_S: Final = 0.1


class DemoError(Exception):
    """A demo service could not start, or ended by itself; the message says which and why."""


@dataclass(frozen=True, slots=True)
class _Child:
    name: str
    port: int
    process: subprocess.Popen[bytes]


class DemoServices:
    """Runs the three services; a context manager that leaves no process behind.

    `log` takes what the services write to standard error; None means this process's own.
    """

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        self._settings = settings
        self._environment = dict(environment)
        self._log = log
        self._output: IO[bytes] | None = None
        self._children: list[_Child] = []

    @property
    def process_ids(self) -> Mapping[str, int]:
        """The process id of each service that was started, by name."""
        return {child.name: child.process.pid for child in self._children}

    def __enter__(self) -> Self:
        """Start the services, the one that calls last; raises DemoError where one fails."""
        if self._log is not None:
            self._output = self._log.open("ab")
        try:
            self._start("back_office", self._settings.back_office_port)
            self._start("gateway", self._settings.gateway_port)
            self._start("strategy", self._settings.strategy_port)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop them all."""
        self.stop()

    def wait(self) -> None:
        """Return when the strategy has finished; raises DemoError where a service failed."""
        while True:
            for child in self._children:
                code = child.process.poll()
                if code is None:
                    continue
                if child.name == "strategy" and code == 0:
                    return
                raise DemoError(self._ended(child, code))
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End the services, callers first, so that what is under way can finish; idempotent."""
        while self._children:
            _end(self._children.pop().process)
        if self._output is not None:
            self._output.close()
            self._output = None

    def _start(self, name: str, port: int) -> None:
        process = subprocess.Popen(  # noqa: S603 - our own module, in our own interpreter
            [
                sys.executable,
                "-m",
                f"tapeline.demo.{name}",
                *settings_to_arguments(self._settings),
            ],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stderr=self._output,
            # In a session of its own, Ctrl-C reaches only us, and we stop them in order.
            start_new_session=True,
        )
        child = _Child(name, port, process)
        self._children.append(child)
        self._await_health(child)

    def _await_health(self, child: _Child) -> None:
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            code = child.process.poll()
            if code is not None:
                raise DemoError(self._ended(child, code))
            if _is_healthy(child.port):
                return
            time.sleep(POLL_S)
        raise DemoError(
            f"the demo service {child.name} did not answer on http://{HOST}:{child.port}/health "
            f"within {START_TIMEOUT_S:g} s{self._where()}"
        )

    def _ended(self, child: _Child, code: int) -> str:
        how = f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return f"the demo service {child.name} ended with {how}{self._where()}"

    def _where(self) -> str:
        return "; its messages are above" if self._log is None else f"; its messages: {self._log}"


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=1.0) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP OK
    except (urllib.error.URLError, OSError):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and kill its session where it does not."""
    process.terminate()
    try:
        process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
