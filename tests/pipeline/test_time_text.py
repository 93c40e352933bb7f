"""Points in time as text, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.pipeline.time_text import iso_from_unix_nano, unix_nano_from_iso


@given(st.integers(0, 2**64 - 1))
def test_every_time_of_otlp_comes_back(unix_nano: int) -> None:
    """To the nanosecond, up to the last that 64 bits hold."""
    assert unix_nano_from_iso(iso_from_unix_nano(unix_nano)) == unix_nano


def test_the_ends_of_what_otlp_can_tell() -> None:
    """From 1970 to 2554, always with nine digits."""
    assert iso_from_unix_nano(0) == "1970-01-01T00:00:00.000000000Z"
    assert iso_from_unix_nano(2**64 - 1) == "2554-07-21T23:34:33.709551615Z"


@pytest.mark.parametrize(
    ("text", "unix_nano"),
    [
        ("1970-01-01T00:00:01", 1_000_000_000),
        ("1970-01-01 00:00:01Z", 1_000_000_000),
        ("1970-01-01T01:00:00.5+01:00", 500_000_000),
        ("1970-01-01T00:00:00.000000001Z", 1),
    ],
)
def test_what_people_write_is_read(text: str, unix_nano: int) -> None:
    """Without a zone it is UTC; a fraction has one to nine digits."""
    assert unix_nano_from_iso(text) == unix_nano


@pytest.mark.parametrize(
    "text", ["", "now", "1970-01-01", "1969-12-31T23:59:59Z", "2555-01-01T00:00:00Z", "12:00:00"]
)
def test_what_is_no_such_time_is_refused(text: str) -> None:
    """And quoted, so that one sees which it was."""
    with pytest.raises(ValueError, match=f"^'{text}' "):
        unix_nano_from_iso(text)
