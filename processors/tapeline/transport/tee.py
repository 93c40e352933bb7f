"""Recordings of what passes the gate: out of the way of requests, and never in their way.

What downstream acknowledged is left in a bounded queue, which a thread writes to files. A full
queue, a full disk or a broken file cost the recording and nothing else; that is counted, and said
once until it is over.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.folder import Form, RecordingFolder, Rotation
from tapeline.recorded.metadata import Policy
from tapeline.recorded.recording_queue import RecordingQueue, Taken
from tapeline.recorded.selection import Selection
from tapeline.transport.record_config import RecordConfig
from tapeline.transport.record_metrics import RecordMetrics

__all__ = ["Tee"]

logger = logging.getLogger(__name__)

_PREFIX: Final = "gate"


class Tee:
    """Records what the gate acknowledged. Thread-safe."""

    def __init__(
        self,
        config: RecordConfig,
        metrics: RecordMetrics,
        policy: Callable[[], Policy],
        *,
        worker: str = "",
    ) -> None:
        """Take the folder; raises OSError that tells the user what is wrong.

        `policy` says by which rules batches are redacted now; another one begins another file.
        `worker` tells the files of several workers apart.
        """
        if config.folder is None:
            raise ValueError("a tee needs a folder")
        self._config = config
        self._metrics = metrics
        self._is_failing = False
        sink = _FolderSink(config, metrics, policy, worker)
        self._queue = RecordingQueue(
            sink,
            max_waiting_bytes=config.max_waiting_bytes,
            settled=self._note_settled,
            troubled=self._note_trouble,
        )
        if config.raw:
            logger.warning(
                "record.raw: what comes in is written to %s as it is, secrets included",
                config.folder,
            )
        self._queue.start()

    def acknowledged(self, received: Batch, outgoing: Iterable[Batch]) -> None:
        """Take note of a request that was answered OK: what came in, what went out."""
        if self._config.raw:
            self._offer(received)
            return
        self.emitted(outgoing)

    def emitted(self, batches: Iterable[Batch]) -> None:
        """Take note of batches that downstream took; they are none that came in."""
        if not self._config.raw:
            for batch in batches:
                self._offer(batch)

    def close(self, timeout_s: float) -> None:
        """Write what waits, and complete the files."""
        if not self._queue.close(timeout_s):
            logger.error("the recording was not finished in time; its last file is not closed")

    def _offer(self, batch: Batch) -> None:
        if not self._config.records(batch.signal) or not batch.framing.record_count:
            return
        self._metrics.offered.inc()
        # What else was made of the batch on its way is not kept while it waits.
        kept = Batch(batch.signal, batch.payload, (), batch.framing)
        if self._queue.offer(kept) is None:
            self._dropped("queue_full", "more waits to be written than record.max_waiting_mib")
        self._metrics.waiting_bytes.set(self._queue.waiting_bytes)

    def _note_settled(self, taken: Taken) -> None:
        self._metrics.waiting_bytes.set(self._queue.waiting_bytes)
        if taken.error is None:
            if self._is_failing and not self._queue.waiting_bytes:
                self._is_failing = False
                logger.warning("the recording goes on; it lacks what is counted as dropped")
        elif isinstance(taken.error, OSError):
            self._dropped("disk", str(taken.error.strerror or taken.error))
        else:
            # The type alone: a message may quote the data.
            self._dropped("unfit", type(taken.error).__name__)

    def _dropped(self, reason: str, told: str) -> None:
        self._metrics.dropped[reason].inc()
        if not self._is_failing:
            self._is_failing = True
            logger.error(
                "the recording lacks batches (%s); telemetry itself is not affected"
                " (tapeline_record_dropped_batches_total has the count)",
                told,
            )

    def _note_trouble(self, error: Exception) -> None:
        self._metrics.file_failures.inc()
        logger.error("a file of the recording can't be completed or removed: %s", error)


def _raw() -> Policy:
    return Policy(raw=True)


class _FolderSink:
    """The folder, with what is not wanted left out and a file for each policy."""

    def __init__(
        self,
        config: RecordConfig,
        metrics: RecordMetrics,
        policy: Callable[[], Policy],
        worker: str,
    ) -> None:
        self._metrics = metrics
        # What is raw is of mode 0600, whatever anybody says of rules.
        self._policy = _raw if config.raw else policy
        self._selection = Selection(services=frozenset(config.services))
        self._written: list[tuple[Signal, int]] = []
        source = f"gate worker {worker}" if worker else "gate"
        self._form = Form(config.format, config.compression, source, self._policy())
        if config.folder is None:
            raise ValueError("a tee needs a folder")
        self._folder = RecordingFolder(
            config.folder,
            f"{_PREFIX}-{worker}" if worker else _PREFIX,
            self._form,
            Rotation(config.max_file_bytes, config.max_file_age or None, config.max_files or None),
        )
        self._files = 0

    def append(self, batch: Batch) -> None:
        wanted = self._selection.of(batch)
        if wanted is None:
            return
        try:
            self._folder.append(wanted)
        except OSError:
            # With it went all since the last flush.
            self._written.clear()
            raise
        self._written.append((wanted.signal, wanted.framing.record_count))

    def flush(self) -> None:
        written, self._written = self._written, []
        self._folder.flush()
        for signal, count in written:
            self._metrics.records[signal].inc(count)

    def tick(self) -> None:
        self._metrics.files.inc(self._folder.files_begun - self._files)
        self._files = self._folder.files_begun
        self._folder.tick()
        policy = self._policy()
        if policy != self._folder.form.policy:
            self._folder.change(policy)

    def close(self) -> None:
        self._folder.close()
