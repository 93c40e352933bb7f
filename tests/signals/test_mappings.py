"""Records with other names become events by mappings; nothing is made up on the way."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.config import SignalsConfig
from tapeline.signals.config_files import settings_of
from tapeline.signals.events import Event, Execution, Mark, Order, Quote, Trace
from tapeline.signals.instruments import Instruments
from tapeline.signals.intake import Intake, Refused, Taken
from tapeline.signals.mapping_paths import compile_expression, look_up
from tapeline.signals.mappings import MAX_BODY_CHARACTERS, MAX_BODY_DEPTH, Source
from trading_requests import EXECUTION, QUOTE, SECOND_NS, START_NS, add_pairs, batch, log, span

BODY = {
    "timestamp": "2026-02-23T12:00:00.5Z",
    "message": "order filled",
    "fields": {"fill_id": "f-1", "symbol": "BTCUSDT", "side": "BUY", "price": 50000.10, "qty": 2},
}
BODY_TIME_NS = 1_771_848_000_500_000_000
FILLS: dict[str, Any] = {
    "name": "fills",
    "match": {
        "signal": "logs",
        "resource": {"service.name": "execution-engine"},
        "body_json": {"message": "order filled"},
    },
    "event": "trading.execution",
    "time": "body.timestamp",
    "fields": {
        "trading.execution.id": "body.fields.fill_id",
        "trading.instrument": "body.fields.symbol",
        "trading.side": "lower(body.fields.side)",
        "trading.execution.price": "body.fields.price",
        "trading.execution.quantity": "body.fields.qty",
    },
}
SERVICE = {"service.name": "execution-engine"}
MARKS: dict[str, Any] = {
    "name": "marks",
    "match": {"signal": "logs", "attributes": {"kind": "mark"}},
    "event": "trading.mark",
    "fields": {"trading.instrument": "attributes.s", "trading.mark.price": "attributes.p"},
}


def read(request: Any, *mappings: dict[str, Any], now_ns: int | None = None) -> Taken:
    """Read one request with some mappings."""
    config = SignalsConfig.model_validate({"mappings": list(mappings)})
    compiled = settings_of(config).mappings
    return Intake(Instruments(), compiled).read(batch(request), now_ns)


def only(taken: Taken) -> Event:
    """Return the one event that was taken."""
    assert not taken.refused
    (event,) = taken.events
    return event


def fill(body: Any = None, **more: Any) -> Any:
    """Return a log of the execution engine."""
    body = json.dumps(BODY) if body is None else body
    return log(body=body, resource=SERVICE | more.pop("resource", {}), **more)


@pytest.mark.parametrize("body", [json.dumps(BODY), BODY, "  " + json.dumps(BODY, indent=1)])
def test_a_json_log_becomes_an_execution(body: Any) -> None:
    """Be its body a text with JSON or a mapping already; what it lacks comes from the resource."""
    request = fill(body, resource={"trading.account": "desk"}, trace=(b"t" * 16, b"s" * 8))

    taken = read(request, FILLS)

    assert only(taken) == Execution(
        BODY_TIME_NS, "desk", "", "BTCUSDT", "f-1", "trade", "", 1, Decimal(2),
        Decimal("50000.1"), trace=Trace(b"t" * 16, b"s" * 8),
    )  # fmt: skip
    assert taken.greatest_time_ns == BODY_TIME_NS


def test_numbers_of_a_body_keep_every_digit() -> None:
    """They never go through a double."""
    text = json.dumps(BODY).replace("50000.1", "50000.10000000000000000000000001")

    event = only(read(fill(text), FILLS))

    assert isinstance(event, Execution)
    assert event.price == Decimal("50000.10000000000000000000000001")


@pytest.mark.parametrize(
    ("part", "replacement", "refused"),
    [
        ('"fill_id": "f-1"', '"fill": "f-1"', Refused("missing", "trading.execution.id", "fills")),
        ('"f-1"', "null", Refused("missing", "trading.execution.id", "fills")),
        ('"f-1"', "[1]", Refused("not_a_text", "trading.execution.id", "fills")),
        ('"f-1"', '"f-1", "fill_id": "f-2"', Refused("ambiguous", "trading.execution.id", "fills")),
        ("50000.1", "NaN", Refused("not_finite", "trading.execution.price", "fills")),
        ("50000.1", "1" * 5000, Refused("too_many_digits", "trading.execution.price", "fills")),
        ("50000.1", "true", Refused("not_a_number", "trading.execution.price", "fills")),
        ("BUY", "LONG", Refused("unknown_value", "trading.side", "fills")),
        ("12:00:00.5Z", "12:00:00.5", Refused("not_a_time", "time", "fills")),
        ('"2026-02-23T12:00:00.5Z"', "null", Refused("missing", "time", "fills")),
        ('"2026-02-23T12:00:00.5Z"', '"1969-01-01T00:00:00Z"',
         Refused("time_out_of_range", "time", "fills")),
    ],
)  # fmt: skip
def test_what_a_matching_record_lacks_is_counted_by_mapping_and_field(
    part: str, replacement: str, refused: Refused
) -> None:
    """The event is refused, never completed."""
    text = json.dumps(BODY)
    assert part in text

    taken = read(fill(text.replace(part, replacement)), FILLS)

    assert not taken.events
    assert taken.refused == {refused: 1}


@pytest.mark.parametrize(
    "request_",
    [
        log(body=json.dumps(BODY), resource={"service.name": "other"}),
        log(body=json.dumps(BODY)),
        fill("order filled"),
        fill('{"message": "order filled", "message": "x"}'),
        fill('{"message": "order filled"'),
        fill('{"text": "order filled"}'),
        fill('["order filled"]'),
        fill(b"order filled"),
        fill({"message": ["order filled"]}),
        span("x", resource=SERVICE),
    ],
)
def test_what_does_not_match_is_none_of_the_mappings_business(request_: Any) -> None:
    """Another service, another message, no JSON: nothing is refused, and its own time counts."""
    taken = read(request_, FILLS)

    assert not taken.events
    assert not taken.refused
    assert taken.greatest_time_ns == START_NS


def test_an_escaped_text_matches_as_what_it_says() -> None:
    """The quick look at the text is not the judge."""
    assert only(read(fill(json.dumps(BODY).replace("filled", "f\\u0069lled")), FILLS))


def test_a_long_or_deep_body_is_counted_and_not_read() -> None:
    """At most 65,536 characters and 32 levels; a body that can't match is not even measured."""
    padding = "x" * MAX_BODY_CHARACTERS
    levels = MAX_BODY_DEPTH - 1
    nested: Any = "x"
    for _ in range(levels):
        nested = [nested]

    assert read(fill(json.dumps(BODY | {"pad": padding})), FILLS).refused == {
        Refused("body_too_long", "body", "fills"): 1
    }
    assert only(read(fill(json.dumps(BODY | {"pad": nested})), FILLS))
    for deep in (
        json.dumps(BODY | {"pad": [nested]}),
        json.dumps(BODY)[:-1] + ',"p":' + "[" * 9999,
    ):
        taken = read(fill(deep), FILLS)
        assert not taken.events
        assert taken.refused == {Refused("body_too_deep", "body", "fills"): 1}
    assert not read(fill(json.dumps({"message": "x", "pad": padding})), FILLS).refused


