"""What a processor sees of a record, and what becomes of its bytes."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from backward_encoding import backwards
from kit_records import (
    NOW_UNIX_NANO,
    add_attributes,
    done,
    logs,
    points_of_all_kinds,
    records_of,
    spans,
)
from tapeline.kit import (
    DataPoint,
    LogRecord,
    MetricKind,
    ReadOnlyError,
    Span,
    SpanKind,
    StatusCode,
    Temporality,
)
from tapeline.kit.core import ProcessorFailedError
from tapeline.otlp.index import index_records
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch

UNKNOWN_FIELD = b"\xfa\x3e\x03new"  # field 1007, length-delimited


def read(batch: Batch, look: Callable[[Any], object]) -> list[Any]:
    """Return what a function sees in each record, and hold that looking changes nothing."""
    seen: list[Any] = []
    outcome = done(batch, lambda record: seen.append(look(record)))
    assert outcome.batch is batch
    return seen


def test_a_log_record_reads_as_its_fields_say() -> None:
    """Body, event name, severity, times, ids, resource and scope."""
    batch = logs("filled", venue="XNAS")
    record = records_of(batch)[0]
    record.event_name, record.severity_text, record.severity_number = "order.filled", "WARN", 13
    record.observed_time_unix_nano = NOW_UNIX_NANO + 1
    record.trace_id, record.span_id = bytes(range(16)), bytes(range(8))
    batch = Batch(Signal.LOGS, batch.request.SerializeToString())

    def look(record: LogRecord) -> tuple[object, ...]:
        return (
            record.body, record.body_text, record.event_name, record.severity,
            record.severity_number, record.time_unix_nano, record.observed_time_unix_nano,
            record.trace_id, record.span_id, record.now_unix_nano,
            record.resource.service_name, record.scope.name, record.scope.version,
        )  # fmt: skip

    assert read(batch, look) == [
        (
            "filled", "filled", "order.filled", "WARN",
            13, NOW_UNIX_NANO, NOW_UNIX_NANO + 1,
            "000102030405060708090a0b0c0d0e0f", "0001020304050607", NOW_UNIX_NANO,
            "quotes", "feed", "1.2",
        )
    ]  # fmt: skip


def test_typed_reading_gives_a_type_or_none() -> None:
    """Nothing is converted behind the user's back: a text is no number, an int no bool."""
    batch = logs(
        "x", t="7", n=7, f=0.1, b=True, raw=b"\x00", items=[1, {"deep": [2.5]}], empty="", minus="-"
    )

    def look(record: LogRecord) -> object:
        a = record.attributes
        return {
            "texts": [a.text(key) for key in ("t", "n", "none", "empty")],
            "numbers": [a.number(key) for key in ("n", "f", "t", "b", "none")],
            "decimals": [a.decimal(key) for key in ("n", "f", "t", "b", "minus", "none")],
            "flags": [a.flag(key) for key in ("b", "n", "none")],
            "values": [a.get("raw"), a["items"], a.get("none")],
            "names": list(a),
            "length": len(a),
            "contains": ("n" in a, "none" in a, 7 in a),
        }

    assert read(batch, look) == [
        {
            "texts": ["7", None, None, ""],
            "numbers": [7, 0.1, None, None, None],
            "decimals": [Decimal(7), Decimal("0.1"), Decimal(7), None, None, None],
            "flags": [True, None, None],
            "values": [b"\x00", (1, {"deep": (2.5,)}), None],
            "names": ["t", "n", "f", "b", "raw", "items", "empty", "minus"],
            "length": 8,
            "contains": (True, False, False),
        }
    ]


@pytest.mark.parametrize("text", ["1e999999", "NaN", "Infinity", "1,5", " "])
def test_what_is_no_finite_number_is_no_decimal(text: str) -> None:
    """A price of 1e999999 would stop whoever adds to it."""
    assert read(logs("x", price=text), lambda record: record.attributes.decimal("price")) == [None]


def test_what_a_list_or_map_holds_can_not_be_changed_in_place() -> None:
    """The change would be lost, so it is an error at once."""
    batch = logs("x", order={"price": 1, "legs": [1]})

    def change_map(record: LogRecord) -> None:
        record.attributes["order"]["price"] = 2  # type: ignore[index]

    def change_list(record: LogRecord) -> None:
        record.attributes["order"]["legs"].append(2)  # type: ignore[index,union-attr,call-overload]

    with pytest.raises(TypeError):
        done(batch, change_map)
    with pytest.raises(AttributeError):
        done(batch, change_list)


