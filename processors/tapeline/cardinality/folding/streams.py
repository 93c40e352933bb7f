"""What is remembered of every folded stream: columns by slot, and who was idle longest.

Memory is what bounds folding, so a stream is a row in arrays and not an object: about 200 bytes,
of which the key's place in the dictionary is more than half.
"""

from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["IDLE_GENERATIONS", "Streams"]

# A mark is a byte, and says when a stream was last seen. The highest is for slots that are free.
_MARKS: Final = 250
_FREE: Final = 255
# How often the mark changes between two generations, so that of a full table the longest idle
# go first: after every eighth of it that is new.
_MARKS_PER_TABLE: Final = 8
# Whoever was not seen in the last four whole generations goes.
IDLE_GENERATIONS: Final = 5
# Bytes of a stream that no column's own size shows: the key (a 64-bit integer is 48 with its
# allocator's rounding) and the slot's number.
_KEY_AND_SLOT_BYTES: Final = 48 + 32
_COLUMNS: Final = ("keys", "times", "integers", "doubles", "outputs", "producers")


class Streams:
    """Rows of folded streams. Columns are public: the totals read and write their own."""

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}
        self.keys = array("Q")
        self.times = array("Q")
        self.integers = array("q")
        self.doubles = array("d")
        self.outputs = array("I")
        self.producers = array("I")
        self.flags = bytearray()
        self.marks = bytearray()
        # Of histograms: packed counts, and packed bounds, which streams share.
        self.details: list[bytes | None] = []
        self.bounds: list[bytes | None] = []
        self.mark = 0
        self.generation = 0
        # The clock as folding knows it, for totals that forget.
        self.now_unix_nano = 0
        self.detail_bytes = 0
        self._free = array("I")
        self._cursor = 0
        # Oldest first: a mark and the generation it was last given out in.
        self._marks: deque[tuple[int, int]] = deque([(0, 0)])
        self._new_since_mark = 0
        # How many of the oldest marks `newly_expired` is through with, and where in the next.
        self._swept = 0
        self._sweep_at = 0

    def __len__(self) -> int:
        return len(self.slots)

    def add(self, key: int, time_unix_nano: int, output: int, producer: int) -> int:
        """Return the slot of a new stream. It has no value yet."""
        if self._free:
            slot = self._free.pop()
            self.keys[slot] = key
            self.times[slot] = time_unix_nano
            self.integers[slot] = 0
            self.outputs[slot] = output
            self.producers[slot] = producer
            self.marks[slot] = self.mark
            self.flags[slot] = 0
        else:
            slot = len(self.keys)
            self.keys.append(key)
            self.times.append(time_unix_nano)
            self.integers.append(0)
            self.doubles.append(0.0)
            self.outputs.append(output)
            self.producers.append(producer)
            self.flags.append(0)
            self.marks.append(self.mark)
            self.details.append(None)
            self.bounds.append(None)
        self.slots[key] = slot
        self._new_since_mark += 1
        return slot

    def add_numbers(
        self, keys: Sequence[int], numbers: Sequence[tuple[int, Any]], output: int, producer: int
    ) -> None:
        """Take new streams with the time and the value of each: all integers, or all doubles."""
        times, integers, doubles = self.times, self.integers, self.doubles
        free = array("I", [self._free.pop() for _ in range(min(len(keys), len(self._free)))])
        is_double = isinstance(numbers[0][1], float)
        mark = self.mark
        for slot, key, (time, value) in zip(free, keys, numbers, strict=False):
            self.keys[slot] = key
            times[slot] = time
            if is_double:
                doubles[slot] = value
                integers[slot] = 0
            else:
                integers[slot] = value
            self.outputs[slot] = output
            self.producers[slot] = producer
            self.marks[slot] = mark
            self.flags[slot] = is_double
        new = range(len(self.keys), len(self.keys) + len(keys) - len(free))
        if new:
            self._append(keys[len(free) :], numbers[len(free) :], output, producer)
        self.slots.update(zip(keys, (*free, *new), strict=True))
        self._new_since_mark += len(keys)

    def _append(
        self, keys: Sequence[int], numbers: Sequence[tuple[int, Any]], output: int, producer: int
    ) -> None:
        count = len(keys)
        is_double = isinstance(numbers[0][1], float)
        nothing = [0] * count
        values = [value for _, value in numbers]
        self.keys.extend(keys)
        self.times.extend([time for time, _ in numbers])
        self.integers.extend(nothing if is_double else values)
        self.doubles.extend(values if is_double else nothing)
        self.outputs.extend([output] * count)
        self.producers.extend([producer] * count)
        self.flags.extend([is_double] * count)
        self.marks.extend([self.mark] * count)
        self.details.extend([None] * count)
        self.bounds.extend([None] * count)

    def remove(self, slots: Sequence[int]) -> None:
        """Forget streams."""
        take = self.slots.pop
        keys, marks, details, bounds = self.keys, self.marks, self.details, self.bounds
        for slot in slots:
            take(keys[slot])
            marks[slot] = _FREE
            if details[slot] is not None:
                self.set_detail(slot, None)
            if bounds[slot] is not None:
                bounds[slot] = None
        self._free.extend(slots)

    def set_detail(self, slot: int, detail: bytes | None) -> None:
        """Keep packed counts, and their size in view."""
        before = self.details[slot]
        if before is not None:
            self.detail_bytes -= len(before)
        if detail is not None:
            self.detail_bytes += len(detail)
        self.details[slot] = detail

    def next_mark(self, capacity: int) -> None:
        """Begin a new mark where many streams are new since the last."""
        if self._new_since_mark * _MARKS_PER_TABLE >= capacity:
            self._begin_mark(self.generation)

    def begin_generation(self, generation: int, *, is_running: bool) -> None:
        """Begin a new generation; an older one than the last is ignored.

        `is_running`: streams were seen in it already. They have marks of the generation before,
        so that all who have those live on as if they had been.
        """
        if generation > self.generation:
            if is_running:
                self._marks = deque(
                    (mark, generation if given == self.generation else given)
                    for mark, given in self._marks
                )
            self.generation = generation
            self._begin_mark(generation)

    def _begin_mark(self, generation: int) -> None:
        self._new_since_mark = 0
        following = (self.mark + 1) % _MARKS
        if following == self._marks[0][0]:
            self._merge_oldest()
        self.mark = following
        self._marks.append((following, generation))

    def _drop_oldest(self) -> tuple[int, int]:
        """Take the oldest mark out of use, and return it with its generation."""
        if self._swept:
            self._swept -= 1
        else:
            self._sweep_at = 0
        return self._marks.popleft()

    def _merge_oldest(self) -> None:
        """Make one mark of the two oldest, so that one is free."""
        oldest, _ = self._drop_oldest()
        second = self._marks[0][0]
        self.marks = self.marks.replace(bytes((oldest,)), bytes((second,)))

    def newly_expired(self) -> int | None:
        """Return the slot of each stream once that has become idle for too long, then None."""
        # The newest mark is in use, and never expired.
        while self._is_expired(self._marks[self._swept][1]):
            slot = self.marks.find(self._marks[self._swept][0], self._sweep_at)
            if slot >= 0:
                self._sweep_at = slot + 1
                return slot
            self._swept += 1
            self._sweep_at = 0
        return None

    def _is_expired(self, generation: int) -> bool:
        return generation <= self.generation - IDLE_GENERATIONS

    def expired(self, count: int) -> list[int]:
        """Return the slots of so many streams that are idle for too long, longest first.

        Fewer where there are no more. Who calls removes them all.
        """
        return self._oldest(count, lambda: self._is_expired(self._marks[0][1]))

    def longest_idle(self, count: int) -> list[int]:
        """Return the slots of so many streams to evict first, fewer where there are no more.

        Who calls removes them all.
        """
        return self._oldest(count, lambda: True)

    def _oldest(self, count: int, is_old: Callable[[], bool]) -> list[int]:
        """Return so many slots by the oldest marks, while the oldest of these is old."""
        found: list[int] = []
        find = self.marks.find
        while is_old():
            mark = self._marks[0][0]
            first = self._cursor
            for begin, end in ((first, len(self.marks)), (0, first)):
                slot = find(mark, begin, end)
                while slot >= 0:
                    found.append(slot)
                    self._cursor = slot + 1
                    if len(found) == count:
                        return found
                    slot = find(mark, slot + 1, end)
            if len(self._marks) == 1:
                break
            self._drop_oldest()
        return found

    def state_bytes(self) -> int:
        """Return about how much memory all rows take."""
        columns = (
            self.slots,
            self.keys,
            self.times,
            self.integers,
            self.doubles,
            self.outputs,
            self.producers,
            self.flags,
            self.marks,
            self.details,
            self.bounds,
            self._free,
        )
        fixed = sum(column.__sizeof__() for column in columns)
        return fixed + self.detail_bytes + _KEY_AND_SLOT_BYTES * len(self.slots)

    def dump(self) -> dict[str, Any]:
        """Return all rows as plain data: columns as their memory."""
        shared: dict[bytes, int] = {}
        bounds = {
            slot: shared.setdefault(packed, len(shared))
            for slot, packed in enumerate(self.bounds)
            if packed is not None
        }
        return {
            "columns": {name: getattr(self, name).tobytes() for name in _COLUMNS},
            "flags": bytes(self.flags),
            "marks": bytes(self.marks),
            "details": {
                slot: detail for slot, detail in enumerate(self.details) if detail is not None
            },
            "bounds": bounds,
            "shared_bounds": list(shared),
            "mark": self.mark,
            "generation": self.generation,
            "now": self.now_unix_nano,
            "given_marks": [list(given) for given in self._marks],
            "new_since_mark": self._new_since_mark,
            "swept": self._swept,
            "sweep_at": self._sweep_at,
            "cursor": self._cursor,
        }

    def restore(self, data: dict[str, Any]) -> None:
        """Take over what `dump` returned."""
        for name, packed in data["columns"].items():
            column = getattr(self, name)
            setattr(self, name, array(column.typecode, packed))
        self.flags, self.marks = bytearray(data["flags"]), bytearray(data["marks"])
        self.details = [None] * len(self.keys)
        self.bounds = [None] * len(self.keys)
        for slot, detail in data["details"].items():
            self.set_detail(slot, detail)
        shared = data["shared_bounds"]
        for slot, number in data["bounds"].items():
            self.bounds[slot] = shared[number]
        marks: bytes = data["marks"]
        free = [slot for slot, mark in enumerate(marks) if mark == _FREE]
        self._free = array("I", free)
        self.slots = {
            key: slot
            for slot, (key, mark) in enumerate(zip(self.keys, marks, strict=True))
            if mark != _FREE
        }
        self.mark, self.generation = data["mark"], data["generation"]
        self.now_unix_nano = data["now"]
        self._marks = deque((mark, generation) for mark, generation in data["given_marks"])
        self._new_since_mark = data["new_since_mark"]
        self._swept, self._sweep_at = data["swept"], data["sweep_at"]
        self._cursor = data["cursor"]
