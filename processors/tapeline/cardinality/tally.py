"""What became of the points of a batch, counted by metric."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

__all__ = ["STAYING", "Reason", "Result", "Tally"]


class Result:
    """What became of a point, beside what folding says, as own metrics name it."""

    ADMITTED: Final = "admitted"
    PASSED: Final = "passed"
    """Of a protected series, or a summary that is left as it is: beyond a limit."""
    DROPPED: Final = "dropped"
    SEVERAL_KINDS: Final = "several_kinds"
    """Its metric has data of more than one kind: parsers differ in which one counts."""
    TOO_MANY_PRODUCERS: Final = "too_many_producers"


class Reason:
    """Why a stream is not passed on, beside the reasons of a route."""

    SERIES_LIMIT: Final = "series_limit"
    RESOURCE_LIMIT: Final = "resource_limit"
    UNCERTAIN: Final = "uncertain"
    """There is room, but it may have been folded and forgotten: its past would count twice."""


@dataclass(slots=True)
class Tally:
    """How many points of each metric met which fate, by the metric's name and the fate's.

    `results` counts every point once: a Result, or a FoldOutcome. `reasons` counts the points that
    did not pass by why not.
    """

    admitted: Counter[str] = field(default_factory=Counter)
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)


STAYING: Final = frozenset({Result.ADMITTED, Result.PASSED})
"""The results of points that leave as they came."""
