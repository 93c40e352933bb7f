"""Two recordings are the same where they say the same, however they are batched and ordered."""

import math
import struct
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1 import common_pb2

from plain_comparison import plain, shuffled
from sdk_requests import sdk_request
from strategies import messages, requests
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recording import comparison
from tapeline.recording.comparison import (
    ABSENT,
    Difference,
    FieldChange,
    TooManyRecordsError,
    compare,
    leaves,
)
from tapeline.recording.ignoring import NOTHING, UnknownGroupError, ignoring
from tapeline.recording.records import encoded, records_of
from tapeline.testing.given import batch_of

# Its stubs take no plain dict for an inner message, which protobuf does.
AnyValue: Any = common_pb2.AnyValue
KeyValue = common_pb2.KeyValue

seeds = st.integers(0, 2**32 - 1)


def _batch_of(signal: Signal, request: Any) -> Batch:
    return Batch(signal, request.SerializeToString())


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=60)
@given(data=st.data(), seed=seeds)
def test_order_and_batches_make_no_difference(
    signal: Signal, data: st.DataObject, seed: int
) -> None:
    """Whatever of resources, scopes, records, attributes and exemplars comes first, and where."""
    request = data.draw(requests(signal))
    other = shuffled(signal, request, Random(seed))  # noqa: S311 - repeatable

    difference = compare([_batch_of(signal, request)], other, ignoring(["unknown"]))

    assert difference.is_same
    assert difference.equal == sum(plain(signal, request).values())


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=60)
@given(data=st.data())
def test_two_requests_are_the_same_exactly_where_the_plain_way_says_so(
    signal: Signal, data: st.DataObject
) -> None:
    """The second differs from the first in one message or so, or in none."""
    one = data.draw(requests(signal))
    other = data.draw(st.one_of(st.just(one), mutations(one), requests(signal)))

    difference = compare([_batch_of(signal, one)], [_batch_of(signal, other)])

    before, after = plain(signal, one), plain(signal, other)
    assert difference.is_same == (before == after)
    assert difference.equal == (before & after).total()
    assert len(difference.removed) + len(difference.changed) == (before - after).total()
    assert len(difference.added) + len(difference.changed) == (after - before).total()


@st.composite
def mutations(draw: st.DrawFn, request: Any) -> Any:
    """Change one message somewhere in a request."""
    changed = type(request)()
    changed.CopyFrom(request)
    message: Any = changed
    while True:
        inner = [
            item
            for field, value in message.ListFields()
            if field.message_type is not None
            for item in (value if field.is_repeated else [value])
        ]
        if not inner or (message is not changed and draw(st.booleans())):
            break
        message = draw(st.sampled_from(inner))
    message.CopyFrom(draw(messages(type(message))))
    return changed


@settings(max_examples=60)
@given(requests(Signal.LOGS), st.integers(1, 3), st.integers(1, 3))
def test_how_often_a_record_stands_there_counts(request_: Any, one: int, other: int) -> None:
    """A record that was delivered twice is a difference, though nothing new is in it."""
    batch = _batch_of(Signal.LOGS, request_)
    records = len(list(records_of(batch)))

    difference = compare([batch] * one, [batch] * other)

    assert difference.equal == records * min(one, other)
    assert len(difference.removed) == records * max(0, one - other)
    assert len(difference.added) == records * max(0, other - one)


def _log(value: Any, **fields: Any) -> Batch:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(**fields)
    record.attributes.add(key="k", value=value)
    return _batch_of(Signal.LOGS, request)


SAME_LOOKING = {
    "int": AnyValue(int_value=1),
    "double": AnyValue(double_value=1.0),
    "bool": AnyValue(bool_value=True),
    "text": AnyValue(string_value="1"),
    "bytes": AnyValue(bytes_value=b"1"),
    "zero": AnyValue(double_value=0.0),
    "minus zero": AnyValue(double_value=-0.0),
    "not a number": AnyValue(double_value=math.nan),
    "nothing": AnyValue(),
    "empty text": AnyValue(string_value=""),
    "empty list": AnyValue(array_value={}),
    "empty map": AnyValue(kvlist_value={}),
    "index": AnyValue(string_value_strindex=1),
}


@pytest.mark.parametrize("one", SAME_LOOKING)
@pytest.mark.parametrize("other", SAME_LOOKING)
def test_values_of_different_types_differ_though_they_look_alike(one: str, other: str) -> None:
    """Types count, and so does the sign of zero; NaN equals itself."""
    difference = compare([_log(SAME_LOOKING[one])], [_log(SAME_LOOKING[other])])

    assert difference.is_same == (one == other)


