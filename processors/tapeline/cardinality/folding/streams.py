"""What is remembered of every folded stream: columns by slot, and who was idle longest.

Memory is what bounds folding, so a stream is a row in arrays and not an object: about 200 bytes,
of which the key's place in the dictionary is more than half.
"""

from array import array
from collections import deque
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
            self.outputs[slot] = output
            self.producers[slot] = producer
            self.marks[slot] = self.mark
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

    def remove(self, slot: int) -> None:
        """Forget a stream."""
        del self.slots[self.keys[slot]]
        self.set_detail(slot, None)
        self.bounds[slot] = None
        self.flags[slot] = 0
        self.integers[slot] = 0
        self.doubles[slot] = 0.0
        self.marks[slot] = _FREE
        self._free.append(slot)

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

    def expired(self) -> int | None:
        """Return the slot of a stream that is idle for too long, or None."""
        while len(self._marks) > 1 and self._is_expired(self._marks[0][1]):
            slot = self._find(self._marks[0][0])
            if slot is not None:
                return slot
            self._drop_oldest()
        return None

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

    def longest_idle(self) -> int | None:
        """Return the slot of the stream to evict first, or None where there is none."""
        while True:
            slot = self._find(self._marks[0][0])
            if slot is not None or len(self._marks) == 1:
                return slot
            self._drop_oldest()

    def _find(self, mark: int) -> int | None:
        slot = self.marks.find(mark, self._cursor)
        if slot < 0:
            slot = self.marks.find(mark, 0, self._cursor)
        if slot < 0:
            return None
        self._cursor = slot
        return slot

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
