"""The times and ids of a request, found on the wire and changed where they stand.

Times are of eight bytes, and a new id is as long as the old one: nothing around them moves. Which
fields they are is read from protobuf's descriptors, so a new one is found by its name and type:
`fixed64 …_unix_nano`, and `bytes` of trace and span ids.
"""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import (
    FIRST_TAG,
    LONG_VARINT,
    MalformedRequestError,
    WireType,
    read_slice,
    read_tag,
    skip_value,
)

__all__ = ["replace_ids", "shift_times"]

_ID_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_TIME_SUFFIX: Final = "_unix_nano"
_TIME_BYTES: Final = 8
_LATEST: Final = (1 << 64) - 1


class _Node:
    """A message type on the way to stamps: the tags of its times, of its ids, of what to enter."""

    def __init__(self) -> None:
        self.times: set[int] = set()
        self.ids: set[int] = set()
        self.children: dict[int, _Node] = {}


class _Places:
    """Where stamps stand: offsets of times, and from where to where ids."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.ids: list[tuple[int, int]] = []


def _node_of(descriptor: Any, around: frozenset[str]) -> _Node:
    """Return the node of a message type; none is entered within itself (values hold no stamps)."""
    node = _Node()
    for field in descriptor.fields:
        number = int(field.number)
        if field.message_type is not None:
            name = field.message_type.full_name
            child = _Node() if name in around else _node_of(field.message_type, around | {name})
            if child.times or child.ids or child.children:
                node.children[number << 3 | WireType.LENGTH_DELIMITED] = child
        elif field.type == FieldDescriptor.TYPE_FIXED64 and field.name.endswith(_TIME_SUFFIX):
            node.times.add(number << 3 | WireType.FIXED64)
        elif field.type == FieldDescriptor.TYPE_BYTES and field.name in _ID_FIELDS:
            node.ids.add(number << 3 | WireType.LENGTH_DELIMITED)
    return node


def _node(message_type: Any) -> _Node:
    return _node_of(message_type.DESCRIPTOR, frozenset())


_NODES: Final[dict[Signal, _Node]] = {
    Signal.LOGS: _node(ExportLogsServiceRequest),
    Signal.TRACES: _node(ExportTraceServiceRequest),
    Signal.METRICS: _node(ExportMetricsServiceRequest),
}


def shift_times(signal: Signal, payload: bytes, by_nanoseconds: int) -> bytes:
    """Return the request with every time moved: of records, events, exemplars, starts of points.

    A time of 0 says that there is none, and stays. What would come before 1970 or after the
    greatest time becomes the first or last nanosecond that there is. Raises MalformedRequestError.
    """
    moved = bytearray(payload)
    for begin in _places_of(signal, payload).times:
        end = begin + _TIME_BYTES
        time = int.from_bytes(payload[begin:end], "little")
        if time:
            time = min(max(time + by_nanoseconds, 1), _LATEST)
            moved[begin:end] = time.to_bytes(_TIME_BYTES, "little")
    return bytes(moved)


def replace_ids(signal: Signal, payload: bytes, renamed: Callable[[bytes], bytes]) -> bytes:
    """Return the request with other trace and span ids: of spans, parents, links, logs, exemplars.

    `renamed` gives the new id for an old one, of the same length. Empty ids and ids of zeros, which
    say that there is none, stay. Raises MalformedRequestError.
    """
    replaced = bytearray(payload)
    for begin, end in _places_of(signal, payload).ids:
        old = payload[begin:end]
        if not old.strip(b"\0"):
            continue
        new = renamed(old)
        if len(new) != end - begin:
            raise ValueError(f"an id of {end - begin} bytes was renamed to one of {len(new)}")
        replaced[begin:end] = new
    return bytes(replaced)


def _places_of(signal: Signal, payload: bytes) -> _Places:
    places = _Places()
    _find(_NODES[signal], payload, 0, len(payload), places, 0)
    return places


def _find(node: _Node, data: bytes, position: int, end: int, places: _Places, depth: int) -> None:
    """Note the stamps of one message. The recursion is as deep as the way to an exemplar."""
    while position < end:
        tag = data[position]
        position += 1
        if not FIRST_TAG <= tag < LONG_VARINT:
            tag, position = read_tag(data, position - 1, end)
        child = node.children.get(tag)
        if child is not None:
            begin, position = read_slice(data, position, end)
            _find(child, data, begin, position, places, depth + 1)
        elif tag in node.times:
            places.times.append(position)
            position += _TIME_BYTES
            if position > end:
                raise MalformedRequestError(
                    f"the time before byte {position} runs past byte {end}, where its message ends"
                )
        elif tag in node.ids:
            begin, position = read_slice(data, position, end)
            places.ids.append((begin, position))
        elif tag & 7 == WireType.LENGTH_DELIMITED:
            position = read_slice(data, position, end)[1]
        else:
            position = skip_value(data, tag, position, end, depth)
