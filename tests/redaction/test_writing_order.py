"""Keys behind their values: which of them stand behind a list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from backward_encoding import backwards
from strategies import texts
from tapeline.redaction.writing_order import is_outer_key

_PLAIN = st.one_of(
    texts().map(lambda text: AnyValue(string_value=text)),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: AnyValue(int_value=number)),
    st.booleans().map(lambda flag: AnyValue(bool_value=flag)),
    st.floats().map(lambda number: AnyValue(double_value=number)),
)


def _wire(key: str, value: AnyValue) -> tuple[bytes, int]:
    """Return an attribute as the collector writes it, others around it, and its key's last byte."""
    pair = backwards(KeyValue(key=key, value=value))
    before = b"2\x0c\x12\x06\n\x04XEUR\n\x02at"
    after = b"*\x06\n\x04text"
    head = before + b"2" + _varint(len(pair))
    return head + pair + after, len(head) + len(pair) - 1


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 0x7F | 0x80, value >> 7])


@pytest.mark.parametrize("key", ["api", "trading.venue.session", "x"])
@given(inner=_PLAIN, name=texts())
def test_a_key_behind_a_list_is_never_taken_for_another(
    key: str, inner: AnyValue, name: str
) -> None:
    """Whatever stands last in the list."""
    value = AnyValue()
    value.kvlist_value.values.add(key=name).value.CopyFrom(inner)

    assert is_outer_key(*_wire(key, value))


@pytest.mark.parametrize("key", ["api", "trading.venue.session", "x"])
@pytest.mark.parametrize(
    "value",
    [
        AnyValue(string_value="XEUR"),
        AnyValue(string_value="4bf92f35-77b3-4da6-a3ce-929d0e0e4736"),
        AnyValue(int_value=42),
        AnyValue(double_value=1.5),
        AnyValue(bool_value=True),
    ],
)
def test_a_key_behind_a_plain_value_is_none_of_them(key: str, value: AnyValue) -> None:
    """Which is what almost all attributes are."""
    assert not is_outer_key(*_wire(key, value))


def test_text_that_ends_in_such_a_word_is_no_key() -> None:
    """A log line's last word, before whatever comes next."""
    line = b"*\x18\n\x16the order was sent by x"

    assert not is_outer_key(line + b"\x1a\x04INFO", len(line) - 1)
