"""Durations as Prometheus, Loki and Alertmanager write them: `30s`, `1h30m`, `2w`. Pure.

Whole numbers with units from `y` to `ms`; a day has 24 hours, a year 365 days
(https://prometheus.io/docs/prometheus/latest/configuration/configuration/#configuration-file).
They want the larger unit first; here any order is read, since they refuse what they don't take.
"""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["UNITS_MS", "duration_milliseconds", "duration_text"]

UNITS_MS: Final[Mapping[str, int]] = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_WRITTEN_UNITS: Final = ("d", "h", "m", "s", "ms")
_PART: Final = re.compile(r"(\d{1,15})(ms|[ywdhms])", re.ASCII)
_WHOLE: Final = re.compile(r"(?:\d{1,15}(?:ms|[ywdhms]))+", re.ASCII)


def duration_milliseconds(text: str) -> int:
    """Return how many milliseconds a duration has; raises ValueError for what is none."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"not a duration: {text!r}; write it as 30s, 5m or 1h30m")
    return sum(int(number) * UNITS_MS[unit] for number, unit in _PART.findall(text))


def duration_text(milliseconds: int) -> str:
    """Return a duration in units of days to milliseconds, the largest first; `0s` for none."""
    parts = ""
    for unit in _WRITTEN_UNITS:
        count, milliseconds = divmod(milliseconds, UNITS_MS[unit])
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"
