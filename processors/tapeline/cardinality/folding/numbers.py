"""Number data points on the wire, and sums that lose nothing."""

import math
import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, TypeAlias

from google.protobuf.message import DecodeError
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags, NumberDataPoint

from tapeline.cardinality.folding.exemplars import usable_exemplars
from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError

__all__ = [
    "LARGEST_TOTAL",
    "NO_RECORDED_VALUE",
    "Number",
    "RunningSum",
    "encode_number",
    "read_number",
    "read_plain_numbers",
]

NO_RECORDED_VALUE: Final = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
"""The flag of a point which says that its stream has no value now."""

Number: TypeAlias = int | float
"""A value as it was written. Not `float`: compiled, that would turn integers into doubles."""

# Tags of NumberDataPoint (metrics.proto).
_START: Final = 0x11
_TIME: Final = 0x19
_DOUBLE: Final = 0x21
_INTEGER: Final = 0x31
_ATTRIBUTES: Final = 0x3A
_ONE_BYTE_LENGTH: Final = 0x80
# Start, time and value are a tag and eight bytes each. SDKs write them forwards, the collector
# backwards; gauges may come without a start. Attributes follow, or nothing.
_FIELD_BYTES: Final = 9
_FIRST_TAGS_BYTES: Final = 2 * _FIELD_BYTES + 1


class _Form(IntEnum):
    """The order of the fields before the attributes."""

    FORWARDS = 0
    BACKWARDS = 1
    FORWARDS_NO_START = 2
    BACKWARDS_NO_START = 3


def _layouts() -> dict[bytes, tuple[struct.Struct, _Form]]:
    layouts = {}
    for tag, letter in ((_DOUBLE, "d"), (_INTEGER, "q")):
        layouts[bytes((_START, _TIME, tag))] = struct.Struct(f"<xQxQx{letter}"), _Form.FORWARDS
        layouts[bytes((tag, _TIME, _START))] = struct.Struct(f"<x{letter}xQxQ"), _Form.BACKWARDS
        for end in (b"", bytes((_ATTRIBUTES,))):
            layouts[bytes((_TIME, tag)) + end] = (
                struct.Struct(f"<xQx{letter}"),
                _Form.FORWARDS_NO_START,
            )
            layouts[bytes((tag, _TIME)) + end] = (
                struct.Struct(f"<x{letter}xQ"),
                _Form.BACKWARDS_NO_START,
            )
    return layouts


_LAYOUTS: Final[Mapping[bytes, tuple[struct.Struct, _Form]]] = _layouts()
_DOUBLE_POINT: Final = struct.Struct("<BQBQBd")
_INTEGER_POINT: Final = struct.Struct("<BQBQBq")
# Where the time's tag stands behind a start.
_TIME_AT: Final = 9

# Far from where doubles end (1.8e308), so that what was added can always be taken out again.
LARGEST_TOTAL: Final = 1e300

_INT64_MIN: Final = -(1 << 63)
_INT64_MAX: Final = (1 << 63) - 1


def read_number(point: bytes) -> tuple[int, int, Number | None, Sequence[bytes]]:
    """Return a point's start, time, value (None: not recorded) and encoded exemplars.

    Raises RefusedPointError: malformed, without a value, NaN or infinite.
    """
    layout = _LAYOUTS.get(point[:_FIRST_TAGS_BYTES:_FIELD_BYTES])
    if layout is None:
        return _read_odd(point)
    fields, form = layout
    size = len(point)
    position = fields.size
    # Nothing but attributes may follow: a flag there would change what the value means.
    last = size - 1
    while position < last and point[position] == _ATTRIBUTES:
        length = point[position + 1]
        if length >= _ONE_BYTE_LENGTH:
            break
        position += 2 + length
    if position != size:
        return _read_odd(point)
    start = 0
    if form is _Form.BACKWARDS:
        value, time, start = fields.unpack_from(point)
    elif form is _Form.FORWARDS:
        start, time, value = fields.unpack_from(point)
    elif form is _Form.FORWARDS_NO_START:
        time, value = fields.unpack_from(point)
    else:
        value, time = fields.unpack_from(point)
    # NaN and infinities differ from themselves by more than nothing.
    return _read_odd(point) if value - value else (start, time, value, ())


