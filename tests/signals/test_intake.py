"""Batches become events: what a record says, where it is looked up, and when it is refused."""

from collections import Counter
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from plain_requests import plain_records
from strategies import disguise, payloads
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.signals.events import NO_TRACE, Event, Execution, Order, Quote, Trace
from tapeline.signals.instruments import Instrument, Instruments
from tapeline.signals.intake import MAX_TIME_NS, SPAN_CONTEXT, Intake, Refused, Taken
from tapeline.signals.reading import EVENT_NAMES, Refusal, read_event
from tapeline.signals.records import EVENT_ATTRIBUTES
from trading_requests import EXECUTION, QUOTE, SECOND_NS, START_NS, add_pairs, batch, log, span

HOUR_NS = 3600 * SECOND_NS
INSTRUMENTS = Instruments({"BTCUSDT": Instrument()})
TRACE = (b"t" * 16, b"s" * 8)


def read(request: Any, now_ns: int | None = None) -> Taken:
    """Read one request."""
    return Intake(INSTRUMENTS).read(batch(request), now_ns)


def only(taken: Taken) -> Event:
    """Return the one event that was taken."""
    assert not taken.refused
    (event,) = taken.events
    return event


def test_a_log_is_an_event_by_its_field_or_by_its_attribute() -> None:
    """The field comes first; with another event's name there, the attribute does not count."""
    named = {**EXECUTION, "event.name": "trading.execution"}

    by_field = only(read(log("trading.execution", EXECUTION, trace=TRACE)))
    by_attribute = only(read(log("", named, trace=TRACE)))

    assert by_field == by_attribute
    assert isinstance(by_field, Execution)
    assert by_field.time_ns == START_NS
    assert by_field.trace == Trace(*TRACE)
    assert not read(log("cart.emptied", named)).events
    assert isinstance(only(read(log("trading.quote", named | QUOTE))), Quote)


def test_spans_and_their_events_are_events_by_their_names() -> None:
    """A span at its end, its event at its own time, both with the span's trace."""
    order = {
        "trading.order.id": "o1",
        "trading.order.state": "submitted",
        "trading.instrument": "BTCUSDT",
    }
    taken = read(
        span("trading.order", order, events=[("trading.execution", START_NS - 5, EXECUTION)])
    )

    submitted, executed = taken.events
    assert isinstance(submitted, Order)
    assert submitted.time_ns == START_NS
    assert isinstance(executed, Execution)
    assert executed.time_ns == START_NS - 5
    assert submitted.trace == executed.trace == Trace(*TRACE)


def test_attributes_are_looked_up_on_record_scope_and_resource() -> None:
    """The nearest one counts; an empty one is as none, so the next one does."""
    event = only(
        read(
            log(
                "trading.execution",
                {**EXECUTION, "trading.venue": "", "trading.strategy": None},
                scope={"trading.venue": "from scope", "trading.strategy": ""},
                resource={
                    "trading.venue": "from resource",
                    "trading.strategy": "from resource",
                    "trading.account": "from resource",
                    "trading.side": "sell",
                },
            )
        )
    )

    assert isinstance(event, Execution)
    assert event.venue == "from scope"
    assert event.strategy == event.account == "from resource"
    assert event.side == 1


def test_a_span_event_takes_from_its_span_whose_it_is_and_never_an_amount() -> None:
    """Before scope and resource; a fee, an id or a state of the span is not the event's."""
    of_span = {
        "trading.account": "a7",
        "trading.instrument": "BTCUSDT",
        "trading.order.id": "o1",
        "trading.execution.fee": "9",
        "trading.execution.id": "of the span",
        "trading.sequence": 5,
    }
    own = {key: value for key, value in EXECUTION.items() if key != "trading.instrument"}
    resource = {"trading.account": "of the resource", "trading.strategy": "s"}

    event = only(
        read(
            span("fill", of_span, events=[("trading.execution", START_NS, own)], resource=resource)
        )
    )
    del own["trading.execution.id"]
    refused = read(span("fill", of_span, events=[("trading.execution", START_NS, own)])).refused

    assert isinstance(event, Execution)
    assert (event.account, event.instrument, event.order_id) == ("a7", "BTCUSDT", "o1")
    assert (event.strategy, event.fee, event.sequence, event.id) == ("s", None, 0, "e1")
    assert refused == {Refused("missing", "trading.execution.id"): 1}


