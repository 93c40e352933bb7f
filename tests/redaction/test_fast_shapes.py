"""The fast path cuts usual fields out of the bytes; whatever is unusual must give the same."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plain_requests import without_unknown
from redaction_pack import default_judge
from strategies import REQUEST_TYPES, varint
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.redaction.core import Redactor
from tapeline.redaction.fast import FastRedactor, fast_redactor
from tapeline.redaction.pack import load_pack
from tapeline.redaction.rule import RuleAction

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "redaction" / "gitleaks_vectors.jsonl"
KEY = b"k" * 32
KEYS = ("password", "x-mbx-apikey", "thread.name", "http.url", "trading.order.id", "", "api", "kéy")
TEXTS = (
    "order accepted",
    "",
    "password=correct-horse-9",
    "password=[REDACTED:password] token=Zq7hunter2xK9tr",
    "Bearer Zq7hunter2xK9trb4",
    "wss://ws.test/?token=Zq7hunter2xK9trb4&signature=" + "0f1e2d3c4b5a6978" * 4,
    "postgres://desk:Zq7hunter2xK9@db/x password: a:b=c",
    "k3yZq7hunter2xK9trb4" * 20,
    "cut\u200boff pass\u200bword=correct-horse-9",
    "eyJ1c2VyIjoiZGVzayIsInBhc3N3b3JkIjoiY29ycmVjdC1ob3JzZS05In0=",
    "api_key%3Dcorrect-horse-9-battery",
)


@cache
def _redactor(action: RuleAction) -> Redactor:
    rules = (*load_pack().value_rules, *load_pack().name_rules)
    return Redactor(default_judge(), KEY, {rule.id: action for rule in rules})


@cache
def _fast(action: RuleAction) -> FastRedactor:
    return fast_redactor(_redactor(action))


def _assert_agreement(signal: Signal, payload: bytes, action: RuleAction = RuleAction.MASK) -> int:
    """Compare fast and plain; return how much was found."""
    request: Any = REQUEST_TYPES[signal].FromString(payload)
    hits = _redactor(action).redact(signal, request)

    result = _fast(action).redact(Batch(signal, payload))

    assert result.hits == hits
    redacted = REQUEST_TYPES[signal].FromString(result.batch.payload)
    assert without_unknown(redacted) == without_unknown(request)
    return hits.total()


def _field(number: int, content: bytes, padding_bytes: int = 0) -> bytes:
    return varint(number << 3 | 2) + varint(len(content), padding_bytes) + content


PADDING = st.sampled_from([0, 0, 0, 1, 2])
UNKNOWN = st.sampled_from([b"\xa0\x06\x01", b"\xa2\x06\x0apassword=x", b"\xa5\x06abcd"])
TEXT_BYTES = st.sampled_from(TEXTS).map(str.encode)
STRINGS = st.builds(_field, st.just(1), TEXT_BYTES, PADDING)
OTHER_VALUES = st.sampled_from([b"\x10\x01", b"\x18\x07", b"\x21abcdefgh", b""]) | st.builds(
    _field, st.just(7), TEXT_BYTES
)


def _several(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """One of the usual contents, or some of them after each other in any order."""
    return parts[0] | st.lists(st.one_of(*parts), max_size=4).map(b"".join)


VALUES = _several(STRINGS, OTHER_VALUES, UNKNOWN)
KEY_FIELDS = st.builds(_field, st.just(1), st.sampled_from(KEYS).map(str.encode), PADDING)
VALUE_FIELDS = st.builds(_field, st.just(2), VALUES, PADDING)
PAIRS = _several(
    st.tuples(KEY_FIELDS, VALUE_FIELDS).map(b"".join), KEY_FIELDS, VALUE_FIELDS, UNKNOWN
)
LISTS = st.builds(_field, st.just(6), st.builds(_field, st.just(1), PAIRS))


def _records(body: int | None, texts: Sequence[int], pairs: int) -> st.SearchStrategy[bytes]:
    """Return fields in any order: texts, attributes, a body, numbers, and what OTLP has not."""
    fields = [
        *(st.builds(_field, st.just(number), TEXT_BYTES) for number in texts),
        st.builds(_field, st.just(pairs), PAIRS, PADDING),
        st.builds(_field, st.just(pairs), PAIRS, PADDING),
        UNKNOWN,
    ]
    if body is not None:
        fields.append(st.builds(_field, st.just(body), VALUES | LISTS, PADDING))
        fields.append(
            st.sampled_from([b"\x09abcdefgh", b"\x10\x09", b"\x45abcd", b"\x52\x08*2*2*2*2"])
        )
    return st.lists(st.one_of(fields), max_size=6).map(b"".join)


RECORDS = {
    Signal.LOGS: _records(5, (3, 12), 6),
    Signal.TRACES: _records(None, (3, 5), 9),
}


def _request(records: Sequence[bytes]) -> bytes:
    scope = b"".join(_field(2, record) for record in records)
    return _field(1, _field(2, scope))


@pytest.mark.parametrize("signal", list(RECORDS))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_odd_shapes_on_the_wire_give_the_same(signal: Signal, data: st.DataObject) -> None:
    """Fields twice or in another order, values of two types, unknown ones, none, long lengths."""
    action = data.draw(st.sampled_from(RuleAction))
    payload = _request(data.draw(st.lists(RECORDS[signal], max_size=4)))

    _assert_agreement(signal, payload, action)


@pytest.mark.parametrize("action", list(RuleAction))
def test_each_action_does_the_same_in_the_usual_shapes(action: RuleAction) -> None:
    """A body and an attribute, with one secret, with many, and with one that is masked already."""
    request: Any = REQUEST_TYPES[Signal.LOGS]()
    records = request.resource_logs.add().scope_logs.add().log_records
    for text in TEXTS:
        records.add(severity_number=9).body.string_value = text
        record = records.add()
        for key in KEYS:
            record.attributes.add(key=key).value.string_value = text

    assert _assert_agreement(Signal.LOGS, request.SerializeToString(), action) > len(TEXTS)


def test_a_body_that_comes_twice_is_not_judged_by_the_first_one() -> None:
    """The last one counts, so the first one's secret is none that anybody would see."""
    secret, clean = (_field(5, _field(1, text)) for text in (b"password=correct-horse-9", b"x"))

    for record, found in ((secret + clean, 0), (clean + secret, 1), (secret + b"\x10\x2a", 1)):
        assert _assert_agreement(Signal.LOGS, _request([record])) == found


