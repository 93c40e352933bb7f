"""Tells whether a request was written backwards, with keys behind their values.

SDKs write a KeyValue's key before its value, the collector after it. To look for keys that end in
nothing is costly, so it is only done where there are some.
"""

import re
from collections.abc import Iterable
from typing import Final

from tapeline.otlp.wire import (
    LONG_VARINT,
    MalformedRequestError,
    read_tag,
    read_varint,
    skip_value,
)

__all__ = ["VALUE_FIRST", "is_outer_key", "is_pair_with_value_first"]

_PAIR_TAGS: Final = b"\x0a\x1a\x22\x32\x3a\x4a\x62"
"""Tags of every field that holds a KeyValue (opentelemetry-proto: resource, scope, record, span,
event, link, the data points, exemplar, metric, and KeyValueList)."""

_KEY: Final = 0x0A
_VALUE: Final = 0x12
_OF_PAIR: Final = frozenset({0x0A, 0x12, 0x18})
_KEY_INDEX: Final = 0x18
_MAX_INDEX_BYTES: Final = 11
_MAX_LENGTH_BYTES: Final = 5

_DOUBLE_VALUE: Final = 0x21
_BEGINS_VALUE: Final = frozenset(
    tag for tag in range(8, 256) if tag >= LONG_VARINT or tag & 7 in {0, 2} or tag == _DOUBLE_VALUE
)
"""How an AnyValue may begin, that of a later OTLP too: with a number, a length, or a double.

A record of a log begins otherwise, with its time. That matters because a time may end in bytes
that look like the tag and the length of a KeyValue (for 18 minutes at a time, seven times in 78
hours), and what follows it is the next record, under the tag that a KeyValue's value has.
"""


def _one_of(numbers: Iterable[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % number for number in sorted(numbers)) + b"]"


_BEGINNINGS: Final = (
    _one_of(_PAIR_TAGS) + rb"(?:[\x00-\x7f]|[\x80-\xff]{1,4}[\x00-\x7f])\x12",
    # Before the value there may be the pair's third field, `key_strindex`.
    rb"\x18[\x80-\xff]{0,9}[\x00-\x7f]\x12",
)
_VALUES: Final = (
    (rb"\x00", 1),
    (rb"[\x01-\x7f]" + _one_of(_BEGINS_VALUE), 2),
    (rb"[\x80-\xff]", 1),
)
VALUE_FIRST: Final = tuple(
    (beginning + value, size_bytes) for beginning in _BEGINNINGS for value, size_bytes in _VALUES
)
"""In Hyperscan's syntax: how a KeyValue begins whose value comes first. So do other bytes.

With each stands how many bytes it has behind the value's tag.
"""


def is_pair_with_value_first(payload: bytes, value: int) -> bool:
    """Say whether a match of VALUE_FIRST, with the value's tag at `value`, is what it seems.

    That is so if, with the length before it, it parses as a message that holds a key, too.
    """
    if _is_pair(payload, value):
        return True
    begin = payload.find(_KEY_INDEX, max(0, value - _MAX_INDEX_BYTES), value)
    while begin >= 0:
        if _is_pair(payload, begin):
            return True
        begin = payload.find(_KEY_INDEX, begin + 1, value)
    return False


def _is_pair(payload: bytes, content: int) -> bool:
    for begin in range(content - 1, max(0, content - _MAX_LENGTH_BYTES - 1), -1):
        if (payload[begin] >= LONG_VARINT) != (begin < content - 1):
            return False
        if payload[begin - 1] in _PAIR_TAGS and _holds_key(
            payload, content, content + read_varint(payload, begin, content)[0]
        ):
            return True
    return False


def _holds_key(payload: bytes, position: int, end: int) -> bool:
    if position + 1 >= end or end > len(payload):
        return False
    length = payload[position + 1]
    # Of what only looks like it, most has a length here that leaves no room for a key.
    if length < LONG_VARINT and payload[position] == _VALUE and position + 2 + length >= end:
        return False
    keys = 0
    try:
        while position < end:
            tag, position = read_tag(payload, position, end)
            if tag not in _OF_PAIR and tag < LONG_VARINT:
                return False  # A field of another message: it only looked like a KeyValue.
            keys += tag == _KEY
            position = skip_value(payload, tag, position, end, 0)
    except MalformedRequestError:
        return False
    return keys > 0


_STRING: Final = 0x0A
_KEY_TAG: Final = b"\x0a"
_PLAIN_NUMBERS: Final = frozenset({0x10, 0x18, 0x21})
"""Tags of an AnyValue's bool, int and double (opentelemetry-proto, common/v1)."""
_HEAD_BYTES: Final = 4
_CONTROL: Final = re.compile(rb"[\x00-\x1f]")


def is_outer_key(payload: bytes, last: int) -> bool:
    """Say whether a key may end with the byte at `last` that stands behind a list or a map.

    False only where it is certain: because no key ends there, or because its value is a string or a
    number, in a KeyValue of less than 128 bytes with no other field.
    """
    earliest = max(1, last - LONG_VARINT)
    # Cut at once where a key's tag may stand: to look for one after the other costs three times as
    # much.
    pieces = payload[earliest:last].split(_KEY_TAG)
    key = last
    for number in range(len(pieces) - 1, 0, -1):
        key -= len(pieces[number]) + 1
        if payload[key + 1] == last - key - 1:
            break
    else:
        # A key whose length takes two bytes has no control characters so close to its end, and at
        # the end of a request nothing follows it.
        if last + 2 >= len(payload):
            return True
        return len(pieces) == 1 and _CONTROL.search(payload, earliest, last) is None
    value = payload.rfind(_VALUE, earliest, key)
    while value >= 0:
        length = payload[value + 1]
        if (
            length == key - value - 2
            and payload[value - 1] == last + 1 - value
            and value + _HEAD_BYTES <= key
        ):
            tag = payload[value + 2]
            is_string = tag == _STRING and payload[value + 3] == length - 2
            return not (is_string or tag in _PLAIN_NUMBERS)
        value = payload.rfind(_VALUE, earliest, value)
    return True