@pytest.mark.parametrize("value", [b"buy", ["buy"], {"a": "buy"}])
def test_what_is_no_text_is_not_taken_for_one(value: Any) -> None:
    """Bytes, lists and mappings refuse the event."""
    taken = read(log("trading.execution", EXECUTION | {"trading.side": value}))

    assert not taken.events
    assert taken.refused == {Refused("not_a_text", "trading.side"): 1}


def test_an_attribute_with_two_values_refuses_the_event() -> None:
    """Whichever comes first; the same value twice is one."""
    for pairs in ([("trading.side", "sell")], [("trading.side", "buy")]):
        for is_first in (True, False):
            request = log("trading.execution")
            record = request.resource_logs[0].scope_logs[0].log_records[0]
            own = list(EXECUTION.items())
            add_pairs(record.attributes, [*pairs, *own] if is_first else [*own, *pairs])
            taken = read(request)
            if pairs[0][1] == "buy":
                assert only(taken) == only(read(log("trading.execution", EXECUTION)))
            else:
                assert taken.refused == {Refused("ambiguous", "trading.side"): 1}


def test_two_names_of_which_one_is_an_events_are_refused() -> None:
    """The same in either order; two other names are no event at all."""
    for names in (["trading.quote", "x"], ["x", "trading.quote"], ["x", "y"]):
        request = log("", QUOTE)
        record = request.resource_logs[0].scope_logs[0].log_records[0]
        add_pairs(record.attributes, [("event.name", name) for name in names])
        taken = read(request)
        assert not taken.events
        assert taken.greatest_time_ns == START_NS
        assert taken.refused == (
            {} if names == ["x", "y"] else {Refused("ambiguous", "event.name"): 1}
        )


def test_without_a_time_the_observed_time_counts() -> None:
    """Without either the event is refused, and it moves no watermark."""
    assert only(read(log("trading.quote", QUOTE, time_ns=0, observed_ns=7))).time_ns == 7
    for request in (
        log("trading.quote", QUOTE, time_ns=0),
        span("trading.quote", QUOTE, end_ns=0),
        span("x", end_ns=0, events=[("trading.quote", 0, QUOTE)]),
    ):
        taken = read(request)
        assert taken.refused == {Refused("no_time", "time"): 1}
        assert taken.greatest_time_ns == 0


def test_what_is_more_than_an_hour_ahead_of_now_is_refused() -> None:
    """It moves no watermark either, be it an event or not; offline there is no such check."""
    ahead_ns = START_NS + HOUR_NS + 1
    event, other = log("trading.quote", QUOTE, time_ns=ahead_ns), log("x", {}, time_ns=ahead_ns)

    live, live_other = read(event, START_NS), read(other, START_NS)

    assert live.refused == {Refused("from_the_future", "time"): 1}
    assert live.greatest_time_ns == live_other.greatest_time_ns == 0
    assert not live_other.refused
    assert only(read(event, START_NS + 1)).time_ns == ahead_ns
    assert only(read(event)).time_ns == read(other).greatest_time_ns == ahead_ns


def test_a_time_that_databases_cannot_hold_is_refused() -> None:
    """Offline, too."""
    taken = read(log("trading.quote", QUOTE, time_ns=MAX_TIME_NS + 1))

    assert taken.refused == {Refused("time_out_of_range", "time"): 1}
    assert taken.greatest_time_ns == 0


@pytest.mark.parametrize(
    "request_",
    [
        log("x", {"a": 1}, time_ns=START_NS + 3),
        log("trading.quote", {}, time_ns=START_NS + 3),
        span("x", end_ns=START_NS + 3),
        span("x", events=[("y", START_NS + 3, {})]),
        span("trading.quote", QUOTE, events=[("y", START_NS + 3, {})]),
    ],
)
def test_every_record_moves_the_watermark(request_: Any) -> None:
    """Trading or not, taken or refused."""
    assert read(request_, START_NS).greatest_time_ns == START_NS + 3


def test_ids_of_traces_that_are_none_are_left_off() -> None:
    """Zeros and other lengths; a span id needs a trace id."""
    quoted = "trading.execution"
    for trace, expected in [
        ((b"\0" * 16, b"s" * 8), NO_TRACE),
        ((b"t" * 15, b"s" * 8), NO_TRACE),
        ((b"", b"s" * 8), NO_TRACE),
        ((b"t" * 16, b"\0" * 8), Trace(b"t" * 16, b"")),
        ((b"t" * 16, b"s"), Trace(b"t" * 16, b"")),
    ]:
        event = only(read(log(quoted, EXECUTION, trace=trace)))
        assert isinstance(event, Execution)
        assert event.trace == expected


