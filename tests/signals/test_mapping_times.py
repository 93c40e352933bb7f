"""Moments are read to the nanosecond, without a double in between."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.mapping_times import TIME_FORMATS, TimeFault, rfc3339_ns

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
NOON_NS = 1_771_848_000_000_000_000
"""2026-02-23T12:00:00Z."""


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2262, 1, 1), timezones=OFFSETS),  # noqa: DTZ001 - made aware
    st.integers(0, 999),
)
def test_rfc_3339_is_what_the_standard_library_reads(moment: datetime, below_us: int) -> None:
    """With any offset; the digits below microseconds, which that one has not, are kept."""
    text = moment.isoformat(timespec="microseconds")
    fraction_end = text.index(".") + 7
    expected_us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    found = rfc3339_ns(f"{text[:fraction_end]}{below_us:03d}{text[fraction_end:]}")

    assert found == expected_us * 1000 + below_us


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2026-02-23T12:00:00Z", NOON_NS),
        ("2026-02-23t12:00:00z", NOON_NS),
        ("2026-02-23 13:00:00.5+01:00", NOON_NS + 500_000_000),
        ("2026-02-23T12:00:00.1234567899Z", NOON_NS + 123_456_789),
        ("2026-02-23T11:59:60Z", NOON_NS),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
    ],
)
def test_spellings_of_rfc_3339(text: str, expected_ns: int) -> None:
    """A space for the T, lower case, a leap second, more digits than there are nanoseconds."""
    assert rfc3339_ns(text) == expected_ns


@pytest.mark.parametrize(
    "value",
    [
        "", "2026-02-23", "2026-02-23T12:00:00", "2026-02-30T12:00:00Z", "2025-02-29T12:00:00Z",
        "2026-13-01T12:00:00Z", "2026-00-01T12:00:00Z", "2026-02-23T24:00:00Z",
        "2026-02-23T12:60:00Z", "2026-02-23T12:00:61Z", "2026-02-23T12:00:00+24:00",
        "2026-02-23T12:00:00+01:60", "٢٠٢٦-02-23T12:00:00Z", 1_771_848_000, None, True,
    ],
)  # fmt: skip
def test_what_is_no_rfc_3339_is_no_time(value: Any) -> None:
    """Above all, one without an offset: nobody knows whose clock it was."""
    assert rfc3339_ns(value) == TimeFault.NOT_A_TIME


@pytest.mark.parametrize(
    ("unit", "value", "expected_ns"),
    [
        ("epoch_s", 1_771_848_000, NOON_NS),
        ("epoch_s", "1771848000.123456789", NOON_NS + 123_456_789),
        ("epoch_s", 1771848000.25, NOON_NS + 250_000_000),
        ("epoch_ms", "1771848000000", NOON_NS),
        ("epoch_us", 1_771_848_000_000_001, NOON_NS + 1_000),
        ("epoch_ns", "1771848000000000001.9", NOON_NS + 1),
    ],
)
def test_numbers_since_1970(unit: str, value: Any, expected_ns: int) -> None:
    """In the unit that the mapping names; what is below a nanosecond is cut."""
    assert TIME_FORMATS[unit](value) == expected_ns


def test_times_beyond_64_bits_or_before_1970_are_out_of_range() -> None:
    """A wrong unit shows, too: seconds are not milliseconds."""
    out = TimeFault.TIME_OUT_OF_RANGE
    assert rfc3339_ns("1969-12-31T23:59:59Z") == rfc3339_ns("2262-04-12T00:00:00Z") == out
    assert TIME_FORMATS["epoch_s"]("1771848000000") == out
    assert TIME_FORMATS["epoch_ns"](-1) == TIME_FORMATS["epoch_ns"]("0") == out
    assert TIME_FORMATS["epoch_s"]("soon") == TIME_FORMATS["epoch_s"](b"1") == TimeFault.NOT_A_TIME
