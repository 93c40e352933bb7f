"""A request made of some elements of another one, and the way back.

Elements are records and headers. Whoever has to look closely at a few of thousands takes them out
into a small request of the same signal, works on that as on any other, and puts the results back.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from tapeline.otlp.index import RecordIndex, index_records
from tapeline.otlp.layout import LEVELS, SliceKind
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import WireType, encode_varint

__all__ = ["Extract", "changes", "extract"]

_CONTAINER: Final = 1
_INNER: Final = 2
"""Field numbers that agree in all signals: a request's containers, and what nests within them."""


@dataclass(frozen=True, slots=True)
class Extract:
    """The small request, and which elements of the large one it has, in its own order.

    `records` and `headers` are numbers of the large request's index.
    """

    payload: bytes
    records: tuple[int, ...]
    headers: tuple[int, ...]


def extract(
    payload: bytes, index: RecordIndex, records: Iterable[int], headers: Iterable[int] = ()
) -> Extract:
    """Take elements out of a request: each stands at the same place of the schema as before.

    Slices of unknown fields can't be taken out: what a parser does not know it can't judge.
    """
    wanted_headers = tuple(sorted(headers))
    for number in wanted_headers:
        if index.headers[number].kind is SliceKind.UNKNOWN:
            raise ValueError(f"header {number} is a slice of unknown fields")
    in_groups = _by_container(index, records)
    parts = [_header_part(payload, index, number) for number in wanted_headers]
    parts += [_record_part(payload, index, number, group) for number, group in in_groups]
    return Extract(
        b"".join(_field(_CONTAINER, part) for part in parts),
        tuple(number for _, group in in_groups for number in group),
        wanted_headers,
    )


def changes(
    index: RecordIndex, taken: Extract, worked: bytes, dropped: Collection[int] = ()
) -> tuple[dict[int, bytes | None], dict[int, bytes | None]]:
    """Return new contents of records and of headers of the large request, by number, for `splice`.

    Elements whose bytes are as before are left out. Records of the small request whose numbers are
    in `dropped` get None. Raises ValueError where the worked request has other elements than the
    one that was taken out.
    """
    before, after = index_records(index.signal, taken.payload), index_records(index.signal, worked)
    if len(before) != len(after) or len(before.headers) != len(after.headers):
        raise ValueError("the worked request has more or fewer elements than were taken out")
    old_headers = [taken.payload[header.begin : header.end] for header in before.headers]
    new_headers = [worked[header.begin : header.end] for header in after.headers]
    records = _changed(taken.records, _contents(taken.payload, before), _contents(worked, after))
    records.update({taken.records[number]: None for number in dropped})
    return records, _changed(taken.headers, old_headers, new_headers)


def _changed(
    numbers: Sequence[int], before: Sequence[bytes], after: Sequence[bytes]
) -> dict[int, bytes | None]:
    pairs = zip(numbers, before, after, strict=True)
    return {number: new for number, old, new in pairs if new != old}


def _contents(payload: bytes, index: RecordIndex) -> list[bytes]:
    bounds = zip(index.record_begins, index.record_ends, strict=True)
    return [payload[begin:end] for begin, end in bounds]


def _by_container(index: RecordIndex, records: Iterable[int]) -> list[tuple[int, list[int]]]:
    """Group records by the kind of their innermost container, which tells the kind of a point.

    Yields the field number of that container and the records, in the order of both.
    """

    def kind(record: int) -> int:
        return index.containers[index.container_of(record)].number

    if index.signal is not Signal.METRICS:
        wanted = sorted(records)
        return [(_INNER, wanted)] if wanted else []
    in_order = sorted(records, key=lambda record: (kind(record), record))
    return [(number, list(group)) for number, group in groupby(in_order, key=kind)]


def _record_part(payload: bytes, index: RecordIndex, number: int, records: Iterable[int]) -> bytes:
    """Return the content of a resource container that holds these records and nothing else."""
    is_metric = index.signal is Signal.METRICS
    field = _CONTAINER if is_metric else _INNER
    content = b"".join(
        _field(field, payload[index.record_begins[record] : index.record_ends[record]])
        for record in records
    )
    if is_metric:
        content = _field(number, content)  # The metric's data of this kind.
        content = _field(_INNER, content)  # The metric.
    return _field(_INNER, content)


def _header_part(payload: bytes, index: RecordIndex, number: int) -> bytes:
    """Return the content of a resource container that holds this header and nothing else."""
    header = index.headers[number]
    depth, field = _PLACES[index.signal][header.kind]
    content = _field(field, payload[header.begin : header.end])
    for _ in range(depth - 1):
        content = _field(_INNER, content)
    return content


def _places(signal: Signal) -> Iterator[tuple[SliceKind, tuple[int, int]]]:
    for depth, level in enumerate(LEVELS[signal]):
        for number, kind in level.slices.items():
            if kind not in {SliceKind.CONTAINER, SliceKind.RECORD}:
                yield kind, (depth, number)


_PLACES: Final[Mapping[Signal, Mapping[SliceKind, tuple[int, int]]]] = {
    signal: dict(_places(signal)) for signal in Signal
}
"""Of each kind of header: the level that holds it (1 is the resource's), and its field number."""


def _field(number: int, content: bytes) -> bytes:
    tag = number << 3 | WireType.LENGTH_DELIMITED
    return b"%c%b%b" % (tag, encode_varint(len(content)), content)
