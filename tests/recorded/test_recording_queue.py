"""The writer thread: one flush for many, refusals that are told, an end that keeps all."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from otlp_client import logs
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.recording_queue import RecordingQueue, Taken
from waiting import eventually

LOG = Batch(Signal.LOGS, logs(["one"]).SerializeToString())
ROOM_BYTES = 1_000_000


class Sink:
    """Keeps what it is given; can be held up and can fail."""

    def __init__(self) -> None:
        self.flushed: list[Batch] = []
        self.flushes = 0
        self.closed = False
        self.error: Exception | None = None
        self.free = threading.Event()
        self.free.set()
        self._appended: list[Batch] = []

    def append(self, batch: Batch) -> None:
        """Take a batch."""
        if isinstance(self.error, ValueError):
            raise self.error
        self._appended.append(batch)

    def flush(self) -> None:
        """Keep them, or lose them."""
        self.free.wait(10)
        self.flushes += 1
        taken, self._appended = self._appended, []
        if self.error is not None:
            raise self.error
        self.flushed += taken

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Note the end."""
        self.closed = True


def test_a_batch_is_told_when_it_is_flushed() -> None:
    """None says that it is on disk."""
    sink = Sink()
    queue = RecordingQueue(sink, max_waiting_bytes=ROOM_BYTES)
    queue.start()

    assert queue.record(LOG, 5) is None
    assert sink.flushed == [LOG]
    assert queue.close(5)
    assert sink.closed


def test_those_that_wait_share_a_flush() -> None:
    """While the disk is busy with one, all others are gathered for the next."""
    sink = Sink()
    sink.free.clear()
    queue = RecordingQueue(sink, max_waiting_bytes=ROOM_BYTES)
    queue.start()
    with ThreadPoolExecutor(20) as pool:
        futures = [pool.submit(queue.record, LOG, 10.0) for _ in range(20)]
        eventually(lambda: queue.waiting_bytes >= 15 * len(LOG.payload))
        sink.free.set()
        results = [future.result() for future in futures]

    assert results == [None] * 20
    assert len(sink.flushed) == 20
    assert sink.flushes <= 6
    queue.close(5)


def test_a_full_disk_is_told_to_each_and_passes() -> None:
    """The error goes to those whose batch is gone, and to no later one."""
    sink = Sink()
    queue = RecordingQueue(sink, max_waiting_bytes=ROOM_BYTES)
    queue.start()
    sink.error = OSError(28, "No space left on device")

    assert isinstance(queue.record(LOG, 5), OSError)
    sink.error = None
    assert queue.record(LOG, 5) is None
    queue.close(5)


def test_a_batch_that_cannot_be_written_does_not_end_the_thread() -> None:
    """Whatever the encoder raises is told for that batch alone."""
    sink = Sink()
    queue = RecordingQueue(sink, max_waiting_bytes=ROOM_BYTES)
    queue.start()
    sink.error = ValueError("not to be encoded")

    assert queue.record(LOG, 5) is sink.error
    sink.error = None
    assert queue.record(LOG, 5) is None
    queue.close(5)


def test_a_full_queue_takes_nothing_more() -> None:
    """An offer beyond the limit is refused at once, and the others are written."""
    sink = Sink()
    sink.free.clear()
    settled: list[Taken] = []
    queue = RecordingQueue(sink, max_waiting_bytes=3 * len(LOG.payload), settled=settled.append)
    queue.start()
    assert queue.offer(LOG) is not None
    eventually(lambda: queue.waiting_bytes == 0)

    taken = [queue.offer(LOG) for _ in range(5)]

    assert [one is not None for one in taken] == [True, True, True, False, False]
    assert isinstance(queue.record(LOG, 0), BlockingIOError)
    sink.free.set()
    assert queue.close(5)
    assert len(sink.flushed) == 4
    assert [one.error for one in settled] == [None] * 4


def test_a_batch_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    """The limit bounds what waits; it does not refuse a batch for ever."""
    sink = Sink()
    queue = RecordingQueue(sink, max_waiting_bytes=1)
    queue.start()

    assert queue.record(LOG, 5) is None
    queue.close(5)


def test_nothing_is_taken_after_the_end() -> None:
    """What waits is written first; what comes later is refused."""
    sink = Sink()
    queue = RecordingQueue(sink, max_waiting_bytes=ROOM_BYTES)
    queue.offer(LOG)
    queue.start()

    assert queue.close(5)
    assert sink.flushed == [LOG]
    assert queue.offer(LOG) is None


def test_what_comes_just_before_the_end_is_written() -> None:
    """Though the thread had looked for work in vain a moment before, and was busy since."""
    sink = Sink()
    looked, go_on = threading.Event(), threading.Event()

    def tick() -> None:
        looked.set()
        assert go_on.wait(10)

    sink.tick = tick  # type: ignore[method-assign]
    queue = RecordingQueue(sink, max_waiting_bytes=ROOM_BYTES)
    queue.start()
    assert looked.wait(10)
    with ThreadPoolExecutor(1) as pool:
        taken = queue.offer(LOG)
        closing = pool.submit(queue.close, 10)
        eventually(lambda: queue.offer(LOG) is None)
        go_on.set()
        assert closing.result()

    assert taken is not None
    assert taken.done.is_set()
    assert LOG in sink.flushed


@pytest.mark.parametrize("started", [True, False], ids=["started", "not started"])
def test_an_end_without_work_ends(started: object) -> None:
    """Closing closes the files, whether anything was written or not."""
    sink = Sink()
    queue = RecordingQueue(sink, max_waiting_bytes=ROOM_BYTES)
    if started:
        queue.start()

    assert queue.close(5)
    assert sink.closed
