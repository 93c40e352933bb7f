"""Which part of a batch is wanted: by signal, by service, by the records' own times.

What stays keeps its very bytes; a resource of which nothing stays goes with its headers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tapeline.otlp.index import NO_CONTAINER, RecordIndex, index_records
from tapeline.otlp.layout import SliceKind
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice
from tapeline.otlp.wire import WireType, read_slice, read_tag, skip_value
from tapeline.pipeline.batch import Batch

__all__ = ["Selection", "record_times"]

_SERVICE: Final = "service.name"
# Of each signal's records, the fields that tell the time, in the order of preference
# (opentelemetry-proto 1.x): a log's time or when it was observed, a span's end, a point's time,
# which is field 3 in all the five kinds of points.
_TIME_TAGS: Final[dict[Signal, tuple[int, ...]]] = {
    Signal.LOGS: (1 << 3 | WireType.FIXED64, 11 << 3 | WireType.FIXED64),
    Signal.TRACES: (8 << 3 | WireType.FIXED64,),
    Signal.METRICS: (3 << 3 | WireType.FIXED64,),
}
_MAX_DEPTH_ABOVE: Final = 5  # messages around a data point


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted. An empty set of signals or services, and a time of None, leave all in.

    `from_unix_nano` is the first time wanted, `to_unix_nano` the first one not wanted. A record
    without a time is wanted only where no time is given.
    """

    signals: frozenset[Signal] = frozenset()
    services: frozenset[str] = frozenset()
    from_unix_nano: int | None = None
    to_unix_nano: int | None = None

    @property
    def wants_all(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()

    def of(self, batch: Batch) -> Batch | None:
        """Return what is wanted of a batch: itself where that is all, None where it is nothing.

        Raises MalformedRequestError.
        """
        if self.wants_all:
            return batch
        if self.signals and batch.signal not in self.signals:
            return None
        if self.services:
            batch = _without_resources(batch, self._unwanted_services(batch))
        if self.from_unix_nano is not None or self.to_unix_nano is not None:
            batch = self._in_time(batch)
        return batch if batch.framing.record_count else None

    def _unwanted_services(self, batch: Batch) -> list[int]:
        index = batch.index
        return [
            number
            for number, container in enumerate(index.containers)
            if container.parent == NO_CONTAINER
            and _service_of(batch.payload, index, number) not in self.services
        ]

    def _in_time(self, batch: Batch) -> Batch:
        times = record_times(batch)
        unwanted = {number: None for number, time in enumerate(times) if not self._wants_time(time)}
        if not unwanted:
            return batch
        left = batch.with_payload(splice(batch.payload, batch.index, records=unwanted))
        index = left.index
        empty = [
            number
            for number, container in enumerate(index.containers)
            if container.parent == NO_CONTAINER and not index.records_of(number)
        ]
        return _without_resources(left, empty)

    def _wants_time(self, time_unix_nano: int) -> bool:
        if not time_unix_nano:
            return False
        if self.from_unix_nano is not None and time_unix_nano < self.from_unix_nano:
            return False
        return self.to_unix_nano is None or time_unix_nano < self.to_unix_nano


def _without_resources(batch: Batch, unwanted: Iterable[int]) -> Batch:
    """Return the batch without some of its outermost containers."""
    pieces = []
    position = 0
    for number in unwanted:
        container = batch.index.containers[number]
        pieces.append(batch.payload[position : container.field])
        position = container.end
    if not position:
        return batch
    return batch.with_payload(b"".join([*pieces, batch.payload[position:]]))


def _service_of(payload: bytes, index: RecordIndex, container: int) -> str:
    """Return `service.name` of a resource; empty where it has none."""
    headers = [index.headers[number] for number in index.headers_of(container)]
    # Protobuf merges a resource that stands there twice.
    merged = b"".join(
        payload[header.begin : header.end]
        for header in headers
        if header.kind is SliceKind.RESOURCE
    )
    try:
        resource = Resource.FromString(merged)
    except ValueError:  # DecodeError: then nobody knows its service.
        return ""
    for attribute in resource.attributes:
        if attribute.key == _SERVICE:
            return str(attribute.value.string_value)
    return ""


def record_times(batch: Batch) -> list[int]:
    """Return the time of each record, in nanoseconds since the epoch; 0 where it has none.

    Those of `greatest_time_unix_nano`. Raises MalformedRequestError.
    """
    payload = batch.payload
    index = batch.index if batch.framing.record_count else index_records(batch.signal, b"")
    tags = _TIME_TAGS[batch.signal]
    return [
        _time_of(payload, begin, end, tags)
        for begin, end in zip(index.record_begins, index.record_ends, strict=True)
    ]


def _time_of(payload: bytes, position: int, end: int, tags: tuple[int, ...]) -> int:
    """Return the time of one record: of a field that is there twice the later one counts."""
    found = [0] * len(tags)
    while position < end:
        tag, position = read_tag(payload, position, end)
        if tag in tags:
            after = skip_value(payload, tag, position, end, _MAX_DEPTH_ABOVE)
            found[tags.index(tag)] = int.from_bytes(payload[position:after], "little")
            position = after
        elif tag & 7 == WireType.LENGTH_DELIMITED:
            position = read_slice(payload, position, end)[1]
        else:
            position = skip_value(payload, tag, position, end, _MAX_DEPTH_ABOVE)
    return next(filter(None, found), 0)
