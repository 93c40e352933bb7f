"""Where everything is in a raw Export request: records, headers, and what encloses them.

Plain Python over the bytes. Nothing is parsed but tags and lengths, so that a hit of a scanner
at some byte can be mapped to its record, and only that record be looked at.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, NamedTuple

from tapeline.otlp.layout import LEVELS, MAX_ELEMENTS, Level, SliceKind, check_counts
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import FIRST_TAG, LONG_VARINT, read_slice, read_tag, skip_value

__all__ = ["NO_CONTAINER", "Container", "Header", "RecordIndex", "index_records"]

# The parent of the outermost containers: the request itself.
NO_CONTAINER: Final = -1
# Half the cost of calling the named tuple: requests may have a metric for each point.
_new: Final = tuple.__new__


class Container(NamedTuple):
    """A message that encloses records: ResourceLogs, ScopeSpans, Metric, a metric's data.

    `field` is the offset of its tag, `begin` and `end` are those of its content. `number` is its
    field number, which for a metric's data tells the kind (5 is a gauge, and so on), and
    `parent` the position of the container around it in `RecordIndex.containers`.
    """

    field: int
    begin: int
    end: int
    number: int
    parent: int


class Header(NamedTuple):
    """A slice that is not a record, at `begin` to `end`; `field` is the offset of its tag.

    `container` is the position in `RecordIndex.containers` of the message that holds it.
    """

    field: int
    begin: int
    end: int
    kind: SliceKind
    container: int


@dataclass(frozen=True, slots=True)
class RecordIndex:
    """The places of a request's records and headers, as offsets into its bytes.

    Record i has its tag at `record_fields[i]` and its content from `record_begins[i]` to
    `record_ends[i]`; all records are in the order of the wire, and so are the headers and (outer
    before inner) the containers. Treat the lists as read-only.
    """

    signal: Signal
    record_fields: list[int] = field(default_factory=list)
    record_begins: list[int] = field(default_factory=list)
    record_ends: list[int] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.record_begins)

    def record_at(self, offset: int) -> int | None:
        """Return the number of the record whose content covers the byte at `offset`."""
        record = bisect_right(self.record_begins, offset) - 1
        return record if record >= 0 and offset < self.record_ends[record] else None

    def header_at(self, offset: int) -> int | None:
        """Return the number of the header whose content covers the byte at `offset`."""
        header = bisect_right(self.headers, offset, key=itemgetter(1)) - 1
        return header if header >= 0 and offset < self.headers[header].end else None

    def container_of(self, record: int) -> int:
        """Return the number of the innermost container of a record: its scope, or metric data."""
        return bisect_right(self.containers, self.record_fields[record], key=itemgetter(1)) - 1

    def enclosing(self, record: int) -> Sequence[int]:
        """Return the numbers of the containers around a record, from the resource inwards."""
        chain = []
        container = self.container_of(record)
        while container != NO_CONTAINER:
            chain.append(container)
            container = self.containers[container].parent
        return chain[::-1]

    def headers_of(self, container: int) -> Sequence[int]:
        """Return the numbers of the headers that a container holds itself.

        A resource or scope may stand there more than once: protobuf merges them, so its whole
        value is the concatenation of their contents.
        """
        around = self.containers[container]
        first = bisect_left(self.headers, around.begin, key=itemgetter(0))
        stop = bisect_left(self.headers, around.end, key=itemgetter(0))
        numbers = range(first, stop)
        return [number for number in numbers if self.headers[number].container == container]

    def records_of(self, container: int) -> range:
        """Return the numbers of all the records within a container."""
        around = self.containers[container]
        return range(
            bisect_left(self.record_fields, around.begin),
            bisect_left(self.record_fields, around.end),
        )


@dataclass(slots=True)
class _Walk:
    """What every step of one walk needs.

    Slices of unknown fields are kept with the headers but don't count as such, since the fast
    check can't see them: `max_headers` grows with their number.
    """

    payload: bytes
    levels: tuple[Level, ...]
    index: RecordIndex
    max_headers: int = MAX_ELEMENTS

    def check_counts(self) -> None:
        index = self.index
        header_count = len(index.headers) - self.max_headers + MAX_ELEMENTS
        check_counts(len(index), header_count, len(index.containers))


def index_records(signal: Signal, payload: bytes) -> RecordIndex:
    """Return the index of a request; raise MalformedRequestError, as `check_framing` does."""
    index = RecordIndex(signal)
    _walk_level(_Walk(payload, LEVELS[signal], index), 0, (0, len(payload)), NO_CONTAINER)
    return index


def _walk_level(walk: _Walk, depth: int, span: tuple[int, int], container: int) -> None:
    """Index one message, which is of the level at `depth`, and all that is below it."""
    payload = walk.payload
    level = walk.levels[depth]
    slices = level.slices_by_tag
    headers = walk.index.headers
    containers = walk.index.containers
    position, end = span
    while position < end:
        field = position
        tag = payload[position]
        position += 1
        if not FIRST_TAG <= tag < LONG_VARINT:
            tag, position = read_tag(payload, field, end)
        kind = slices.get(tag)
        if kind is None:
            if tag in level.numbers and position < end and payload[position] < LONG_VARINT:
                position += 1
                continue
            position = skip_value(payload, tag, position, end, depth)
            if tag not in level.numbers:
                _add_unknown(walk, field, position, container)
            continue
        begin, position = read_slice(payload, position, end)
        if kind is SliceKind.RECORD:
            position = _walk_records(walk, (field, begin, position), tag, end)
        elif kind is SliceKind.CONTAINER:
            inner = len(containers)
            containers.append(_new(Container, (field, begin, position, tag >> 3, container)))
            if inner == MAX_ELEMENTS:
                walk.check_counts()
            _walk_level(walk, depth + 1, (begin, position), inner)
        else:
            headers.append(_new(Header, (field, begin, position, kind, container)))
            if len(headers) > walk.max_headers:
                walk.check_counts()


def _walk_records(walk: _Walk, first: tuple[int, int, int], tag: int, end: int) -> int:
    """Index a record and those that follow it directly; return where the last one ends.

    The speed of the index hangs on this loop. It only knows tags of one byte and lengths of up
    to two, and stops before whatever else comes, be it well-formed or not.
    """
    payload = walk.payload
    fields = walk.index.record_fields
    begins = walk.index.record_begins
    ends = walk.index.record_ends
    field, begin, position = first
    fields.append(field)
    begins.append(begin)
    ends.append(position)
    # A record takes two bytes or more, so no more records than may be counted end before `stop`.
    room = 2 * (MAX_ELEMENTS - len(fields))
    stop = min(end, position + room, len(payload) - 2)
    while position < stop and payload[position] == tag:
        length = payload[position + 1]
        if length < LONG_VARINT:
            begin = position + 2
        else:
            high = payload[position + 2]
            if high >= LONG_VARINT:
                break
            begin = position + 3
            length += (high << 7) - LONG_VARINT
        after = begin + length
        if after > end:
            break
        fields.append(position)
        begins.append(begin)
        ends.append(after)
        position = after
    if len(fields) > MAX_ELEMENTS:
        walk.check_counts()
    return position


def _add_unknown(walk: _Walk, begin: int, end: int, container: int) -> None:
    """Note a field that OTLP does not define; neighbours become one slice, so that few remain."""
    headers = walk.index.headers
    if headers:
        last = headers[-1]
        if last.kind is SliceKind.UNKNOWN and last.end == begin and last.container == container:
            headers[-1] = last._replace(end=end)
            return
    headers.append(Header(begin, begin, end, SliceKind.UNKNOWN, container))
    walk.max_headers += 1
