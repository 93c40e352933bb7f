"""The walker shows every text of a request, with where it stands, and puts back what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from planting import field_id, nested_lists, only_field, plant_attribute, plant_text, request_of
from strategies import requests
from tapeline.otlp.fields import FIELDS, MAX_ANY_VALUE_DEPTH, Field, FieldClass, Kind
from tapeline.otlp.index import index_records
from tapeline.otlp.signals import Signal
from tapeline.otlp.walk import (
    RECORD_NAMES,
    Drop,
    NestingError,
    Place,
    Role,
    delete_records,
    rewrite_request,
)
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch

BODY = only_field(Signal.LOGS, FieldClass.LOG_BODY)
EXEMPLAR = only_field(Signal.METRICS, FieldClass.EXEMPLAR_ATTRIBUTE)
ATTRIBUTE_FIELDS = [row for row in FIELDS if row.kind in {Kind.ATTRIBUTES, Kind.ANY_VALUE}]


@dataclass
class Recorder:
    """Writes down what it is shown, and changes what `changes` and `replacements` say."""

    changes: Mapping[str, str | Drop] = field(default_factory=dict)
    replacements: Mapping[str, str | Drop] = field(default_factory=dict)
    texts: list[tuple[Place, str]] = field(default_factory=list)
    records: int = 0

    def rewrite_text(self, place: Place, text: str) -> str | Drop:
        """Note the text; return its replacement if it has one."""
        self.texts.append((place, text))
        return self.changes.get(text, text)

    def replace_value(self, place: Place, value: AnyValue) -> str | Drop | None:
        """Replace the whole value under the keys that `replacements` names."""
        assert value.ByteSize() >= 0
        return self.replacements.get(place.keys[-1])

    def end_record(self) -> None:
        """Count the records."""
        self.records += 1


@pytest.mark.parametrize("row", FIELDS, ids=field_id)
def test_every_field_is_shown_and_rewritten(row: Field) -> None:
    """A text in any field of the table reaches the callback, and what it returns is kept."""
    request = request_of(row.signal)
    plant_text(request, row, "before")
    recorder = Recorder({"before": "after"})

    assert rewrite_request(row.signal, request, recorder)

    assert [place.field for place, text in recorder.texts if text == "before"] == [row]
    payload = request.SerializeToString()
    assert b"after" in payload
    assert b"before" not in payload


@pytest.mark.parametrize("row", ATTRIBUTE_FIELDS, ids=field_id)
def test_every_attribute_key_is_shown_and_rewritten(row: Field) -> None:
    """An attribute's key is a text of its own."""
    request = request_of(row.signal)
    plant_attribute(request, row, "before", AnyValue(int_value=1))
    recorder = Recorder({"before": "after"})

    assert rewrite_request(row.signal, request, recorder)

    assert (Place(row, Role.KEY), "before") in recorder.texts
    assert b"before" not in request.SerializeToString()


def test_a_callback_that_changes_nothing_leaves_the_bytes_alone() -> None:
    """Looking is not touching: no field comes into being by being looked for."""
    for row in FIELDS:
        request = request_of(row.signal)
        plant_text(request, row, "text")
        before = request.SerializeToString()

        assert not rewrite_request(row.signal, request, Recorder())
        assert request.SerializeToString() == before


def test_nested_values_carry_the_names_they_stand_under() -> None:
    """A value deep inside lists is judged with every key above it."""
    request = request_of(Signal.LOGS)
    inner = AnyValue()
    inner.kvlist_value.values.add(key="value", value=AnyValue(string_value="x"))
    plant_attribute(request, BODY, "password", nested_lists(inner, 1))
    recorder = Recorder()

    rewrite_request(Signal.LOGS, request, recorder)

    assert recorder.texts == [
        (Place(BODY, Role.KEY), "password"),
        (Place(BODY, Role.KEY, ("password",)), "value"),
        (Place(BODY, Role.VALUE, ("password", "value")), "x"),
    ]


def test_values_stand_under_their_rewritten_key() -> None:
    """Once a key is rewritten, what is below it no longer knows the old one."""
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "before", AnyValue(string_value="x"))
    recorder = Recorder({"before": "after"})

    rewrite_request(Signal.LOGS, request, recorder)

    assert recorder.texts[-1] == (Place(BODY, Role.VALUE, ("after",)), "x")


@pytest.mark.parametrize(
    "value",
    [
        AnyValue(string_value="hidden"),
        AnyValue(bytes_value=b"hidden"),
        AnyValue(int_value=7),
        AnyValue(bool_value=True),
        AnyValue(double_value=0.5),
        nested_lists(AnyValue(string_value="hidden"), 3),
        nested_lists(AnyValue(string_value="hidden"), 3, "key"),
        AnyValue(),
    ],
    ids=["string", "bytes", "int", "bool", "double", "array", "key-value list", "nothing"],
)
def test_a_value_of_any_type_can_be_replaced_whole(value: AnyValue) -> None:
    """What stands under a key can become a string, and is then not looked into."""
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "password", value)
    recorder = Recorder(replacements={"password": "mask"})

    assert rewrite_request(Signal.LOGS, request, recorder)

    body = request.resource_logs[0].scope_logs[0].log_records[0].body
    assert body.kvlist_value.values[0].value == AnyValue(string_value="mask")
    assert [text for _, text in recorder.texts] == ["password"]


