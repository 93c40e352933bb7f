"""Many new streams of one producer, folded at once: what a flood of labels is.

The result is that of folding them one by one. What a stream costs is in the loops here, so they do
for each only what differs from one to the next.
"""

from collections.abc import Sequence
from typing import Final

from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.folding.numbers import Number, read_plain_numbers
from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError
from tapeline.cardinality.folding.outputs import Output, Producer, Temporality
from tapeline.cardinality.folding.sums import MonotonicSum

__all__ = ["fold_new"]

# Of a table of folded streams no more than this part is evicted at once.
_PARTS_OF_TABLE: Final = 8


def fold_new(
    folder: Folder,
    output: Output,
    producer: Producer,
    points: Sequence[tuple[int, bytes]],
    now_unix_nano: int,
) -> list[FoldOutcome]:
    """Fold data points by the keys of their streams; say what became of each, in their order."""
    most = max(1, folder.options.max_folded_streams // _PARTS_OF_TABLE)
    outcomes = []
    for begin in range(0, len(points), most):
        some = points[begin : begin + most]
        numbers = _plain_numbers(folder, output, producer, some)
        if numbers is None:
            outcomes += [
                folder.fold(key, output, producer, point, now_unix_nano) for key, point in some
            ]
        else:
            outcomes += _fold_numbers(folder, output, producer, (some, numbers), now_unix_nano)
    return outcomes


def _plain_numbers(
    folder: Folder, output: Output, producer: Producer, points: Sequence[tuple[int, bytes]]
) -> list[tuple[int, int, Number]] | None:
    """Return starts, times and values where all are first points of a counter that is folded."""
    if (
        not isinstance(output.total, MonotonicSum)
        or output.is_gone
        or producer.kind != output.kind
        or not producer.is_monotonic
        or producer.temporality != Temporality.CUMULATIVE
    ):
        return None
    keys = {key for key, _ in points}
    if len(keys) < len(points) or not folder.streams.slots.keys().isdisjoint(keys):
        return None
    return read_plain_numbers([point for _, point in points])


def _fold_numbers(
    folder: Folder,
    output: Output,
    producer: Producer,
    read: tuple[Sequence[tuple[int, bytes]], Sequence[tuple[int, int, Number]]],
    now_unix_nano: int,
) -> list[FoldOutcome]:
    streams, options, forgotten = folder.streams, folder.options, folder.forgotten
    streams.now_unix_nano = now_unix_nano
    floor = folder.floor_of(output, producer)
    since = max(floor, output.start_unix_nano)
    late = max(floor, folder.lost_up_to_unix_nano) if options.strict else floor
    future = now_unix_nano + options.max_ahead_ns
    believes = folder.believes(producer, now_unix_nano)
    add = output.total.add
    outcomes, keys, numbers = [], [], []
    for (key, point), (start, time, value) in zip(*read, strict=True):
        if not (start <= time <= future and time > late and value >= 0):
            # It is refused, or counts nothing: no stream begins.
            outcomes.append(folder.fold(key, output, producer, point, now_unix_nano))
            continue
        outcome = FoldOutcome.BASELINE
        # A start that equals its time is an unknown one.
        if 0 < start < time and (start > since or (believes and key not in forgotten)):
            try:
                add(value)
            except RefusedPointError as refusal:
                outcomes.append(refusal.outcome)
                continue
            outcome = FoldOutcome.ADDED
        outcomes.append(outcome)
        keys.append(key)
        numbers.append((time, value))
    if keys:
        folder.make_room(len(keys))
        output_number = folder.output_table.acquire(output, len(keys))
        producer_number = folder.producer_table.acquire(producer, len(keys))
        streams.add_numbers(keys, numbers, output_number, producer_number)
        streams.next_mark(options.max_folded_streams)
        folder.mark_for_emission(output, max(numbers)[0])
    return outcomes
