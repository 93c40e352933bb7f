"""Rule files for a floor on which time runs N times as fast: every duration in them divided by N.

Ranges, subqueries and offsets in the expressions (PromQL's and LogQL's), `for`,
`keep_firing_for`, and the groups' intervals and `query_offset`. Left as they are: strings and
regular expressions, thresholds (`time() - x > 60`), and the seconds that `predict_linear` is given.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from tapeline.pipeline.prometheus_durations import duration_milliseconds, duration_text

__all__ = [
    "TimeScaleError",
    "divided",
    "scaled_document",
    "scaled_expression",
    "scaled_rules",
    "scaled_texts",
]

INTERVAL_MIN_MS: Final = 5000
"""As often as the floor scrapes: rules that run more often see nothing new."""

# PromQL takes a number without a unit for seconds.
_SECONDS: Final = re.compile(r"\d+", re.ASCII)
# Looked at closely when it is divided: what is wrong in it is told, and not passed over.
_EITHER: Final = r"[\d.]+[a-z]*(?:[\d.]+[a-z]+)*"
# In the order in which a reader meets them: what is in a string or a comment is no duration.
_TOKEN: Final = re.compile(
    r"""
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\#[^\n]*)
    |(?P<word>[a-zA-Z_:][a-zA-Z0-9_:.]*)
    |\[(?P<range>[^\]]*)\]
    """,
    re.VERBOSE | re.DOTALL,
)
_OFFSET: Final = re.compile(rf"(\s*-?\s*)({_EITHER})")
_RANGE: Final = re.compile(rf"(\s*)({_EITHER})(\s*)(?:(:\s*)({_EITHER})?(\s*))?")
_RULE_KEYS: Final = ("for", "keep_firing_for")

_Made = TypeVar("_Made")


class TimeScaleError(ValueError):
    """A rule file with a duration that isn't one; the message says which and where."""


def divided(duration: str, divisor: int, *, least_ms: int = 1) -> str:
    """Return a duration (`1h30m`, `300` seconds) divided, in whole milliseconds; 0 stays 0."""
    whole = _milliseconds(duration)
    return duration_text(max(least_ms, round(whole / divisor)) if whole else 0)


def _milliseconds(duration: str) -> int:
    text = duration.strip()
    if _SECONDS.fullmatch(text):
        text = f"{text}s"
    try:
        return duration_milliseconds(text)
    except ValueError as error:
        raise TimeScaleError(str(error)) from error


def scaled_expression(expression: str, divisor: int) -> str:
    """Return a PromQL or LogQL expression with its ranges, subqueries and offsets divided.

    Raises TimeScaleError for what stands in brackets and is no range.
    """
    written: list[str] = []
    position = 0
    while (match := _TOKEN.search(expression, position)) is not None:
        written.append(expression[position : match.start()])
        position = match.end()
        if match["range"] is not None:
            written.append(f"[{_scaled_range(match['range'], divisor)}]")
            continue
        written.append(match[0])
        if match["word"] is not None and match["word"].lower() == "offset":
            offset = _OFFSET.match(expression, position)
            if offset is not None:
                written.append(offset[1] + divided(offset[2], divisor))
                position = offset.end()
    written.append(expression[position:])
    return "".join(written)


def _scaled_range(inner: str, divisor: int) -> str:
    match = _RANGE.fullmatch(inner)
    if match is None:
        raise TimeScaleError(f"not a range: [{inner}]; write it as [5m] or [1h:1m]")
    before, length, after, colon, step, end = match.groups()
    text = before + divided(length, divisor) + after
    if colon is not None:
        text += colon + (divided(step, divisor) if step else "") + (end or "")
    return text


def scaled_document(document: Any, divisor: int) -> Any:
    """Return the content of a rule file with every duration divided.

    Raises TimeScaleError where it is no rule file, or a duration is none.
    """
    groups = document.get("groups") if isinstance(document, dict) else None
    if not isinstance(groups, list):
        raise TimeScaleError("not a rule file: it has no list `groups`")
    return {**document, "groups": [_scaled_group(group, divisor) for group in groups]}


def _scaled_group(group: dict[str, Any], divisor: int) -> dict[str, Any]:
    name = group.get("name", "without a name")
    scaled = dict(group)
    place = f"group {name}"
    if "interval" in group:
        least = min(INTERVAL_MIN_MS, _told(f"{place}: interval", _milliseconds, group["interval"]))
        scaled["interval"] = divided(str(group["interval"]), divisor, least_ms=least)
    if "query_offset" in group:
        shorter = partial(divided, divisor=divisor)
        scaled["query_offset"] = _told(f"{place}: query_offset", shorter, group["query_offset"])
    scaled["rules"] = [_scaled_rule(rule, str(name), divisor) for rule in group.get("rules") or ()]
    return scaled


def _scaled_rule(rule: dict[str, Any], group: str, divisor: int) -> dict[str, Any]:
    place = f"group {group}, {rule.get('alert') or rule.get('record')}"
    scaled = dict(rule)
    expression = partial(scaled_expression, divisor=divisor)
    scaled["expr"] = _told(f"{place}: expr", expression, rule.get("expr", ""))
    for key in _RULE_KEYS:
        if key in rule:
            scaled[key] = _told(f"{place}: {key}", partial(divided, divisor=divisor), rule[key])
    return scaled


def _told(place: str, change: Callable[[str], _Made], given: object) -> _Made:
    try:
        return change(str(given))
    except TimeScaleError as error:
        raise TimeScaleError(f"{place}: {error}") from error


def scaled_rules(source: Path, target: Path, divisor: int) -> tuple[Path, ...]:
    """Write every rule file below a folder into another one, divided; return what was written.

    Paths below the folder stay: Loki's are in a folder for each tenant. Raises TimeScaleError for a
    file that is wrong, and where there is none at all.
    """
    written = []
    for path, text in scaled_texts(source, divisor):
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        written.append(place)
    return tuple(written)


def scaled_texts(source: Path, divisor: int) -> Iterator[tuple[Path, str]]:
    """Yield every rule file below a folder, divided: its path from there, and its text.

    Raises what `scaled_rules` raises.
    """
    if divisor < 1:
        raise TimeScaleError(f"the divisor is at least 1, not {divisor}")
    paths = sorted([*source.rglob("*.yml"), *source.rglob("*.yaml")])
    if not paths:
        raise TimeScaleError(f"{source}: there are no rule files")
    for path in paths:
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            scaled = scaled_document(document, divisor)
        except (TimeScaleError, yaml.YAMLError) as error:
            raise TimeScaleError(f"{path}: {error}") from error
        yield path.relative_to(source), yaml.safe_dump(scaled, sort_keys=False, width=98)
