"""Service level objectives as people write them: `config/slo/<system>.yaml`, validated.

Its format is in `config/slo/README.md`. Wrong files raise ConfigError, whose lines name the file,
the line and the key.
"""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar
from unicodedata import category

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tapeline.alerting.scheme import PREFIXES, TEAMS, camel_case
from tapeline.pipeline.loader import ConfigError, Document, read_document, validate_document

__all__ = ["BURN_PAIRS", "BurnPair", "Indicator", "Latency", "Slo", "load_slos", "read_slos"]

SLO_FOLDER: Final = Path("config/slo")
MAX_SLOS: Final = 50
"""In one file. Each makes about twenty rules, all evaluated twice a minute."""
GAUGE_SAMPLES_MIN: Final = 30
GAUGE_SAMPLES_MAX: Final = 60
EVENTS_MIN: Final = 100

_NAME: Final = r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$"
_METRIC: Final = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"
_MATCHER: Final = r'[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"'
_MATCHERS: Final = re.compile(rf"\s*(?:{_MATCHER}\s*(?:,\s*{_MATCHER}\s*)*,?\s*)?")
_SELECTOR: Final = re.compile(
    rf"[a-zA-Z_:][a-zA-Z0-9_:]*\s*(?:\{{{_MATCHERS.pattern}\}})?", re.ASCII
)
# Unicode's general categories: control characters, halves of pairs, ends of lines and paragraphs.
_NOT_IN_A_LINE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class BurnPair(BaseModel):
    """One row of the burn-rate table: both windows must burn that fast."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Literal["page", "ticket"]
    long: str
    short: str
    factor: Decimal
    """Times the pace that spends the whole budget in exactly 30 days."""
    hold: str
    """The rule's `for`."""


BURN_PAIRS: Final = (
    BurnPair(severity="page", long="1h", short="5m", factor=Decimal("14.4"), hold="2m"),
    BurnPair(severity="page", long="6h", short="30m", factor=Decimal(6), hold="15m"),
    BurnPair(severity="ticket", long="1d", short="2h", factor=Decimal(3), hold="1h"),
    BurnPair(severity="ticket", long="3d", short="6h", factor=Decimal(1), hold="3h"),
)
"""The table of the SRE workbook for 30 days: 2, 5, 10 and 10 percent of the budget are spent."""

_FACTOR_MAX: Final = max(pair.factor for pair in BURN_PAIRS)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _selector(text: str | None) -> str | None:
    if text is not None and not _SELECTOR.fullmatch(text.strip()):
        raise ValueError(
            'expected a selector of series, as name{label="value"}: rates and sums are written by'
            " the generator"
        )
    return None if text is None else text.strip()


class Latency(_Model):
    """A classic histogram, and the bucket up to which an event is good."""

    histogram: Annotated[str, Field(pattern=_METRIC, max_length=200)]
    """Its base name, without `_bucket`."""
    at_most: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """In the histogram's unit. It must be a bound of a bucket."""
    selector: str = ""
    """More label matchers, as `method="POST"`."""

    @field_validator("histogram")
    @classmethod
    def _base_name(cls, name: str) -> str:
        for suffix in ("_bucket", "_count", "_sum"):
            if name.endswith(suffix):
                raise ValueError(f"write the base name, without {suffix}")
        return name

    @field_validator("selector")
    @classmethod
    def _matchers(cls, text: str) -> str:
        inner = text.strip().removeprefix("{").removesuffix("}").strip()
        if not _MATCHERS.fullmatch(inner):
            raise ValueError('expected label matchers, as method="POST",status="200"')
        return inner.removesuffix(",")


class Indicator(_Model):
    """What is good and what is bad, in exactly one of three ways.

    Events: `total`, with `errors` or `good`. A histogram: `latency`. A gauge over time:
    `good_gauge`, whose samples are 1 (good) and 0, or any number with `at_most` or `at_least`.
    """

    errors: str | None = None
    good: str | None = None
    total: str | None = None
    latency: Latency | None = None
    good_gauge: str | None = None
    at_most: Annotated[float | None, Field(allow_inf_nan=False)] = None
    at_least: Annotated[float | None, Field(allow_inf_nan=False)] = None

    _check = field_validator("errors", "good", "total", "good_gauge")(_selector)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        events = self.errors is not None or self.good is not None or self.total is not None
        given = sum((events, self.latency is not None, self.good_gauge is not None))
        if given != 1:
            raise ValueError(
                "give exactly one of: `errors` (or `good`) with `total`; `latency`; `good_gauge`"
            )
        if events and (self.total is None or (self.errors is None) == (self.good is None)):
            raise ValueError("an event ratio has `total`, and one of `errors` and `good`")
        if self.good_gauge is None and (self.at_most is not None or self.at_least is not None):
            raise ValueError("`at_most` and `at_least` here belong to `good_gauge`")
        if self.at_most is not None and self.at_least is not None:
            raise ValueError("give one of `at_most` and `at_least`")
        return self

    @property
    def counts_events(self) -> bool:
        """Whether an event is something that happened, not a sample of a gauge."""
        return self.good_gauge is None


