"""Holds a server still while its files are copied, and lets it go on whatever happens.

Files of a process that stands still are what a `kill -9` at that moment would leave; every store
here comes back from that with all that it had acknowledged (tests/stack/test_kills.py).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tapeline.stack.child import Identity, is_alive

__all__ = ["FreezeError", "frozen"]

_WAIT_S: Final = 5.0
_POLL_S: Final = 0.01
# Reads until the other end of its input closes, at the latest with this process's death.
_GUARD: Final = (
    "import os, signal, sys\n"
    "sys.stdin.buffer.read()\n"
    "try: os.kill(int(sys.argv[1]), signal.SIGCONT)\n"
    "except ProcessLookupError: pass\n"
)


class FreezeError(Exception):
    """A server could not be held still; it goes on, and the message says why."""


@contextmanager
def frozen(identity: Identity) -> Iterator[None]:
    """Stop a process (SIGSTOP) for the block; it goes on after it, even if this process is killed.

    Raises FreezeError where it is gone, not ours, or does not stop.
    """
    if not is_alive(identity):
        raise FreezeError(f"process {identity.pid} is gone")
    guard = subprocess.Popen(  # noqa: S603 - this Python, with a script of ours
        [sys.executable, "-I", "-S", "-c", _GUARD, str(identity.pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _stop(identity)
        yield
    finally:
        if is_alive(identity):
            os.kill(identity.pid, signal.SIGCONT)
        guard.communicate()


def _stop(identity: Identity) -> None:
    try:
        os.kill(identity.pid, signal.SIGSTOP)
    except OSError as error:
        raise FreezeError(f"process {identity.pid} can't be stopped: {error.strerror}") from error
    deadline = time.monotonic() + _WAIT_S
    while not _all_stopped(identity.pid):
        if time.monotonic() > deadline:
            raise FreezeError(f"process {identity.pid} did not stop within {_WAIT_S:g} s")
        time.sleep(_POLL_S)


def _all_stopped(pid: int) -> bool:
    """Tell whether every thread stands still, with no write under way."""
    states = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            stat = (task / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # A thread that ended meanwhile
        states.append(stat.rpartition(")")[2].split()[0])
    return all(state == "T" for state in states)
