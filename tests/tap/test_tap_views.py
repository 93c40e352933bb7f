"""Records as fields of text: everything that a message holds shows, and nothing raw."""

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from otlp_client import Span, histogram, key_values, traces
from tapeline.otlp.signals import Signal
from tapeline.tap.views import MAX_FIELDS, MAX_VALUE_CHARACTERS, cut, views_of

AT_NS = 1_763_000_040_123_456_789


def log(body: AnyValue, **attributes: AnyValue) -> ExportLogsServiceRequest:
    """Return a request of one record."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(key_values({"service.name": "desk"}))
    record = group.scope_logs.add().log_records.add(
        time_unix_nano=AT_NS, severity_number=9, body=body, event_name="order", trace_id=b"t" * 16
    )
    record.attributes.extend(KeyValue(key=key, value=value) for key, value in attributes.items())
    return request


def test_a_log_shows_all_that_it_holds() -> None:
    """Nested values read as JSON would; ids are hexadecimal, times to the nanosecond."""
    nested = AnyValue(
        kvlist_value=KeyValueList(
            values=[
                KeyValue(key="a", value=AnyValue(int_value=1)),
                KeyValue(
                    key="b",
                    value=AnyValue(array_value=ArrayValue(values=[AnyValue(bool_value=True)])),
                ),
            ]
        )
    )
    (view,) = views_of(Signal.LOGS, log(nested, raw=AnyValue(bytes_value=b"zq-secret")))

    assert view.service == "desk"
    assert view.name == "order"
    assert view.body == "{a: 1, b: [True]}"
    assert view.fields == {
        "time_unix_nano": "2025-11-13T02:14:00.123456789Z",
        "severity_number": "SEVERITY_NUMBER_INFO",
        "body": "{a: 1, b: [True]}",
        "attributes.raw": "9 bytes",
        "trace_id": (b"t" * 16).hex(),
        "event_name": "order",
        "resource.service.name": "desk",
    }


def test_a_span_shows_its_events_and_a_point_its_metric() -> None:
    """With what is around them."""
    span = Span(b"t" * 16, "place", {"k": "v"}, {"filled": {"price": "1"}})
    (view,) = views_of(Signal.TRACES, traces([span]))
    assert view.name == "place"
    assert view.fields["events[0].name"] == "filled"
    assert view.fields["events[0].attributes.price"] == "1"

    (view,) = views_of(Signal.METRICS, histogram("latency", 0.5, b"t" * 16))
    assert view.name == "latency"
    assert view.fields["unit"] == "s"
    assert view.fields["explicit_bounds"] == "[1.0]"
    assert view.fields["exemplars[0].as_double"] == "0.5"


def test_keys_that_stand_twice_are_both_seen() -> None:
    """OTLP forbids them, and senders send them."""
    request = log(AnyValue(string_value="x"))
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.attributes.extend(key_values({"k": "one"}))
    record.attributes.extend(key_values({"k": "two"}))
    (view,) = views_of(Signal.LOGS, request)
    assert view.fields["attributes.k"] == "one"
    assert view.fields["attributes.k (2)"] == "two"


def test_what_is_too_much_or_too_deep_ends() -> None:
    """Fields, characters and nesting have limits; each metric without data has no point."""
    deep = AnyValue(string_value="end")
    for _ in range(30):
        deep = AnyValue(array_value=ArrayValue(values=[deep]))
    request = log(deep, **{f"k{n}": AnyValue(int_value=n) for n in range(2 * MAX_FIELDS)})
    (view,) = views_of(Signal.LOGS, request)
    assert "…" in view.body
    assert len(view.fields) == MAX_FIELDS
    assert cut("x" * MAX_VALUE_CHARACTERS) == "x" * MAX_VALUE_CHARACTERS
    assert len(cut("x" * 99_999)) < MAX_VALUE_CHARACTERS + 30

    empty = ExportMetricsServiceRequest()
    empty.resource_metrics.add().scope_metrics.add().metrics.add(name="none")
    assert views_of(Signal.METRICS, empty) == []
