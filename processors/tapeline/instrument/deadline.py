"""Calls that may hang, side by side and for so long: those to an endpoint that does not answer.

The SDK's own end waits up to 30 s for each signal, one after the other, and its flush of spans and
logs knows no time at all; an orchestrator kills a service after 30 s.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

__all__ = ["PreparedCalls", "all_within"]

_LOG = logging.getLogger(__name__)


class PreparedCalls:
    """Calls that are made once, later, each in a thread that may wait for it already.

    From Python 3.12 on no thread starts at the exit of a process, and those that run go on.
    """

    def __init__(self, calls: Sequence[Callable[[], bool | None]]) -> None:
        self._calls = tuple(calls)
        self._answers: list[bool] = []
        self._due = threading.Event()
        self._threads: list[threading.Thread] = []

    def start_threads(self) -> None:
        """Have the threads wait. In a fork once more: it has none of its parent's."""
        self._due = threading.Event()  # Another thread of the parent may have held its lock.
        self._threads = []
        for call in self._calls:
            thread = threading.Thread(target=self._wait, args=(self._due, call), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # At the exit, or there are too many: see `within`.
                return
            self._threads.append(thread)

    def within(self, timeout_s: float) -> bool:
        """Make the calls; say whether all came back in time, none with False or an exception.

        One that does not come back goes on in a thread that ends with the process. One for which
        no thread could be had is made here, and takes the time that it takes.
        """
        if not self._threads:
            self.start_threads()
        deadline = time.monotonic() + timeout_s
        self._due.set()
        for call in self._calls[len(self._threads) :]:
            self._make(call)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return len(self._answers) == len(self._calls) and all(self._answers)

    def _wait(self, due: threading.Event, call: Callable[[], bool | None]) -> None:
        due.wait()
        self._make(call)

    def _make(self, call: Callable[[], bool | None]) -> None:
        try:
            self._answers.append(call() is not False)
        except Exception:  # noqa: BLE001  # Whatever an exporter raises: it is said, and this did not go.
            _LOG.exception("telemetry could not be sent")


def all_within(calls: Sequence[Callable[[], bool | None]], timeout_s: float) -> bool:
    """Make the calls now; say whether all came back in time, as `PreparedCalls.within` does."""
    return PreparedCalls(calls).within(timeout_s)
