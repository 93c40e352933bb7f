"""One child process: started with a log file, ended with grace, known by pid and start time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

__all__ = ["Child", "Identity", "end", "identity_of", "is_alive"]

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_POLL_S: Final = 0.05
_KILL_WAIT_S: Final = 10.0
_TAIL_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """A process for certain: pids are reused, a pid with its start time (clock ticks) is not."""

    pid: int
    start_ticks: int


def identity_of(pid: int) -> Identity | None:
    """Return the identity of a running process, or None where there is none (or a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, field 2, is in parentheses and may hold anything; state is field 3, start time
    # field 22 (proc_pid_stat(5)).
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else Identity(pid, int(rest[18]))


def is_alive(identity: Identity) -> bool:
    """Tell whether this very process still runs."""
    return identity_of(identity.pid) == identity


def end(identity: Identity, grace_s: float) -> None:
    """End a process that is not our child: SIGTERM, then after the grace SIGKILL."""
    for sent, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, _KILL_WAIT_S)):
        if not is_alive(identity):
            return
        try:
            os.kill(identity.pid, sent)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + wait_s
        while is_alive(identity) and time.monotonic() < deadline:
            time.sleep(_POLL_S)


class Child:
    """A running child process in a session of its own, so that Ctrl-C reaches only its parent.

    It gets SIGTERM when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG): start it from
    one that lives as long as the process.
    """

    def __init__(self, process: subprocess.Popen[bytes], log_path: Path, log_begin: int) -> None:
        self._process = process
        self._log_path = log_path
        self._log_begin = log_begin
        self.identity = identity_of(process.pid) or Identity(process.pid, 0)

    @classmethod
    def start(
        cls, command: Sequence[str], environment: Mapping[str, str], folder: Path, log_path: Path
    ) -> Self:
        """Start a program with an absolute path; its output is appended to the log file."""
        launch = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *command]
        with log_path.open("ab") as log:
            begin = log.tell()
            process = subprocess.Popen(  # noqa: S603 - the stack's own servers, no shell
                launch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        return cls(process, log_path, begin)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self.exit_code is None:
            self._process.terminate()

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGINT)

    def wait(self, grace_s: float) -> None:
        """Wait for its end; after the grace, kill its whole session."""
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL to it and to what it started in its session, and reap it."""
        if self.exit_code is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_KILL_WAIT_S)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that it wrote since its start."""
        with self._log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_begin, size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])
