"""Tells whether a request was written backwards, with keys behind their values.

SDKs write a KeyValue's key before its value, the collector after it. To look for keys that end in
nothing is costly, so it is only done where there are some.
"""

from typing import Final

from tapeline.otlp.wire import (
    LONG_VARINT,
    MalformedRequestError,
    read_tag,
    read_varint,
    skip_value,
)

__all__ = ["VALUE_FIRST", "is_pair_with_value_first"]

_PAIR_TAGS: Final = b"\x0a\x1a\x22\x32\x3a\x4a\x62"
"""Tags of every field that holds a KeyValue (opentelemetry-proto: resource, scope, record, span,
event, link, the data points, exemplar, metric, and KeyValueList)."""

_KEY: Final = 0x0A
_MAX_LENGTH_BYTES: Final = 5

VALUE_FIRST: Final = (
    b"[" + b"".join(b"\\x%02x" % tag for tag in _PAIR_TAGS) + b"]"
    rb"(?:[\x00-\x7f]|[\x80-\xff]{1,4}[\x00-\x7f])[\x12\x18]"
)
"""In Hyperscan's syntax: how a KeyValue begins whose key does not come first. So do other bytes."""


def is_pair_with_value_first(payload: bytes, value: int) -> bool:
    """Say whether a match of VALUE_FIRST, which ends with the byte at `value`, is what it seems.

    That is so if, with the length before it, it parses as a message that holds a key, too.
    """
    for begin in range(value - 1, max(0, value - _MAX_LENGTH_BYTES - 1), -1):
        if (payload[begin] >= LONG_VARINT) != (begin < value - 1):
            return False
        if payload[begin - 1] in _PAIR_TAGS and _holds_key(
            payload, value, value + read_varint(payload, begin, value)[0]
        ):
            return True
    return False


def _holds_key(payload: bytes, position: int, end: int) -> bool:
    if end > len(payload):
        return False
    keys = 0
    try:
        while position < end:
            tag, position = read_tag(payload, position, end)
            keys += tag == _KEY
            position = skip_value(payload, tag, position, end, 0)
    except MalformedRequestError:
        return False
    return keys > 0
