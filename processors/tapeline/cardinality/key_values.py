"""Attributes on the wire: contents of the message KeyValue, minimally encoded.

Such a content is a key field and a value field, in this order or, from a collector, which writes
messages from their end, in the other one. The functions here rely on that, and on nothing else of
what the value is. opentelemetry-proto, common/v1/common.proto.
"""

from typing import Final

from tapeline.cardinality.config import OVERFLOW_ATTRIBUTE
from tapeline.otlp.wire import LONG_VARINT, encode_varint, read_slice, read_varint

__all__ = [
    "EMPTY_VALUES",
    "OVERFLOW_PAIR",
    "has_value",
    "key_first",
    "key_of",
    "key_prefix",
    "string_value",
    "text_of",
    "text_of_pair",
    "value_of",
    "values_written_as",
]

KEY_TAG: Final = 0x0A
VALUE_TAG: Final = 0x12
STRING_TAG: Final = 0x0A
BOOL_TAG: Final = 0x10
INT_TAG: Final = 0x18
_SIGN: Final = 1 << 63
_TWO_64: Final = 1 << 64


def key_of(pair: bytes) -> bytes:
    """Return the key of an attribute, in UTF-8; empty where it has none."""
    if not pair:
        return b""
    length = pair[1]
    if pair[0] == KEY_TAG and length < LONG_VARINT:
        return pair[2 : 2 + length]
    begin, end = read_slice(pair, 1, len(pair))
    if pair[0] != KEY_TAG:
        # The value comes first, and the key field, if there is one, is the rest.
        if end == len(pair):
            return b""
        begin, end = read_slice(pair, end + 1, len(pair))
    return pair[begin:end]


def has_value(pair: bytes) -> bool:
    """Return whether there is a value, and not the empty text, which backends take for none."""
    if not pair:
        return False
    _, end = read_slice(pair, 1, len(pair))
    value = pair[end:] if pair[0] == KEY_TAG else pair[:end]
    return value not in EMPTY_VALUES


def value_of(pair: bytes, prefix: bytes) -> bytes:
    """Return the value field of an attribute whose key field is `prefix`."""
    if pair[0] == KEY_TAG:
        return pair[len(prefix) :]
    return pair[: len(pair) - len(prefix)]


def key_first(pair: bytes) -> bytes:
    """Return the attribute with its key before its value."""
    if not pair or pair[0] == KEY_TAG:
        return pair
    _, end = read_slice(pair, 1, len(pair))
    return pair[end:] + pair[:end]


def key_prefix(key: str) -> bytes:
    """Return the key field of an attribute; the rest of it is its value field."""
    encoded = key.encode()
    return bytes((KEY_TAG,)) + encode_varint(len(encoded)) + encoded


def string_value(text: str) -> bytes:
    """Return the value field of an attribute whose value is a string."""
    encoded = text.encode("utf-8", "surrogateescape")
    content = bytes((STRING_TAG,)) + encode_varint(len(encoded)) + encoded
    return bytes((VALUE_TAG,)) + encode_varint(len(content)) + content


def text_of_pair(pair: bytes) -> str:
    """Return the value of an attribute, key first, as text; empty where `text_of` has none."""
    key = key_of(pair)
    return text_of(pair[len(key_prefix(key.decode())) :]) or ""


def text_of(value: bytes) -> str | None:
    """Return the text of a value field, of a string or an integer; None of any other value.

    An integer's is its decimals, which is how backends write it as a label.
    """
    if not value or value[0] != VALUE_TAG:
        return None
    begin, end = read_slice(value, 1, len(value))
    if begin == end:
        return None
    if value[begin] == STRING_TAG:
        begin, end = read_slice(value, begin + 1, end)
        return value[begin:end].decode("utf-8", "surrogateescape")
    if value[begin] == INT_TAG:
        number, _ = read_varint(value, begin + 1, end)
        return str(number - _TWO_64 if number >= _SIGN else number)
    return None


def values_written_as(text: str) -> frozenset[bytes]:
    """Return the value fields that a backend would write as this text: string, integer, truth."""
    values = {string_value(text)}
    if text.removeprefix("-").isdecimal() and text.isascii() and str(int(text)) == text:
        number = int(text)
        if -_SIGN <= number < _SIGN:
            content = bytes((INT_TAG,)) + encode_varint(number % _TWO_64)
            values.add(bytes((VALUE_TAG, len(content))) + content)
    if text in ("true", "false"):
        values.add(bytes((VALUE_TAG, 2, BOOL_TAG, text == "true")))
    return frozenset(values)


OVERFLOW_PAIR: Final = key_prefix(OVERFLOW_ATTRIBUTE) + bytes((VALUE_TAG, 2, BOOL_TAG, 1))
"""The only attribute of an overflow series."""

EMPTY_VALUES: Final = frozenset({b"", bytes((VALUE_TAG, 0)), string_value("")})
"""Value fields that backends take for no label at all."""
