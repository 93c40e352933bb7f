"""Attributes on the wire, against protobuf."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tapeline.cardinality.key_values import (
    OVERFLOW_PAIR,
    has_value,
    key_first,
    key_of,
    key_prefix,
    string_value,
    text_of,
    value_of,
    values_written_as,
)

KEYS = st.text(min_size=1, max_size=200)


def _pair(key: str, **value: object) -> bytes:
    return KeyValue(key=key, value=AnyValue(**value)).SerializeToString()  # type: ignore[arg-type]


@given(KEYS, st.text(max_size=300))
def test_strings_are_encoded_as_protobuf_does(key: str, text: str) -> None:
    """Prefix and value field make the attribute, and are read back from it."""
    pair = _pair(key, string_value=text)

    assert key_prefix(key) + string_value(text) == pair
    assert key_of(pair).decode() == key
    assert text_of(pair[len(key_prefix(key)) :]) == text


@given(KEYS, st.text(max_size=300))
def test_fields_are_found_in_either_order(key: str, text: str) -> None:
    """A collector writes the value before the key."""
    backwards = string_value(text) + key_prefix(key)

    assert key_of(backwards).decode() == key
    assert value_of(backwards, key_prefix(key)) == string_value(text)
    assert key_first(backwards) == key_first(_pair(key, string_value=text))
    assert KeyValue.FromString(key_first(backwards)) == KeyValue.FromString(backwards)


@given(KEYS, st.integers(-(2**63), 2**63 - 1))
def test_integers_are_their_decimals(key: str, number: int) -> None:
    """As backends write them."""
    pair = _pair(key, int_value=number)
    value = pair[len(key_prefix(key)) :]

    assert text_of(value) == str(number)
    assert value in values_written_as(str(number))


def test_other_values_have_no_text() -> None:
    """Nothing within them is rewritten."""
    for value in (AnyValue(double_value=1.5), AnyValue(bool_value=True), AnyValue()):
        pair = KeyValue(key="k", value=value).SerializeToString()

        assert text_of(pair[len(key_prefix("k")) :]) is None
    assert text_of(b"") is None


def test_a_text_stands_for_every_value_that_looks_like_it() -> None:
    """A protected `true` is the string and the boolean; `007` is no number."""
    prefix = len(key_prefix("k"))

    assert values_written_as("true") == {
        _pair("k", string_value="true")[prefix:],
        _pair("k", bool_value=True)[prefix:],
    }
    assert _pair("k", bool_value=False)[prefix:] in values_written_as("false")
    assert len(values_written_as("007")) == len(values_written_as(str(2**64))) == 1


def test_the_overflow_attribute_is_the_specification_s() -> None:
    """`otel.metric.overflow=true`, the boolean."""
    assert _pair("otel.metric.overflow", bool_value=True) == OVERFLOW_PAIR


def test_an_attribute_without_a_key_has_an_empty_one() -> None:
    """Protobuf leaves empty fields out."""
    assert key_of(b"") == b""
    assert key_of(KeyValue(value=AnyValue(string_value="x")).SerializeToString()) == b""


def test_an_empty_text_is_no_value() -> None:
    """In either order of the fields, and whatever way the value is empty."""
    empty = [
        b"",
        _pair("k", string_value=""),
        key_prefix("k"),
        KeyValue(key="k", value=AnyValue()).SerializeToString(),
        string_value("") + key_prefix("k"),
    ]

    assert not any(map(has_value, empty))
    assert has_value(_pair("k", int_value=0))
    assert has_value(string_value("x") + key_prefix("k"))
    assert has_value(_pair("", string_value="x"))
