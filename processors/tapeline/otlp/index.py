"""Where everything is in a raw Export request: records, headers, and what encloses them.

Plain Python over the bytes. Nothing is parsed but tags and lengths, so that a hit of a scanner
at some byte can be mapped to its record, and only that record be looked at.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, NamedTuple

from tapeline.otlp.layout import LEVELS, MAX_ELEMENTS, HeaderKind, Level, check_counts
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import FIRST_TAG, LONG_VARINT, WireType, read_slice, read_tag, skip_value

__all__ = ["NO_CONTAINER", "Container", "Header", "RecordIndex", "index_records"]

# The parent of the outermost containers: the request itself.
NO_CONTAINER: Final = -1


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
    kind: HeaderKind
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
    """What every step of one walk needs; slices of unknown fields don't count as headers."""

    payload: bytes
    levels: tuple[Level, ...]
    index: RecordIndex
    unknown_count: int = 0

    def check_counts(self) -> None:
        index = self.index
        header_count = len(index.headers) - self.unknown_count
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
    record_tag = level.record_field << 3 | WireType.LENGTH_DELIMITED
    position, end = span
    while position < end:
        field = position
        tag = payload[position]
        if tag == record_tag and level.record_field:
            position = _walk_records(walk, tag, position, end)
            if position > field:
                continue
        position += 1
        if not FIRST_TAG <= tag < LONG_VARINT:
            tag, position = read_tag(payload, field, end)
        number = tag >> 3
        if tag & 7 != WireType.LENGTH_DELIMITED or number not in level.slice_fields:
            position = skip_value(payload, tag, position, end, depth)
            if tag not in level.numbers:
                _add_unknown(walk, field, position, container)
            continue
        begin, position = read_slice(payload, position, end)
        if number in level.child_fields:
            inner = len(walk.index.containers)
            walk.index.containers.append(Container(field, begin, position, number, container))
            _walk_level(walk, depth + 1, (begin, position), inner)
        elif number in level.headers:
            header = Header(field, begin, position, level.headers[number], container)
            walk.index.headers.append(header)
        else:
            walk.index.record_fields.append(field)
            walk.index.record_begins.append(begin)
            walk.index.record_ends.append(position)
        walk.check_counts()


def _walk_records(walk: _Walk, record_tag: int, position: int, end: int) -> int:
    """Index records that follow each other, and return where the last one ends.

    The speed of the index hangs on this loop. It only knows tags of one byte and lengths of up
    to two, and stops before whatever else comes, be it well-formed or not.
    """
    payload = walk.payload
    fields = walk.index.record_fields
    add_field = fields.append
    add_begin = walk.index.record_begins.append
    add_end = walk.index.record_ends.append
    # A record takes two bytes or more, so no more records than may be counted end before `stop`.
    room = 2 * (MAX_ELEMENTS + 1 - len(fields))
    stop = min(end, position + room, len(payload) - 2)
    while position < stop and payload[position] == record_tag:
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
        add_field(position)
        add_begin(begin)
        add_end(after)
        position = after
    walk.check_counts()
    return position


def _add_unknown(walk: _Walk, begin: int, end: int, container: int) -> None:
    """Note a field that OTLP does not define; neighbours become one slice, so that few remain."""
    headers = walk.index.headers
    if headers:
        last = headers[-1]
        if last.kind is HeaderKind.UNKNOWN and last.end == begin and last.container == container:
            headers[-1] = last._replace(end=end)
            return
    headers.append(Header(begin, begin, end, HeaderKind.UNKNOWN, container))
    walk.unknown_count += 1