def test_instruments_that_are_not_listed_are_counted() -> None:
    """They take the defaults."""
    other = EXECUTION | {"trading.instrument": "ETHUSDT"}

    assert read(log("trading.execution", other)).unknown_instruments == {"ETHUSDT": 1}
    assert not read(log("trading.execution", EXECUTION)).unknown_instruments


def test_metrics_hold_no_events() -> None:
    """They are not even looked at."""
    assert Intake(INSTRUMENTS).read(Batch(Signal.METRICS, b"\xff"), None) == Taken()


def test_a_request_that_does_not_parse_is_refused_as_malformed() -> None:
    """With the error that every processor raises."""
    with pytest.raises(MalformedRequestError):
        Intake(INSTRUMENTS).read(Batch(Signal.LOGS, b"\x0a\xff"), None)


@given(st.sampled_from([Signal.LOGS, Signal.TRACES]), st.binary(max_size=40), st.data())
def test_garbled_requests_are_malformed_and_nothing_else(
    signal: Signal, noise: bytes, data: st.DataObject
) -> None:
    """Cut, overwritten or noise: what parses is read, all else raises that one error."""
    whole = log("trading.execution", EXECUTION, trace=TRACE).SerializeToString()
    at = data.draw(st.integers(0, len(whole)))
    for payload in (noise, whole[:at], whole[:at] + noise + whole[at + len(noise) :]):
        try:
            taken = Intake(INSTRUMENTS).read(Batch(signal, payload), None)
        except MalformedRequestError:
            continue
        assert len(taken.events) <= 1


# The plain way: protobuf's own messages, attribute by attribute.


def plainly_read(request: Any, now_ns: int | None) -> Taken:
    """Read a request as the convention has it, slowly."""
    taken = Taken()
    signal = Signal.LOGS if isinstance(request, ExportLogsServiceRequest) else Signal.TRACES
    for plain in plain_records(signal, request):
        around = (plain.scope.scope.attributes, plain.resource.resource.attributes)
        record = plain.record
        if signal is Signal.LOGS:
            names = {record.event_name}
            if not record.event_name:
                names = {
                    value if isinstance(value, str) else repr(value)  # A list has no hash.
                    for key, value in values_of(record.attributes)
                    if key == "event.name"
                }
            time_ns = record.time_unix_nano or record.observed_time_unix_nano
            plainly_take(taken, (names, time_ns), (record.attributes, *around), record, now_ns)
            continue
        where: tuple[Iterable[Any], ...] = (record.attributes, *around)
        plainly_take(taken, ({record.name}, record.end_time_unix_nano), where, record, now_ns)
        for event in record.events:
            context = [pair for pair in record.attributes if pair.key in SPAN_CONTEXT]
            where = (event.attributes, context, *around)
            plainly_take(taken, ({event.name}, event.time_unix_nano), where, record, now_ns)
    return taken


def values_of(pairs: Iterable[Any]) -> list[tuple[str, Any]]:
    """Return the attributes that have a value."""
    found = []
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind) if kind else ""
        if value != "":
            found.append((pair.key, value))
    return found


def plainly_take(
    taken: Taken,
    name_and_time: tuple[set[str], int],
    levels: tuple[Iterable[Any], ...],
    record: Any,
    now_ns: int | None,
) -> None:
    """Take a record, looking up each attribute on each level."""
    names, time_ns = name_and_time
    is_future = now_ns is not None and time_ns > now_ns + HOUR_NS
    if not is_future and time_ns <= MAX_TIME_NS:
        taken.greatest_time_ns = max(taken.greatest_time_ns, time_ns)
    known = names & EVENT_NAMES
    if len(names) > 1 and known:
        taken.refused[Refused("ambiguous", "event.name")] += 1
    if len(names) != 1 or not known:
        return
    if time_ns == 0 or time_ns > MAX_TIME_NS or is_future:
        reason = "no_time" if time_ns == 0 else "from_the_future"
        taken.refused[
            Refused(reason if time_ns <= MAX_TIME_NS else "time_out_of_range", "time")
        ] += 1
        return
    values: dict[str, Any] = {}
    ambiguous = set()
    for name in EVENT_ATTRIBUTES:
        for level in levels:
            found = {repr(value): value for key, value in values_of(level) if key == name}
            if found:
                values[name] = None if len(found) > 1 else next(iter(found.values()))
                ambiguous |= {name} if len(found) > 1 else set()
                break
    trace = Trace(record.trace_id, record.span_id) if record.trace_id else NO_TRACE
    event = read_event(known.pop(), values, time_ns, INSTRUMENTS, trace)
    if isinstance(event, Refusal):
        reason = "ambiguous" if event.attribute in ambiguous else str(event.reason)
        taken.refused[Refused(reason, event.attribute)] += 1
        return
    taken.events.append(event)
    instrument = getattr(event, "instrument", "BTCUSDT")
    if instrument != "BTCUSDT":
        taken.unknown_instruments[instrument] += 1


