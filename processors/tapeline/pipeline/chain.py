"""The chain: the processors of each signal, run in order over one batch at a time."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Heir, Processor
from tapeline.pipeline.value_limit import limit_values
from tapeline.pipeline.watch import Sighting, Watch

__all__ = ["MAX_DERIVATION_DEPTH", "Chain", "DerivationDepthError"]

MAX_DERIVATION_DEPTH: Final = 4
"""How often a derived batch may itself give rise to derived batches. Real chains need one."""


class DerivationDepthError(RuntimeError):
    """Processors keep deriving batches from each other's derived batches."""


class Chain:
    """Runs batches through the processors that the configuration lists for their signal.

    One batch at a time: a lock serialises everything, so processors need no locks of their own.
    A derived batch runs through the chain of its own signal, without the processor that made it;
    so what a processor derives in front of the redaction is redacted too.
    """

    def __init__(
        self,
        processors: Mapping[Signal, Sequence[Processor]],
        *,
        max_value_bytes: int = 0,
        watch: Watch | None = None,
    ) -> None:
        """Take the processors of each signal; `max_value_bytes` 0 cuts no values.

        `watch` says where somebody may look; None: nowhere.
        """
        self._processors = {signal: tuple(processors.get(signal, ())) for signal in Signal}
        self._max_value_bytes = max_value_bytes
        self._watch = watch
        self._lock = threading.Lock()
        self._closed = False
        self.is_watched = False
        """Set while somebody looks: what leaves then says how it stood behind the redaction."""
        self.values_cut = 0
        """Values cut for their length since the start."""

    @property
    def processors(self) -> tuple[Processor, ...]:
        """Every processor once, in the order of the signals and of the chain."""
        in_order = (step for steps in self._processors.values() for step in steps)
        return tuple({id(step): step for step in in_order}.values())

    def take_over(self, predecessors: Iterable[Processor]) -> None:
        """Let each processor go on from the one of its name, of a chain that was closed."""
        old = {processor.name: processor for processor in predecessors}
        for processor in self.processors:
            if isinstance(processor, Heir) and processor.name in old:
                processor.take_over(old[processor.name])

    def process(self, batch: Batch, now_unix_nano: int) -> tuple[Batch, ...]:
        """Return what has to go downstream for one incoming batch.

        Raises MalformedRequestError on broken framing, before any processor looks; passes on
        whatever a processor raises: such a batch is refused, never forwarded.
        """
        _ = batch.framing
        with self._lock:
            return self._run([(batch, None, 0)], now_unix_nano)

    def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Return what processors emit by themselves at this time."""
        with self._lock:
            if self._closed:
                return ()
            return self._emit("tick", now_unix_nano)

    def close(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Return the last emissions. A second call emits nothing."""
        with self._lock:
            if self._closed:
                return ()
            self._closed = True
            return self._emit("close", now_unix_nano)

    def _emit(self, occasion: str, now_unix_nano: int) -> tuple[Batch, ...]:
        pending: list[tuple[Batch, Processor | None, int]] = []
        for processor in self.processors:
            emit = processor.close if occasion == "close" else processor.tick
            pending.extend((batch, processor, 1) for batch in emit(now_unix_nano))
        return self._run(pending, now_unix_nano)

    def _run(
        self, pending: Sequence[tuple[Batch, Processor | None, int]], now_unix_nano: int
    ) -> tuple[Batch, ...]:
        """Run batches, and what is derived from them, each through the chain of its signal."""
        watch = self._watch if self.is_watched else None
        queue = deque(pending)
        finished: list[Batch] = []
        while queue:
            batch, origin, depth = queue.popleft()
            if depth > MAX_DERIVATION_DEPTH:
                raise DerivationDepthError(
                    f"a batch was derived more than {MAX_DERIVATION_DEPTH} times over"
                    f" (last by {origin.name if origin else 'nobody'!r}): two processors of the"
                    " chain derive from each other's output; take one of them out"
                )
            kept: Batch | None = batch
            behind = None if watch is None else watch.behind.get(batch.signal)
            before: Batch | None = None
            for processor in self._processors[batch.signal]:
                if processor is origin:
                    continue
                result = processor.process(batch, now_unix_nano)
                queue.extend((derived, processor, depth + 1) for derived in result.derived)
                kept = result.batch
                if kept is None:
                    break
                batch = kept
                if processor is behind:
                    before = batch
            if kept is not None and kept.payload:
                finished.append(self._noted(self._limit(kept), before))
        return tuple(finished)

    def _noted(self, batch: Batch, before: Batch | None) -> Batch:
        """Return a batch that says how it stood behind the redaction, where that was noted."""
        if before is None or self._watch is None:
            return batch
        sighting = Sighting(before, self._watch.mask)
        return replace(batch, known_framing=batch.framing, sighting=sighting)

    def _limit(self, batch: Batch) -> Batch:
        if self._max_value_bytes == 0:
            return batch
        limited, cut = limit_values(batch, self._max_value_bytes)
        self.values_cut += cut
        return limited
