"""Ports for what a test starts, that nobody else takes before it listens.

A port that the kernel gives to a probe is one that it may give to the next connection, and nothing
is known of the port after it. These lie below the range that Linux hands out to clients, and below
that of stacks (`Ports.free`), and each is given once in thousands.
"""

import itertools
import os
import threading

from tapeline.stack.ports import HOST, is_free

__all__ = ["HOST", "free_port", "is_free", "ports_in_a_row"]

_FIRST, _COUNT = 10_000, 3_000
_given = itertools.count(os.getpid() * 97)  # test runs side by side begin in different places
_lock = threading.Lock()


def free_port() -> int:
    """Return a port on loopback that nothing listens on now."""
    return ports_in_a_row(1)


def ports_in_a_row(count: int) -> int:
    """Return the first of so many free ports, one after the other."""
    with _lock:
        for _ in range(_COUNT):
            first = _FIRST + next(_given) % _COUNT
            if not all(is_free(first + offset) for offset in range(count)):
                continue
            for _ in range(count - 1):
                next(_given)
            return first
    raise AssertionError(f"no {count} free ports in a row from {_FIRST} on")