def test_a_record_that_is_an_event_is_not_mapped() -> None:
    """Not even when it is refused."""
    everything = MARKS | {"match": {"signal": "logs", "resource": SERVICE}}

    taken = read(log("trading.quote", QUOTE, resource=SERVICE), everything)
    refused = read(log("trading.quote", {}, resource=SERVICE), everything)

    assert isinstance(only(taken), Quote)
    assert refused.refused == {Refused("missing", "trading.instrument"): 1}


def test_each_mapping_that_matches_makes_an_event() -> None:
    """A tick may be a quote and a mark."""
    quotes = {
        "name": "quotes",
        "match": MARKS["match"],
        "event": "trading.quote",
        "fields": {
            "trading.instrument": "attributes.s",
            "trading.quote.bid": "attributes.p",
            "trading.quote.ask": "attributes.p",
        },
    }

    taken = read(log(attributes={"kind": "mark", "s": "X", "p": "5"}), MARKS, quotes)

    assert taken.events == [
        Mark(START_NS, "", "X", Decimal(5)),
        Quote(START_NS, "", "X", Decimal(5), Decimal(5)),
    ]


def test_spans_and_span_events_are_mapped() -> None:
    """A span event sees its span's attributes as `span`."""
    orders = {
        "name": "orders",
        "match": {"signal": "traces", "span_name": ["order.place", "order.send"]},
        "event": "trading.order",
        "fields": {
            "trading.order.id": "attributes.order.id",
            "trading.order.state": "const(submitted)",
            "trading.instrument": "attributes.order.symbol",
        },
    }
    fills = {
        "name": "fills",
        "match": {"signal": "traces", "span_name": "order.place", "event_name": "fill"},
        "event": "trading.execution",
        "fields": {
            "trading.execution.id": "attributes.id",
            "trading.instrument": "span.order.symbol",
            "trading.side": "sign_to_side(attributes.qty)",
            "trading.execution.quantity": "abs(attributes.qty)",
            "trading.execution.price": "scale(attributes.cents, -2)",
            "trading.venue": "scope.name",
        },
    }
    of_fill = {"id": 7, "qty": -3.5, "cents": 1050}
    request = span(
        "order.place",
        {"order.id": "o1", "order.symbol": "AAPL", "trading.account": "a"},
        events=[("fill", START_NS + 1, of_fill), ("other", START_NS + 2, {})],
        scope_name="nasdaq",
    )

    submitted, executed = read(request, orders, fills).events

    assert isinstance(submitted, Order)
    assert (submitted.id, submitted.account, submitted.time_ns) == ("o1", "a", START_NS)
    assert isinstance(executed, Execution)
    assert executed == Execution(
        START_NS + 1, "a", "nasdaq", "AAPL", "7", "trade", "", -1, Decimal("3.5"),
        Decimal("10.50"), trace=Trace(b"t" * 16, b"s" * 8),
    )  # fmt: skip
    assert read(request, orders, fills).greatest_time_ns == START_NS + 2
    assert not read(span("order.cancel", {"order.id": "o1"}), orders, fills).events