class Slo(_Model):
    """One objective of one service."""

    name: Annotated[str, Field(pattern=_NAME, max_length=60)]
    system: str
    service: Annotated[str, Field(min_length=1, max_length=80)]
    team: str
    objective_percent: Decimal
    window: str = "30d"
    description: Annotated[str, Field(min_length=1, max_length=400)]
    indicator: Indicator
    minimum_events: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    """The volume guard: fewer events (or samples of a gauge) in the long window are no alert."""
    dashboard: Annotated[str | None, Field(pattern=r"^[a-zA-Z0-9_-]{1,40}$")] = None
    """The uid of a dashboard that the alert links to."""

    @field_validator("system")
    @classmethod
    def _known_system(cls, system: str) -> str:
        return _one_of(system, tuple(PREFIXES))

    @field_validator("team")
    @classmethod
    def _known_team(cls, team: str) -> str:
        return _one_of(team, TEAMS)

    @field_validator("window")
    @classmethod
    def _known_window(cls, window: str) -> str:
        if window != "30d":
            raise ValueError("the burn rates are those of 30d: that is the only window")
        return window

    @field_validator("service", "description")
    @classmethod
    def _one_line(cls, text: str) -> str:
        line = text.strip()
        if not line:
            raise ValueError("it is empty")
        if "{{" in line:
            raise ValueError("{{ would be a template in the labels and messages that it stands in")
        for character in line:
            if category(character) in _NOT_IN_A_LINE:
                raise ValueError(f"expected one line: it has {character!r}")
        return line

    @field_validator("objective_percent", mode="before")
    @classmethod
    def _number(cls, given: object) -> object:
        if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
            raise ValueError("expected a number of percent, as 99.9")  # noqa: TRY004 - pydantic
        return Decimal(str(given))

    @field_validator("objective_percent")
    @classmethod
    def _possible(cls, percent: Decimal) -> Decimal:
        if percent >= 100 or percent <= 0:  # noqa: PLR2004 - percent
            raise ValueError(
                "an impossible target: it must be above 0 and below 100, since at 100 there is no"
                " budget, and the first error would be an alert for ever"
            )
        if _FACTOR_MAX * (100 - percent) >= 100:  # noqa: PLR2004 - percent
            least = 100 - 100 / _FACTOR_MAX
            raise ValueError(
                f"an impossible target: nothing can burn a budget so large {_FACTOR_MAX} times too"
                f" fast, so the page could never fire; above {least:.2f} it can"
            )
        return percent.normalize()

    @model_validator(mode="after")
    def _reachable_guard(self) -> Self:
        given = self.minimum_events
        if given is not None and not self.indicator.counts_events and given > GAUGE_SAMPLES_MAX:
            raise ValueError(
                f"minimum_events of a gauge is at most {GAUGE_SAMPLES_MAX}: one with a bound is"
                " looked at every 30 s, and the shortest long window is 1h"
            )
        return self

    @property
    def budget(self) -> Decimal:
        """The part of events that may be bad: 0.001 for 99.9 percent."""
        return (100 - self.objective_percent) / 100

    @property
    def alert(self) -> str:
        """The name of its alerts, and of their runbook."""
        return f"{PREFIXES[self.system]}{camel_case(self.name)}BudgetBurn"

    def guard(self, pair: BurnPair) -> int:
        """Return how many events the long window must have before the pair may fire.

        At least so many that a single bad event can't: one in three fills is a bad morning, not
        a burning budget.
        """
        given = self.minimum_events
        if not self.indicator.counts_events:
            return GAUGE_SAMPLES_MIN if given is None else given
        alone = math.ceil(1 / (pair.factor * self.budget))
        return max(EVENTS_MIN if given is None else given, alone)


class SloFile(_Model):
    """A file of SLOs, all of one system."""

    slos: Annotated[list[Slo], Field(min_length=1, max_length=MAX_SLOS)]


_Text = TypeVar("_Text", bound=str)


def _one_of(given: _Text, known: Sequence[str]) -> _Text:
    if given not in known:
        raise ValueError(f"expected one of {', '.join(known)}")
    return given


def read_slos(path: Path) -> tuple[Slo, ...]:
    """Return the SLOs of one file; raises ConfigError with a line for each thing that is wrong."""
    document = read_document(path, as_written=True)
    slos = validate_document(document, SloFile).slos
    problems = list(_misplaced(document, path, slos))
    if problems:
        raise ConfigError(problems)
    return tuple(slos)


def _misplaced(document: Document, path: Path, slos: Sequence[Slo]) -> list[str]:
    problems = []
    seen: dict[str, str] = {}
    for index, slo in enumerate(slos):
        if slo.system != path.stem:
            problems.append(
                f"{document.place(('slos', index, 'system'))}: slos[{index}].system: a file holds"
                f" one system: this is {path.stem} (got {slo.system!r})"
            )
        if slo.alert in seen:
            same = "stands here twice" if seen[slo.alert] == slo.name else f"makes {slo.alert}, too"
            place = document.place(("slos", index, "name"))
            problems.append(f"{place}: slos[{index}].name: {slo.name!r} {same}")
        seen[slo.alert] = slo.name
    return problems


def load_slos(source_root: Path) -> dict[str, tuple[Slo, ...]]:
    """Return every SLO of a checkout by system; raises ConfigError with the problems of all."""
    problems: list[str] = []
    loaded: dict[str, tuple[Slo, ...]] = {}
    for path in sorted((source_root / SLO_FOLDER).glob("*.yaml")):
        try:
            loaded[path.stem] = read_slos(path)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return loaded
