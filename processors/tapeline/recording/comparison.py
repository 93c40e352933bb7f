"""Two recordings, compared by what they say: which records were added, removed and changed.

Records are multisets: how often one stands there counts, where and in which batch does not. A
record that is in one recording only is set beside the one of the other that shares the most fields
with it, rare ones weighing more than common ones. It counts as changed with half of the fields
alike, or with what tells it from others: a span's ids, a log's time and body, a point's series.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recording.ignoring import NOTHING, Ignored
from tapeline.recording.records import Marked, Record, Value, encoded, records_of

__all__ = [
    "ABSENT",
    "MAX_RECORDS",
    "Change",
    "Difference",
    "FieldChange",
    "TooManyRecordsError",
    "compare",
    "compare_records",
    "leaves",
]

MAX_RECORDS: Final = 1_000_000
"""Records of one recording; they are held in memory, about 2 kB each."""
_MAX_MATCHED: Final = 5_000
"""Records that are in one recording only and are matched; beyond, they are added and removed."""
_MAX_CANDIDATES: Final = 64
"""Records looked at for one field's value. What is more common tells records apart no further."""
_LEAST_ALIKE: Final = 0.5


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = _Absent()
"""Stands where a record has no such field."""


class TooManyRecordsError(ValueError):
    """A recording has more records than are compared in memory."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that differs: its path, and both values; ABSENT where one has no such field."""

    path: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class Change:
    """Two records that are taken for one which changed."""

    before: Record
    after: Record
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What compares unequal, sorted by signal, resource, scope, time and content."""

    equal: int
    removed: tuple[Record, ...] = ()
    added: tuple[Record, ...] = ()
    changed: tuple[Change, ...] = ()
    is_matched: bool = True
    """False where too many records differ to say which of them changed into which."""

    @property
    def is_same(self) -> bool:
        """Whether the two recordings say the same."""
        return not (self.removed or self.added or self.changed)


def compare(
    before: Iterable[Batch],
    after: Iterable[Batch],
    ignored: Ignored = NOTHING,
    tolerance: float = 0.0,
) -> Difference:
    """Compare two recordings.

    `tolerance` is how far two doubles may be apart, as a part of the larger. Raises
    TooManyRecordsError, and MalformedRequestError where a batch does not parse.
    """
    return compare_records(_records(before, ignored), _records(after, ignored), tolerance)


def compare_records(
    before: Iterable[Record], after: Iterable[Record], tolerance: float = 0.0
) -> Difference:
    """Compare the records of two recordings, what is ignored left out already."""
    counts: Counter[Record] = Counter()
    for number, record in enumerate(before, start=1):
        _check_number(number)
        counts[record] += 1
    equal = 0
    added: list[Record] = []
    for number, record in enumerate(after, start=1):
        _check_number(number)
        if counts[record] > 0:
            counts[record] -= 1
            equal += 1
        else:
            added.append(record)
    removed = sorted((+counts).elements(), key=lambda record: record.order)
    added.sort(key=lambda record: record.order)
    return _matched(removed, added, equal, tolerance)


def leaves(record: Record) -> dict[str, Value]:
    """Return the record's single values by their paths, as `attributes.http.route`."""
    return dict(_leaves("", record.tree))


def _records(batches: Iterable[Batch], ignored: Ignored) -> Iterator[Record]:
    for batch in batches:
        yield from records_of(batch, ignored)


def _check_number(number: int) -> None:
    if number > MAX_RECORDS:
        raise TooManyRecordsError(
            f"there are more than {MAX_RECORDS} records, which is as many as are compared in"
            " memory: compare parts of the recordings, by signal, service or time"
        )