def test_names_and_texts_that_hold_secrets_are_not_remembered() -> None:
    """What the fast path keeps from request to request are names and texts that are clean."""
    fast = fast_redactor(Redactor(default_judge(), KEY))
    request: Any = REQUEST_TYPES[Signal.LOGS]()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    secret = "Zq7hunter2xK9trb4Lm8Pw3"
    record.body.string_value = f"password={secret}"
    record.attributes.add(key=f"password={secret}").value.string_value = f"Bearer {secret}"
    record.attributes.add(key="token").value.string_value = secret

    assert fast.redact(Batch(Signal.LOGS, request.SerializeToString())).hits.total() > 2

    kept = [*fast._redactor._clean, *fast._fields._keys]
    assert kept
    assert secret not in repr(kept)


def test_the_vectors_give_the_same_as_bodies_and_as_values() -> None:
    """Third-party data: the texts of gitleaks' own tests, all in one request."""
    if not VECTORS.exists():
        pytest.skip("the gitleaks vectors are third-party data and not in this clone")
    request: Any = REQUEST_TYPES[Signal.LOGS]()
    records = request.resource_logs.add().scope_logs.add().log_records
    for line in VECTORS.read_text().splitlines():
        record = records.add()
        record.body.string_value = json.loads(line)["secret_text"]
        record.attributes.add(key="http.url").value.string_value = record.body.string_value

    assert _assert_agreement(Signal.LOGS, request.SerializeToString()) > len(records)
