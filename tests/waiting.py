"""Waiting for what another process does, without sleeping longer than it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T | None], timeout_s: float = 30.0, poll_s: float = 0.1) -> T:
    """Return the first true result of `look`; fail with its last result or error."""
    deadline = time.monotonic() + timeout_s
    while True:
        last: object = None
        try:
            result = look()
            if result:
                return result
            last = result
        except (OSError, AssertionError, LookupError, ValueError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s; the last look gave {last!r}")
        time.sleep(poll_s)