def test_a_nan_is_a_nan_whatever_its_bits() -> None:
    """OTLP/JSON has one name for all of them."""
    (other,) = struct.unpack("<d", (0x7FF8_0000_0000_0123).to_bytes(8, "little"))
    one, two = log_of(math.nan), log_of(other)
    assert one.payload != two.payload

    assert compare([one], [two]).is_same


def log_of(value: float) -> Batch:
    """Return a log with a double."""
    return _log(AnyValue(double_value=value))


def test_what_is_empty_means_what_is_absent() -> None:
    """A resource, a scope, a status, a body without a value; but an empty text is a text."""
    bare, full = ExportTraceServiceRequest(), ExportTraceServiceRequest()
    bare.resource_spans.add().scope_spans.add().spans.add(name="a")
    resource = full.resource_spans.add()
    resource.resource.SetInParent()
    scope = resource.scope_spans.add()
    scope.scope.SetInParent()
    scope.spans.add(name="a").status.SetInParent()
    without, empty, text = (ExportLogsServiceRequest() for _ in range(3))
    for request, body in ((without, None), (empty, AnyValue()), (text, AnyValue(string_value=""))):
        record = request.resource_logs.add().scope_logs.add().log_records.add(severity_text="x")
        if body is not None:
            record.body.CopyFrom(body)

    assert compare([_batch_of(Signal.TRACES, bare)], [_batch_of(Signal.TRACES, full)]).is_same
    assert compare([_batch_of(Signal.LOGS, without)], [_batch_of(Signal.LOGS, empty)]).is_same
    assert not compare([_batch_of(Signal.LOGS, without)], [_batch_of(Signal.LOGS, text)]).is_same


@pytest.mark.parametrize(
    "other",
    [
        {"resource": {"service.name": "b"}},
        {"resource_schema_url": "b"},
        {"scope": "b"},
        {"scope_version": "b"},
        {"scope_schema_url": "b"},
        {"scope_attributes": {"k": "b"}},
    ],
)
def test_what_encloses_a_record_is_a_part_of_it(other: dict[str, Any]) -> None:
    """The same span of another resource or scope is another one; asked to, they are passed over."""
    one, two = batch_of({"span": {"name": "a"}}), batch_of({"span": {"name": "a"} | other})
    place = next(iter(other)).partition("_")[0]

    assert not compare([one], [two]).is_same
    assert compare([one], [two], ignoring([place])).is_same


def test_a_list_keeps_its_order_and_a_map_has_none() -> None:
    """In values as everywhere."""
    one, two = AnyValue(int_value=1), AnyValue(int_value=2)
    forth, back = {"values": [one, two]}, {"values": [two, one]}
    pairs = [KeyValue(key="a", value=one), KeyValue(key="b", value=two)]

    lists = compare([_log(AnyValue(array_value=forth))], [_log(AnyValue(array_value=back))])
    maps = compare(
        [_log(AnyValue(kvlist_value={"values": pairs}))],
        [_log(AnyValue(kvlist_value={"values": pairs[::-1]}))],
    )

    assert not lists.is_same
    assert maps.is_same


def test_a_key_twice_differs_from_a_list_and_from_once() -> None:
    """What OTLP forbids is compared all the same, in no order."""

    def of(*values: int) -> Batch:
        request = ExportLogsServiceRequest()
        record = request.resource_logs.add().scope_logs.add().log_records.add()
        for value in values:
            record.attributes.add(key="k", value=AnyValue(int_value=value))
        return _batch_of(Signal.LOGS, request)

    listed = _log(AnyValue(array_value={"values": [{"int_value": 1}, {"int_value": 2}]}))

    assert compare([of(1, 2)], [of(2, 1)]).is_same
    assert not compare([of(1, 2)], [of(1)]).is_same
    assert not compare([of(1, 1)], [of(1)]).is_same
    assert not compare([of(1, 2)], [listed]).is_same


def test_fields_that_this_version_does_not_know_count() -> None:
    """A round trip that loses them is not the same; asked to, the comparison passes them over."""
    known = _log(AnyValue(int_value=1), severity_text="INFO").payload
    request = ExportLogsServiceRequest.FromString(known)
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.MergeFromString(b"\xf8\x06\x05")  # Field 111, the integer 5.
    newer = _batch_of(Signal.LOGS, request)
    older = Batch(Signal.LOGS, known)

    difference = compare([newer], [older])

    ((change,),) = [change.fields for change in difference.changed]
    assert (change.path, change.before) == ("unknown_fields[0]", (111, 0, 5))
    assert compare([newer], [newer]).is_same
    assert compare([newer], [older], ignoring(["unknown"])).is_same