def test_each_setter_changes_its_field_and_no_other() -> None:
    """All that may be set of a log record."""

    def change(record: LogRecord) -> None:
        record.body = {"price": 1.5, "legs": ["a", "b"]}
        record.event_name = "e"
        record.severity, record.severity_number = "ERROR", 17
        record.time_unix_nano, record.observed_time_unix_nano = 1, 2
        record.trace_id, record.span_id = "aa" * 16, "bb" * 8
        record.attributes["new"] = 5
        record.attributes["venue"] = "XLON"
        del record.attributes["gone"]
        assert not record.attributes.delete("never was")

    batch = logs("x", venue="XNAS", gone=1)
    (record,) = records_of(done(batch, change).batch)
    expected = type(record)(
        event_name="e", severity_text="ERROR", severity_number=17, time_unix_nano=1,
        observed_time_unix_nano=2, trace_id=b"\xaa" * 16, span_id=b"\xbb" * 8,
    )  # fmt: skip
    expected.body.kvlist_value.values.add(key="price").value.double_value = 1.5
    legs = expected.body.kvlist_value.values.add(key="legs").value.array_value.values
    legs.add(string_value="a")
    legs.add(string_value="b")
    add_attributes(expected, {"venue": "XLON", "new": 5})

    assert record == expected


def test_to_set_what_is_there_changes_nothing() -> None:
    """The bytes stay, also where they are not in the order in which Python would write them."""
    request: Any = logs("x", a=1, nan=math.nan, b=[1, 2]).request
    batch = Batch(Signal.LOGS, backwards(request))
    assert batch.payload != request.SerializeToString()

    def change(record: LogRecord) -> None:
        record.body = "x"
        record.attributes["a"] = 1
        record.attributes["nan"] = math.nan
        record.attributes["b"] = (1, 2)
        record.time_unix_nano = NOW_UNIX_NANO
        record.severity = ""
        assert not record.is_changed

    outcome = done(batch, change)
    assert (outcome.batch is batch, outcome.changed, outcome.seen) == (True, 0, 1)


@pytest.mark.parametrize(("before", "after"), [(1, 1.0), (1, True), (0.0, -0.0), ("1", b"1")])
def test_another_type_of_the_same_value_is_a_change(before: Any, after: Any) -> None:
    """Python's `==` says otherwise of most of these."""

    def change(record: LogRecord) -> None:
        record.attributes["a"] = after
        record.body = after

    outcome = done(logs(before, a=before), change)
    assert outcome.changed == 1
    (seen,) = read(outcome.batch, lambda record: (record.body, record.attributes["a"]))
    assert [type(value) for value in seen] == [type(after)] * 2
    assert [str(value) for value in seen] == [str(after)] * 2


def test_a_name_that_stands_twice_leaves_nothing_behind() -> None:
    """Who masks an attribute masks all of it."""
    request: Any = logs("x", secret="one", kept=1).request
    add_attributes(request.resource_logs[0].scope_logs[0].log_records[0], {"secret": "two"})
    batch = Batch(Signal.LOGS, request.SerializeToString())

    def mask(record: LogRecord) -> None:
        record.attributes["secret"] = "***"

    def delete(record: LogRecord) -> None:
        del record.attributes["secret"]

    assert read(batch, lambda record: record.attributes.text("secret")) == ["one"]
    assert read(batch, lambda record: len(record.attributes)) == [2]
    for change in (mask, delete):
        outcome = done(batch, change)
        assert b"one" not in outcome.batch.payload
        assert b"two" not in outcome.batch.payload


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.resource.attributes.__setitem__("service.name", "other"),
        lambda record: record.scope.attributes.delete("x"),
    ],
)
def test_a_resource_is_only_read(change: Callable[[LogRecord], None]) -> None:
    """It belongs to all its records: a change for one of them would be one of all."""
    with pytest.raises(ReadOnlyError, match="set an attribute of the record"):
        done(logs("x"), change)


@pytest.mark.parametrize("value", [None, object(), {1, 2}, 1j, 1 << 70, [[object()]]])
def test_what_otlp_has_no_form_of_can_not_be_set(value: Any) -> None:
    """The message names the type, never the value."""

    def change(record: LogRecord) -> None:
        record.attributes["a"] = value

    with pytest.raises((TypeError, ValueError)):
        done(logs("x"), change)


def test_values_nest_to_a_limit() -> None:
    """A list that holds itself ends too."""
    endless: list[Any] = []
    endless.append(endless)

    def change(record: LogRecord) -> None:
        record.body = endless

    with pytest.raises(ValueError, match="nests deeper than 32"):
        done(logs("x"), change)


def test_an_id_has_its_length() -> None:
    """Or it is empty."""

    def change(record: LogRecord) -> None:
        record.trace_id = "abcd"

    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        done(logs("x"), change)


def test_unknown_fields_stay_also_where_a_record_changes() -> None:
    """What a newer OTLP has is not lost."""
    batch = logs("a", "b")
    index = index_records(Signal.LOGS, batch.payload)
    contents = [
        batch.payload[begin:end] + UNKNOWN_FIELD
        for begin, end in zip(index.record_begins, index.record_ends, strict=True)
    ]
    batch = batch.with_payload(splice(batch.payload, index, records=dict(enumerate(contents))))

    def change(record: LogRecord) -> None:
        if record.body_text == "b":
            record.attributes["seen"] = True

    outcome = done(batch, change)
    assert outcome.changed == 1
    assert outcome.batch.payload.count(UNKNOWN_FIELD) == 2


