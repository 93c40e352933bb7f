"""Telemetry in, events out: what a batch of logs or traces says about trading.

A record is an event by its own name, or by the mappings that match it; nearly all others cost no
more than a look at their time. Pure: time is an argument.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.signals.events import NO_TRACE, Cash, Event, Trace
from tapeline.signals.instruments import Instruments
from tapeline.signals.mappings import EventMapping, Source, valid_trace
from tapeline.signals.reading import EVENT_NAMES, EventFault, Refusal, read_event
from tapeline.signals.records import (
    AMBIGUOUS,
    EVENT_ATTRIBUTES,
    NAME_ATTRIBUTE,
    PairReader,
    Value,
    one_of_two,
    parse_request,
    read_resource,
    read_scope,
)

__all__ = ["FUTURE_TOLERANCE_NS", "SPAN_CONTEXT", "Intake", "IntakeFault", "Refused", "Taken"]

FUTURE_TOLERANCE_NS: Final = 3600 * 1_000_000_000
"""A record further ahead of the clock is not taken, and moves no watermark."""
MAX_TIME_NS: Final = (1 << 63) - 1
"""In the year 2262: what fits 64 bits with a sign, as databases have integers."""

SPAN_CONTEXT: Final = frozenset(
    {
        "trading.account",
        "trading.cash.currency",
        "trading.execution.fee_currency",
        "trading.instrument",
        "trading.order.id",
        "trading.order.parent_id",
        "trading.side",
        "trading.strategy",
        "trading.venue",
    }
)
"""What a span event takes from its span: whose it is and of what, never an amount or its own id."""

_NAME_BYTES: Final = NAME_ATTRIBUTE.encode()
_EVENT_BYTES: Final = b"trading."
_TIME: Final = "time"


class IntakeFault(StrEnum):
    """Why a record is no event although it says so, where that is not about one attribute."""

    AMBIGUOUS = "ambiguous"
    """An attribute stands twice, with two values."""
    FROM_THE_FUTURE = "from_the_future"
    NO_TIME = "no_time"
    TIME_OUT_OF_RANGE = "time_out_of_range"


class Refused(NamedTuple):
    """Why an event was not taken; all three are of a limited number of values."""

    reason: str
    attribute: str
    mapping: str = ""
    """The name of the mapping that made the event; empty: the record is an event by itself."""


@dataclass(slots=True)
class Taken:
    """What one batch holds."""

    events: list[Event] = field(default_factory=list)
    """In the order of the wire."""
    greatest_time_ns: int = 0
    """Of any record, event or not, that isn't from the future; 0 where there is none."""
    refused: Counter[Refused] = field(default_factory=Counter)
    unknown_instruments: Counter[str] = field(default_factory=Counter)
    """Events by instrument, of instruments that the configuration doesn't list."""


class Intake:
    """Reads batches. It remembers attributes that it has seen, and nothing that counts."""

    def __init__(self, instruments: Instruments, mappings: Sequence[EventMapping] = ()) -> None:
        self._instruments = instruments
        self._mappings = {
            signal: tuple(mapping for mapping in mappings if mapping.signal is signal)
            for signal in (Signal.LOGS, Signal.TRACES)
        }
        self._pairs = PairReader()

    def read(self, batch: Batch, now_ns: int | None) -> Taken:
        """Return the events of a batch; without a clock (None) nothing is from the future.

        Metrics hold no events and move no time. Raises MalformedRequestError.
        """
        taken = Taken()
        if batch.signal is Signal.METRICS:
            return taken
        limit_ns = MAX_TIME_NS if now_ns is None else min(MAX_TIME_NS, now_ns + FUTURE_TOLERANCE_NS)
        reading = _Reading(self._instruments, self._pairs, taken, limit_ns)
        reading.read(batch, self._mappings[batch.signal])
        return taken


class _Around:
    """Scope and resource of the records at hand, read when first asked for."""

    __slots__ = ("_base", "_parts", "_resource", "_scope")

    def __init__(self, resource: Iterable[bytes], scope: Iterable[bytes]) -> None:
        self._parts = (resource, scope)
        self._resource: dict[str, Value] | None = None
        self._scope: dict[str, Value] | None = None
        self._base: dict[str, Value] | None = None

    @property
    def resource(self) -> dict[str, Value]:
        """The resource's attributes."""
        if self._resource is None:
            self._resource = read_resource(self._parts[0])
        return self._resource

    @property
    def scope(self) -> dict[str, Value]:
        """The scope's attributes, and its name as `name`."""
        if self._scope is None:
            name, attributes = read_scope(self._parts[1])
            self._scope = {**attributes, "name": name} if name else attributes
        return self._scope

    @property
    def base(self) -> dict[str, Value]:
        """What an event takes from its scope, and else from its resource."""
        if self._base is None:
            self._base = _of_events({**self.resource, **self.scope})
        return self._base