def _span(**fields: Any) -> Batch:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name", value=AnyValue(string_value="orders"))
    resource.scope_spans.add().spans.add(**fields)
    return _batch_of(Signal.TRACES, request)


def test_times_and_ids_are_passed_over_on_request() -> None:
    """Wherever they stand: in spans, events, links; and only then."""

    def at(shift: int, fill: bytes) -> Batch:
        return _span(
            name="buy",
            trace_id=fill * 16,
            span_id=fill * 8,
            parent_span_id=fill * 8,
            start_time_unix_nano=1 + shift,
            end_time_unix_nano=2 + shift,
            events=[{"name": "e", "time_unix_nano": 3 + shift}],
            links=[{"trace_id": fill * 16, "span_id": fill * 8}],
        )

    one, other = at(0, b"\x01"), at(5, b"\x02")

    assert compare([one], [other], ignoring(["times", "ids"])).is_same
    assert not compare([one], [other], ignoring(["times"])).is_same
    assert not compare([one], [other], ignoring(["ids"])).is_same


def test_a_field_is_passed_over_by_its_path() -> None:
    """Keys with dots in them, items of lists, and what encloses the record."""

    def of(host: str, route: str, message: str) -> Batch:
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="host.name", value=AnyValue(string_value=host))
        made = resource.scope_spans.add().spans.add(name="buy")
        made.attributes.add(key="http.route", value=AnyValue(string_value=route))
        event = made.events.add(name="exception")
        event.attributes.add(key="exception.message", value=AnyValue(string_value=message))
        return _batch_of(Signal.TRACES, request)

    one, other = of("a", "/a", "a"), of("b", "/b", "b")
    paths = [
        "resource.attributes.host.name",
        "attributes.http.route",
        "events[*].attributes.exception.message",
    ]

    assert compare([one], [other], ignoring(paths=paths)).is_same
    for left_out in paths:
        some = [path for path in paths if path != left_out]
        (change,) = compare([one], [other], ignoring(paths=some)).changed
        assert [field.path for field in change.fields] == [left_out.replace("[*]", "[0]")]


def test_a_group_of_fields_that_there_is_none_of_is_named() -> None:
    """With those that there are."""
    with pytest.raises(UnknownGroupError, match=r"'time'; there are dropped, exemplars, ids"):
        ignoring(["time"])


def test_a_changed_record_is_set_beside_what_it_was() -> None:
    """Told by what it shares with it, however many there are that look like it."""

    def of(number: int, route: str) -> Batch:
        return _span(
            name="buy",
            span_id=number.to_bytes(8, "big"),
            attributes=[{"key": "http.route", "value": {"string_value": route}}],
        )

    before = [of(number, "/a") for number in range(1, 200)]
    after = [of(number, "/a" if number % 50 else "/b") for number in range(199, 0, -1)]

    difference = compare(before, after)

    assert (difference.equal, difference.added, difference.removed) == (196, (), ())
    assert [change.before.content["span_id"] for change in difference.changed] == [
        change.after.content["span_id"] for change in difference.changed
    ]
    assert {change.fields for change in difference.changed} == {
        (FieldChange("attributes.http.route", "/a", "/b"),)
    }


def test_what_tells_a_record_from_others_makes_it_the_same_one_though_little_else_is() -> None:
    """The ids of a span, time and body of a log, the series and time of a point."""
    many = {f"k{number}": number for number in range(20)}
    others = {f"k{number}": -number - 1 for number in range(20)}
    ids = {"trace_id": "0a" * 16, "span_id": "0b" * 8}
    fields: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        (
            "span",
            ids | {"name": "a", "attributes": many},
            ids | {"name": "b", "attributes": others},
        ),
        ("log", {"body": "x", "attributes": many}, {"body": "x", "attributes": others}),
        (
            "metric",
            {"name": "m", "value": 1, "exemplars": [{"value": 1, "attributes": many}]},
            {"name": "m", "value": 2, "exemplars": [{"value": 2, "attributes": others}]},
        ),
    ]

    for kind, one, other in fields:
        difference = compare([batch_of({kind: one})], [batch_of({kind: other})])
        assert (len(difference.changed), difference.added, difference.removed) == (1, (), ()), kind


