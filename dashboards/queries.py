"""Grafana's interpolation of variables, so that what a panel asks can be asked without Grafana.

Pure. Sources: Grafana's packages/scenes formatting registry (formats), the Prometheus and Loki data
sources' interpolateQueryExpr (what a variable becomes without a format), rangeutil.roundInterval
(steps), and pkg/promlib's interval calculator ($__rate_interval).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from tapeline.pipeline.prometheus_durations import UNITS_MS, duration_milliseconds

__all__ = [
    "InterpolationError",
    "Span",
    "Style",
    "Value",
    "duration_ms",
    "duration_text",
    "interpolate",
    "round_step_ms",
    "step_ms",
    "time_values",
]

Style = Literal["prometheus", "loki", "glob"]
"""Whose way of writing a variable without a format; `glob` is that of everything else."""


class InterpolationError(ValueError):
    """A text names a variable or a format that there is not; the message says which."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a variable stands for now: the picked values, or all of them."""

    picked: tuple[str, ...]
    multi: bool = False
    """Whether more than one value could be picked, or All: then values are escaped for regexes."""
    every: bool = False
    """Whether All is picked; `picked` are then all values."""
    all_value: str | None = None
    """What All is written as, unescaped; without it, all values are written."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a panel shows, in milliseconds since 1970."""

    start_ms: int
    end_ms: int

    @property
    def range_ms(self) -> int:
        """How long it is."""
        return self.end_ms - self.start_ms


_VARIABLE: Final = re.compile(
    r"\$(?P<plain>\w+)"
    r"|\[\[(?P<square>\w+?)(?::(?P<square_format>\w+))?\]\]"
    r"|\$\{(?P<braced>[\w.]+)(?::(?P<format>[\w:]+))?\}"
)
_REGEX_SPECIAL: Final = re.compile(r"[\\^$*+?.()|[\]{}/]")
_QUERY_SPECIAL: Final = re.compile(r"[$^*{}\[\]'+?.()|]")
_LOKI_SPECIAL: Final = re.compile(r"[$^*{}\[\]+?.()|]")
_ROUNDING_MS: Final = (
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
    (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000),
    (3_628_800_000, 2_592_000_000),
)
"""A step below the first becomes the second."""
_LONGEST_STEP_MS: Final = 31_536_000_000
_POINTS_MAX: Final = 11_000
"""Prometheus refuses more points in a series."""


def interpolate(text: str, values: Mapping[str, Value], style: Style = "glob") -> str:
    """Return the text with every `$v`, `[[v]]`, `${v}` and `${v:format}` written out.

    Names with dots, as `${__field.labels.job}`, are looked up as they stand. Raises
    InterpolationError for what `values` lacks, and for a format that is not known: Grafana would
    leave the name as it is, and the query would find nothing.
    """

    def written(match: re.Match[str]) -> str:
        name = match["plain"] or match["square"] or match["braced"]
        form = match["square_format"] or match["format"]
        if name not in values:
            raise InterpolationError(f"there is no variable {name!r} for {match[0]!r} in {text!r}")
        return _written(name, values[name], form, style)

    return _VARIABLE.sub(written, text)


def _written(name: str, value: Value, form: str | None, style: Style) -> str:
    if value.every and value.all_value is not None and form not in ("text", "queryparam"):
        return value.all_value
    if form is None:
        return _UNFORMATTED[style](value)
    if form == "queryparam":
        picked = ("$__all",) if value.every else value.picked
        return "&".join(f"var-{name}={quote(each, safe='')}" for each in picked)
    if form == "text" and value.every:
        return "All"
    if form not in _FORMATS:
        known = ", ".join(sorted((*_FORMATS, "queryparam")))
        raise InterpolationError(f"variable {name!r} has the unknown format {form!r}; not {known}")
    return _FORMATS[form](value.picked)


def _as_glob(picked: tuple[str, ...]) -> str:
    return picked[0] if len(picked) == 1 else "{" + ",".join(picked) + "}"


