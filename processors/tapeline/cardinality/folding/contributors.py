"""The latest values of those who were seen lately, with their least, greatest and sum at hand.

A stream's place is kept in its row (`Streams.integers`, which gauges need for nothing else).
Extremes are kept for blocks of values, so that a batch costs a block for each stream that it
changes and one look at all blocks, however many contribute.
"""

from array import array
from collections.abc import Callable
from typing import Any, Final

from tapeline.cardinality.folding.numbers import Number, RunningSum
from tapeline.cardinality.folding.streams import Streams

__all__ = ["Contributors"]

_BLOCK: Final = 256
_NOBODY: Final = 0xFFFFFFFF


class Contributors:
    """Values by place, and the order in which their streams were last seen."""

    def __init__(self, extreme: Callable[..., Number] | None) -> None:
        """Keep `min` or `max` at hand, or with None the sum."""
        self._extreme = extreme
        # Integers until a double comes.
        self._values: array[Any] = array("q")
        self._slots = array("I")
        self._seen = array("Q")
        self._earlier = array("I")
        self._later = array("I")
        self._first = _NOBODY
        self._last = _NOBODY
        self._blocks: list[Number | None] = []
        self.sum = RunningSum()

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, streams: Streams, slot: int, value: Number) -> None:
        """Take a stream's latest value, seen now. Raises RefusedPointError for a sum too large."""
        if self._values.typecode == "d":
            value = float(value)
        elif not isinstance(value, int):
            self._turn_to_doubles()
        place = self._place_of(streams, slot)
        if place is None:
            self._append(streams, slot, value)
            return
        before = self._values[place]
        if self._extreme is None:
            self.sum.add_difference(value, before)
        self._values[place] = value
        self._note_change(place, before)
        self._unlink(place)
        self._link_last(place, streams.now_unix_nano)

    def check(self, value: Number) -> None:
        """Raise RefusedPointError where the sum would be too large with this value."""
        self.sum.check(value)

    def take(self, streams: Streams, slot: int) -> bool:
        """Take a stream's value out; say whether it had one."""
        place = self._place_of(streams, slot)
        if place is None:
            return False
        self._remove(streams, place)
        return True

    def remove_older(self, streams: Streams, seen_unix_nano: int, at_most: int) -> None:
        """Take out who was not seen since, but no more than so many at a time."""
        for _ in range(at_most):
            first = self._first
            if first == _NOBODY or self._seen[first] >= seen_unix_nano:
                return
            self._remove(streams, first)

    def extreme(self) -> Number:
        """Return the least or greatest value. There must be one."""
        extreme = self._extreme
        if extreme is None:
            raise TypeError("these contributors keep a sum")
        for number, known in enumerate(self._blocks):
            if known is None:
                begin = number * _BLOCK
                self._blocks[number] = extreme(self._values[begin : begin + _BLOCK])
        return extreme(self._blocks)

    def dump(self) -> list[Any]:
        """Return values and order as plain data."""
        columns = (self._values, self._slots, self._seen, self._earlier, self._later)
        packed = [column.tobytes() for column in columns]
        return [self._values.typecode, *packed, self._first, self._last, self.sum.dump()]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        typecode, values, slots, seen, earlier, later, self._first, self._last, total = data
        self._values = array(typecode, values)
        self._slots, self._seen = array("I", slots), array("Q", seen)
        self._earlier, self._later = array("I", earlier), array("I", later)
        self._blocks = [None] * -(-len(self._slots) // _BLOCK)
        self.sum.restore(total)

    def _place_of(self, streams: Streams, slot: int) -> int | None:
        place = streams.integers[slot]
        if place < len(self._slots) and self._slots[place] == slot:
            return place
        return None

    def _turn_to_doubles(self) -> None:
        self._values = array("d", self._values)
        self._blocks = [None] * len(self._blocks)
        self.sum = RunningSum()
        if self._extreme is None:
            for value in self._values:
                self.sum.add(value)

    def _append(self, streams: Streams, slot: int, value: Number) -> None:
        if self._extreme is None:
            self.sum.add(value)
        place = len(self._slots)
        streams.integers[slot] = place
        self._values.append(value)
        self._slots.append(slot)
        self._seen.append(0)
        self._earlier.append(_NOBODY)
        self._later.append(_NOBODY)
        if place % _BLOCK == 0:
            self._blocks.append(None)
        self._blocks[-1] = None
        self._link_last(place, streams.now_unix_nano)

    def _note_change(self, place: int, before: Number) -> None:
        block = place // _BLOCK
        known = self._blocks[block]
        if self._extreme is None or known is None:
            return
        # Where the extreme itself changes, the block is looked at again when it is asked for.
        is_extreme = before == known
        self._blocks[block] = None if is_extreme else self._extreme(known, self._values[place])

    def _remove(self, streams: Streams, place: int) -> None:
        if self._extreme is None:
            self.sum.take_out(self._values[place])
        self._unlink(place)
        self._blocks[place // _BLOCK] = None
        final = len(self._slots) - 1
        if place != final:
            self._move(streams, final, place)
        for column in (self._values, self._slots, self._seen, self._earlier, self._later):
            column.pop()
        if final % _BLOCK == 0:
            self._blocks.pop()
        else:
            self._blocks[-1] = None
        if not self._slots:
            # Nothing is exactly nothing.
            self.sum = RunningSum()

    def _move(self, streams: Streams, place: int, to: int) -> None:
        self._values[to] = self._values[place]
        self._slots[to] = self._slots[place]
        self._seen[to] = self._seen[place]
        streams.integers[self._slots[to]] = to
        earlier, later = self._earlier[place], self._later[place]
        self._earlier[to], self._later[to] = earlier, later
        if earlier == _NOBODY:
            self._first = to
        else:
            self._later[earlier] = to
        if later == _NOBODY:
            self._last = to
        else:
            self._earlier[later] = to

    def _unlink(self, place: int) -> None:
        earlier, later = self._earlier[place], self._later[place]
        if earlier == _NOBODY:
            self._first = later
        else:
            self._later[earlier] = later
        if later == _NOBODY:
            self._last = earlier
        else:
            self._earlier[later] = earlier

    def _link_last(self, place: int, now_unix_nano: int) -> None:
        self._seen[place] = now_unix_nano
        self._earlier[place] = self._last
        self._later[place] = _NOBODY
        if self._last == _NOBODY:
            self._first = place
        else:
            self._later[self._last] = place
        self._last = place
