"""The admitted values of labels: exact up to a limit, sticky, forgotten when idle.

Time comes as a generation: a number that grows by one every quarter of `idle_ttl`.
"""

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

__all__ = ["KEPT_GENERATIONS", "LabelValues", "ValueBudget"]

KEPT_GENERATIONS: Final = 4
"""Whole generations without a sight after which a value goes."""

MAX_KEPT_BYTES: Final = 48
DIGEST_BYTES: Final = 16


class ValueBudget:
    """How many values all labels together may hold, so that memory is bounded by one number."""

    __slots__ = ("evicted", "free", "hits")

    def __init__(self, max_values: int) -> None:
        self.free = max_values
        self.evicted = 0
        """Values that went because they were idle, so far."""
        self.hits = 0
        """Times that a label below its own limit found no room."""


class LabelValues:
    """The values that one label may have, as bytes.

    A value longer than 48 bytes is kept as a digest of 128 bits, so what a value takes is bounded
    too.
    """

    __slots__ = ("_budget", "_generation", "_last_seen", "limit")

    def __init__(self, limit: int, budget: ValueBudget) -> None:
        self.limit = limit
        self._budget = budget
        self._generation = 0
        self._last_seen: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._last_seen)

    def admit(self, value: bytes, generation: int) -> bool:
        """Return whether the value is admitted, now if there is room, and note that it was seen."""
        if generation > self._generation:
            self._rotate(generation)
        if len(value) > MAX_KEPT_BYTES:
            value = _digest(value)
        last_seen = self._last_seen
        if value in last_seen:
            last_seen[value] = self._generation
            return True
        if len(last_seen) >= self.limit:
            return False
        if self._budget.free <= 0:
            self._budget.hits += 1
            return False
        last_seen[value] = self._generation
        self._budget.free -= 1
        return True

    def holds(self, value: bytes) -> bool:
        """Return whether the value is admitted, without noting anything."""
        return (value if len(value) <= MAX_KEPT_BYTES else _digest(value)) in self._last_seen

    def touch(self, value: bytes, generation: int) -> None:
        """Note that the value was seen, if it is admitted; admit nothing."""
        if generation > self._generation:
            self._rotate(generation)
        if len(value) > MAX_KEPT_BYTES:
            value = _digest(value)
        if value in self._last_seen:
            self._last_seen[value] = self._generation

    def forget(self, value: bytes) -> None:
        """Take a value back, so that there is room for another."""
        if len(value) > MAX_KEPT_BYTES:
            value = _digest(value)
        if self._last_seen.pop(value, None) is not None:
            self._budget.free += 1

    def rotate(self, generation: int) -> None:
        """Let idle values go. `admit` and `touch` do it too, where time has passed."""
        if generation > self._generation:
            self._rotate(generation)

    def dump(self) -> tuple[list[bytes], bytes]:
        """Return the values as they are kept, and the generations of their last sights."""
        return [*self._last_seen], array("q", self._last_seen.values()).tobytes()

    def load(self, values: Iterable[bytes], ages: bytes) -> None:
        """Take the values of a dump, as far as there is room."""
        for value, generation in zip(values, array("q", ages), strict=True):
            if value in self._last_seen:
                continue
            if len(self._last_seen) >= self.limit or self._budget.free <= 0:
                return
            self._budget.free -= 1
            self._last_seen[value] = generation
            self._generation = max(self._generation, generation)

    def _rotate(self, generation: int) -> None:
        self._generation = generation
        oldest = generation - KEPT_GENERATIONS
        idle = [value for value, seen in self._last_seen.items() if seen < oldest]
        for value in idle:
            del self._last_seen[value]
        self._budget.free += len(idle)
        self._budget.evicted += len(idle)


def _digest(value: bytes) -> bytes:
    # No value that is kept as it is begins with 0xFF: neither UTF-8 nor a field of OTLP does.
    return b"\xff" + blake2b(value, digest_size=DIGEST_BYTES).digest()
