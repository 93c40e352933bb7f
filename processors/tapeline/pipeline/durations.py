"""Durations as people write them in YAML: `250ms`, `8s`, `5m`, `1h30m`."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

__all__ = ["Duration", "parse_duration_s"]

_UNIT_S: Final[dict[str, float]] = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_PART: Final[re.Pattern[str]] = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ns|us|ms|s|m|h|d)")
_WHOLE: Final[re.Pattern[str]] = re.compile(rf"(?:{_PART.pattern}){{1,7}}", re.ASCII)


def parse_duration_s(text: object) -> float:
    """Return a duration in seconds. The spelling is the collector's (Go's), with `d` for days.

    A bare 0 is allowed, any other number without a unit is not: a guess at the unit would be
    wrong by a factor of a thousand for somebody.
    """
    if text == 0 and not isinstance(text, bool):
        return 0.0
    if not isinstance(text, str) or not _WHOLE.fullmatch(text.strip()):
        raise ValueError(f"not a duration: {text!r}; write a number with a unit, as 250ms, 8s, 5m")
    return sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(text))


def _format_duration(seconds: float) -> str:
    return f"{seconds:g}s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration_s),
    PlainSerializer(_format_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["250ms", "8s", "5m", "1h"]}),
]
"""Seconds, written as `250ms`, `8s`, `5m`, `1h` in the configuration."""
