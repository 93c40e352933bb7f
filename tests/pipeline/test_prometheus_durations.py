"""Durations of Prometheus are read by their units, and written back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.pipeline.prometheus_durations import duration_milliseconds, duration_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 0),
        ("250ms", 250),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1m5ms", 60_005),
        ("1d", 86_400_000),
        ("2w", 14 * 86_400_000),
        ("1y", 365 * 86_400_000),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, expected: int) -> None:
    """`ms` is a unit of its own, not minutes and a rest."""
    assert duration_milliseconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5x", "5 m", " 5m", "-5m", "1.5h", "5ns", "\u0665m"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With the way to write it."""
    with pytest.raises(ValueError, match="write it as 30s, 5m or 1h30m"):
        duration_milliseconds(text)


@given(st.integers(0, 10**14))
def test_what_is_written_is_read_as_the_same(milliseconds: int) -> None:
    """In as few parts as there are units."""
    assert duration_milliseconds(duration_text(milliseconds)) == milliseconds
