"""Change some records or headers of a raw request, and leave every other byte as it was."""

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from tapeline.otlp.index import NO_CONTAINER, RecordIndex
from tapeline.otlp.layout import SliceKind
from tapeline.otlp.wire import LONG_VARINT, encode_varint, short_varint

__all__ = ["splice"]

_NOTHING: Final[Mapping[int, bytes | None]] = MappingProxyType({})


_Edit = tuple[int, int, bytes, int]
"""What begins and ends at two places becomes other bytes; last comes the container that holds it.

A plain tuple: there is one for each changed record, and a sort compares them twice as fast.
"""


def splice(
    payload: bytes,
    index: RecordIndex,
    *,
    records: Mapping[int, bytes | None] = _NOTHING,
    headers: Mapping[int, bytes | None] = _NOTHING,
    containers: Collection[int] = (),
) -> bytes:
    """Return the request with new contents for some of its records and headers.

    The keys are numbers of `index`, which must be that of `payload`; None takes the field out.
    `containers` are taken out with all that is in them, of which nothing else may be changed. (Any
    other one whose last record goes stays, empty.) Lengths around a change are written anew,
    in their shortest form, and only where they change. Without a change the result is `payload`
    itself. Raises IndexError for a number that the index does not have, and ValueError for new
    contents for a slice of unknown fields, which can only be taken out.
    """
    edits = [
        *_record_edits(payload, index, records),
        *_header_edits(payload, index, headers),
        *_removals(index, containers),
    ]
    if not edits:
        return payload
    pieces = []
    position = 0
    for begin, end, content, _ in sorted([*edits, *_length_edits(payload, index, edits)]):
        pieces.append(payload[position:begin])
        pieces.append(content)
        position = end
    pieces.append(payload[position:])
    return b"".join(pieces)


def _record_edits(
    payload: bytes, index: RecordIndex, records: Mapping[int, bytes | None]
) -> Iterator[_Edit]:
    container, begin, end = NO_CONTAINER, 0, 0
    for number, content in records.items():
        _check_number(number, len(index), "record")
        place = (
            index.record_fields[number],
            index.record_begins[number],
            index.record_ends[number],
        )
        if content != payload[place[1] : place[2]]:
            if not begin <= place[0] < end:
                # Up to the next container all records are of the same one.
                container = index.container_of(number)
                begin, end = _span_of(index, container)
            yield _edit(payload, place, content, container)


def _span_of(index: RecordIndex, container: int) -> tuple[int, int]:
    """Return from where to where a container is the last one that has begun."""
    begins = index.containers[container : container + 2]
    return begins[0].begin, begins[1].begin if len(begins) > 1 else begins[0].end


def _header_edits(
    payload: bytes, index: RecordIndex, headers: Mapping[int, bytes | None]
) -> Iterator[_Edit]:
    for number, content in headers.items():
        _check_number(number, len(index.headers), "header")
        header = index.headers[number]
        if header.kind is SliceKind.UNKNOWN and content is not None:
            raise ValueError(
                f"header {number} is a slice of unknown fields, which has no content to replace; "
                "give None to take it out"
            )
        if content != payload[header.begin : header.end]:
            yield _edit(payload, header[:3], content, header.container)


def _removals(index: RecordIndex, containers: Collection[int]) -> Iterator[_Edit]:
    end = 0
    for number in sorted(containers):
        _check_number(number, len(index.containers), "container")
        container = index.containers[number]
        # They are in the order of the wire: what lies within one that goes has begun before its end
        if container.field >= end:
            yield container.field, container.end, b"", container.parent
            end = container.end


def _check_number(number: int, count: int, what: str) -> None:
    if not 0 <= number < count:
        raise IndexError(f"the request has {count} {what}s, so there is no number {number}")


def _edit(
    payload: bytes, place: tuple[int, int, int], content: bytes | None, container: int
) -> _Edit:
    field, begin, end = place
    if content is None:
        return field, end, b"", container
    length = len(content)
    if length == end - begin:
        return begin, end, content, container
    after_tag = field + 1 if payload[field] < LONG_VARINT else _after_tag(payload, field)
    return after_tag, end, short_varint(length) + content, container


def _after_tag(payload: bytes, field: int) -> int:
    """Return where the tag at `field` ends; the index was made, so it does."""
    while payload[field] >= LONG_VARINT:
        field += 1
    return field + 1


def _length_edits(payload: bytes, index: RecordIndex, edits: list[_Edit]) -> Iterator[_Edit]:
    """Yield the new lengths of all the containers around the edits that need one."""
    growth_bytes: dict[int, int] = {}
    for begin, end, content, container in edits:
        growth = len(content) - (end - begin)
        growth_bytes[container] = growth_bytes.get(container, 0) + growth
    # Inner lengths may themselves need more bytes or fewer, which the outer ones have to count.
    for container in _inner_first(index, growth_bytes):
        growth = growth_bytes.get(container, 0)
        if not growth:
            continue
        around = index.containers[container]
        begin = _after_tag(payload, around.field)
        length = encode_varint(around.end - around.begin + growth)
        yield begin, around.begin, length, around.parent
        growth += len(length) - (around.begin - begin)
        if around.parent != NO_CONTAINER:
            growth_bytes[around.parent] = growth_bytes.get(around.parent, 0) + growth


def _inner_first(index: RecordIndex, touched: Mapping[int, int]) -> list[int]:
    """Return the touched containers and all those around them, inner before outer."""
    containers = set()
    for container in touched:
        current = container
        while current != NO_CONTAINER and current not in containers:
            containers.add(current)
            current = index.containers[current].parent
    return sorted(containers, reverse=True)
