"""Records written short become the requests that they say, or an error that names the key."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import requests
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recording.comparison import compare_records
from tapeline.recording.records import Marked, Record, records_of
from tapeline.testing.given import DEFAULT_START_UNIX_NANO, BadRecordError, batch_of
from tapeline.testing.views import whole_view

KINDS = {Signal.LOGS: "log", Signal.TRACES: "span", Signal.METRICS: "metric"}
TIMED = {Signal.LOGS: "time", Signal.TRACES: "start", Signal.METRICS: "time"}


def _built(item: dict[str, Any]) -> Record:
    (record,) = records_of(batch_of(item))
    return record


def _is_plain(value: Any) -> bool:
    """Tell whether a value has only what OTLP allows, and signals that Tapeline carries."""
    if isinstance(value, Marked):
        return False
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if isinstance(value, tuple) else True


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=100)
@given(data=st.data())
def test_what_a_view_shows_builds_the_record_again(signal: Signal, data: st.DataObject) -> None:
    """Each field of each message has its way back."""
    request = data.draw(requests(signal))
    records = list(records_of(Batch(signal, request.SerializeToString())))
    for record in records:
        view = whole_view(record)
        if not _is_plain(view) or TIMED[signal] not in view:
            continue  # One without a time is given the start's.
        nested = [item for key in ("events", "exemplars") for item in view.get(key, ())]
        if any("time" not in item for item in nested):
            continue
        if view.get("type") in {"sum", "histogram", "exponential_histogram"}:
            view.setdefault("temporality", "unspecified")
        built = _built({KINDS[signal]: view})

        assert compare_records([record], [built], 0.0).is_same, view


def test_a_short_record_is_what_one_would_think() -> None:
    """Times from the start, names of severities, a status in a word."""
    log = _built({"log": {"body": {"id": 1}, "severity": "WARN", "at": "1500ms"}})
    span = _built(
        {
            "span": {
                "name": "buy",
                "kind": "server",
                "duration": "5ms",
                "status": "error",
                "trace_id": "0a" * 16,
                "events": [{"name": "e", "at": "1ms", "attributes": {"k": True}}],
                "resource": {"service.name": "orders"},
                "scope": "book",
                "scope_version": "1",
            }
        }
    )

    start = DEFAULT_START_UNIX_NANO
    assert log.content == {
        "time_unix_nano": start + 1_500_000_000,
        "severity_number": 13,
        "body": {"id": 1},
    }
    assert span.content == {
        "trace_id": "0a" * 16,
        "name": "buy",
        "kind": "SERVER",
        "start_time_unix_nano": start,
        "end_time_unix_nano": start + 5_000_000,
        "status": {"code": "ERROR"},
        "events": ({"time_unix_nano": start + 1_000_000, "name": "e", "attributes": {"k": True}},),
    }
    assert span.resource == {"attributes": {"service.name": "orders"}}
    assert span.scope == {"name": "book", "version": "1"}


@pytest.mark.parametrize(
    ("value", "kept"),
    [(1, 1), (1.0, 1.0), (True, True), (None, None), ({"$hex": "00ff"}, b"\0\xff")],
)
def test_a_value_keeps_its_type(value: Any, kept: Any) -> None:
    """1 is an integer, 1.0 a double, and bytes are written in hex."""
    record = _built({"log": {"attributes": {"k": value}}})

    assert type(record.attributes["k"]) is type(kept)
    assert record.attributes["k"] == kept


def test_a_metric_is_cumulative_and_its_value_integer_or_double_as_written() -> None:
    """The type is a gauge's where it does not say."""
    total = _built({"metric": {"name": "fills", "type": "sum", "monotonic": True, "value": 3}})
    price = _built({"metric": {"name": "price", "value": 3.0}})

    assert (total.value, total.content["aggregation_temporality"]) == (3, "CUMULATIVE")
    assert (type(price.value), price.content["type"]) == (float, "gauge")
    assert "aggregation_temporality" not in price.content


def test_attributes_of_all_resources_may_be_given_once() -> None:
    """A record's own win."""
    item = {"log": {"resource": {"b": "own"}}}

    (record,) = records_of(batch_of(item, resource={"a": "all", "b": "all"}))

    assert record.resource_attributes == {"a": "all", "b": "own"}


@pytest.mark.parametrize(
    ("item", "path", "problem"),
    [
        ({"logs": {}}, (), "must be one of log"),
        ({"log": {}, "span": {}}, (), "must be one of log"),
        ({"log": 5}, ("log",), "must be a map"),
        ({"log": {"bodi": 1}}, ("log", "bodi"), "no field 'bodi'; did you mean 'body'?"),
        ({"log": {"severity": "LOUD"}}, ("log", "severity"), "does not fit"),
        ({"log": {"trace_id": "xy"}}, ("log", "trace_id"), "does not fit"),
        ({"log": {"trace_id": 5}}, ("log", "trace_id"), "put 5 in quotes"),
        ({"log": {"time": "noon"}}, ("log", "time"), "not a duration"),
        ({"log": {"time": "2026-13-01T00:00:00Z"}}, ("log", "time"), "month"),
        ({"log": {"at": "soon"}}, ("log", "at"), "not a duration"),
        ({"log": {"attributes": 5}}, ("log", "attributes"), "must be a map"),
        ({"log": {"attributes": {"k": 1 << 63}}}, ("log", "attributes", "k"), "does not fit"),
        ({"log": {"resource": "x"}}, ("log", "resource"), "must be a map"),
        ({"log": {"scope": 5}}, ("log", "scope"), "put 5 in quotes"),
        ({"log": {"flags": True}}, ("log", "flags"), "true or false"),
        ({"span": {"kind": "sever"}}, ("span", "kind"), "is none of UNSPECIFIED, INTERNAL"),
        ({"span": {"events": 5}}, ("span", "events"), "must be a list"),
        ({"span": {"events": [5]}}, ("span", "events", 0), "must be a map"),
        ({"span": {"duration": 5}}, ("span", "duration"), "not a duration"),
        ({"metric": {"type": "counter"}}, ("metric", "type"), "must be one of gauge, sum"),
        ({"metric": {"value": "3"}}, ("metric", "value"), "must be a number"),
        ({"metric": {"type": "histogram", "value": 3}}, ("metric", "value"), "has no value"),
        (
            {"metric": {"type": "histogram", "bucket_counts": ["a"]}},
            ("metric", "bucket_counts"),
            "must be a list of numbers",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_key(
    item: dict[str, Any], path: tuple[str | int, ...], problem: str
) -> None:
    """So that a test file's line can be told."""
    with pytest.raises(BadRecordError) as caught:
        batch_of(item)

    assert caught.value.path == path
    assert problem in str(caught.value)
