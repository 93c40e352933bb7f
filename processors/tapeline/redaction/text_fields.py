"""Finds the texts of a raw record that hold matches, where they stand in one of the usual shapes.

A record's match concerns one field of it: an attribute with its key, the body, the name. Where that
is a plain string, it can be cut out of the bytes, judged, and written back, without a parser.
Whatever is not plainly so, by the letter of protobuf's encoding, is left to the parser.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import LONG_VARINT, short_varint
from tapeline.redaction.scan import NUMBER_BITS

__all__ = [
    "ATTRIBUTE",
    "BODY",
    "SHAPES",
    "TEXT",
    "TextField",
    "is_number",
    "pair_bounds",
    "string_begin",
    "text_fields",
    "with_body",
    "with_pair",
    "with_plain",
]

_ODD: Final = 0
_VARINT: Final = -1
_IDENTIFIER: Final = -2
"""Length-delimited and no text: bytes that now and then look like anything."""
_NESTED: Final = -3
ATTRIBUTE: Final = -4
BODY: Final = -5
TEXT: Final = -6
"""Of a body and a text the last one counts, so that there may be only one of either."""

Shapes = tuple[int, ...]
TextField = tuple[int, int, int, int, int, int]
"""What it is, where its tag, its content and its end are, and which of the matches end in it (the
first one, and the one after the last)."""


def _shapes(known: Mapping[int, int]) -> Shapes:
    return tuple(known.get(tag, _ODD) for tag in range(256))


_FIXED64: Final = 9
_FIXED32: Final = 5
SHAPES: Final[Mapping[Signal, Shapes]] = {
    # By the byte of the tag: the bytes that tag and value take together, or what the field is.
    # opentelemetry-proto, logs/v1 and trace/v1; flags of spans have a tag of two bytes.
    Signal.LOGS: _shapes(
        {
            0x09: _FIXED64,
            0x10: _VARINT,
            0x1A: TEXT,
            0x2A: BODY,
            0x32: ATTRIBUTE,
            0x38: _VARINT,
            0x45: _FIXED32,
            0x4A: _IDENTIFIER,
            0x52: _IDENTIFIER,
            0x59: _FIXED64,
            0x62: TEXT,
        }
    ),
    Signal.TRACES: _shapes(
        {
            0x0A: _IDENTIFIER,
            0x12: _IDENTIFIER,
            0x1A: TEXT,
            0x22: _IDENTIFIER,
            0x2A: TEXT,
            0x30: _VARINT,
            0x39: _FIXED64,
            0x41: _FIXED64,
            0x4A: ATTRIBUTE,
            0x50: _VARINT,
            0x5A: _NESTED,
            0x60: _VARINT,
            0x6A: _NESTED,
            0x70: _VARINT,
            0x7A: _NESTED,
        }
    ),
}

_STRING: Final = 0x0A
_VALUE: Final = 0x12


def text_fields(
    payload: bytes,
    span: tuple[int, int],
    matches: Sequence[int],
    numbers: tuple[int, int],
    shapes: Shapes,
) -> list[TextField] | None:
    """Return the fields of the record that hold matches, but for those that hold no text.

    `span` are the bounds of the record's content, `numbers` those of its `matches`. None where a
    match stands in what is not plainly one of the usual shapes.
    """
    try:
        return _text_fields(payload, span, matches, numbers, shapes)
    except IndexError:
        return None  # The request ends in the middle of something.


def _text_fields(  # noqa: C901, PLR0911, PLR0912 - one loop over bytes: calls would cost more
    payload: bytes,
    span: tuple[int, int],
    matches: Sequence[int],
    numbers: tuple[int, int],
    shapes: Shapes,
) -> list[TextField] | None:
    position, end = span
    match, stop = numbers
    offset = matches[match] >> NUMBER_BITS
    found: list[TextField] = []
    singular: list[int] = []
    while position < end:
        field = position
        shape = shapes[payload[position]]
        if shape > 0:
            position += shape
        elif shape >= _VARINT:
            if shape == _ODD:
                return None
            position = _after_varint(payload, position + 1)
        else:
            length, content = payload[position + 1], position + 2
            if length >= LONG_VARINT:
                if payload[content] >= LONG_VARINT:
                    return None
                length += (payload[content] << 7) - LONG_VARINT
                content += 1
            position = content + length
            if shape <= BODY:
                singular.append(payload[field])
        if offset >= position:
            continue
        if position > end:
            return None
        first = match
        while offset < position:
            match += 1
            offset = matches[match] >> NUMBER_BITS if match < stop else end
        if shape <= _NESTED:
            if shape == _NESTED:
                return None
            found.append((shape, field, content, position, first, match))
        if match == stop:
            break
    if position > end:
        return None
    for shape, field, *_ in found:
        tag = payload[field]
        if shape <= BODY and (
            singular.count(tag) > 1 or _holds(payload, (position, end), tag, shapes)
        ):
            return None
    return found


def _after_varint(payload: bytes, position: int) -> int:
    while payload[position] >= LONG_VARINT:
        position += 1
    return position + 1


def _holds(payload: bytes, span: tuple[int, int], tag: int, shapes: Shapes) -> bool:
    """Say whether a field with this tag is, or may be, in the rest of a record."""
    position, end = span
    if payload.find(tag, position, end) < 0:
        return False
    while position < end:
        shape = shapes[payload[position]]
        if payload[position] == tag or shape == _ODD:
            return True
        if shape > 0:
            position += shape
        elif shape == _VARINT:
            position = _after_varint(payload, position + 1)
        else:
            position += 1
            length = payload[position]
            if length >= LONG_VARINT:
                position += 1
                length += (payload[position] << 7) - LONG_VARINT
            if length >= _MAX_LENGTH:
                return True
            position += 1 + length
    return position > end


_MAX_LENGTH: Final = 1 << 14
"""What a length of two bytes can say, and so the end of lengths that are read here."""

_NUMBERS: Final = frozenset({0x10, 0x18, 0x21})
"""Tags of an AnyValue's numbers: bool, int and double (opentelemetry-proto, common/v1)."""