def test_a_log_is_matched_by_its_event_name() -> None:
    """By its field, else by its attribute, as with events that need no mapping."""
    named = MARKS | {"match": {"signal": "logs", "event_name": ["tick", "mark"]}}
    own = {"s": "X", "p": "7"}

    for request in (
        log("mark", own),
        log("", own | {"event.name": "mark"}),
        log("tick", own | {"event.name": "other"}),
    ):
        assert only(read(request, named)) == Mark(START_NS, "", "X", Decimal(7))
    assert not read(log("other", own | {"event.name": "mark"}), named).events
    assert not read(log("", own), named).events


def test_a_log_is_matched_by_its_body_as_a_text() -> None:
    """As it is: not a part of it, and not JSON that says the same."""
    own = {"s": "X", "p": "7"}
    marked = MARKS | {"match": {"signal": "logs", "body": ["mark", "last price"]}}
    parsing = MARKS | {"name": "parsing", "match": {"signal": "logs", "body_json": {"a": "b"}}}

    for body in ("mark", "last price"):
        taken = read(log("", own, body=body), parsing, marked)
        assert only(taken) == Mark(START_NS, "", "X", Decimal(7))
    for other in ("marks", "Mark", " mark", '"mark"', {"mark": "mark"}, ["mark"], 7, ""):
        assert not read(log("", own, body=other), marked).events
    assert not read(log("", own), marked).events


