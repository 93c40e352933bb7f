"""Durations: what people write, and what is refused."""

import pytest

from tapeline.pipeline.durations import parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("8s", 8.0), ("5m", 300.0), ("1h30m", 5400.0), ("1.5s", 1.5), (0, 0.0)],
)
def test_a_duration_is_read_as_seconds(text: object, seconds: float) -> None:
    """Numbers with units add up; a bare zero needs none."""
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["8", "8 s", "", "s", "-1s", "1w", 8, True, None, "1e3s", "٣s"])
def test_a_duration_without_a_known_unit_is_refused(text: object) -> None:
    """A bare number is ambiguous, and a negative one means nothing."""
    with pytest.raises(ValueError, match="write a number with a unit"):
        parse_duration_s(text)
