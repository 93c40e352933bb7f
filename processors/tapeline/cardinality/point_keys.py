"""The keys of all points of a metric at once: the loop that the speed of the limiter hangs on."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from xxhash import xxh3_64_intdigest

from tapeline.cardinality.point_layout import (
    LONG_HEAD_BYTES,
    SHORT_HEAD_BYTES,
    SUM,
    TIME_TAG,
    attribute_tail,
    read_point,
)

__all__ = ["PointKeys", "key_of_one", "point_keys", "time_of"]

# How number points begin that SDKs and the collector write, by the tags at every ninth byte. SDKs
# go by the fields' numbers: start (0x11, absent where it is 0), time (0x19), value (0x21 or 0x31).
# The collector goes the other way. Attributes are last in both.
_LONG_HEADS: Final = frozenset({b"\x11\x19\x21", b"\x11\x19\x31", b"\x21\x19\x11", b"\x31\x19\x11"})
_SHORT_HEADS: Final = frozenset({b"\x19\x21", b"\x19\x31", b"\x21\x19", b"\x31\x19"})


class PointKeys(NamedTuple):
    """A key for each point, None of those with an unusual layout.

    The key is that of the attributes as they stand, so it is a series' own only where they stand
    in canonical order. `head_bytes`: where the attributes of each point begin, which are all that
    it has but times and a number. 0: not all points are so plain.
    """

    keys: Sequence[int | None]
    head_bytes: int


def point_keys(
    payload: bytes, begins: Sequence[int], ends: Sequence[int], kind: int, seed: int
) -> PointKeys:
    """Return the keys of a metric's points, which begin and end at these places."""
    if kind <= SUM:
        heads = {payload[begin : begin + 27 : 9] for begin in begins}
        if heads <= _LONG_HEADS:
            return PointKeys(
                [
                    xxh3_64_intdigest(payload[begin + 27 : end], seed)
                    for begin, end in zip(begins, ends, strict=True)
                ],
                head_bytes=LONG_HEAD_BYTES,
            )
        if heads.isdisjoint(_LONG_HEADS) and {head[:2] for head in heads} <= _SHORT_HEADS:
            return PointKeys(
                [
                    xxh3_64_intdigest(payload[begin + 18 : end], seed)
                    for begin, end in zip(begins, ends, strict=True)
                ],
                head_bytes=SHORT_HEAD_BYTES,
            )
    tails = [
        attribute_tail(payload, begin, end, kind) for begin, end in zip(begins, ends, strict=True)
    ]
    return PointKeys(
        [None if tail is None else xxh3_64_intdigest(tail, seed) for tail in tails],
        head_bytes=0,
    )


def key_of_one(payload: bytes, begin: int, end: int, seed: int) -> int | None:
    """Return the key of a number point as `point_keys` would, None for an unusual layout."""
    if payload[begin : begin + 27 : 9] in _LONG_HEADS:
        return xxh3_64_intdigest(payload[begin + 27 : end], seed)
    if payload[begin : begin + 18 : 9] in _SHORT_HEADS:
        return xxh3_64_intdigest(payload[begin + 18 : end], seed)
    return None


def time_of(payload: bytes, begin: int, end: int, kind: int = SUM) -> int:
    """Return a point's time in Unix nanoseconds, 0 where it has none."""
    for field in (begin + 9, begin):
        if field + 9 <= end and payload[field] == TIME_TAG and payload[begin] in _FIXED64_TAGS:
            return int.from_bytes(payload[field + 1 : field + 9], "little")
    return read_point(payload, begin, end, kind).time_unix_nano


_FIXED64_TAGS: Final = frozenset(b"\x11\x19\x21\x31")