def string_begin(payload: bytes, begin: int, end: int) -> int:
    """Return where the text begins of an AnyValue that is one string and nothing else; else -1."""
    if end - begin < 2 or payload[begin] != _STRING:  # noqa: PLR2004 - tag and length
        return -1
    length, text = payload[begin + 1], begin + 2
    if length >= LONG_VARINT:
        if text >= end or payload[text] >= LONG_VARINT:
            return -1
        length += (payload[text] << 7) - LONG_VARINT
        text += 1
    return text if text + length == end else -1


def pair_bounds(payload: bytes, begin: int, end: int) -> tuple[int, int, int, int] | None:
    """Return where the key of a KeyValue begins and ends, and where its value's content does.

    None if it is not one short key and one value and nothing else, in either order.
    """
    if end - begin < 4:  # noqa: PLR2004 - two tags and lengths
        return None
    if payload[begin] == _STRING:
        key, value = begin + 2, begin + 2 + payload[begin + 1]
        if payload[begin + 1] >= LONG_VARINT or value + 2 > end or payload[value] != _VALUE:
            return None
        first, last = _content(payload, value, end)
        return (key, value, first, last) if last == end else None
    if payload[begin] != _VALUE:
        return None
    first, last = _content(payload, begin, end)
    # The collector's order: its marshaller fills the buffer from the end.
    if last + 2 > end or payload[last] != _STRING or payload[last + 1] >= LONG_VARINT:
        return None
    return (last + 2, end, first, last) if last + 2 + payload[last + 1] == end else None


def _content(payload: bytes, field: int, end: int) -> tuple[int, int]:
    """Return where a field's content begins and ends; its end is beyond `end` if that is odd."""
    length, begin = payload[field + 1], field + 2
    if length >= LONG_VARINT:
        if begin >= end or payload[begin] >= LONG_VARINT:
            return begin, end + 1
        length += (payload[begin] << 7) - LONG_VARINT
        begin += 1
    return begin, begin + length


def is_number(payload: bytes, begin: int, end: int) -> bool:
    """Say whether an AnyValue is one number and nothing else."""
    if end - begin < 2 or payload[begin] not in _NUMBERS:  # noqa: PLR2004 - tag and value
        return False
    if payload[begin] == 0x21:  # noqa: PLR2004 - the tag of a double
        return end - begin == _FIXED64
    return _after_varint(payload, begin + 1) == end


def with_pair(tag: bytes, key: bytes, text: bytes, *, value_first: bool) -> bytes:
    """Return a KeyValue's field: its tag, the field of its key, and a string as its value."""
    value = b"\x0a" + short_varint(len(text)) + text
    value = b"\x12" + short_varint(len(value)) + value
    pair = value + key if value_first else key + value
    return tag + short_varint(len(pair)) + pair


def with_body(tag: bytes, text: bytes) -> bytes:
    """Return an AnyValue's field that is one string."""
    value = b"\x0a" + short_varint(len(text)) + text
    return tag + short_varint(len(value)) + value


def with_plain(tag: bytes, text: bytes) -> bytes:
    """Return a string's field."""
    return tag + short_varint(len(text)) + text
