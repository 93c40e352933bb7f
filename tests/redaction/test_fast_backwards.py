"""What the collector sends has a key behind its value; nothing may hide in that."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backward_encoding import backwards
from planting import request_of
from strategies import REQUEST_TYPES, requests
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.redaction.core import Redactor
from tapeline.redaction.fast import FastRedactor, fast_redactor
from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import load_pack
from tapeline.redaction.wire_patterns import AFTER_LAST_KEY_TAGS

SECRETS = ("Zq7hunter2xK9", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY")


@cache
def _redactor() -> Redactor:
    return Redactor(Judge(load_pack()), b"k" * 32)


@cache
def _fast() -> FastRedactor:
    return fast_redactor(_redactor())


def _names() -> Iterator[str]:
    rules = load_pack().name_rules
    return iter(dict.fromkeys(name for rule in rules for name in (*rule.names, *rule.vendors)))


def _assert_agreement(signal: Signal, request: Message) -> int:
    """Compare fast and plain on a request written backwards; return how much was found."""
    payload = backwards(request)
    expected = type(request).FromString(payload)
    assert expected == request
    hits = _redactor().redact(signal, expected)

    redacted = _fast().redact(Batch(signal, payload))

    assert redacted.hits == hits
    assert type(request).FromString(redacted.batch.payload) == expected
    return hits.total()


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", ["attribute", "nested", "resource", "spread", "event"])
def test_every_name_is_seen_behind_its_value(place: str, secret: str) -> None:
    """The collector's own order of bytes: value first, then key, then whatever comes next."""
    found = 0
    for name in _names():
        signal = Signal.TRACES if place == "event" else Signal.LOGS
        request = request_of(signal)
        _plant(place, request, name, secret)
        found += _assert_agreement(signal, request)
    assert found > 0


def _plant(place: str, request: Any, name: str, secret: str) -> None:
    if place == "event":
        span = request.resource_spans.add().scope_spans.add().spans.add()
        event = span.events.add(name="sent", dropped_attributes_count=1)
        event.attributes.add(key=name).value.string_value = secret
        return
    group = request.resource_logs.add()
    attributes = group.scope_logs.add().log_records.add(severity_text="INFO").attributes
    if place == "resource":
        group.resource.attributes.add(key=name).value.string_value = secret
    elif place == "attribute":
        attributes.add(key=name.title().replace(" ", "")).value.string_value = secret
        attributes.add(key="venue").value.string_value = "XEUR"
    elif place == "nested":
        inner = attributes.add(key="settings").value.kvlist_value.values
        inner.add(key=name.replace(" ", "_")).value.string_value = secret
    else:
        outer, _, rest = name.replace("_", " ").partition(" ")
        inner = attributes.add(key=outer).value.kvlist_value.values
        inner.add(key=rest or name).value.string_value = secret


@pytest.mark.parametrize("signal", list(Signal))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_request_gives_the_same_written_backwards(signal: Signal, data: st.DataObject) -> None:
    """What Hypothesis thinks of, with the names and secrets of the rules among its texts."""
    request = data.draw(requests(signal))
    for attributes in _attributes(request):
        for pair in attributes:
            if data.draw(st.booleans()):
                pair.key = data.draw(st.sampled_from(tuple(_names())))
                pair.value.string_value = data.draw(st.sampled_from(SECRETS))

    _assert_agreement(signal, request)


def _attributes(message: Message) -> Iterator[Any]:
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        if (
            field.message_type is not None
            and field.message_type.name == "KeyValue"
            and field.is_repeated
        ):
            yield value
        for each in value if field.is_repeated else (value,):
            yield from _attributes(each)


def test_every_tag_of_otlp_may_follow_a_key() -> None:
    """A new field of OTLP has to be added to the tags that end a key."""
    assert {tag for request in REQUEST_TYPES.values() for tag in _tags(request.DESCRIPTOR)} == set(
        AFTER_LAST_KEY_TAGS
    )


_WIRE_TYPES = {
    FieldDescriptor.CPPTYPE_INT32: 0,
    FieldDescriptor.CPPTYPE_UINT32: 0,
    FieldDescriptor.CPPTYPE_INT64: 0,
    FieldDescriptor.CPPTYPE_UINT64: 0,
    FieldDescriptor.CPPTYPE_BOOL: 0,
    FieldDescriptor.CPPTYPE_ENUM: 0,
    FieldDescriptor.CPPTYPE_DOUBLE: 1,
    FieldDescriptor.CPPTYPE_STRING: 2,
    FieldDescriptor.CPPTYPE_MESSAGE: 2,
}
_FIXED = {
    FieldDescriptor.TYPE_FIXED64: 1,
    FieldDescriptor.TYPE_SFIXED64: 1,
    FieldDescriptor.TYPE_FIXED32: 5,
}


def _tags(descriptor: Any, seen: set[str] | None = None) -> set[int]:
    """Return the first byte of every tag that a message or one within it may have."""
    seen = set() if seen is None else seen
    if descriptor.full_name in seen:
        return set()
    seen.add(descriptor.full_name)
    tags: set[int] = set()
    for field in descriptor.fields:
        wire_type = _FIXED.get(field.type, _WIRE_TYPES[field.cpp_type])
        tag = field.number << 3 | (2 if field.is_repeated else wire_type)
        tags.add(tag if tag < 128 else tag & 0x7F | 0x80)
        if field.message_type is not None:
            tags |= _tags(field.message_type, seen)
    return tags


@pytest.mark.parametrize("joiner", ["|", ".*.", "/", ":", " - ", "\u00e9", "::", "[", "\x01", "__"])
def test_whatever_joins_the_words_of_a_name_is_no_hiding_place(joiner: str) -> None:
    """`api|key` and `api key` are one name, in either order of bytes."""
    for name in _names():
        request: Any = request_of(Signal.LOGS)
        record = request.resource_logs.add().scope_logs.add().log_records.add()
        record.attributes.add(key=joiner.join(name.split())).value.string_value = SECRETS[1]
        record.attributes.add(key="venue").value.string_value = "XEUR"
        _assert_agreement(Signal.LOGS, request)
        forwards = Batch(Signal.LOGS, request.SerializeToString())
        hits = _redactor().redact(Signal.LOGS, request)
        assert _fast().redact(forwards).hits == hits


@pytest.mark.parametrize("key", ["XQuantdeskKey", "xQuantdeskKey", "X-Quantdesk-Key", "x.a.b.key"])
def test_a_frame_is_seen_in_every_spelling(key: str) -> None:
    """`x`, anybody's name, `key`: as a header, and in CamelCase."""
    request: Any = request_of(Signal.LOGS)
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.attributes.add(key=key).value.string_value = SECRETS[1]

    assert _assert_agreement(Signal.LOGS, request) == 1
