"""Calls that may hang, side by side and for so long: those to an endpoint that does not answer.

The SDK's own end waits up to 30 s for each signal, one after the other, and its flush of spans and
logs knows no time at all; an orchestrator kills a service after 30 s.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

__all__ = ["all_within"]

_LOG = logging.getLogger(__name__)


def all_within(calls: Sequence[Callable[[], bool | None]], timeout_s: float) -> bool:
    """Make the calls; say whether all came back in time, and none with False or an exception.

    One that does not come back goes on in a thread that ends with the process.
    """
    answers: list[bool] = []

    def answer(call: Callable[[], bool | None]) -> None:
        try:
            answers.append(call() is not False)
        except Exception:  # noqa: BLE001  # Whatever an exporter raises: it is said, and this did not go.
            _LOG.exception("telemetry could not be sent")

    threads = [threading.Thread(target=answer, args=(call,), daemon=True) for call in calls]
    deadline = time.monotonic() + timeout_s
    for thread, call in zip(threads, calls, strict=True):
        try:
            thread.start()
        except RuntimeError:  # The interpreter is going down, and starts no more threads.
            answer(call)
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
    return len(answers) == len(calls) and all(answers)