def test_fields_count_before_attributes_of_the_convention() -> None:
    """Those fill what no field gives a value to."""
    own = {"kind": "mark", "s": "X", "trading.mark.price": "7", "trading.instrument": "Y"}

    assert only(read(log(attributes=own), MARKS)) == Mark(START_NS, "", "X", Decimal(7))


def test_the_time_of_a_mapping_stands_for_the_records_own() -> None:
    """Also at the watermark: a log that is collected late is not from the day of its collection."""
    collected_ns = BODY_TIME_NS + 86_400 * SECOND_NS

    taken = read(fill(time_ns=collected_ns), FILLS, now_ns=collected_ns)
    ahead = read(fill(), FILLS, now_ns=BODY_TIME_NS - 3601 * SECOND_NS)

    assert taken.greatest_time_ns == BODY_TIME_NS
    assert ahead.refused == {Refused("from_the_future", "time", "fills"): 1}
    assert ahead.greatest_time_ns == 0


def test_ids_of_the_trace_come_from_the_body_where_it_has_them() -> None:
    """In hexadecimal; what is none leaves the record's own."""
    traced = FILLS | {"trace_id": "body.trace_id", "span_id": "body.span_id"}
    own = (b"t" * 16, b"s" * 8)
    for trace_id, span_id, expected in [
        ("ab" * 16, "cd" * 8, Trace(b"\xab" * 16, b"\xcd" * 8)),
        ("ab" * 16, None, Trace(b"\xab" * 16, b"")),
        ("abc...", "cd" * 8, Trace(*own)),
        (None, None, Trace(*own)),
    ]:
        body = json.dumps(BODY | {"trace_id": trace_id, "span_id": span_id})
        event = only(read(fill(body, trace=own), traced))
        assert isinstance(event, Execution)
        assert event.trace == expected


def test_an_ambiguous_attribute_matches_nothing_and_is_refused_as_a_field() -> None:
    """In any order of the two."""
    for prices in (["1", "2"], ["2", "1"]):
        request = log(attributes={"kind": "mark", "s": "X"})
        record = request.resource_logs[0].scope_logs[0].log_records[0]
        add_pairs(record.attributes, [("p", price) for price in prices])
        assert read(request, MARKS).refused == {
            Refused("ambiguous", "trading.mark.price", "marks"): 1
        }
        add_pairs(record.attributes, [("kind", "quote")])
        assert not read(request, MARKS).refused


@pytest.mark.parametrize(
    ("value", "wanted", "is_match"),
    [
        (5, 5, True),
        (5, "5", True),
        (True, True, True),
        (True, "true", True),
        (True, 1, False),
        (0.5, 0.5, True),
        ("Mark", "mark", False),
        ("b", ["a", "b"], True),
        ({"x": 1}, "x", False),
    ],
)
def test_conditions_compare_texts(value: Any, wanted: Any, *, is_match: bool) -> None:
    """A number matches its own spelling; case counts; a list is one of several."""
    mapping = MARKS | {"match": {"signal": "logs", "attributes": {"kind": wanted}}}

    taken = read(log(attributes={"kind": value, "s": "X", "p": 1}), mapping)

    assert bool(taken.events) is is_match


