"""Makes the wire bytes of a request of a parsed OTLP/JSON document, without message objects.

Only what OTLP's own writers write is known here. What is rare (original field names, numbers in
another form than OTLP has them) or wrong raises UnusualError, and `json_lines` takes the plain way,
which has the words for what is wrong. The tests hold the bytes of both equal.
"""

from binascii import unhexlify
from math import isfinite
from struct import Struct, pack
from typing import Any, Final

from tapeline.otlp.line_shapes import (
    BOOL,
    BYTES,
    DOUBLE,
    FIXED32,
    FIXED64,
    HEX,
    INT64,
    MAX_FAST_DEPTH,
    PACKED_DOUBLE,
    PACKED_FIXED64,
    PACKED_UINT64,
    PAIR,
    SFIXED64,
    SHAPES,
    SINT32,
    SMALL,
    TEXT,
    UINT32,
    Entry,
    Shape,
    UnusualError,
)
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import encode_varint, short_varint

__all__ = ["payload_of"]

_DOUBLE: Final = Struct("<d")
_UINT32_END: Final = 1 << 32
_INT31_END: Final = 1 << 31
_INT63_END: Final = 1 << 63
_UINT64_END: Final = 1 << 64
_EIGHT: Final = 8
_MAX_DIGITS: Final = 20
_ZEROS: Final = bytes(8)
_MINUS_ZERO: Final = b"\0\0\0\0\0\0\0\x80"


def payload_of(signal: Signal, document: dict[str, Any]) -> bytes:
    """Return the request's bytes; raises UnusualError where the plain way has to be taken."""
    try:
        return _message(SHAPES[signal], document, 0)
    # binascii's error and UnicodeEncodeError are ValueErrors; an integer may be too large.
    except (ValueError, OverflowError) as error:
        raise UnusualError from error


def _message(shape: Shape, source: dict[str, Any], depth: int) -> bytes:
    """Return the content of a message. The recursion ends at MAX_FAST_DEPTH."""
    if depth > MAX_FAST_DEPTH:
        raise UnusualError
    parts: list[bytes | None] = [None] * len(shape.entries)
    by_key = shape.by_key
    oneofs = 0
    for key, value in source.items():
        entry = by_key.get(key)
        if entry is None:
            if key in shape.original_names:
                raise UnusualError
            continue
        if value is None:
            continue
        if entry.oneof:
            if entry.oneof & oneofs:
                raise UnusualError
            oneofs |= entry.oneof
        parts[entry.slot] = (
            _items(entry, value, depth) if entry.is_repeated else _single(entry, value, depth)
        )
    return b"".join([part for part in parts if part])


def _items(entry: Entry, values: Any, depth: int) -> bytes:
    if type(values) is not list:
        raise UnusualError
    kind, tag, shape = entry.kind, entry.tag_bytes, entry.shape
    parts: list[bytes] = []
    if shape is not None:
        for value in values:
            if type(value) is not dict:
                raise UnusualError
            content = _pair(value) if shape is PAIR else b""
            if not content:
                content = _message(shape, value, depth + 1)
            parts += (tag, short_varint(len(content)), content)
        return b"".join(parts)
    if kind == TEXT:
        for value in values:
            content = _text(value)
            parts += (tag, short_varint(len(content)), content)
        return b"".join(parts)
    if not values:
        return b""
    content = _packed(kind, values)
    return tag + short_varint(len(content)) + content


def _pair(source: dict[str, Any]) -> bytes:
    """Return an attribute that holds a string, if it is one and nothing more; or nothing."""
    key, value = source.get("key"), source.get("value")
    if len(source) != 2 or type(key) is not str or type(value) is not dict:  # noqa: PLR2004
        return b""
    text = value.get("stringValue")
    if not key or len(value) != 1 or type(text) is not str:
        return b""
    name, content = _text(key), _text(text)
    inner = b"\x0a" + short_varint(len(content)) + content
    return b"".join(
        (b"\x0a", short_varint(len(name)), name, b"\x12", short_varint(len(inner)), inner)
    )


