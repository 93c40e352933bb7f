"""Ends without shutdown(), which the exit calls; tells how many times its timeout that took.

With THREADS_REFUSED no thread starts at the exit, as from Python 3.12 on. With FORKED a child of
the process does the same first.
"""

import atexit
import os
import sys
import threading
import warnings
from time import monotonic
from unittest import mock

from tapeline.instrument import setup, span

TIMEOUT_MS = 1000
began: list[float] = []


def refused(_: threading.Thread) -> None:
    """Start no thread."""
    raise RuntimeError("can't create new thread at interpreter shutdown")


refusing = mock.patch.object(threading.Thread, "start", refused)


def begin() -> None:
    """Begin the exit."""
    if "THREADS_REFUSED" in os.environ:
        refusing.start()
    began.append(monotonic())


def tell() -> None:
    """Say how long the exit took."""
    sys.stdout.write(f"{(monotonic() - began[0]) * 1000 / TIMEOUT_MS:.1f}\n")
    sys.stdout.flush()
    mock.patch.stopall()


# Handlers run in the opposite order.
atexit.register(tell)
telemetry = setup("ends", log_to_stderr=False)
atexit.unregister(telemetry.shutdown)
atexit.register(telemetry.shutdown, TIMEOUT_MS)
atexit.register(begin)
if "FORKED" in os.environ:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # The SDK's threads: it starts anew.
        child = os.fork()
    if child:
        os.waitpid(child, 0)
with span("work"):
    telemetry.log.info("working")
telemetry.meter.create_counter("work.done").add(1)
