"""Which series are admitted: exact sets up to the limits, in generations.

A series is a 64-bit key. Sets are kept by group, which is a metric's name together with a tenant;
limits are counters that several groups share. What was admitted stays so until it has not been
seen for four whole generations.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from tapeline.cardinality.folding.outputs import Producer

__all__ = [
    "BYTES_A_GROUP",
    "BYTES_A_SERIES",
    "GENERATIONS_A_TTL",
    "GENERATIONS_KEPT",
    "Admission",
    "Eviction",
    "Group",
    "Room",
]

GENERATIONS_A_TTL: Final = 4
GENERATIONS_KEPT: Final = 4
"""Whole generations without a sight of a series after which it goes."""

BYTES_A_SERIES: Final = 105
BYTES_A_GROUP: Final = 500
"""About what they take in memory, measured over a million series in groups of 2,000."""

# Clocks differ; but one point of the year 2262 must not make all later streams look old.
_MAX_LEAD_NANO: Final = 300 * 1_000_000_000

# Series that one batch may have to take out of their sets: 1 ms or so.
_EVICTIONS_A_STEP: Final = 20_000


@dataclass(slots=True)
class Room:
    """How many series there are under one limit, and how many there may be (None: any)."""

    limit: int | None
    admitted: int = 0

    @property
    def is_left(self) -> bool:
        """Whether one more may be admitted."""
        return self.limit is None or self.admitted < self.limit


@dataclass(slots=True)
class _Sighting:
    """The series of a group that were last seen in a generation that is over.

    `until_unix_nano` is not before the time of any point that they had.
    """

    generation: int
    keys: set[int]
    until_unix_nano: int


@dataclass(frozen=True, slots=True)
class Eviction:
    """Series that went because they were idle, and up to which time they had points."""

    group: "Group"
    keys: set[int]
    until_unix_nano: int

    @property
    def count(self) -> int:
        """How many went."""
        return len(self.keys)


@dataclass(slots=True, eq=False)
class Group:
    """The admitted series of one metric name and one tenant.

    `current` are those seen in the present generation: the hot path asks it alone.
    `lead_nano` is by how much points of this generation were ahead of the clock, and `producers`
    those whose series it has. Of `untold` more known streams demand has to learn in `told_period`.
    """

    metric: str
    tenant: str
    rooms: tuple[Room, ...]
    generation: int
    current: set[int] = field(default_factory=set)
    older: list[_Sighting] = field(default_factory=list)
    producers: set[Producer] = field(default_factory=set)
    lead_nano: int = 0
    told_period: int = -1
    untold: int = 0

    def __contains__(self, key: int) -> bool:
        return key in self.current or any(key in sighting.keys for sighting in self.older)

    def __len__(self) -> int:
        return len(self.current) + sum(len(sighting.keys) for sighting in self.older)

    @property
    def has_room(self) -> bool:
        """Whether a new series can be admitted."""
        for room in self.rooms:
            if room.limit is not None and room.admitted >= room.limit:
                return False
        return True

    def admit(self, key: int) -> None:
        """Admit a series that is not in the group; who calls asks for room before."""
        self.current.add(key)
        self.take(1)

    def take(self, count: int) -> None:
        """Count series that are admitted and kept elsewhere."""
        for room in self.rooms:
            room.admitted += count

    def give_back(self, count: int) -> None:
        """Count series no more."""
        for room in self.rooms:
            room.admitted -= count

    def note_lead(self, lead_nano: int) -> None:
        """Note by how much a point of this generation was ahead of the clock."""
        self.lead_nano = max(self.lead_nano, min(lead_nano, _MAX_LEAD_NANO))

    def see(self, keys: AbstractSet[int | None]) -> set[int]:
        """Note that those of the keys which are admitted were seen now; return them.

        `keys` must not be in `current`.
        """
        seen: set[int] = set()
        for sighting in self.older:
            found = sighting.keys.intersection(keys)
            if found:
                sighting.keys -= found
                seen |= found
        if seen:
            self.current |= seen
            # An emptied set keeps its table until it is let go.
            self.older = [sighting for sighting in self.older if sighting.keys]
        return seen

    def restore(self, generation: int, keys: set[int], until_unix_nano: int) -> None:
        """Take series of a snapshot that were last seen in that generation, oldest first."""
        self.older.append(_Sighting(generation, keys, until_unix_nano))
        self.take(len(keys))

    def begin_period(self, period: int) -> None:
        """Let demand, which has forgotten an earlier period, learn of what is known already."""
        if period != self.told_period:
            self.told_period = period
            self.untold = len(self) + sum([producer.streams for producer in self.producers])

    def roll(self, generation: int, now_unix_nano: int) -> Iterator[Eviction]:
        """Begin a generation; yield what was last seen too long before it."""
        if self.current:
            until = now_unix_nano + self.lead_nano
            self.older.append(_Sighting(self.generation, self.current, until))
            self.current = set()
        self.generation = generation
        self.lead_nano = 0
        while self.older and self.older[0].generation < generation - GENERATIONS_KEPT:
            gone = self.older.pop(0)
            self.give_back(len(gone.keys))
            yield Eviction(self, gone.keys, gone.until_unix_nano)


class Admission:
    """All the groups, and the change from one generation to the next.

    A generation changes for a group when it is next asked for, and for all others little by
    little, so that no batch waits for the whole of a large state.
    """

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], Group] = {}
        self.generation = 0
        self._ended_unix_nano = 0
        self._pending: deque[Group] = deque()

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def add(self, metric: str, tenant: str, rooms: Iterable[Room]) -> Group:
        """Make the group of a metric and tenant that has none yet."""
        group = Group(metric, tenant, tuple(rooms), self.generation)
        group.told_period = self.generation // GENERATIONS_A_TTL
        self.groups[metric, tenant] = group
        return group

    def begin(self, generation: int, last_unix_nano: int) -> None:
        """Begin a generation; the one before had its last batch at `last_unix_nano`."""
        # What an earlier change left to do comes first, by the time of that change.
        self.generation = generation
        self._ended_unix_nano = last_unix_nano
        self._pending = deque(self.groups.values())

    def step(self) -> Iterator[Eviction]:
        """Bring some of the groups into the present generation."""
        evicted = 0
        looked_at = 0
        while self._pending and evicted < _EVICTIONS_A_STEP and looked_at < _EVICTIONS_A_STEP // 10:
            looked_at += 1
            for eviction in self.catch_up(self._pending.popleft()):
                evicted += eviction.count
                yield eviction

    def catch_up(self, group: Group) -> Iterator[Eviction]:
        """Bring one group into the present generation, where it is not there yet."""
        if group.generation != self.generation:
            yield from group.roll(self.generation, self._ended_unix_nano)
            group.begin_period(self.generation // GENERATIONS_A_TTL)

    def remove_empty(self, producers: set[Producer]) -> None:
        """Forget groups that have neither series nor any of these producers."""
        for group in self.groups.values():
            group.producers &= producers
        self.groups = {
            name: group for name, group in self.groups.items() if group.producers or len(group)
        }