def _as_regex(picked: tuple[str, ...]) -> str:
    return _either([_REGEX_SPECIAL.sub(r"\\\g<0>", each) for each in picked])


def _either(escaped: list[str]) -> str:
    return escaped[0] if len(escaped) == 1 else "(" + "|".join(escaped) + ")"


def _of_prometheus(value: Value) -> str:
    if not value.multi:
        return value.picked[0].replace("\\", "\\\\").replace("'", "\\\\'")
    return _either(
        [_QUERY_SPECIAL.sub(r"\\\\\g<0>", each.replace("\\", "\\\\\\\\")) for each in value.picked]
    )


def _of_loki(value: Value) -> str:
    if not value.multi:
        return value.picked[0].replace("'", "\\\\'")
    return "|".join(
        _LOKI_SPECIAL.sub(r"\\\\\g<0>", each.replace("\\", "\\\\\\\\")).replace("'", "\\\\'")
        for each in value.picked
    )


_UNFORMATTED: Final[Mapping[Style, Callable[[Value], str]]] = {
    "prometheus": _of_prometheus,
    "loki": _of_loki,
    "glob": lambda value: _as_glob(value.picked),
}

_FORMATS: Final[Mapping[str, Callable[[tuple[str, ...]], str]]] = {
    "csv": ",".join,
    "doublequote": lambda picked: ",".join('"' + each.replace('"', '\\"') + '"' for each in picked),
    "glob": _as_glob,
    "json": lambda picked: json.dumps(picked[0] if len(picked) == 1 else list(picked)),
    "percentencode": lambda picked: quote(_as_glob(picked), safe=""),
    "pipe": "|".join,
    "raw": ",".join,
    "regex": _as_regex,
    "singlequote": lambda picked: ",".join("'" + each.replace("'", "\\'") + "'" for each in picked),
    "text": " + ".join,
}


def duration_ms(text: str) -> int:
    """Return the milliseconds of a duration as `15s` or `1h30m`; raises InterpolationError."""
    try:
        return duration_milliseconds(text)
    except ValueError as error:
        raise InterpolationError(str(error)) from error


def duration_text(milliseconds: int) -> str:
    """Return a duration in its largest unit that divides it, as Prometheus reads it."""
    for unit in ("d", "h", "m", "s"):
        if milliseconds >= UNITS_MS[unit] and milliseconds % UNITS_MS[unit] == 0:
            return f"{milliseconds // UNITS_MS[unit]}{unit}"
    return f"{milliseconds}ms"


def round_step_ms(milliseconds: float) -> int:
    """Return the round step that Grafana takes for an exact one."""
    for below, rounded in _ROUNDING_MS:
        if milliseconds < below:
            return rounded
    return _LONGEST_STEP_MS


def step_ms(span: Span, points: int, shortest_ms: int) -> int:
    """Return the step of a query: the range by the points, rounded, at least the shortest."""
    step = max(round_step_ms(span.range_ms / points), shortest_ms)
    return max(step, round_step_ms(span.range_ms / _POINTS_MAX))


def time_values(span: Span, step: int, scrape_ms: int) -> dict[str, Value]:
    """Return the variables that follow from the time shown, the step and the scrape interval."""
    rate_ms = max(step + scrape_ms, 4 * scrape_ms)
    texts = {
        "__interval": duration_text(step),
        "__interval_ms": str(step),
        "__rate_interval": duration_text(rate_ms),
        "__rate_interval_ms": str(rate_ms),
        "__range": duration_text(round(span.range_ms / 1000) * 1000),
        "__range_s": str(round(span.range_ms / 1000)),
        "__range_ms": str(span.range_ms),
        "__from": str(span.start_ms),
        "__to": str(span.end_ms),
        "__url_time_range": f"from={span.start_ms}&to={span.end_ms}",
    }
    return {name: Value((text,)) for name, text in texts.items()}
