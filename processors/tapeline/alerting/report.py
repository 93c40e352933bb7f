"""What a month says of an SLO: events, bad ones, what is left of the budget, what is known. Pure.

Hours without data are neither good nor bad: figures are of the rest, and say how much that is.
"""

import calendar
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final, Self

__all__ = ["Day", "Episode", "Hour", "Month", "MonthError", "SloMonth", "Verdict", "episodes"]

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
WHOLE_RATIO: Final = 0.99
"""From this part of the hours on, a month counts as known."""
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
_EPOCH_YEAR: Final = 1970
_FLOAT_NOISE: Final = 1e-9
"""Of a ratio: 7 bad ones of 100 are 1 - 0.93, which floats don't say."""


class MonthError(ValueError):
    """A month that can't be reported on; the message says why."""


class Verdict(Enum):
    """What became of an objective."""

    MET = "met"
    MISSED = "missed"
    NO_EVENTS = "no events"
    NO_DATA = "no data"


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the calendar, in UTC, as far as it has passed."""

    year: int
    number: int
    start_s: int
    end_s: int
    """Its end, or the full hour after now; seconds since 1970."""

    @classmethod
    def read(cls, text: str, now_s: float) -> Self:
        """Return `2026-11`; raises MonthError for what is none, or has not begun."""
        match = _MONTH.fullmatch(text)
        if match is None or int(match[1]) < _EPOCH_YEAR:
            raise MonthError(f"not a month: {text!r}; write it as 2026-11")
        year, number = int(match[1]), int(match[2])
        start_s = calendar.timegm((year, number, 1, 0, 0, 0))
        days = calendar.monthrange(year, number)[1]
        if start_s >= now_s:
            raise MonthError(f"{text} has not begun: there is nothing to report")
        end_s = min(start_s + days * DAY_S, math.ceil(now_s / HOUR_S) * HOUR_S)
        return cls(year, number, start_s, end_s)

    @property
    def name(self) -> str:
        """It as people say it: November 2026."""
        return f"{calendar.month_name[self.number]} {self.year}"

    @property
    def hours(self) -> int:
        """How many of its hours have passed, the one that runs included."""
        return (self.end_s - self.start_s) // HOUR_S

    @property
    def is_over(self) -> bool:
        """Whether all of it has passed."""
        days = calendar.monthrange(self.year, self.number)[1]
        return self.end_s == self.start_s + days * DAY_S


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour that there is data of; `end_s` is when it ended."""

    end_s: int
    events: float
    errors: float


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the month, from 1 on; `ratio` is the part of bad events, None without events."""

    number: int
    events: float
    errors: float
    hours: int
    """How many of its hours there is data of."""

    @property
    def ratio(self) -> float | None:
        """The part of its events that were bad."""
        return self.errors / self.events if self.events else None


@dataclass(frozen=True, slots=True)
class Episode:
    """A time in which an alert of one severity fired without a break."""

    severity: str
    begin_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class SloMonth:
    """One SLO in one month."""

    system: str
    name: str
    service: str
    description: str
    objective: float | None
    """The part of events that should be good; None where neither file nor data say so."""
    month: Month
    hours: tuple[Hour, ...]
    fired: tuple[Episode, ...] = ()

    @property
    def events(self) -> float:
        """How many there were in the hours with data."""
        return math.fsum(hour.events for hour in self.hours)

    @property
    def errors(self) -> float:
        """How many of them were bad."""
        return math.fsum(hour.errors for hour in self.hours)

    @property
    def reached(self) -> float | None:
        """The part of events that were good; None where there were none."""
        return 1 - self.errors / self.events if self.events else None

    @property
    def spent(self) -> float | None:
        """The part of the error budget that is gone: above 1 it is overspent."""
        return self._spent(self.errors, self.events)

    @property
    def known(self) -> float:
        """The part of the month's hours that there is data of."""
        return len(self.hours) / self.month.hours

    @property
    def is_whole(self) -> bool:
        """Whether so much is known that the month's figure is one."""
        return self.known >= WHOLE_RATIO

    @property
    def verdict(self) -> Verdict:
        """What became of the objective, in the hours with data."""
        if not self.hours or self.objective is None:
            return Verdict.NO_DATA
        if self.reached is None:
            return Verdict.NO_EVENTS
        return Verdict.MISSED if self.is_beyond(1 - self.reached) else Verdict.MET

    def is_beyond(self, ratio: float) -> bool:
        """Tell whether a part of bad events is more than the objective leaves for them."""
        return self.objective is not None and ratio > 1 - self.objective + _FLOAT_NOISE

    def days(self) -> list[Day]:
        """Return each day that has data, in order."""
        by_day: dict[int, list[Hour]] = {}
        for hour in self.hours:
            by_day.setdefault((hour.end_s - 1 - self.month.start_s) // DAY_S + 1, []).append(hour)
        return [
            Day(
                number,
                math.fsum(hour.events for hour in hours),
                math.fsum(hour.errors for hour in hours),
                len(hours),
            )
            for number, hours in sorted(by_day.items())
        ]

    def budget_left(self) -> list[tuple[int, float]]:
        """Return, for each hour with data, what was left of the budget by then."""
        left: list[tuple[int, float]] = []
        events = errors = 0.0
        for hour in self.hours:
            events, errors = events + hour.events, errors + hour.errors
            spent = self._spent(errors, events)
            if spent is not None:
                left.append((hour.end_s, 1 - spent))
        return left

    def _spent(self, errors: float, events: float) -> float | None:
        if self.objective is None or not events:
            return None
        return errors / events / (1 - self.objective)


def episodes(severity: str, times_s: Sequence[int], step_s: int) -> list[Episode]:
    """Return the times without a break in which an alert was seen firing at each step.

    What is seen at a step is taken to last until the next one.
    """
    if not times_s:
        return []
    breaks = [(before, after) for before, after in pairwise(times_s) if after - before > step_s]
    begins = [times_s[0], *(after for _, after in breaks)]
    ends = [*(before for before, _ in breaks), times_s[-1]]
    return [Episode(severity, begin, end + step_s) for begin, end in zip(begins, ends, strict=True)]
