"""What is done about a secret: masked, shown in part, made a token of, or taken out."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from plain_requests import without_unknown
from planting import field_id, only_field, plant_attribute, plant_text, request_of
from strategies import requests
from tapeline.otlp.fields import FIELDS, FieldClass, Kind
from tapeline.otlp.signals import Signal
from tapeline.otlp.walk import RECORD_NAMES
from tapeline.pipeline.batch import REQUEST_TYPES, Batch
from tapeline.redaction.core import Hit, Notice, Redactor
from tapeline.redaction.fast import FastRedactor, fast_redactor
from tapeline.redaction.judge import Judge
from tapeline.redaction.masks import key_id, token
from tapeline.redaction.pack import load_pack
from tapeline.redaction.rule import RuleAction

KEY = b"k" * 32
SECRET = "Zq7hunter2x8Kd0wLmV4tR1s"
BODY = only_field(Signal.LOGS, FieldClass.LOG_BODY)
LABEL = only_field(Signal.METRICS, FieldClass.DATA_POINT_ATTRIBUTE)
MAPS = [
    row
    for row in FIELDS
    if row.kind in {Kind.ATTRIBUTES, Kind.ANY_VALUE}
    and row.field_class is not FieldClass.METRIC_METADATA
]


@cache
def _judge() -> Judge:
    return Judge(load_pack())


def _redactor(action: RuleAction) -> Redactor:
    return Redactor(_judge(), KEY, dict.fromkeys(_judge().pack.ids, action))


@cache
def _fast(action: RuleAction) -> FastRedactor:
    return fast_redactor(_redactor(action))


def _body(text: str, actions: Mapping[str, RuleAction]) -> str:
    request = request_of(Signal.LOGS)
    plant_text(request, BODY, text)
    Redactor(_judge(), KEY, actions).redact(Signal.LOGS, request)
    body: str = request.resource_logs[0].scope_logs[0].log_records[0].body.string_value
    return body


def test_a_partial_mask_shows_the_last_four_characters() -> None:
    """Enough to tell two keys apart by, and too little to be of use."""
    masked = _body(f"password={SECRET} ok", {"password": RuleAction.PARTIAL})

    assert masked == f"password=[REDACTED:password:{SECRET[-4:]}] ok"


def test_of_a_short_secret_nothing_is_shown() -> None:
    """Four of eight characters would be half the secret."""
    masked = _body("password=hunter42 ok", {"password": RuleAction.PARTIAL})

    assert masked == "password=[REDACTED:password] ok"


def test_a_token_names_its_key() -> None:
    """The same secret gives the same token, and another key's tokens can be told from it."""
    masked = _body(f"password={SECRET} ok", {"password": RuleAction.HMAC})

    expected = f"[REDACTED:password:{key_id(KEY)}:{token(KEY, SECRET.encode())}]"
    assert masked == f"password={expected} ok"
    assert key_id(KEY) != key_id(b"o" * 32)


@pytest.mark.parametrize("row", MAPS, ids=field_id)
def test_an_attribute_is_dropped_with_its_neighbours_kept(row: Any) -> None:
    """Except where it tells series apart: there it becomes a token, or two would merge."""
    request = request_of(row.signal)
    value = AnyValue()
    value.kvlist_value.values.add(key="before").value.int_value = 1
    value.kvlist_value.values.add(key="password").value.string_value = SECRET
    value.kvlist_value.values.add(key="after").value.int_value = 2
    plant_attribute(request, row, "outer", value)

    hits = _redactor(RuleAction.DROP_ATTRIBUTE).redact(row.signal, request)

    text = str(request)
    action = RuleAction.HMAC if row.is_identity else RuleAction.DROP_ATTRIBUTE
    assert hits == {Hit("password", row.field_class, action): 1}
    assert SECRET not in text
    assert ("password" in text) == row.is_identity
    assert "before" in text
    assert "after" in text


def test_a_text_that_is_no_attribute_is_masked_where_attributes_are_dropped() -> None:
    """A log's body is all there is of it."""
    masked = _body(f"password={SECRET}", {"password": RuleAction.DROP_ATTRIBUTE})

    assert masked == "password=[REDACTED:password]"


@pytest.mark.parametrize("row", FIELDS, ids=field_id)
def test_a_record_is_dropped_and_no_other(row: Any) -> None:
    """What is above the records can't be dropped without them, so there it is masked."""
    request = request_of(row.signal)
    plant_text(request, row, "harmless")
    plant_text(request, row, f"password={SECRET}")
    plant_text(request, row, "harmless")
    before = request.SerializeToString()
    in_record = any(step.name in RECORD_NAMES for step in row.steps)

    result = _fast(RuleAction.DROP_RECORD).redact(Batch(row.signal, before))
    hits = _redactor(RuleAction.DROP_RECORD).redact(row.signal, request)

    assert result.hits == hits
    assert result.batch.payload.count(b"harmless") == before.count(b"harmless")
    assert SECRET.encode() not in result.batch.payload
    assert (b"[REDACTED:" in result.batch.payload) == (not in_record)
    assert [hit.action is RuleAction.DROP_RECORD for hit in hits] == [in_record]


@pytest.mark.parametrize("action", list(RuleAction))
@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_fast_and_plain_do_the_same(
    action: RuleAction, signal: Signal, data: st.DataObject
) -> None:
    """Whatever is done, it is done to the same attributes and records."""
    request = data.draw(requests(signal))
    rows = [row for row in FIELDS if row.signal is signal]
    for row in data.draw(st.lists(st.sampled_from(rows), max_size=4)):
        plant_text(request, row, data.draw(st.sampled_from(["x", f"password={SECRET}"])))
    batch = Batch(signal, request.SerializeToString())

    result = _fast(action).redact(batch)
    hits = _redactor(action).redact(signal, request)

    redacted = REQUEST_TYPES[signal].FromString(result.batch.payload)
    assert SECRET.encode() not in result.batch.payload
    assert without_unknown(redacted) == without_unknown(request)
    assert result.hits == hits


def test_who_is_told_hears_of_the_place_and_the_length_and_nothing_else() -> None:
    """What the audit log is made of can't hold a secret."""
    told: list[Notice] = []
    request = request_of(Signal.LOGS)
    plant_text(request, BODY, f"password={SECRET}")

    Redactor(_judge(), KEY, notify=told.append).redact(Signal.LOGS, request)

    hit = Hit("password", FieldClass.LOG_BODY, RuleAction.MASK)
    assert told == [Notice(hit, BODY.path, len(SECRET))]
