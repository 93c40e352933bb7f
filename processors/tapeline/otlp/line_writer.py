"""Writes a request as an OTLP/JSON line, straight from its wire bytes.

One pass, no message objects. Only what a serialiser of protobuf would write is known here, in any
order of the fields: what is rare (a field twice, one that OTLP does not define, groups) or wrong
raises UnusualError, and `json_lines` takes the plain way. The tests hold the bytes of both equal.
"""

from base64 import b64encode
from json.encoder import encode_basestring
from math import isfinite, isinf
from struct import Struct, unpack
from typing import Final

from tapeline.otlp.line_shapes import (
    BOOL,
    BYTES,
    DOUBLE,
    FIXED32,
    HEX,
    INT64,
    MAX_FAST_DEPTH,
    MAX_TABLE_TAG,
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
from tapeline.otlp.wire import LONG_VARINT, MalformedRequestError, read_slice, read_varint

__all__ = ["line_of"]

_DOUBLE: Final = Struct("<d")
_UINT32_END: Final = 1 << 32
_INT31_END: Final = 1 << 31
_INT63_END: Final = 1 << 63
_UINT64_END: Final = 1 << 64
_EIGHT: Final = 8

# An attribute that holds a string: key (field 1), value (field 2), in it the string (field 1).
_KEY_TAG: Final = 0x0A
_VALUE_TAG: Final = 0x12
_LEAST_PAIR_BYTES: Final = 6


def line_of(signal: Signal, payload: bytes) -> str:
    """Return the line, without its end; raises UnusualError where the plain way has to be taken."""
    try:
        return _message(SHAPES[signal], payload, 0, len(payload), 0)
    except (MalformedRequestError, IndexError, UnicodeDecodeError) as error:
        raise UnusualError from error


def _message(shape: Shape, data: bytes, position: int, end: int, depth: int) -> str:
    """Return a message as a JSON object. The recursion ends at MAX_FAST_DEPTH."""
    if depth > MAX_FAST_DEPTH:
        raise UnusualError
    slots: list[str | None] = [None] * len(shape.entries)
    runs: list[list[str] | None] = [None] * len(shape.entries) if shape.has_repeated else []
    by_tag = shape.by_tag
    oneofs = 0
    while position < end:
        tag = data[position]
        position += 1
        if tag >= LONG_VARINT:
            tag += (data[position] << 7) - LONG_VARINT
            position += 1
            if not LONG_VARINT <= tag < MAX_TABLE_TAG:
                raise UnusualError
        entry = by_tag[tag]
        if entry is None:
            raise UnusualError
        if entry.is_repeated and entry.kind <= TEXT:
            begin, position = read_slice(data, position, end)
            run = runs[entry.slot]
            if run is None:
                run = runs[entry.slot] = []
            inner = entry.shape
            if inner is None:
                run.append(encode_basestring(data[begin:position].decode("utf-8")))
            else:
                text = _pair(data, begin, position) if inner is PAIR else ""
                run.append(text or _message(inner, data, begin, position, depth + 1))
            continue
        if slots[entry.slot] is not None or entry.oneof & oneofs:
            raise UnusualError
        oneofs |= entry.oneof
        text, position = _value(entry, data, position, end, depth)
        slots[entry.slot] = text
    return _object(shape, slots, runs)


def _object(shape: Shape, slots: list[str | None], runs: list[list[str] | None]) -> str:
    parts: list[str] = []
    for entry in shape.entries:
        text = slots[entry.slot]
        if text:
            parts.append(entry.key + text)
        elif entry.is_repeated:
            run = runs[entry.slot]
            if run is not None:
                parts.append(entry.key + "[" + ",".join(run) + "]")
    return "{" + ",".join(parts) + "}"


def _pair(data: bytes, begin: int, end: int) -> str:
    """Return an attribute that holds a string, if it is one, in either order; or nothing."""
    if end - begin < _LEAST_PAIR_BYTES or end - begin >= LONG_VARINT:
        return ""
    first = begin + 2 + data[begin + 1]
    if first + 2 > end or first + 2 + data[first + 1] != end:
        return ""
    if data[begin] == _KEY_TAG and data[first] == _VALUE_TAG:
        key_begin, key_end, value_begin, value_end = begin + 2, first, first + 2, end
    elif data[begin] == _VALUE_TAG and data[first] == _KEY_TAG:
        key_begin, key_end, value_begin, value_end = first + 2, end, begin + 2, first
    else:
        return ""
    if key_begin == key_end or value_end - value_begin < 2:  # noqa: PLR2004 - tag and length
        return ""
    if data[value_begin] != _KEY_TAG or value_begin + 2 + data[value_begin + 1] != value_end:
        return ""
    key = encode_basestring(data[key_begin:key_end].decode("utf-8"))
    text = encode_basestring(data[value_begin + 2 : value_end].decode("utf-8"))
    return '{"key":' + key + ',"value":{"stringValue":' + text + "}}"


def _value(entry: Entry, data: bytes, position: int, end: int, depth: int) -> tuple[str, int]:
    """Return a singular field as JSON, or nothing where it is as if it were not there; its end."""
    kind = entry.kind
    if kind <= BYTES:
        begin, after = read_slice(data, position, end)
        if entry.shape is not None:
            return _message(entry.shape, data, begin, after, depth + 1), after
        if begin == after and not entry.has_presence:
            return "", after
        return _content(kind, data[begin:after]), after
    if kind <= SFIXED64:
        after = position + (4 if kind == FIXED32 else _EIGHT)
        if after > end:
            raise UnusualError
        return _fixed(entry, data[position:after]), after
    if kind <= SMALL:
        number, after = read_varint(data, position, end)
        return _from_varint(entry, number), after
    begin, after = read_slice(data, position, end)
    return _packed(kind, data, begin, after), after


def _content(kind: int, content: bytes) -> str:
    if kind == TEXT:
        return encode_basestring(content.decode("utf-8"))
    if kind == HEX:
        return '"' + content.hex() + '"'
    if kind == BYTES:
        return '"' + b64encode(content).decode("ascii") + '"'
    raise UnusualError


def _fixed(entry: Entry, content: bytes) -> str:
    kind = entry.kind
    if kind == DOUBLE:
        number: float = _DOUBLE.unpack(content)[0]
        if number == 0.0 and not entry.has_presence:
            if content != bytes(_EIGHT):
                raise UnusualError  # Minus zero.
            return ""
        return _double(number)
    value = int.from_bytes(content, "little", signed=kind == SFIXED64)
    if value == 0 and not entry.has_presence:
        return ""
    return str(value) if kind == FIXED32 else f'"{value}"'


def _double(value: float) -> str:
    if isfinite(value):
        return repr(value)
    if isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    return '"NaN"'


def _from_varint(entry: Entry, number: int) -> str:
    kind = entry.kind
    if number == 0 and not entry.has_presence:
        return ""
    if kind == INT64:
        return f'"{number - _UINT64_END if number >= _INT63_END else number}"'
    if kind == BOOL:
        if number > 1:
            raise UnusualError
        return "true" if number else "false"
    if kind == UINT32:
        if number >= _UINT32_END:
            raise UnusualError
        return str(number)
    if kind == SINT32:
        if number >= _UINT32_END:
            raise UnusualError
        return str((number >> 1) ^ -(number & 1))
    if number >= _INT31_END:
        raise UnusualError  # Negative, or cut by a parser.
    return str(number)


def _packed(kind: int, data: bytes, begin: int, end: int) -> str:
    """Return a list of numbers; an empty one is as if it were not there."""
    if begin == end:
        return ""
    if kind == PACKED_UINT64:
        varints: list[str] = []
        while begin < end:
            number, begin = read_varint(data, begin, end)
            varints.append(f'"{number}"')
        return "[" + ",".join(varints) + "]"
    if (end - begin) % _EIGHT:
        raise UnusualError
    count = (end - begin) // _EIGHT
    if kind == PACKED_FIXED64:
        wholes = unpack(f"<{count}Q", data[begin:end])
        return "[" + ",".join([f'"{whole}"' for whole in wholes]) + "]"
    if kind == PACKED_DOUBLE:
        numbers = unpack(f"<{count}d", data[begin:end])
        return "[" + ",".join([_double(number) for number in numbers]) + "]"
    raise UnusualError
