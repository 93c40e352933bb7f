"""The streams that were forgotten last: by their keys, so that none passes for one never seen."""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["Forgotten"]

# The oldest of so many goes as one when there are too many keys.
_PARTS: Final = 32
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
        # Only the newest part grows. When it is full it becomes a sorted array: 8 bytes a key.
        self._part: set[int] = set()
        self._parts: deque[set[int] | array[int]] = deque([self._part])
        self._part_size = max(1, max_keys // _PARTS)

    def __contains__(self, key: int) -> bool:
        return any(_has(part, key) for part in self._parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @property
    def oldest(self) -> int:
        """The number of the oldest part that is not lost."""
        return self.newest + 1 - len(self._parts)

    def add(self, keys: Iterable[int]) -> None:
        """Remember a few streams, in the newest part."""
        self._part.update(keys)
        if len(self._part) >= self._part_size:
            self._begin_part()

    def add_all(self, keys: set[int]) -> None:
        """Remember streams, in the newest part or a later one; who calls lets go of the set."""
        if len(keys) > self._part_size:
            if self._part:
                self._begin_part()
            # To sort them would take too long, and they take no more memory than before.
            self._parts[-1] = keys
            self._begin_part()
            return
        self._part |= keys
        if len(self._part) >= self._part_size:
            self._begin_part()

    def _begin_part(self) -> None:
        if self._part:
            self._parts[-1] = array("Q", sorted(self._part))
        self._part = set()
        self._parts.append(self._part)
        self.newest += 1
        # What the new part is going to have must fit, too.
        while len(self._parts) > 1 and len(self) + self._part_size > self.max_keys:
            self._parts.popleft()

    def state_bytes(self) -> int:
        """Return about how much memory it takes."""
        return sum(
            part.__sizeof__() + (_BYTES_A_KEY * len(part) if isinstance(part, set) else 0)
            for part in self._parts
        )

    def dump(self) -> list[Any]:
        """Return it as plain data, for a snapshot."""
        return [self.newest, [array("Q", part).tobytes() for part in self._parts]]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned; the oldest parts go where there may be fewer keys."""
        self.newest, packed = data
        *full, newest = (array("Q", keys) for keys in packed)
        self._part = set(newest)
        self._parts = deque([array("Q", sorted(part)) for part in full])
        self._parts.append(self._part)
        if len(self) > self.max_keys:
            self._begin_part()


def _has(part: "set[int] | array[int]", key: int) -> bool:
    if isinstance(part, set):
        return key in part
    place = bisect_left(part, key)
    return place < len(part) and part[place] == key
