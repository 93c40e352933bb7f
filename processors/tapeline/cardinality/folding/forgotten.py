"""The streams that were forgotten last: by their keys, so that none passes for one never seen."""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

__all__ = ["Forgotten"]

# The oldest of so many goes as one when there are too many keys.
_PARTS: Final = 32
# A part is sorted in so many runs while it grows: all at once takes a batch a millisecond and more.
_RUNS_A_PART: Final = 8
_BYTES_A_KEY: Final = 32


class Forgotten:
    """Exact keys of evicted streams up to a number, in parts: the oldest part is lost first.

    Parts are numbered. Who notes the number of the part that has its first key knows whether any
    of its keys may be lost.
    """

    def __init__(self, max_keys: int) -> None:
        """Begin empty. A stream that is evicted again may count twice towards `max_keys`."""
        self.max_keys = max_keys
        self.newest = 1
        # Only the newest part grows: keys as they come, and sorted arrays, which take 8 bytes a
        # key. When it is full it becomes one such array.
        self._coming: set[int] = set()
        self._runs: list[array[int]] = []
        self._full: deque[set[int] | array[int]] = deque()
        self._part_size = max(1, max_keys // _PARTS)
        self._run_size = -(-self._part_size // _RUNS_A_PART)
        self._run_room = self._run_size

    def __contains__(self, key: int) -> bool:
        if key in self._coming:
            return True
        return any(_has(run, key) for run in self._runs) or any(
            _has(part, key) for part in self._full
        )

    def __len__(self) -> int:
        return self._newest_length() + sum(map(len, self._full))

    def _newest_length(self) -> int:
        return len(self._coming) + sum(map(len, self._runs))

    @property
    def oldest(self) -> int:
        """The number of the oldest part that is not lost."""
        return self.newest - len(self._full)

    def add(self, keys: Iterable[int]) -> None:
        """Remember a few streams, in the newest part."""
        self._coming.update(keys)
        if len(self._coming) >= self._run_room:
            self._end_run()

    def add_all(self, keys: set[int]) -> None:
        """Remember streams, in the newest part or a later one; who calls lets go of the set."""
        if len(keys) > self._part_size:
            if self._newest_length():
                self._end_part()
            # To sort them would take too long, and they take no more memory than before.
            self._begin_part_after(keys)
            return
        self.add(keys)

    def _end_run(self) -> None:
        self._runs.append(array("Q", sorted(self._coming)))
        self._coming = set()
        room = self._part_size - self._newest_length()
        if room > 0:
            self._run_room = min(room, self._run_size)
        else:
            self._end_part()

    def _end_part(self) -> None:
        # Sorting finds the runs, and only merges them.
        self._begin_part_after(array("Q", sorted(chain(*self._runs, sorted(self._coming)))))

    def _begin_part_after(self, full: "set[int] | array[int]") -> None:
        self._full.append(full)
        self._coming, self._runs = set(), []
        self._run_room = self._run_size
        self.newest += 1
        # What the new part is going to have must fit, too.
        while self._full and len(self) + self._part_size > self.max_keys:
            self._full.popleft()

    def state_bytes(self) -> int:
        """Return about how much memory it takes."""
        return sum(
            part.__sizeof__() + (_BYTES_A_KEY * len(part) if isinstance(part, set) else 0)
            for part in (*self._full, *self._runs, self._coming)
        )

    def dump(self) -> list[Any]:
        """Return it as plain data, for a snapshot."""
        newest = array("Q", chain(*self._runs, self._coming))
        parts = [*(array("Q", part) for part in self._full), newest]
        return [self.newest, [part.tobytes() for part in parts]]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned; the oldest parts go where there may be fewer keys."""
        self.newest, packed = data
        *full, newest = (array("Q", sorted(array("Q", keys))) for keys in packed)
        self._coming = set()
        self._runs = [newest] if newest else []
        self._run_room = max(1, min(self._run_size, self._part_size - len(newest)))
        self._full = deque(full)
        if len(self) > self.max_keys:
            self._end_part()


def _has(part: "set[int] | array[int]", key: int) -> bool:
    if isinstance(part, set):
        return key in part
    place = bisect_left(part, key)
    return place < len(part) and part[place] == key