def _of_events(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if name in EVENT_ATTRIBUTES}


class _Reading:
    """Goes through one batch."""

    def __init__(
        self, instruments: Instruments, pairs: PairReader, taken: Taken, limit_ns: int
    ) -> None:
        self._instruments = instruments
        self._pairs = pairs
        self._taken = taken
        self._limit_ns = limit_ns
        # A text stands on the wire as it is, so what is not in the payload is in no record of it.
        self._has_events = False
        self._has_name_attributes = False

    def read(self, batch: Batch, mappings: tuple[EventMapping, ...]) -> None:
        self._has_events = _EVENT_BYTES in batch.payload
        may_be_named = self._has_events or bool(mappings)
        self._has_name_attributes = may_be_named and _NAME_BYTES in batch.payload
        request = parse_request(batch.signal, batch.payload)
        if batch.signal is Signal.LOGS:
            for resource_logs in request.resource_logs:
                for scope_logs in resource_logs.scope_logs:
                    around = _Around(resource_logs.resource, scope_logs.scope)
                    self._logs(scope_logs.log_records, around, _fitting(mappings, around))
            return
        for resource_spans in request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                around = _Around(resource_spans.resource, scope_spans.scope)
                self._spans(scope_spans.spans, around, _fitting(mappings, around))

    def _logs(self, records: Any, around: _Around, mappings: tuple[EventMapping, ...]) -> None:
        has_events = self._has_events
        has_name_attributes = self._has_name_attributes
        for record in records:
            time_ns = record.time_unix_nano or record.observed_time_unix_nano
            if not has_events and not mappings:
                self._see(time_ns)
                continue
            name = record.event_name
            if name in EVENT_NAMES or (has_name_attributes and not name):
                own = self._own(record.attributes)
                if not name:
                    name = self._named(own.pop(NAME_ATTRIBUTE, ""), record.attributes)
                if name in EVENT_NAMES:
                    self._see(time_ns)
                    trace = _trace(record.trace_id, record.span_id)
                    self._take(name, {**around.base, **own} if around.base else own, time_ns, trace)
                    continue
                if name is AMBIGUOUS:
                    self._see(time_ns)
                    continue
            if mappings:
                source = Source(
                    record.attributes,
                    around.scope,
                    around.resource,
                    event_name=name,
                    body=record.body,
                )
                trace = _trace(record.trace_id, record.span_id)
                self._map(source, mappings, around.base, time_ns, trace)
            else:
                self._see(time_ns)

    def _spans(self, spans: Any, around: _Around, mappings: tuple[EventMapping, ...]) -> None:
        of_spans = [mapping for mapping in mappings if not mapping.event_names]
        of_events = [mapping for mapping in mappings if mapping.event_names]
        for span in spans:
            time_ns = span.end_time_unix_nano
            name = span.name
            if self._has_events and name in EVENT_NAMES:
                self._see(time_ns)
                trace = _trace(span.trace_id, span.span_id)
                self._take(name, {**around.base, **self._own(span.attributes)}, time_ns, trace)
            else:
                self._map_span(span, around, of_spans)
            if span.events:
                self._span_events(span, around, of_events)

    def _map_span(self, span: Any, around: _Around, mappings: Sequence[EventMapping]) -> None:
        if not mappings:
            self._see(span.end_time_unix_nano)
            return
        source = Source(span.attributes, around.scope, around.resource, span_name=span.name)
        trace = _trace(span.trace_id, span.span_id)
        self._map(source, mappings, around.base, span.end_time_unix_nano, trace)

    def _span_events(self, span: Any, around: _Around, mappings: Sequence[EventMapping]) -> None:
        base: dict[str, Value] | None = None
        for event in span.events:
            time_ns, name = event.time_unix_nano, event.name
            is_event = self._has_events and name in EVENT_NAMES
            if not is_event and not mappings:
                self._see(time_ns)
                continue
            if base is None:
                trace = _trace(span.trace_id, span.span_id)
                of_span = self._own(span.attributes)
                base = around.base | {
                    key: value for key, value in of_span.items() if key in SPAN_CONTEXT
                }
            if is_event:
                self._see(time_ns)
                self._take(name, {**base, **self._own(event.attributes)}, time_ns, trace)
                continue
            source = Source(
                event.attributes,
                around.scope,
                around.resource,
                event_name=name,
                span_name=span.name,
                span_pairs=span.attributes,
            )
            self._map(source, mappings, base, time_ns, trace)

    def _own(self, pairs: Sequence[bytes]) -> dict[str, Value]:
        """Return what a record itself says, as far as events are read from it."""
        known, read = self._pairs.known.get, self._pairs.read
        own: dict[str, Value] = {}
        # A slice is a list, which is faster to go through than what protobuf has.
        for pair in pairs[:]:
            name, value = known(pair) or read(pair)
            if name in own and name:
                own[name] = one_of_two(own[name], value)
            else:
                own[name] = value
        own.pop("", None)
        return own

    def _named(self, name: Value, pairs: Iterable[bytes]) -> Value:
        """Return the name in a record's attribute; one of two that name an event is refused."""
        if name is not AMBIGUOUS:
            return name if isinstance(name, str) else ""
        read = self._pairs.read
        if any(key == NAME_ATTRIBUTE and _is_name(value) for key, value in map(read, pairs)):
            self._refuse(IntakeFault.AMBIGUOUS, NAME_ATTRIBUTE)
            return AMBIGUOUS
        return ""

    def _map(
        self,
        source: Source,
        mappings: Sequence[EventMapping],
        base: Mapping[str, Value],
        time_ns: int,
        trace: Trace,
    ) -> None:
        """Take the events that mappings make of a record; `time_ns` is the record's own time.

        A mapping's time stands for that one at the watermark, too: a log that is collected late has
        a time of its own that would make its events late.
        """
        is_matched = False
        for mapping in mappings:
            if not mapping.matches(source):
                continue
            is_matched = True
            fault = mapping.fault(source)
            event_ns = time_ns if mapping.time is None else mapping.time(source)
            if fault is not None:
                self._refuse(fault, "body", mapping.name)
            elif not isinstance(event_ns, int):
                self._refuse(event_ns or EventFault.MISSING, _TIME, mapping.name)
            else:
                values = {**base, **_of_events(source.attributes), **mapping.values(source)}
                own_trace = mapping.trace(source, trace)
                self._take(mapping.event, values, event_ns, own_trace, mapping.name)
            if isinstance(event_ns, int):
                self._see(event_ns)
        if not is_matched:
            self._see(time_ns)

    def _see(self, time_ns: int) -> None:
        """Let the time of a record, trading or not, count for the watermark."""
        if self._taken.greatest_time_ns < time_ns <= self._limit_ns:
            self._taken.greatest_time_ns = time_ns

    def _take(
        self,
        name: str,
        values: Mapping[str, Value],
        time_ns: int,
        trace: Trace,
        mapping: str = "",
    ) -> None:
        if not 0 < time_ns <= self._limit_ns:
            fault = IntakeFault.FROM_THE_FUTURE if time_ns else IntakeFault.NO_TIME
            if time_ns > MAX_TIME_NS:
                fault = IntakeFault.TIME_OUT_OF_RANGE
            self._refuse(fault, _TIME, mapping)
            return
        event = read_event(name, values, time_ns, self._instruments, trace)
        if isinstance(event, Refusal):
            is_ambiguous = values.get(event.attribute) is AMBIGUOUS
            reason = IntakeFault.AMBIGUOUS if is_ambiguous else event.reason
            self._refuse(reason, event.attribute, mapping)
            return
        self._taken.events.append(event)
        if not isinstance(event, Cash) and event.instrument not in self._instruments:
            self._taken.unknown_instruments[event.instrument] += 1

    def _refuse(self, reason: str, attribute: str, mapping: str = "") -> None:
        self._taken.refused[Refused(str(reason), attribute, mapping)] += 1


def _fitting(mappings: tuple[EventMapping, ...], around: _Around) -> tuple[EventMapping, ...]:
    """Return the mappings that may match records of a resource and scope."""
    if not mappings:
        return ()
    return tuple(
        mapping for mapping in mappings if mapping.fits_around(around.resource, around.scope)
    )


def _is_name(value: Value) -> bool:
    return isinstance(value, str) and value in EVENT_NAMES


def _trace(trace_id: bytes, span_id: bytes) -> Trace:
    return valid_trace(trace_id, span_id) if trace_id else NO_TRACE