def read_plain_numbers(points: Sequence[bytes]) -> list[tuple[int, int, Number]] | None:
    """Return start, time and value of points that have nothing else, all in one layout.

    None where that is not so, or a value is NaN or infinite.
    """
    layout = _LAYOUTS.get(points[0][:_FIRST_TAGS_BYTES:_FIELD_BYTES])
    if layout is None:
        return None
    fields, form = layout
    joined = b"".join(points)
    if len(joined) != len(points) * fields.size:
        return None
    if joined[::_FIELD_BYTES] != points[0][::_FIELD_BYTES] * len(points):
        return None
    rows = fields.iter_unpack(joined)
    if form is _Form.BACKWARDS:
        numbers = [(start, time, value) for value, time, start in rows]
    elif form is _Form.FORWARDS:
        numbers = [(start, time, value) for start, time, value in rows]
    elif form is _Form.FORWARDS_NO_START:
        numbers = [(0, time, value) for time, value in rows]
    else:
        numbers = [(0, time, value) for value, time in rows]
    # NaN and infinities make the sum of all differ from itself by more than nothing; very large
    # values do so too, and are looked at one by one.
    total = sum([value for _, _, value in numbers])
    return None if total - total else numbers


def _read_odd(point: bytes) -> tuple[int, int, Number | None, Sequence[bytes]]:
    """Read what has not the common layout, or is bad."""
    try:
        message = NumberDataPoint.FromString(point)
    except DecodeError:
        raise RefusedPointError(FoldOutcome.MALFORMED) from None
    start, time = message.start_time_unix_nano, message.time_unix_nano
    if message.flags & NO_RECORDED_VALUE:
        return start, time, None, ()
    member = message.WhichOneof("value")
    if member is None:
        raise RefusedPointError(FoldOutcome.NO_VALUE)
    value: Number = message.as_int if member == "as_int" else message.as_double
    if math.isnan(value):
        raise RefusedPointError(FoldOutcome.NOT_A_NUMBER)
    if math.isinf(value):
        raise RefusedPointError(FoldOutcome.INFINITE)
    return start, time, value, usable_exemplars(message.exemplars)


def encode_number(start_unix_nano: int, time_unix_nano: int, value: Number) -> bytes:
    """Return a number data point without attributes; a start of 0 is left out."""
    layout, tag = (_INTEGER_POINT, _INTEGER) if isinstance(value, int) else (_DOUBLE_POINT, _DOUBLE)
    point = layout.pack(_START, start_unix_nano, _TIME, time_unix_nano, tag, value)
    return point if start_unix_nano else point[_TIME_AT:]


class RunningSum:
    """The sum of integers and doubles, exact as long as the doubles span less than 106 bits.

    Doubles are summed in two parts, with the error of each step kept (Knuth's TwoSum, The Art of
    Computer Programming 4.2.2): millions of small increases to a large total lose nothing.
    """

    __slots__ = ("high", "is_double", "low", "whole")

    def __init__(self) -> None:
        self.whole = 0
        self.high = 0.0
        self.low = 0.0
        self.is_double = False

    def add(self, value: Number) -> None:
        """Add a finite number. Raises RefusedPointError where the sum would be too large."""
        if isinstance(value, int):
            self.whole += value
        else:
            self.check(value)
            self._add_double(value)

    def check(self, value: Number) -> None:
        """Raise RefusedPointError where the sum would be too large with this value."""
        if not -LARGEST_TOTAL < self.high + value < LARGEST_TOTAL:
            raise RefusedPointError(FoldOutcome.TOO_LARGE)

    def _add_double(self, value: float) -> None:
        high = self.high
        total = high + value
        rest = total - high
        self.high = total
        self.low += (high - (total - rest)) + (value - rest)
        self.is_double = True

    def take_out(self, value: Number) -> None:
        """Subtract what was added before; that can't be refused."""
        if isinstance(value, int):
            self.whole -= value
        else:
            self._add_double(-value)

    def add_difference(self, value: Number, before: Number) -> None:
        """Add `value` less `before`, without rounding the difference first."""
        if isinstance(value, int) and isinstance(before, int):
            self.whole += value - before
            return
        self.check(value - before)
        self.take_out(before)
        if isinstance(value, int):
            self.whole += value
        else:
            self._add_double(value)

    def value(self) -> Number:
        """Return the sum: an int until a double was added or it did not fit 64 bits."""
        if not self.is_double:
            if _INT64_MIN <= self.whole <= _INT64_MAX:
                return self.whole
            self.is_double = True
        # Of a large integer the double next to it is only a part.
        whole = float(self.whole)
        return math.fsum((whole, float(self.whole - int(whole)), self.high, self.low))

    def dump(self) -> list[Any]:
        """Return the sum as plain data."""
        return [self.whole, self.high, self.low, self.is_double]

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
        self.whole, self.high, self.low, self.is_double = data
