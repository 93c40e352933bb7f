"""Number data points on the wire, and sums that lose nothing."""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags, NumberDataPoint

from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError

__all__ = ["LARGEST_TOTAL", "NO_RECORDED_VALUE", "RunningSum", "encode_number", "read_number"]

NO_RECORDED_VALUE: Final = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
"""The flag of a point which says that its stream has no value now."""

# Tags of NumberDataPoint (metrics.proto).
_START: Final = 0x11
_TIME: Final = 0x19
_DOUBLE: Final = 0x21
_INTEGER: Final = 0x31
_ATTRIBUTES: Final = 0x3A
_ONE_BYTE_LENGTH: Final = 0x80
# Start, time and value, each a tag and eight bytes, as most senders write them; by the value's tag.
_SLOTS_BYTES: Final = 27
_LAYOUTS: Final[Mapping[int, struct.Struct]] = {
    _DOUBLE: struct.Struct("<xQxQxd"),
    _INTEGER: struct.Struct("<xQxQxq"),
}
# The same without a start, as gauges come.
_STARTLESS_BYTES: Final = 18
_STARTLESS_LAYOUTS: Final[Mapping[int, struct.Struct]] = {
    _DOUBLE: struct.Struct("<xQxd"),
    _INTEGER: struct.Struct("<xQxq"),
}
_DOUBLE_POINT: Final = struct.Struct("<BQBQBd")
_INTEGER_POINT: Final = struct.Struct("<BQBQBq")
# Where the time's tag stands behind a start.
_TIME_AT: Final = 9
_VALUE_AT: Final = 18

# Far from where doubles end (1.8e308), so that what was added can always be taken out again.
LARGEST_TOTAL: Final = 1e300

_INT64_MIN: Final = -(1 << 63)
_INT64_MAX: Final = (1 << 63) - 1
_NO_EXEMPLARS: Final[tuple[Sequence[bytes]]] = ((),)
_NO_START: Final = (0,)


def read_number(point: bytes) -> tuple[int, int, float | None, Sequence[bytes]]:
    """Return a point's start, time, value (None: not recorded) and encoded exemplars.

    Raises RefusedPointError: malformed, without a value, NaN or infinite.
    """
    size = len(point)
    prefix: tuple[int, ...] = ()
    layout = None
    position = 0
    if size >= _SLOTS_BYTES and point[0] == _START and point[_TIME_AT] == _TIME:
        layout = _LAYOUTS.get(point[_VALUE_AT])
        position = _SLOTS_BYTES
    elif size >= _STARTLESS_BYTES and point[0] == _TIME:
        prefix = _NO_START
        layout = _STARTLESS_LAYOUTS.get(point[_TIME_AT])
        position = _STARTLESS_BYTES
    if layout is None:
        return _read_odd(point)
    values = layout.unpack_from(point)
    # Nothing but attributes may follow: a flag there would change what the value means.
    last = size - 1
    while position < last and point[position] == _ATTRIBUTES:
        length = point[position + 1]
        if length >= _ONE_BYTE_LENGTH:
            break
        position += 2 + length
    if position != size or values[-1] - values[-1] != 0:
        return _read_odd(point)
    return prefix + values + _NO_EXEMPLARS


def _read_odd(point: bytes) -> tuple[int, int, float | None, Sequence[bytes]]:
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
    value: float = message.as_int if member == "as_int" else message.as_double
    if math.isnan(value):
        raise RefusedPointError(FoldOutcome.NOT_A_NUMBER)
    if math.isinf(value):
        raise RefusedPointError(FoldOutcome.INFINITE)
    exemplars = [exemplar.SerializeToString() for exemplar in message.exemplars]
    return start, time, value, exemplars


def encode_number(start_unix_nano: int, time_unix_nano: int, value: float) -> bytes:
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

    def add(self, value: float) -> None:
        """Add a finite number. Raises RefusedPointError where the sum would be too large."""
        if isinstance(value, int):
            self.whole += value
        elif -LARGEST_TOTAL < self.high + value < LARGEST_TOTAL:
            self._add_double(value)
        else:
            raise RefusedPointError(FoldOutcome.TOTAL_TOO_LARGE)

    def _add_double(self, value: float) -> None:
        high = self.high
        total = high + value
        rest = total - high
        self.high = total
        self.low += (high - (total - rest)) + (value - rest)
        self.is_double = True

    def take_out(self, value: float) -> None:
        """Subtract what was added before; that can't be refused."""
        if isinstance(value, int):
            self.whole -= value
        else:
            self._add_double(-value)

    def add_difference(self, value: float, before: float) -> None:
        """Add `value` less `before`, without rounding the difference first."""
        if isinstance(value, int) and isinstance(before, int):
            self.whole += value - before
            return
        self.add(value)
        self.take_out(before)

    def value(self) -> float:
        """Return the sum: an int as long as only such were added and it fits 64 bits."""
        if not self.is_double:
            whole = self.whole
            return whole if _INT64_MIN <= whole <= _INT64_MAX else float(whole)
        return math.fsum((float(self.whole), self.high, self.low))
