"""`tapeline record`: the sink at the end of a gate, which acknowledges what is on disk."""

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.recorded.folder import Form
from tapeline.recorded.metadata import metadata_path
from tapeline.recorded.recording_queue import RecordingQueue, Sink
from tapeline.recorded.selection import Selection
from tapeline.recorded.writer import RecordingWriter
from tapeline.transport.answers import Code, Failure

__all__ = ["Recorder", "RecorderCounts", "SingleFile"]

logger = logging.getLogger(__name__)

_RETRY_AFTER_S: Final = 1.0
_MAX_WAITING_BYTES: Final = 256 * 1024 * 1024


class SingleFile:
    """One file, to the end. Of one thread."""

    def __init__(self, path: Path, form: Form) -> None:
        """Make the file; raises OSError, FileExistsError where something is there."""
        self._writer = RecordingWriter(
            path, form.format, form.compression, source=form.source, policy=form.policy
        )
        self.files_begun = 1

    def append(self, batch: Batch) -> None:
        """Add a batch, to be flushed."""
        if self._writer.is_broken:
            raise OSError(f"{self._writer.path} can't be written any more; record into another one")
        self._writer.append(batch)

    def flush(self) -> None:
        """Bring what was appended to disk; raises OSError where it is gone."""
        self._writer.flush()

    def tick(self) -> None:
        """Nothing is due."""

    def close(self) -> None:
        """Complete the file; raises OSError."""
        self._writer.close()

    def remove_if_empty(self) -> None:
        """Remove a file that was closed with nothing in it, so that its name is free again."""
        path = self._writer.path
        if not self._writer.size_bytes and not path.stat().st_size:
            path.unlink()
            metadata_path(path).unlink(missing_ok=True)
            self.files_begun = 0


@dataclass(slots=True)
class RecorderCounts:
    """What became of what came. Records are log records, spans and data points."""

    batches: int = 0
    records: dict[Signal, int] = field(default_factory=lambda: dict.fromkeys(Signal, 0))
    payload_bytes: int = 0
    left_out: int = 0
    """Records that nobody wanted."""
    refused: int = 0
    """Batches for which there was no room, each time that they came."""
    unfit: int = 0
    """Batches that can't be written in this form."""


class Recorder:
    """Takes batches as a gate's downstream: each is acknowledged when it is flushed.

    Thread-safe. A `transport.forwarder.Forwarder`.
    """

    def __init__(self, sink: Sink, selection: Selection) -> None:
        """Write nothing before `start`."""
        self._selection = selection
        self._queue = RecordingQueue(
            sink, max_waiting_bytes=_MAX_WAITING_BYTES, troubled=self._note_trouble
        )
        self._lock = threading.Lock()
        self._refusing = False
        self.counts = RecorderCounts()
        self.had_trouble = False
        """Whether a file could not be written, at any time."""

    def start(self) -> None:
        """Take batches from now on."""
        self._queue.start()

    @property
    def problem(self) -> str | None:
        """Why nothing can be written now; None where it can."""
        return "the recording can't be written" if self._refusing else None

    def forward(self, batch: Batch, timeout_s: float) -> Failure | None:
        """Write what is wanted of a batch; None once that is on disk."""
        try:
            wanted = self._selection.of(batch)
        except MalformedRequestError as error:
            return self._refused(error)
        if wanted is not None and not wanted.framing.record_count:
            wanted = None  # Nothing in it, and nothing that tells its signal.
        left_out = batch.framing.record_count - (wanted.framing.record_count if wanted else 0)
        failure = None if wanted is None else self._queue.record(wanted, max(timeout_s, 0.0))
        if failure is not None:
            return self._refused(failure)
        with self._lock:
            self.counts.left_out += left_out
            if wanted is not None:
                self.counts.batches += 1
                self.counts.records[wanted.signal] += wanted.framing.record_count
                self.counts.payload_bytes += len(wanted.payload)
            recovered = self._refusing and wanted is not None
            self._refusing = self._refusing and not recovered
        if recovered:
            logger.warning("the recording goes on")
        return None

    def _refused(self, error: Exception) -> Failure:
        if not isinstance(error, OSError):
            # What the form can't hold it never will; the type alone, a message may quote the data.
            with self._lock:
                self.counts.unfit += 1
            logger.error("a batch can't be written: %s", type(error).__name__)
            return Failure(Code.INVALID_ARGUMENT)
        with self._lock:
            self.counts.refused += 1
            self.had_trouble = True
            is_new, self._refusing = not self._refusing, True
        if is_new:
            logger.error(
                "the recording can't be written (%s): senders are told to come back, and nothing"
                " is acknowledged until it can",
                error.strerror or error,
            )
        return Failure(Code.UNAVAILABLE, _RETRY_AFTER_S)

    def _note_trouble(self, error: Exception) -> None:
        """Say what is wrong with the files themselves: a sidecar that can't be completed."""
        if not self.had_trouble:
            logger.error("a file of the recording can't be completed: %s", error)
        self.had_trouble = True

    def tick(self) -> None:
        """Nothing is due: the queue has a thread of its own."""

    def reload(self) -> None:
        """There is nothing to read."""

    def close(self) -> None:
        """Nothing is in flight here; `finish` ends the files."""

    def finish(self, timeout_s: float) -> bool:
        """Write what waits and complete the files; False where that takes too long."""
        return self._queue.close(timeout_s)