def test_what_shares_too_little_is_removed_and_added() -> None:
    """A log that says something else is another log."""
    one = _log(AnyValue(int_value=1), body=AnyValue(string_value="a"), time_unix_nano=1)
    other = _log(AnyValue(int_value=2), body=AnyValue(string_value="b"), time_unix_nano=2)

    difference = compare([one], [other])

    assert (len(difference.removed), len(difference.added), difference.changed) == (1, 1, ())


def test_a_field_that_came_or_went_is_told() -> None:
    """An absent one is no empty one."""
    one = _span(name="buy", span_id=b"\x01" * 8, attributes=[{"key": "k", "value": {}}])
    other = _span(name="buy", span_id=b"\x01" * 8)

    ((change,),) = [change.fields for change in compare([one], [other]).changed]

    assert change == FieldChange("attributes.k", None, ABSENT)


def _point(value: float, bounds: tuple[float, ...] = ()) -> Batch:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m", unit="s")
    metric.histogram.data_points.add(time_unix_nano=1, sum=value, explicit_bounds=bounds)
    return _batch_of(Signal.METRICS, request)


def test_doubles_may_be_apart_as_far_as_one_says() -> None:
    """Alone and in lists; NaN is near nothing but itself."""
    one, other = _point(1.0, (1.0, 2.0)), _point(1.001, (1.0, 2.001))

    assert not compare([one], [other]).is_same
    assert compare([one], [other], tolerance=0.01).is_same
    assert not compare([one], [other], tolerance=0.0001).is_same
    assert not compare([one], [_point(math.nan, (1.0, 2.0))], tolerance=0.5).is_same
    assert compare([_point(math.nan)], [_point(math.nan)], tolerance=0.5).is_same


def test_too_many_records_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are held in memory."""
    monkeypatch.setattr(comparison, "MAX_RECORDS", 2)
    batches = [_span(name=str(number)) for number in range(3)]

    with pytest.raises(TooManyRecordsError, match=r"more than 2 records.*by signal, service"):
        compare(batches, [])
    with pytest.raises(TooManyRecordsError, match="more than 2 records"):
        compare([], batches)


def test_beyond_a_number_differing_records_are_not_matched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the difference says so."""
    monkeypatch.setattr(comparison, "_MAX_MATCHED", 2)
    before = [_span(name="a", span_id=bytes([number]) * 8) for number in (1, 2, 3)]
    after = [_span(name="b", span_id=bytes([number]) * 8) for number in (1, 2, 3)]

    difference = compare(before, after)

    assert not difference.is_matched
    assert (len(difference.removed), len(difference.added)) == (3, 3)


def _told(difference: Difference) -> list[Any]:
    """Return what changed, in a form in which NaN is NaN."""
    return [
        (change.before.order, change.after.order, [field.path for field in change.fields])
        for change in difference.changed
    ]


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=40)
@given(data=st.data(), seed=seeds)
def test_the_difference_itself_does_not_depend_on_order(
    signal: Signal, data: st.DataObject, seed: int
) -> None:
    """The same text comes out, whatever came in first."""
    one, other = data.draw(requests(signal)), data.draw(requests(signal))
    random = Random(seed)  # noqa: S311 - repeatable
    unknown = ignoring(["unknown"])

    first = compare([_batch_of(signal, one)], [_batch_of(signal, other)], unknown)
    second = compare(shuffled(signal, one, random), shuffled(signal, other, random), unknown)

    assert [record.order for record in first.removed] == [r.order for r in second.removed]
    assert [record.order for record in first.added] == [r.order for r in second.added]
    assert _told(first) == _told(second)


@pytest.mark.parametrize("signal", Signal)
def test_what_the_sdk_sends_has_names_that_one_would_look_for(signal: Signal) -> None:
    """Leaves by their path, with OTLP's names and plain values."""
    batch = Batch(signal, sdk_request(signal).SerializeToString())

    found: dict[str, Any] = {}
    for record in records_of(batch, NOTHING):
        found |= leaves(record)

    expected: dict[Signal, dict[str, Any]] = {
        Signal.LOGS: {"resource.attributes.zones": ("a", "b"), "scope.name": "orders.book"},
        Signal.TRACES: {"resource.attributes.host.cpu.count": 4, "status.code": "ERROR"},
        Signal.METRICS: {"resource.attributes.service.name": "orders"},
    }
    assert found.items() >= expected[signal].items()


@given(st.integers(), st.integers())
def test_integers_of_any_size_keep_apart(one: int, other: int) -> None:
    """Nothing of a value is lost in what values are compared by."""
    assert (encoded(one) == encoded(other)) == (one == other)
    assert (encoded((one, other)) == encoded((other, one))) == (one == other)