def test_replacing_a_value_by_itself_is_no_change() -> None:
    """A mask that is there already does not make the request a changed one."""
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "password", AnyValue(string_value="mask"))

    assert not rewrite_request(Signal.LOGS, request, Recorder(replacements={"password": "mask"}))


def test_bytes_that_are_no_text_survive_a_rewrite_around_them() -> None:
    """Bytes which are no UTF-8 are shown as surrogates and written back as they were."""
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "raw", AnyValue(bytes_value=b"\xff\xfe\x00\xc3"))
    shown = b"\xff\xfe\x00\xc3".decode("utf-8", "surrogateescape")

    assert rewrite_request(Signal.LOGS, request, Recorder({shown: shown + "é"}))

    body = request.resource_logs[0].scope_logs[0].log_records[0].body
    assert body.kvlist_value.values[0].value.bytes_value == b"\xff\xfe\x00\xc3\xc3\xa9"


@pytest.mark.parametrize("key", ["", "k"], ids=["arrays", "key-value lists"])
@pytest.mark.parametrize("row", [BODY, EXEMPLAR], ids=field_id)
def test_values_are_looked_at_down_to_the_limit_and_refused_below_it(row: Field, key: str) -> None:
    """The deepest value allowed parses and is shown; one level more is a malformed request."""
    levels = MAX_ANY_VALUE_DEPTH - (2 if row is BODY else 1)
    for extra, is_allowed in ((0, True), (1, False)):
        request = request_of(row.signal)
        value = nested_lists(AnyValue(string_value="deep"), levels + extra, key)
        plant_attribute(request, row, "k", value)
        parsed = Batch(row.signal, request.SerializeToString()).request
        recorder = Recorder({"deep": "seen"})
        if is_allowed:
            assert rewrite_request(row.signal, parsed, recorder)
        else:
            with pytest.raises(NestingError, match=f"more than {MAX_ANY_VALUE_DEPTH} levels"):
                rewrite_request(row.signal, parsed, recorder)


def test_too_deep_a_value_is_a_malformed_request() -> None:
    """The transport answers it as it answers any malformed request."""
    assert issubclass(NestingError, MalformedRequestError)


def test_all_kinds_of_metric_are_walked_side_by_side() -> None:
    """Several metrics and records in one request are each shown once."""
    request = request_of(Signal.METRICS)
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary"):
        metric: Metric = metrics.add(name=f"{kind}_name")
        for number in range(2):
            points = getattr(metric, kind).data_points
            points.add().attributes.add(key="k", value=AnyValue(string_value=f"{kind}_{number}"))
    recorder = Recorder()

    rewrite_request(Signal.METRICS, request, recorder)

    texts = [text for _, text in recorder.texts if text != "k"]
    assert len(texts) == len(set(texts)) == 5 * 3


@pytest.mark.parametrize("row", ATTRIBUTE_FIELDS, ids=field_id)
@pytest.mark.parametrize(
    "recorder",
    [
        Recorder(changes={"secret": Drop.PAIR}),
        Recorder(changes={"drop me": Drop.PAIR}),
        Recorder(replacements={"drop me": Drop.PAIR}),
    ],
    ids=["text", "key", "value"],
)
def test_a_pair_can_be_taken_out(row: Field, recorder: Recorder) -> None:
    """Of all attributes that one goes, and its neighbours stay in their order."""
    request = request_of(row.signal)
    listed = AnyValue()
    listed.kvlist_value.values.add(key="before").value.int_value = 1
    listed.kvlist_value.values.add(key="drop me").value.CopyFrom(
        nested_lists(AnyValue(string_value="secret"), 2)
    )
    listed.kvlist_value.values.add(key="after").value.int_value = 2
    plant_attribute(request, row, "outer", listed)
    expected = request_of(row.signal)
    kept = AnyValue()
    kept.kvlist_value.values.add(key="before").value.int_value = 1
    kept.kvlist_value.values.add(key="after").value.int_value = 2
    plant_attribute(expected, row, "outer", kept)

    assert rewrite_request(row.signal, request, recorder)
    assert request == expected


def test_a_text_of_no_pair_cant_be_taken_out() -> None:
    """A rewriter that asks for it has a mistake in it, which must not pass in silence."""
    request = request_of(Signal.LOGS)
    plant_text(request, BODY, "secret")

    with pytest.raises(TypeError, match="no key and value"):
        rewrite_request(Signal.LOGS, request, Recorder(changes={"secret": Drop.PAIR}))


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_records_are_counted_and_taken_out_by_their_number(
    signal: Signal, data: st.DataObject
) -> None:
    """The walk and the deletion number the records alike, and as the index of the wire does."""
    request = data.draw(requests(signal))
    recorder = Recorder()
    rewrite_request(signal, request, recorder)
    assert recorder.records == len(index_records(signal, request.SerializeToString()))
    numbers = data.draw(st.sets(st.integers(0, max(0, recorder.records - 1)), max_size=5))
    numbers = {number for number in numbers if number < recorder.records}

    delete_records(signal, request, numbers)

    left = Recorder()
    rewrite_request(signal, request, left)
    assert left.records == recorder.records - len(numbers)


def test_records_are_what_the_table_of_fields_calls_so() -> None:
    """Each signal's records are under one of the names."""
    assert {
        next(step.name for step in row.steps if step.name in RECORD_NAMES)
        for row in FIELDS
        if row.field_class
        in {FieldClass.LOG_BODY, FieldClass.SPAN_NAME, FieldClass.EXEMPLAR_ATTRIBUTE}
    } == RECORD_NAMES
