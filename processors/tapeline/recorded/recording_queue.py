"""Records from several threads: a writer thread, and one flush for all that wait for it.

Whoever must know that a batch is on disk waits (`record`); whoever must not be held up leaves it
there (`offer`), and what there is no room for is told to `lost`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from tapeline.pipeline.batch import Batch

__all__ = ["RecordingQueue", "Sink", "Taken"]

_TICK_S: Final = 1.0
_GROUP_BYTES: Final = 16 * 1024 * 1024
"""What is flushed at once at most, but for a single batch that is larger."""


class Sink(Protocol):
    """What a queue writes into: a folder of recordings, or one file."""

    def append(self, batch: Batch) -> None:
        """Add a batch, to be flushed."""

    def flush(self) -> None:
        """Bring what was appended to disk; raises OSError where it is gone."""

    def tick(self) -> None:
        """Do what is due from time to time."""

    def close(self) -> None:
        """End."""


@dataclass(slots=True)
class Taken:
    """A batch in the queue, and what became of it once `done`: `error` is None where it is kept.

    OSError: later there may be room. Any other error: this batch can never be written.
    """

    batch: Batch
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    @property
    def size_bytes(self) -> int:
        """What it takes in the queue."""
        return len(self.batch.payload)


class RecordingQueue:
    """Writes batches in the order in which they came, in a thread of its own.

    `settled` hears of each batch when it is on disk or is not, in that thread; `troubled` hears of
    an error of the files themselves (their closing, their removal).
    """

    def __init__(
        self,
        sink: Sink,
        *,
        max_waiting_bytes: int,
        settled: Callable[[Taken], None] = lambda _: None,
        troubled: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Write nothing until `start`."""
        self._sink = sink
        self._max_waiting_bytes = max_waiting_bytes
        self._settled = settled
        self._troubled = troubled
        self._waiting: deque[Taken] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="tapeline-recording", daemon=True)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the batches that wait to be written."""
        return self._waiting_bytes

    def start(self) -> None:
        """Write from now on."""
        self._thread.start()

    def record(self, batch: Batch, timeout_s: float) -> Exception | None:
        """Wait until a batch is on disk; return why it is not, and None where it is.

        TimeoutError (an OSError) says that nobody knows: it may be written later.
        """
        taken = self.offer(batch)
        if taken is None:
            return BlockingIOError("too much waits to be written")
        if not taken.done.wait(timeout_s):
            return TimeoutError("writing takes too long")
        return taken.error

    def offer(self, batch: Batch) -> Taken | None:
        """Leave a batch to be written; None where there is no room for it, or the end has come."""
        taken = Taken(batch)
        with self._changed:
            if self._closing:
                return None
            if self._waiting and self._waiting_bytes + taken.size_bytes > self._max_waiting_bytes:
                return None
            self._waiting.append(taken)
            self._waiting_bytes += taken.size_bytes
            self._changed.notify()
        return taken

    def close(self, timeout_s: float) -> bool:
        """Write what waits, and end the files; False where that takes longer than there is time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is None:
            self._guarded(self._sink.close)
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        next_tick_s = time.monotonic() + _TICK_S
        while True:
            group = self._next_group(max(next_tick_s - time.monotonic(), 0.0))
            if group:
                self._write(group)
            if time.monotonic() >= next_tick_s:
                next_tick_s = time.monotonic() + _TICK_S
            # After each group too: a file must not grow beyond its size for a second.
            self._guarded(self._sink.tick)
            if self._is_at_end():
                break
        self._guarded(self._sink.close)

    def _is_at_end(self) -> bool:
        # Asked anew: something may have come, and the end after it, since the last look.
        with self._changed:
            return self._closing and not self._waiting

    def _next_group(self, timeout_s: float) -> list[Taken]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, timeout_s)
            group: list[Taken] = []
            size_bytes = 0
            while self._waiting and size_bytes < _GROUP_BYTES:
                group.append(self._waiting.popleft())
                size_bytes += group[-1].size_bytes
            self._waiting_bytes -= size_bytes
            return group

    def _write(self, group: list[Taken]) -> None:
        appended: list[Taken] = []
        for taken in group:
            try:
                self._sink.append(taken.batch)
                appended.append(taken)
            except OSError as error:
                # All since the last flush is gone with it.
                for lost in (*appended, taken):
                    lost.error = error
                appended.clear()
            # It can't be encoded, for whatever reason: that must not end the thread.
            except Exception as error:  # noqa: BLE001
                taken.error = error
        try:
            if appended:
                self._sink.flush()
        except OSError as error:
            for lost in appended:
                lost.error = error
        for taken in group:
            self._settled(taken)
            taken.done.set()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self._troubled(error)
