"""Moments as logs spell them: RFC 3339, and seconds or parts of seconds since 1970. Pure."""

import re
from collections.abc import Callable, Mapping
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from tapeline.signals.decimals import EXACT, NumberFault, number

__all__ = ["TIME_FORMATS", "TimeFault", "epoch_ns", "rfc3339_ns"]


class TimeFault(StrEnum):
    """Why a value is no moment."""

    NOT_A_TIME = "not_a_time"
    TIME_OUT_OF_RANGE = "time_out_of_range"


_RFC_3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,30}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_SECOND_NS: Final = 1_000_000_000
_FRACTION_DIGITS: Final = 9
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY: Final = 2
_MAX_TIME_NS: Final = (1 << 63) - 1
_LAST: Final = {"hour": 23, "minute": 59, "second": 60}


def rfc3339_ns(value: Any) -> int | TimeFault:
    """Return a moment in nanoseconds since 1970, cut below that. An offset, or Z, is required.

    Source: RFC 3339, section 5.6, with its space for the T. Second 60 is the one after 59.
    """
    match = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return TimeFault.NOT_A_TIME
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, ahead_h, ahead_min = match.groups()[6:]
    offset_min = 60 * int(ahead_h or 0) + int(ahead_min or 0)
    is_clock = hour <= _LAST["hour"] and minute <= _LAST["minute"] and second <= _LAST["second"]
    if not is_clock or int(ahead_h or 0) > _LAST["hour"] or int(ahead_min or 0) > _LAST["minute"]:
        return TimeFault.NOT_A_TIME
    if not 1 <= month <= len(_MONTH_DAYS) or not 1 <= day <= _days_of(year, month):
        return TimeFault.NOT_A_TIME
    minutes = (
        (_days_since_1970(year, month, day) * 24 + hour) * 60
        + minute
        + (offset_min if sign == "-" else -offset_min)
    )
    fraction_ns = int((fraction or "0").ljust(_FRACTION_DIGITS, "0")[:_FRACTION_DIGITS])
    return _within_range((minutes * 60 + second) * _SECOND_NS + fraction_ns)


def _days_of(year: int, month: int) -> int:
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _MONTH_DAYS[month - 1] + (is_leap and month == _FEBRUARY)


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Return the day's number, counted from years that begin in March.

    Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
    """
    if month <= _FEBRUARY:
        year, month = year - 1, month + 12
    day_of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719_468


def epoch_ns(unit_ns: int) -> Callable[[Any], int | TimeFault]:
    """Return what reads a number of units since 1970, as nanoseconds, cut below that."""
    scale = Decimal(unit_ns)

    def read(value: Any) -> int | TimeFault:
        units = number(value)
        if isinstance(units, NumberFault):
            return TimeFault.NOT_A_TIME
        return _within_range(int(EXACT.multiply(units, scale).to_integral_value(ROUND_FLOOR)))

    return read


def _within_range(time_ns: int) -> int | TimeFault:
    return time_ns if 0 < time_ns <= _MAX_TIME_NS else TimeFault.TIME_OUT_OF_RANGE


TIME_FORMATS: Final[Mapping[str, Callable[[Any], int | TimeFault]]] = MappingProxyType(
    {
        "rfc3339": rfc3339_ns,
        "epoch_s": epoch_ns(_SECOND_NS),
        "epoch_ms": epoch_ns(1_000_000),
        "epoch_us": epoch_ns(1_000),
        "epoch_ns": epoch_ns(1),
    }
)
"""What reads a moment, by the name that a mapping has for it."""