@pytest.mark.parametrize(
    ("tree", "key", "expected"),
    [
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a": {"b": 2}}, "a.b", 2),
        ({"a": {"b.c": 3}, "a.b": {"c": 4}}, "a.b.c", 3),
        ({"a": {"x": 3}, "a.b": {"c": 4}}, "a.b.c", 4),
        ({"a": [1]}, "a.0", None),
        ({"a": "b"}, "a.b", None),
        ({}, "a", None),
    ],
)
def test_a_path_may_lead_through_keys_with_dots(tree: Any, key: str, expected: Any) -> None:
    """The whole key first; then the shortest beginning that leads to something."""
    assert look_up(tree, key) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("attributes.text", "BuY"),
        ("lower(attributes.text)", "buy"),
        ("upper( attributes.text )", "BUY"),
        ("lower(attributes.number)", -5),
        ("abs(attributes.number)", "5"),
        ("abs(attributes.exact)", "0.10"),
        ("abs(attributes.text)", "BuY"),
        ("sign_to_side(attributes.number)", "sell"),
        ("sign_to_side(attributes.zero)", None),
        ("sign_to_side(attributes.text)", "BuY"),
        ("scale(attributes.exact, 2)", "-10"),
        ("scale(attributes.number,-2)", "-0.05"),
        ("scale(attributes.text, 2)", "BuY"),
        ("abs(scale(attributes.number, 1))", "5E+1"),
        ("const(USD)", "USD"),
        ("const(a, b(c))", "a, b(c)"),
        ("upper(const(usd))", "USD"),
        ("lower(attributes.absent)", None),
        ("abs(attributes.absent)", None),
        ("scale(attributes.absent, 1)", None),
        ("body.x", None),
        ("span.x", None),
        ("scope.name", "s"),
        ("resource.service.name", "r"),
    ],
)
def test_functions_leave_what_they_cannot_take(expression: str, expected: Any) -> None:
    """So the event is refused for what it said, not for what a function made of it."""
    request = log(attributes={"text": "BuY", "number": -5, "exact": "-0.10", "zero": "0.0"})
    pairs = request.resource_logs[0].scope_logs[0].log_records[0].attributes
    source = Source(
        [pair.SerializeToString() for pair in pairs], {"name": "s"}, {"service.name": "r"}
    )

    assert compile_expression(expression)(source) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "is no path"),
        ("attributes", "is no path"),
        ("attributes.", "is no path"),
        ("lower(attributes.a", "is no path"),
        ("lower()", "is no path"),
        ("const()", "needs a text"),
        ("scale(attributes.a)", "scale needs a path and"),
        ("scale(attributes.a, x)", "scale needs a path and"),
        ("scale(attributes.a, 25)", "scale needs a path and"),
        ("lower(" * 5 + "attributes.a" + ")" * 5, "more than 4 functions"),
        ("attributes" + ".a" * 17, "more than 16 parts"),
        ("attributes." + "a" * 600, "at most 512"),
    ],
)
def test_expressions_that_mean_nothing_are_refused(expression: str, message: str) -> None:
    """When they are compiled, with what is wrong."""
    with pytest.raises(ValueError, match=message):
        compile_expression(expression)


INT64 = st.integers(-(2**63), 2**63 - 1)
TREES = st.recursive(
    st.one_of(st.text(max_size=3), INT64, st.floats(), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["message", "fields", "price", "fill_id", "timestamp", "a.b"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(TREES, st.booleans())
def test_no_body_does_more_than_be_refused(tree: Any, is_text: bool) -> None:  # noqa: FBT001 - drawn
    """Whatever stands where a mapping looks: an event, a refusal with a reason, or no match."""
    body = {**BODY, "fields": tree}

    taken = read(fill(json.dumps(body) if is_text else body), FILLS)

    assert len(taken.events) + sum(taken.refused.values()) == 1
    assert all(refused.mapping == "fills" for refused in taken.refused)


def test_native_events_cost_nothing_of_a_mapping() -> None:
    """They are taken beside it, in the order of the wire."""
    request = fill()
    records = request.resource_logs[0].scope_logs[0].log_records
    native = records.add(event_name="trading.execution", time_unix_nano=START_NS)
    add_pairs(native.attributes, EXECUTION.items())

    assert [event.id for event in read(request, FILLS).events if isinstance(event, Execution)] == [
        "f-1",
        "e1",
    ]