def _leaves(path: str, value: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _leaves(f"{path}.{key}" if path else key, value[key])
    elif isinstance(value, tuple) and any(isinstance(item, Mapping | tuple) for item in value):
        for number, item in enumerate(value):
            yield from _leaves(f"{path}[{number}]", item)
    else:
        yield path, value


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A record with its leaves, and each of them as one hashable thing."""

    record: Record
    leaves: Mapping[str, Value]
    marks: frozenset[tuple[str, bytes]]


def _candidate(record: Record) -> _Candidate:
    found = leaves(record)
    marks = frozenset((path, encoded(value)) for path, value in found.items())
    return _Candidate(record, found, marks)


def _matched(
    removed: Sequence[Record], added: Sequence[Record], equal: int, tolerance: float
) -> Difference:
    if max(len(removed), len(added)) > _MAX_MATCHED:
        return Difference(equal, tuple(removed), tuple(added), is_matched=False)
    old = [_candidate(record) for record in removed]
    new = [_candidate(record) for record in added]
    pairs = _pairs(old, new)
    changed: list[Change] = []
    for old_position, new_position in sorted(pairs.items()):
        fields = _field_changes(old[old_position], new[new_position], tolerance)
        if fields:
            changed.append(Change(removed[old_position], added[new_position], fields))
        else:
            equal += 1
    taken = set(pairs.values())
    return Difference(
        equal,
        tuple(record for position, record in enumerate(removed) if position not in pairs),
        tuple(record for position, record in enumerate(added) if position not in taken),
        tuple(changed),
    )


def _pairs(old: Sequence[_Candidate], new: Sequence[_Candidate]) -> dict[int, int]:
    """Return which old record is which new one, by position: the best match first."""
    where: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
    for position, candidate in enumerate(new):
        for mark in candidate.marks:
            where[mark].append(position)
    ranked: list[tuple[float, int, int]] = []
    for position, candidate in enumerate(old):
        weights: defaultdict[int, float] = defaultdict(float)
        for mark in sorted(candidate.marks):
            places = where.get(mark, ())
            for place in places[:_MAX_CANDIDATES]:
                weights[place] += 1 / len(places)
        ranked.extend(
            (-weight, position, place)
            for place, weight in weights.items()
            if _is_alike(candidate, new[place])
        )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, position, place in sorted(ranked):
        if position not in pairs and place not in taken:
            pairs[position] = place
            taken.add(place)
    return pairs


def _is_alike(old: _Candidate, new: _Candidate) -> bool:
    if old.record.signal is not new.record.signal:
        return False
    own = _identity(old.record)
    if own is not None and own == _identity(new.record):
        return True
    shared = len(old.marks & new.marks)
    return shared >= _LEAST_ALIKE * max(len(old.marks), len(new.marks))


def _identity(record: Record) -> bytes | None:
    """Return what tells a record from others of its signal; None where there is no such thing."""
    content = record.content
    if record.signal is Signal.METRICS:
        names = ("name", "type", "attributes")
        return encoded((*map(content.get, names), record.resource, record.time_unix_nano))
    is_span = record.signal is Signal.TRACES
    pair = ("trace_id", "span_id") if is_span else ("time_unix_nano", "body")
    values = tuple(map(content.get, pair))
    return None if None in values else encoded(values)


def _field_changes(old: _Candidate, new: _Candidate, tolerance: float) -> tuple[FieldChange, ...]:
    changes = []
    for path in sorted(old.leaves.keys() | new.leaves.keys()):
        before = old.leaves.get(path, ABSENT)
        after = new.leaves.get(path, ABSENT)
        if before is ABSENT or after is ABSENT or not _is_same(before, after, tolerance):
            changes.append(FieldChange(path, before, after))
    return tuple(changes)


def _is_same(before: Value, after: Value, tolerance: float) -> bool:
    if encoded(before) == encoded(after):
        return True
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return all(_is_same(one, other, tolerance) for one, other in pairs)
    if isinstance(before, float) and isinstance(after, float) and tolerance > 0:
        return isclose(before, after, rel_tol=tolerance)
    if isinstance(before, Marked) and isinstance(after, Marked) and before.mark == after.mark:
        return _is_same(before.values, after.values, tolerance)
    return False
