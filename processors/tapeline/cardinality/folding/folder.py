"""Folding: which points count, how much, and since when. Pure; time is an argument.

The rules are those of the OpenTelemetry data model for resets and gaps, with one more: what may
have been counted before is never counted again.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from tapeline.cardinality.folding.forgotten import Forgotten
from tapeline.cardinality.folding.index_table import IndexTable
from tapeline.cardinality.folding.kinds import EXEMPLAR_FIELDS, new_total
from tapeline.cardinality.folding.options import FoldOptions
from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError
from tapeline.cardinality.folding.outputs import (
    MetricIdentity,
    Output,
    OutputIdentity,
    PointKind,
    Producer,
    Temporality,
)
from tapeline.cardinality.folding.streams import IDLE_GENERATIONS, Streams

__all__ = ["FoldOptions", "Folder"]

_MILLISECOND_NS: Final = 1_000_000
# A batch must not stall on evictions; the rest goes with the next.
_MAX_EVICTIONS_PER_ROTATION: Final = 1000
_MAX_EVICTIONS_A_STREAM: Final = 16
_EVICTED_TOGETHER: Final = 64

_TEMPORAL_KINDS: Final = frozenset(
    {PointKind.SUM, PointKind.HISTOGRAM, PointKind.EXPONENTIAL_HISTOGRAM}
)
# Outcomes of points that added something.
_COUNTED: Final = frozenset({FoldOutcome.ADDED, FoldOutcome.RESET_AT_UNKNOWN_TIME})


class Folder:
    """All folded streams and the outputs that they became.

    Its tables are public for `state`, which keeps them over a restart.
    """

    def __init__(
        self, options: FoldOptions, epoch_unix_nano: int, *, state_was_lost: bool = False
    ) -> None:
        """Begin empty; no output starts before the epoch.

        `state_was_lost`: something was counted before that is not known now, so that deltas
        from before the epoch add nothing.
        """
        self.options = options
        self.epoch_unix_nano = epoch_unix_nano
        self.global_floor_unix_nano = 0
        self.evictions = 0
        self.evicted_outputs = 0
        self.evictions_for_room = 0
        self.lost_up_to_unix_nano = epoch_unix_nano if state_was_lost else 0
        self.earliest_start_unix_nano = epoch_unix_nano
        self.streams = Streams()
        self.forgotten = Forgotten(options.max_folded_streams)
        self.first_forgotten_part = 0
        self.outputs: dict[int, Output] = {}
        self.output_table: IndexTable[Output] = IndexTable()
        self.producer_table: IndexTable[Producer] = IndexTable()
        self.dirty: list[Output] = []

    def __len__(self) -> int:
        """Return how many streams are folded."""
        return len(self.streams)

    @property
    def output_count(self) -> int:
        """How many outputs there are."""
        return len(self.outputs)

    def state_bytes(self) -> int:
        """Return about how much memory the streams take, and the keys of those forgotten."""
        return self.streams.state_bytes() + self.forgotten.state_bytes()

    def start_outputs_after(self, now_unix_nano: int) -> None:
        """Let outputs that are made from now on start then: what is folded has changed."""
        self.earliest_start_unix_nano = max(self.earliest_start_unix_nano, now_unix_nano)

    def remember(self, producer: Producer) -> None:
        """Keep what a producer knows of its evictions for all that are made from now on.

        It is forgotten itself, or stands for others.
        """
        self.global_floor_unix_nano = max(
            self.global_floor_unix_nano, producer.evicted_up_to_unix_nano
        )
        first = producer.first_forgotten_part
        if first and not 0 < self.first_forgotten_part < first:
            self.first_forgotten_part = first

    def forget(self, keys: set[int], producers: Iterable[Producer]) -> None:
        """Remember streams that were admitted, and are no more; they are of these producers."""
        newest = self.forgotten.newest
        is_counting = False
        for producer in producers:
            if producer.counts_since_start:
                is_counting = True
                producer.first_forgotten_part = producer.first_forgotten_part or newest
        if self.lost_up_to_unix_nano:
            # Then they may also be of producers that nobody has seen again.
            is_counting = True
            self.first_forgotten_part = self.first_forgotten_part or newest
        if is_counting:
            self.forgotten.add_all(keys)

    def is_first_seen(self, producer: Producer, stream_key: int, now_unix_nano: int) -> bool:
        """Say whether an unseen stream can't be one that was counted and forgotten.

        That is believed of producers that `believes` names, where the stream's key is unknown.
        """
        return self.believes(producer, now_unix_nano) and stream_key not in self.forgotten

    def believes(self, producer: Producer, now_unix_nano: int) -> bool:
        """Say whether who is not among those forgotten is new.

        So it is where a producer was seen for a while, and its evicted streams are all known by
        their keys. Never where folding is strict.
        """
        options = self.options
        return (
            not options.strict
            and producer.is_warm(now_unix_nano, options.warmup_ns)
            and producer.is_all_known(self.forgotten.oldest)
        )

    def producer(
        self, key: int, metric: MetricIdentity, now_unix_nano: int, *, is_synthetic: bool = False
    ) -> Producer:
        """Return a producer that is seen for the first time, as far as anybody knows."""
        producer = Producer(key, metric, now_unix_nano, is_synthetic=is_synthetic)
        if self.global_floor_unix_nano:
            producer.raise_floor(self.global_floor_unix_nano, now_unix_nano)
        producer.first_forgotten_part = self.first_forgotten_part
        return producer

    def output(self, key: int, make: Callable[[], OutputIdentity]) -> Output:
        """Return the output with this key, made where it is new. To be asked for each point."""
        output = self.outputs.get(key)
        if output is None:
            identity = make()
            total = new_total(identity, self.options.contributor_ns)
            output = Output(key, identity, total, self.earliest_start_unix_nano)
            output.generation = self.streams.generation
            self.outputs[key] = output
        return output

    def output_of(self, stream_key: int) -> Output | None:
        """Return the output that a stream is folded into, or None."""
        slot = self.streams.slots.get(stream_key)
        if slot is None:
            return None
        output = self.output_table[self.streams.outputs[slot]]
        if output.is_gone:
            self._evict((slot,))
            return None
        return output

    def evict_output(self, key: int) -> None:
        """Forget an output; each of its streams is evicted when it is next seen, or idle."""
        output = self.outputs.pop(key, None)
        if output is not None:
            self.evicted_outputs += 1
            output.is_gone = True
            # Should it come back, its start must be after all that it has written.
            self.start_outputs_after(max(output.last_emitted_unix_nano, output.newest_unix_nano))

    def may_promote(self, stream_key: int, start_unix_nano: int, time_unix_nano: int) -> bool:
        """Say whether a folded stream began anew after its last point, so that it may pass."""
        slot = self.streams.slots.get(stream_key)
        if slot is None:
            return False
        return self.streams.times[slot] < start_unix_nano < time_unix_nano

    def promote(self, stream_key: int) -> tuple[Output, int]:
        """Fold a stream no more; return its output and its last time in Unix nanoseconds.

        What it added stays; what it contributes to a gauge or non-monotonic sum goes.
        Raises KeyError where it is not folded.
        """
        slot = self.streams.slots[stream_key]
        output, time = self.output_table[self.streams.outputs[slot]], self.streams.times[slot]
        self._remove(slot)
        return output, time

    def fold(  # noqa: C901, PLR0912 — a call more is a tenth of the time a point may take.
        self,
        stream_key: int,
        output: Output,
        producer: Producer,
        point: bytes,
        now_unix_nano: int,
        removed: tuple[bytes, ...] = (),
    ) -> FoldOutcome:
        """Fold one encoded data point; say what became of it.

        A stream stays with the output that its first point went to. `removed` are the contents
        of the point's KeyValues that the output has not.
        """
        streams = self.streams
        streams.now_unix_nano = now_unix_nano
        slot = streams.slots.get(stream_key)
        if slot is not None:
            known = self.output_table[streams.outputs[slot]]
            if known.is_gone:
                self._evict((slot,))
                slot = None
            else:
                output = known
        if output.is_gone:
            output = self._revive(output)
        if producer.kind != output.kind or producer.is_monotonic != output.is_monotonic:
            return FoldOutcome.CONFLICTING_KIND
        try:
            reading = output.total.read(point)
            start, time, value, exemplars = reading
            if not start <= time <= now_unix_nano + self.options.max_ahead_ns or time == 0:
                _refuse_time(start, time)
            if slot is None:
                outcome = self._begin(stream_key, output, producer, reading)
            else:
                outcome = self._advance(slot, output, reading, is_delta=producer.is_delta)
        except RefusedPointError as refusal:
            return refusal.outcome
        if value is None:
            return outcome
        if time > output.newest_unix_nano:  # noqa: PLR1730 — a call less on the hot path.
            output.newest_unix_nano = time
        if not output.is_dirty:
            output.is_dirty = True
            self.dirty.append(output)
        if exemplars and outcome in _COUNTED:
            output.exemplars.keep(exemplars, removed)
        return outcome

    def _revive(self, output: Output) -> Output:
        """Return the output that stands for one which was evicted meanwhile."""
        output.is_gone = output.key in self.outputs
        return self.outputs.setdefault(output.key, output)

    def _advance(
        self,
        slot: int,
        output: Output,
        reading: tuple[int, int, Any, Sequence[bytes]],
        *,
        is_delta: bool,
    ) -> FoldOutcome:
        """Fold a point of a stream that is folded already."""
        streams = self.streams
        start, time, value, _ = reading
        streams.marks[slot] = streams.mark
        last = streams.times[slot]
        if value is None:
            if time > last:
                self._end(slot, output, time)
            return FoldOutcome.NO_RECORDED_VALUE
        if time <= last:
            return FoldOutcome.LATE
        outcome = FoldOutcome.ADDED
        if is_delta:
            output.total.add_delta(value)
        else:
            # A start that equals its time is an unknown one (data model, "Resets and gaps").
            is_new_start = last < start < time
            outcome = output.total.advance(streams, slot, time, value, is_new_start=is_new_start)
        streams.times[slot] = time
        return outcome

    def _end(self, slot: int, output: Output, time: int) -> None:
        """Take note that a stream has no value now; its baseline stays."""
        if output.total.withdraw(self.streams, slot):
            self.mark_for_emission(output, time)

    def mark_for_emission(self, output: Output, time_unix_nano: int) -> None:
        """Let an output write a point for this batch, though nothing may have changed."""
        output.newest_unix_nano = max(output.newest_unix_nano, time_unix_nano)
        if not output.is_dirty:
            output.is_dirty = True
            self.dirty.append(output)

    def _begin(
        self,
        stream_key: int,
        output: Output,
        producer: Producer,
        reading: tuple[int, int, Any, Sequence[bytes]],
    ) -> FoldOutcome:
        """Fold the first point of a stream, as far as anybody remembers."""
        start, time, value, _ = reading
        if value is None:
            return FoldOutcome.NO_RECORDED_VALUE
        if producer.temporality == Temporality.UNSPECIFIED and producer.kind in _TEMPORAL_KINDS:
            raise RefusedPointError(FoldOutcome.UNSPECIFIED_TEMPORALITY)
        total = output.total
        is_counted = True
        if producer.is_delta or total.starts_matter:
            floor = self.floor_of(output, producer)
            lost_up_to = self.lost_up_to_unix_nano
            is_lost = time <= lost_up_to and (producer.is_delta or self.options.strict)
            if time <= floor or is_lost:
                # Of a stream that was forgotten it may be an old point, sent again. As a baseline
                # it would make what was counted after it look new.
                return FoldOutcome.BELOW_FLOOR
            # A start that equals its time is an unknown one.
            is_counted = producer.is_delta or (
                0 < start < time
                and (
                    start > max(floor, output.start_unix_nano)
                    or self.is_first_seen(producer, stream_key, self.streams.now_unix_nano)
                )
            )
        if is_counted and producer.is_delta:
            total.add_delta(value)
        elif is_counted:
            total.add(value)
        self.make_room(1)
        streams = self.streams
        slot = streams.add(
            stream_key,
            time,
            self.output_table.acquire(output),
            self.producer_table.acquire(producer),
        )
        if not producer.is_delta:
            total.begin(streams, slot, value, is_counted=is_counted)
        streams.next_mark(self.options.max_folded_streams)
        return FoldOutcome.ADDED if is_counted else FoldOutcome.BASELINE

    def floor_of(self, output: Output, producer: Producer) -> int:
        """Return up to when an unseen stream may have been counted before."""
        floor = max(output.floor_unix_nano, producer.evicted_up_to_unix_nano)
        if producer.is_synthetic:
            # Its streams may have been anybody's.
            return max(floor, self.global_floor_unix_nano)
        if producer.stand_ins:
            return max(floor, producer.counted_up_to_unix_nano)
        return floor

    def make_room(self, count: int) -> None:
        """Evict who is idle longest where the table or its buckets have no room for so many."""
        streams, options = self.streams, self.options
        for _ in range(_MAX_EVICTIONS_A_STREAM):
            if streams.detail_bytes < options.max_bucket_bytes:
                break
            slots = streams.longest_idle(1)
            self.evictions_for_room += len(slots)
            self._evict(slots)
        missing = len(streams.slots) + count - options.max_folded_streams
        if missing > 0:
            # More than are needed, as much of the work is the same for all of them.
            block = min(_EVICTED_TOGETHER, options.max_folded_streams // _EVICTED_TOGETHER)
            slots = streams.longest_idle(max(missing, block))
            self.evictions_for_room += len(slots)
            self._evict(slots)

    def _evict(self, slots: Sequence[int]) -> None:
        """Forget streams, and remember up to when such as they may have been counted."""
        streams = self.streams
        groups: dict[tuple[int, int], list[int]] = {}
        for slot in slots:
            groups.setdefault((streams.outputs[slot], streams.producers[slot]), []).append(slot)
        for (output_number, producer_number), group in groups.items():
            output = self.output_table[output_number]
            producer = self.producer_table[producer_number]
            if output.total.starts_matter or producer.is_delta:
                self._raise_floors(output, producer, group)
            if not output.total.starts_matter:
                for slot in group:
                    output.total.withdraw(streams, slot)
            self.output_table.release(output, len(group))
            self.producer_table.release(producer, len(group))
        self.evictions += len(slots)
        streams.remove(slots)

    def _raise_floors(self, output: Output, producer: Producer, slots: Sequence[int]) -> None:
        """Remember streams that are evicted, which they have in common."""
        streams = self.streams
        now = streams.now_unix_nano
        time = min(max([streams.times[slot] for slot in slots]), now + self.options.max_ahead_ns)
        output.floor_unix_nano = max(output.floor_unix_nano, time)
        producer.raise_floor(time, now)
        producer.fold_evicted_up_to_unix_nano = max(producer.fold_evicted_up_to_unix_nano, time)
        if not producer.is_delta:
            forgotten = self.forgotten
            producer.first_forgotten_part = producer.first_forgotten_part or forgotten.newest
            forgotten.add([streams.keys[slot] for slot in slots])
        if producer.is_synthetic:
            self.remember(producer)

    def _remove(self, slot: int) -> None:
        streams = self.streams
        output = self.output_table[streams.outputs[slot]]
        output.total.withdraw(streams, slot)
        self.output_table.release(output)
        self.producer_table.release(self.producer_table[streams.producers[slot]])
        streams.remove((slot,))

    def emissions(self) -> list[tuple[Output, bytes]]:
        """Return each output that folded anything since the last call, and its data point."""
        emitted = []
        for output in self.dirty:
            output.is_dirty = False
            if output.is_gone:
                continue
            output.generation = self.streams.generation
            time = max(output.newest_unix_nano, output.last_emitted_unix_nano + _MILLISECOND_NS)
            output.newest_unix_nano = 0
            body = output.total.encode(self.streams, output.start_unix_nano, time)
            exemplars = output.exemplars.take(EXEMPLAR_FIELDS[output.kind])
            if body is not None:
                output.last_emitted_unix_nano = time
                emitted.append((output, body + exemplars + output.attributes))
        self.dirty.clear()
        return emitted

    def rotate(self, generation: int, now_unix_nano: int) -> int:
        """Evict what is idle for too long, and return how many streams went.

        Gauges and other levels go when they are idle. The others stay, since an eviction costs
        exactness, until the table is half full. Called with each batch, before its points or
        after its emissions (then the streams that have come since an earlier generation began live
        for one more); generations only grow. It does a bounded amount of work, and goes on with
        the next call.
        """
        streams = self.streams
        is_running = streams.now_unix_nano >= now_unix_nano
        streams.now_unix_nano = now_unix_nano
        if generation > streams.generation:
            streams.begin_generation(generation, is_running=is_running)
            self._drop_idle_outputs(generation)
        before = self.evictions
        for _ in range(_MAX_EVICTIONS_PER_ROTATION):
            slot = streams.newly_expired()
            if slot is None:
                break
            output = self.output_table[streams.outputs[slot]]
            producer = self.producer_table[streams.producers[slot]]
            if not output.total.starts_matter and not producer.is_delta:
                self._evict((slot,))
        above_half = len(streams) - self.options.max_folded_streams // 2
        if above_half > 0:
            self._evict(streams.expired(min(above_half, _MAX_EVICTIONS_PER_ROTATION)))
        return self.evictions - before

    def _drop_idle_outputs(self, generation: int) -> None:
        idle = [
            output
            for output in self.outputs.values()
            if output.streams == 0
            and not output.is_dirty
            and output.generation <= generation - IDLE_GENERATIONS
        ]
        for output in idle:
            self.evict_output(output.key)


def _refuse_time(start: int, time: int) -> None:
    if time == 0:
        raise RefusedPointError(FoldOutcome.TIME_ZERO)
    if start > time:
        raise RefusedPointError(FoldOutcome.START_AFTER_TIME)
    raise RefusedPointError(FoldOutcome.TIME_IN_FUTURE)