EVENTS: Mapping[str, dict[str, Any]] = {
    "trading.execution": EXECUTION,
    "trading.quote": QUOTE,
    "trading.mark": {"trading.instrument": "X", "trading.mark.price": 7},
    "trading.cash": {"trading.cash.id": "c", "trading.cash.amount": -5.5},
    "trading.order": {
        "trading.order.id": 7,
        "trading.order.state": "submitted",
        "trading.instrument": "BTCUSDT",
    },
}
NAMES = st.sampled_from([*EVENTS, "other", ""])
TIMES = st.sampled_from(
    [0, 1, START_NS, START_NS + HOUR_NS, START_NS + HOUR_NS + 1, MAX_TIME_NS, MAX_TIME_NS + 1]
)
SOME = st.lists(
    st.tuples(
        st.sampled_from([*sorted(EVENT_ATTRIBUTES), "event.name", "other"]),
        st.sampled_from(
            ["", "buy", "trading.quote", "1.5", "x" * 130, 1, -1, 300, 0.5, True, None, b"b", ["l"]]
        ),
    ),
    max_size=3,
)


@st.composite
def attributes(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Draw the attributes of an event, some of them missing, doubled or wrong, in any order."""
    whole = list(draw(st.sampled_from([*EVENTS.values(), {}])).items())
    missing = draw(st.sampled_from([None, *range(len(whole))]))
    return draw(st.permutations([p for at, p in enumerate(whole) if at != missing] + draw(SOME)))


@st.composite
def trading_requests(draw: st.DrawFn) -> Any:
    """Draw a request of a few logs or spans, many of them events."""
    is_logs = draw(st.booleans())
    request: Any = ExportLogsServiceRequest() if is_logs else ExportTraceServiceRequest()
    around = request.resource_logs.add() if is_logs else request.resource_spans.add()
    add_pairs(around.resource.attributes, draw(SOME))
    within = around.scope_logs.add() if is_logs else around.scope_spans.add()
    add_pairs(within.scope.attributes, draw(SOME))
    for _ in range(draw(st.integers(1, 3))):
        record = within.log_records.add() if is_logs else within.spans.add()
        add_pairs(record.attributes, draw(attributes()))
        record.trace_id, record.span_id = draw(st.sampled_from([TRACE, (b"", b"")]))
        if is_logs:
            record.event_name = draw(NAMES)
            record.time_unix_nano, record.observed_time_unix_nano = draw(TIMES), draw(TIMES)
            continue
        record.name, record.end_time_unix_nano = draw(NAMES), draw(TIMES)
        for _ in range(draw(st.integers(0, 2))):
            event = record.events.add(name=draw(NAMES), time_unix_nano=draw(TIMES))
            add_pairs(event.attributes, draw(attributes()))
    return request


@given(trading_requests(), st.sampled_from([None, START_NS]), st.integers(0, 2**32))
def test_events_are_those_of_the_plain_way(request_: Any, now_ns: int | None, seed: int) -> None:
    """In the serialiser's form and any other, with a memory that has seen the batch or not."""
    signal = batch(request_).signal
    expected = plainly_read(request_, now_ns)
    intake = Intake(INSTRUMENTS)

    for payload in (
        request_.SerializeToString(),
        disguise(request_, Random(seed)),  # noqa: S311 - repeatable
        request_.SerializeToString(),
    ):
        assert intake.read(Batch(signal, payload), now_ns) == expected


@given(
    st.sampled_from([Signal.LOGS, Signal.TRACES]).flatmap(
        lambda s: st.tuples(st.just(s), payloads(s))
    )
)
def test_other_telemetry_gives_its_time_and_no_event(drawn: tuple[Signal, bytes]) -> None:
    """Whatever OTLP allows; without a `trading.` name there is nothing to refuse."""
    plain = Batch(*drawn)
    expected = plainly_read(plain.request, None)

    taken = Intake(INSTRUMENTS).read(plain, None)

    assert taken.greatest_time_ns == expected.greatest_time_ns
    assert taken.events == []
    assert taken.refused == Counter()
