"""Protobuf's wire format: varints, tags, length-delimited slices, with a limit on each.

What is accepted is what upb, the parser behind Python's protobuf, accepts: the tests hold these
functions equal to it. Source of the format: protobuf.dev/programming-guides/encoding.
"""

from enum import IntEnum
from typing import Final

__all__ = [
    "FIRST_TAG",
    "LONG_VARINT",
    "MAX_DEPTH",
    "MalformedRequestError",
    "WireType",
    "encode_varint",
    "read_slice",
    "read_tag",
    "read_varint",
    "short_varint",
    "skip_value",
]

# A 64-bit value in groups of 7 bits; the bits that don't fit in 64 are dropped, as upb does.
MAX_VARINT_BYTES: Final = 10
# A byte from here on says that the number goes on in the next byte.
LONG_VARINT: Final = 0x80
# The lowest tag: field number 1 with wire type 0.
FIRST_TAG: Final = 8
# Tags and lengths are 32-bit: protobuf allows field numbers to 2^29 - 1 and lengths to 2^31 - 1.
MAX_SHORT_VARINT_BYTES: Final = 5
MAX_TAG: Final = (1 << 32) - 1
# Messages and groups within each other, counted from the request: upb's own limit.
MAX_DEPTH: Final = 100
_UINT64_MASK: Final = (1 << 64) - 1


class MalformedRequestError(ValueError):
    """The bytes are not an OTLP request: the message says what is wrong and at which byte."""


class WireType(IntEnum):
    """How a field's value is laid out: the low three bits of its tag."""

    VARINT = 0
    FIXED64 = 1
    LENGTH_DELIMITED = 2
    START_GROUP = 3
    END_GROUP = 4
    FIXED32 = 5


def encode_varint(value: int) -> bytes:
    """Return the shortest varint of `value`, which must be from 0 to 2^64 - 1."""
    if value < 0 or value > _UINT64_MASK:
        raise ValueError(f"a varint holds 0 to 2^64 - 1, not {value}")
    if value < LONG_VARINT:
        return bytes((value,))
    encoded = bytearray()
    while value >= LONG_VARINT:
        encoded.append(value & 0x7F | LONG_VARINT)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_SHORT_VARINTS: Final = tuple(encode_varint(value) for value in range(2048))


def short_varint(value: int) -> bytes:
    """As `encode_varint`, and several times as fast for values below 2,048, as most lengths are."""
    return _SHORT_VARINTS[value] if 0 <= value < len(_SHORT_VARINTS) else encode_varint(value)


def _read_varint(data: bytes, position: int, end: int, max_bytes: int) -> tuple[int, int]:
    value = 0
    shift = 0
    stop = position + max_bytes
    cursor = position
    while cursor < end:
        if cursor == stop:
            raise MalformedRequestError(
                f"the number at byte {position} is longer than {max_bytes} bytes"
            )
        byte = data[cursor]
        cursor += 1
        value |= (byte & 0x7F) << shift
        if byte < LONG_VARINT:
            return value, cursor
        shift += 7
    raise MalformedRequestError(
        f"the number at byte {position} runs past byte {end}, where its message ends"
    )


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the varint at `position`, modulo 2^64, and the position after it."""
    value, after = _read_varint(data, position, end, MAX_VARINT_BYTES)
    return value & _UINT64_MASK, after


def read_tag(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the tag at `position` (field number times 8, plus wire type) and where it ends."""
    tag, after = _read_any_tag(data, position, end)
    if tag < FIRST_TAG:
        raise MalformedRequestError(f"the field number at byte {position} is 0")
    return tag, after


def _read_any_tag(data: bytes, position: int, end: int) -> tuple[int, int]:
    tag, after = _read_varint(data, position, end, MAX_SHORT_VARINT_BYTES)
    if tag > MAX_TAG:
        raise MalformedRequestError(f"the field number at byte {position} is above 2^29 - 1")
    return tag, after


def read_slice(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return where the content of the length-delimited value at `position` begins and ends."""
    if position < end:
        # Most lengths are of one byte.
        length = data[position]
        begin = position + 1
        if length < LONG_VARINT and length <= end - begin:
            return begin, begin + length
    length, begin = _read_varint(data, position, end, MAX_SHORT_VARINT_BYTES)
    if length > end - begin:
        raise MalformedRequestError(
            f"the length at byte {position} is {length} bytes, but its message ends "
            f"{end - begin} bytes later"
        )
    return begin, begin + length


def skip_value(data: bytes, tag: int, position: int, end: int, depth: int) -> int:
    """Return where the value of a field of no interest ends.

    `position` is the byte after the field's `tag`; `depth` is how many messages enclose the
    field, for the limit on nested groups.
    """
    groups: list[int] = []
    while True:
        wire_type = tag & 7
        if wire_type == WireType.START_GROUP:
            groups.append(tag >> 3)
            if depth + len(groups) > MAX_DEPTH:
                raise MalformedRequestError(
                    f"groups nest deeper than {MAX_DEPTH} levels at byte {position}"
                )
        elif wire_type == WireType.END_GROUP:
            if not groups or groups.pop() != tag >> 3:
                raise MalformedRequestError(
                    f"the group end before byte {position} belongs to no group that is open"
                )
        else:
            position = _skip_scalar(data, wire_type, position, end)
        if not groups:
            return position
        # Within a group upb lets field number 0 pass.
        tag, position = _read_any_tag(data, position, end)


def _skip_scalar(data: bytes, wire_type: int, position: int, end: int) -> int:
    if wire_type == WireType.VARINT:
        return read_varint(data, position, end)[1]
    if wire_type == WireType.LENGTH_DELIMITED:
        return read_slice(data, position, end)[1]
    if wire_type == WireType.FIXED64:
        position += 8
    elif wire_type == WireType.FIXED32:
        position += 4
    else:
        raise MalformedRequestError(
            f"the field before byte {position} has wire type {wire_type}, which does not exist"
        )
    if position > end:
        raise MalformedRequestError(
            f"the fixed-size number before byte {position} runs past byte {end}, "
            "where its message ends"
        )
    return position