def _packed(kind: int, values: list[Any]) -> bytes:
    if kind == PACKED_FIXED64:
        return pack(f"<{len(values)}Q", *[_unsigned(value) for value in values])
    if kind == PACKED_UINT64:
        return b"".join([short_varint(_unsigned(value)) for value in values])
    if kind == PACKED_DOUBLE:
        return pack(f"<{len(values)}d", *[_number(value) for value in values])
    raise UnusualError


def _single(entry: Entry, value: Any, depth: int) -> bytes | None:
    """Return a singular field with its tag; None where a serialiser leaves it out."""
    kind, shape = entry.kind, entry.shape
    if shape is not None:
        if type(value) is not dict:
            raise UnusualError
        content = _message(shape, value, depth + 1)
        return entry.tag_bytes + short_varint(len(content)) + content
    if kind in (TEXT, HEX, BYTES):
        if kind == TEXT:
            content = _text(value)
        elif kind == HEX:
            content = unhexlify(_string(value))
        else:
            content = entry.convert.read(value)
        if not content and not entry.has_presence:
            return None
        return entry.tag_bytes + short_varint(len(content)) + content
    content = _scalar(kind, value)
    if not entry.has_presence and _is_zero(kind, content):
        return None
    return entry.tag_bytes + content


def _is_zero(kind: int, content: bytes) -> bool:
    if kind == DOUBLE and content == _MINUS_ZERO:
        raise UnusualError
    return content == _ZEROS[: len(content)]


def _scalar(kind: int, value: Any) -> bytes:
    if kind == FIXED64:
        return _unsigned(value).to_bytes(_EIGHT, "little")
    if kind == DOUBLE:
        return _DOUBLE.pack(_number(value))
    if kind == BOOL:
        if value is True or value is False:
            return b"\x01" if value else b"\x00"
        raise UnusualError
    if kind in (SFIXED64, INT64):
        number = _signed(value)
        if kind == SFIXED64:
            return number.to_bytes(_EIGHT, "little", signed=True)
        return encode_varint(number + _UINT64_END if number < 0 else number)
    if type(value) is not int:
        raise UnusualError
    return _short(kind, value)


def _short(kind: int, value: int) -> bytes:
    """Return a number of 32 bits."""
    if kind == SINT32 and -_INT31_END <= value < _INT31_END:
        return short_varint(value * 2 if value >= 0 else -value * 2 - 1)
    if not 0 <= value < (_INT31_END if kind == SMALL else _UINT32_END):
        raise UnusualError  # A negative enum, for one, is of ten bytes.
    if kind == FIXED32:
        return value.to_bytes(4, "little")
    if kind in (SMALL, UINT32):
        return short_varint(value)
    raise UnusualError


def _string(value: Any) -> str:
    if type(value) is not str:
        raise UnusualError
    text: str = value
    return text


def _text(value: Any) -> bytes:
    return _string(value).encode("utf-8")


def _unsigned(value: Any) -> int:
    if type(value) is int:
        number: int = value
    else:
        text = _string(value)
        if len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()):
            raise UnusualError
        number = int(text)
    if not 0 <= number < _UINT64_END:
        raise UnusualError
    return number


def _signed(value: Any) -> int:
    if type(value) is int:
        number: int = value
    else:
        text = _string(value)
        digits = text.removeprefix("-")
        if len(digits) > _MAX_DIGITS or not (digits.isascii() and digits.isdigit()):
            raise UnusualError
        number = int(text)
    if not -_INT63_END <= number < _INT63_END:
        raise UnusualError
    return number


def _number(value: Any) -> float:
    if type(value) is float:
        number: float = value
    elif type(value) is int:
        number = float(value)
    else:
        raise UnusualError
    if not isfinite(number):
        raise UnusualError
    return number
