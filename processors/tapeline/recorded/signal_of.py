"""Of which signal a protobuf message is: a file does not say, so its records have to.

An Export request of each signal nests alike down to what it has of records: log records, spans,
metrics. There the fields differ in their wire types (opentelemetry-proto 1.x, {logs,trace,metrics}.
proto). A signal is out where a field that it defines, or once did, has another wire type. Of
several that remain, those count whose records are what OTLP requires: a span has a trace id of 16
bytes and a span id of 8, a metric has a name, and each parses as what it would be. Where none is,
those count that define all the fields. Still several: the message can't be told, and nobody
guesses.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import WireType, read_slice, read_tag, skip_value

__all__ = ["ALL_SIGNALS", "possible_signals"]

ALL_SIGNALS: Final = frozenset(Signal)

_VARINT: Final = WireType.VARINT
_FIXED64: Final = WireType.FIXED64
_FIXED32: Final = WireType.FIXED32
_SLICE: Final = WireType.LENGTH_DELIMITED

# Field numbers of a request and of a resource's and a scope's part, the same in all three signals.
_RESOURCE_PARTS: Final = 1 << 3 | _SLICE
_INNER_PARTS: Final = 2 << 3 | _SLICE
_DEPTH: Final = 3
"""Messages around a record: the request, the resource's part, the scope's."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a signal's records are: wire types by field number, and what OTLP requires of them.

    `lengths` has the fields whose length OTLP settles (empty counts as absent), `required` those
    without which a record is none. `former` are numbers that OTLP reserves for what they once were,
    all of them messages or texts: in no version do they have another wire type.
    """

    message_type: type[Message]
    wire_types: Mapping[int, int]
    former: frozenset[int]
    lengths: Mapping[int, int]
    required: frozenset[int]


_KINDS: Final[dict[Signal, _Kind]] = {
    Signal.LOGS: _Kind(
        LogRecord,
        {
            1: _FIXED64, 2: _VARINT, 3: _SLICE, 5: _SLICE, 6: _SLICE, 7: _VARINT, 8: _FIXED32,
            9: _SLICE, 10: _SLICE, 11: _FIXED64, 12: _SLICE,
        },
        frozenset({4}),
        {9: 16, 10: 8},
        frozenset(),
    ),
    Signal.TRACES: _Kind(
        Span,
        {
            1: _SLICE, 2: _SLICE, 3: _SLICE, 4: _SLICE, 5: _SLICE, 6: _VARINT, 7: _FIXED64,
            8: _FIXED64, 9: _SLICE, 10: _VARINT, 11: _SLICE, 12: _VARINT, 13: _SLICE, 14: _VARINT,
            15: _SLICE, 16: _FIXED32,
        },
        frozenset(),
        {1: 16, 2: 8, 4: 8},
        frozenset({1, 2}),
    ),
    Signal.METRICS: _Kind(
        Metric,
        {
            1: _SLICE, 2: _SLICE, 3: _SLICE, 5: _SLICE, 7: _SLICE, 9: _SLICE, 10: _SLICE,
            11: _SLICE, 12: _SLICE,
        },
        frozenset({4, 6, 8}),
        {},
        frozenset({1}),
    ),
}  # fmt: skip


def possible_signals(payload: bytes) -> frozenset[Signal]:
    """Return of which signals a message may be: one, as a rule; several where it can't be told.

    Empty where its records are of no signal; all of them where it has no records. Raises
    MalformedRequestError where the bytes are not a request of any. Looks at records only until one
    signal is left, which is mostly within the first.
    """
    left = ALL_SIGNALS
    for begin, end in _records(payload):
        left = _by_wire_types(left, payload, begin, end)
        if len(left) < 2:  # noqa: PLR2004 - it is told, or can't be any more.
            return left
    if not any(True for _ in _records(payload)):
        return ALL_SIGNALS
    complete = _those(left, payload, _is_complete)
    # What is of no signal as OTLP requires it is told by the fields that it has.
    fit = complete or _those(left, payload, _is_known) or left
    return _those(fit, payload, _parses) or fit


def _those(
    signals: frozenset[Signal], payload: bytes, test: Callable[[_Kind, bytes], bool]
) -> frozenset[Signal]:
    """Return the signals for which the test holds of each record."""
    return frozenset(
        signal
        for signal in signals
        if all(test(_KINDS[signal], payload[begin:end]) for begin, end in _records(payload))
    )


def _records(payload: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each record begins and ends."""
    yield from _slices(payload, 0, len(payload), 0)


def _slices(payload: bytes, position: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
    if depth == _DEPTH:
        yield position, end
        return
    wanted = _RESOURCE_PARTS if depth == 0 else _INNER_PARTS
    while position < end:
        tag, position = read_tag(payload, position, end)
        if tag == wanted:
            begin, position = read_slice(payload, position, end)
            yield from _slices(payload, begin, position, depth + 1)
        else:
            position = skip_value(payload, tag, position, end, depth)


def _by_wire_types(
    left: frozenset[Signal], payload: bytes, position: int, end: int
) -> frozenset[Signal]:
    """Return the signals without those of which one of the record's fields can't be."""
    while position < end and left:
        tag, position = read_tag(payload, position, end)
        number, wire_type = tag >> 3, tag & 7
        left = frozenset(signal for signal in left if _may_be(_KINDS[signal], number, wire_type))
        position = skip_value(payload, tag, position, end, _DEPTH)
    return left


def _may_be(kind: _Kind, number: int, wire_type: int) -> bool:
    if number in kind.former:
        return wire_type == _SLICE
    # A field that a signal does not define may be one of a newer OTLP.
    return kind.wire_types.get(number, wire_type) == wire_type


def _is_complete(kind: _Kind, record: bytes) -> bool:
    """Tell whether a record has what OTLP requires of its kind."""
    lengths: dict[int, int] = {}
    position, end = 0, len(record)
    while position < end:
        tag, position = read_tag(record, position, end)
        if tag & 7 != _SLICE:
            position = skip_value(record, tag, position, end, _DEPTH)
            continue
        begin, position = read_slice(record, position, end)
        # Of a field that is there twice the later one counts, for a parser too.
        lengths[tag >> 3] = position - begin
    return all(lengths.get(number) for number in kind.required) and all(
        lengths.get(number, 0) in {0, length} for number, length in kind.lengths.items()
    )


def _is_known(kind: _Kind, record: bytes) -> bool:
    """Tell whether a record has no field that its kind does not define."""
    position, end = 0, len(record)
    while position < end:
        tag, position = read_tag(record, position, end)
        if tag >> 3 not in kind.wire_types:
            return False
        position = skip_value(record, tag, position, end, _DEPTH)
    return True


def _parses(kind: _Kind, record: bytes) -> bool:
    try:
        kind.message_type.FromString(record)
    except DecodeError:
        return False
    return True
