"""Several batches on their way to an endpoint at once, each tried again until it is settled.

What gives up first says where a replay has to go on: everything before it is settled.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recording.senders import Reply, Sender, Verdict

__all__ = ["Delivery", "Patience", "Tally", "Totals"]

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_LONGEST_ASKED_S: Final = 30.0
"""A delay that the endpoint asks for is waited for up to here."""
_JITTER: Final = 0.2
_MAX_IN_FLIGHT: Final = 256


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for one attempt, seconds of failing until a batch is given up, batches at once."""

    timeout_s: float = 10.0
    give_up_after_s: float = 60.0
    in_flight: int = 8

    def __post_init__(self) -> None:
        """Raise ValueError for what can't be meant."""
        if not 1 <= self.in_flight <= _MAX_IN_FLIGHT:
            raise ValueError(f"1 to {_MAX_IN_FLIGHT} batches may be in flight")
        if self.timeout_s <= 0:
            raise ValueError("the timeout of an attempt must be above 0")


@dataclass(slots=True)
class Tally:
    """Records of a signal: handed over, taken, rejected within a success, refused for good."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Totals:
    """What became of everything so far. `refusals` counts batches by the endpoint's code."""

    signals: dict[Signal, Tally] = field(
        default_factory=lambda: {signal: Tally() for signal in Signal}
    )
    batches: int = 0
    retries: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    last_trouble: str = ""
    """The code or error of the last attempt that was to be tried again, or was denied."""
    is_denied: bool = False
    """Whether the endpoint does not let in who sends."""

    @property
    def accepted(self) -> int:
        """Records of all signals."""
        return sum(tally.accepted for tally in self.signals.values())


class Delivery:
    """Hands batches to threads. `totals` may be read at any time."""

    def __init__(self, sender: Sender, patience: Patience) -> None:
        self.totals = Totals()
        self._sender = sender
        self._patience = patience
        self._pool = ThreadPoolExecutor(patience.in_flight, thread_name_prefix="replay")
        self._room = threading.Semaphore(patience.in_flight)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._unsettled: int | None = None
        self._failed: BaseException | None = None

    @property
    def stopped(self) -> threading.Event:
        """Set once a batch was given up: no further one is taken."""
        return self._stopped

    @property
    def first_unsettled(self) -> int | None:
        """The lowest sequence number that was given up, if any."""
        return self._unsettled

    def submit(self, sequence: int, batch: Batch, settled: Callable[[int], object]) -> bool:
        """Send a batch as soon as there is room; False where the delivery has stopped.

        `settled` is called with the number, from another thread, unless the batch is given up.
        """
        self._room.acquire()
        if self._stopped.is_set():
            self._room.release()
            return False
        self._pool.submit(self._run, sequence, batch, settled)
        return True

    def stop(self) -> None:
        """Let what is in flight end its attempt, and try nothing again."""
        self._stopped.set()

    def finish(self) -> None:
        """Wait for what is in flight; raises what a thread failed with."""
        self._pool.shutdown(wait=True)
        self._sender.close()
        if self._failed is not None:
            raise self._failed

    def _run(self, sequence: int, batch: Batch, settled: Callable[[int], object]) -> None:
        try:
            reply = self._deliver(batch)
            self._settle(sequence, batch, reply)
            if reply is not None:
                settled(sequence)
        except BaseException as error:  # noqa: BLE001 - raised again by `finish`
            self._failed = error
            self._stopped.set()
        finally:
            self._room.release()

    def _deliver(self, batch: Batch) -> Reply | None:
        """Return how it ended, or None where it was given up."""
        patience = self._patience
        give_up_at = time.monotonic() + patience.give_up_after_s
        pause_s = _FIRST_PAUSE_S
        while not self._stopped.is_set():
            reply = self._sender.send(batch, patience.timeout_s)
            if reply.verdict not in {Verdict.RETRY, Verdict.DENIED}:
                return reply
            if reply.verdict is Verdict.DENIED:
                self._note_denial(reply.reason)
                return None
            with self._lock:
                self.totals.retries += 1
                self.totals.last_trouble = reply.reason
            if time.monotonic() >= give_up_at:
                return None
            self._stopped.wait(self._pause_s(pause_s, reply, give_up_at))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return None

    def _note_denial(self, reason: str) -> None:
        with self._lock:
            self.totals.last_trouble = reason
            self.totals.is_denied = True

    def _pause_s(self, pause_s: float, reply: Reply, give_up_at: float) -> float:
        """Return the pause: with jitter, at least what was asked for, not beyond the end."""
        spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        asked_s = min(reply.retry_after_s or 0.0, _LONGEST_ASKED_S)
        return min(max(pause_s * spread, asked_s), max(give_up_at - time.monotonic(), 0.0))

    def _settle(self, sequence: int, batch: Batch, reply: Reply | None) -> None:
        count = batch.framing.record_count
        with self._lock:
            if reply is None:
                self._stopped.set()
                self._unsettled = min(sequence, self._unsettled or sequence)
                return
            tally = self.totals.signals[batch.signal]
            self.totals.batches += 1
            tally.sent += count
            if reply.verdict is Verdict.REFUSED:
                tally.dropped += count
                self.totals.refusals[reply.reason] += 1
                return
            tally.rejected += min(reply.rejected, count)
            tally.accepted += count - min(reply.rejected, count)