def test_a_span_reads_and_changes() -> None:
    """Name, status, events and attributes."""
    batch = spans("GET /quotes", retries=2)

    def look(span: Span) -> tuple[object, ...]:
        (event,) = span.events
        return (
            span.name, SpanKind(span.kind), StatusCode(span.status), span.status_message,
            span.duration_ns, span.trace_id, span.span_id, span.parent_span_id,
            event.name, event.time_unix_nano, event.attributes.number("attempt"),
        )  # fmt: skip

    assert read(batch, look) == [
        (
            "GET /quotes", SpanKind.CLIENT, StatusCode.ERROR, "no route",
            4, bytes(range(16)).hex(), bytes(range(8)).hex(), "",
            "retry", 7, 1,
        )
    ]  # fmt: skip

    def change(span: Span) -> None:
        span.name = "GET"
        span.set_status(StatusCode.OK)
        span.events[0].name = "again"
        span.events[0].attributes["attempt"] = 3

    (span,) = records_of(done(batch, change).batch)
    assert (span.name, span.status.code, span.status.message) == ("GET", 1, "")
    assert (span.events[0].name, span.events[0].attributes[0].value.int_value) == ("again", 3)

    def change_nothing(span: Span) -> None:
        span.set_status(2, "no route")
        span.events[0].name = "retry"

    assert done(batch, change_nothing).batch is batch


def test_points_of_all_five_kinds_read_as_their_fields_say() -> None:
    """And they know their metric, which comes before or after them on the wire."""
    request: Any = points_of_all_kinds().request

    def look(point: DataPoint) -> tuple[object, ...]:
        metric = point.metric
        return (
            point.name, metric.kind, point.kind, metric.unit, metric.description,
            metric.temporality, metric.is_monotonic, point.value, point.count, point.sum,
            point.start_time_unix_nano, point.time_unix_nano, point.attributes.number("number"),
        )  # fmt: skip

    for payload in (request.SerializeToString(), backwards(request)):
        seen = read(Batch(Signal.METRICS, payload), look)
        assert len(seen) == 10
        for kind in MetricKind:
            has_value = kind in (MetricKind.GAUGE, MetricKind.SUM)
            has_temporality = kind not in (MetricKind.GAUGE, MetricKind.SUMMARY)
            temporality = Temporality.CUMULATIVE if has_temporality else Temporality.UNSPECIFIED
            for number in range(2):
                assert (
                    f"a.{kind}", kind, kind, "s", f"A {kind}.",
                    temporality, kind is MetricKind.SUM, 10 + number if has_value else None,
                    None if has_value else 3, None if has_value else 4.5,
                    1, NOW_UNIX_NANO, number,
                ) in seen  # fmt: skip


def test_points_of_all_kinds_change() -> None:
    """Attributes and times of all, the value of those that have one."""

    def change(point: DataPoint) -> None:
        point.attributes["venue"] = "XNAS"
        point.time_unix_nano += 1
        point.start_time_unix_nano = 2
        if point.value is not None:
            point.value = point.value / 4

    outcome = done(points_of_all_kinds(), change)
    seen = read(
        outcome.batch,
        lambda p: (p.attributes.text("venue"), p.time_unix_nano, p.start_time_unix_nano, p.value),
    )
    assert outcome.changed == 10
    assert {each[:3] for each in seen} == {("XNAS", NOW_UNIX_NANO + 1, 2)}
    assert [each[3] for each in seen] == [2.5, 2.75, 2.5, 2.75, *[None] * 6]


def test_a_point_of_a_histogram_has_no_single_value() -> None:
    """To set one is an error that says what to do."""

    def change(point: DataPoint) -> None:
        if point.kind is MetricKind.HISTOGRAM:
            point.value = 1

    with pytest.raises(TypeError, match="change its message"):
        done(points_of_all_kinds(), change)


def test_the_message_itself_may_be_read_and_changed() -> None:
    """Only where it was changed are there new bytes."""
    request: Any = points_of_all_kinds().request
    batch = Batch(Signal.METRICS, backwards(request))

    def change(point: DataPoint) -> None:
        if point.kind is MetricKind.SUMMARY:
            message: Any = point.message
            message.quantile_values.add(quantile=0.5, value=1.0)

    assert done(batch, lambda point: point.message and None).batch is batch
    assert done(batch, change).changed == 2


def test_a_record_that_does_not_parse_refuses_the_request() -> None:
    """As malformed, whatever the failure policy is, and only where somebody looks."""
    batch = logs("good", "bad")
    index = index_records(Signal.LOGS, batch.payload)
    batch = batch.with_payload(splice(batch.payload, index, records={1: b"\x0a\xff"}))

    with pytest.raises(MalformedRequestError, match="a LogRecord does not parse"):
        done(batch, lambda record: record.body and None)
    assert done(batch, lambda record: None).batch is batch  # noqa: ARG005 - nobody looks


def test_a_function_returns_nothing() -> None:
    """A value that it returns would be lost: that is said."""
    outcome = done(logs("x"), lambda record: record.body_text)
    assert outcome.refused
    assert [failure.error for failure in outcome.failures] == ["TypeError"]
    assert issubclass(ProcessorFailedError, Exception)
