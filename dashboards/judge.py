"""Whether answers are what a panel needs: numbers, few series, every field that it names. Pure."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dashboards.servers import Answer

__all__ = ["SERIES_MAX", "fields_of", "judged", "legend_of"]

SERIES_MAX: Final = 50
"""Nobody reads a legend of more."""

_LABEL: Final = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_LABELLED_TABLE: Final = "table"


def judged(
    panel: Mapping[str, Any], answers: Sequence[Answer], *, must_have_data: bool
) -> Iterator[str]:
    """Yield what is wrong with a panel's answers, one for each of its targets, in order."""
    missing = False
    for target, answer in zip(panel["targets"], answers, strict=True):
        where = f"query {target['refId']}"
        problem = _no_data(answer)
        if problem is not None:
            missing = True
            if must_have_data:
                yield f"{where}: {problem}"
            continue
        if len(answer.series) > SERIES_MAX:
            yield f"{where}: {len(answer.series)} series, {SERIES_MAX} at most"
        yield from (f"{where}: {each}" for each in _legend_problems(target, answer))
        if target.get("format") == "heatmap" and any("le" not in s.labels for s in answer.series):
            yield f"{where}: a heatmap needs the label le"
    if not missing:
        yield from _field_problems(panel, answers)


def _no_data(answer: Answer) -> str | None:
    if answer.lines is not None:
        return None if answer.lines else "no line"
    if answer.rows is not None:
        return None if answer.rows else "no trace"
    if not answer.series:
        return "no series"
    if not any(_is_number(each) for series in answer.series for each in series.numbers):
        return "no number: all are NaN"
    return None


def _is_number(value: float) -> bool:
    return not math.isnan(value)


def _legend_problems(target: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    for label in _LABEL.findall(target.get("legendFormat") or ""):
        without = [series for series in answer.series if not series.labels.get(label)]
        if without:
            shown = dict(without[0].labels)
            yield f"the legend names {label!r}, which a series lacks: {shown}"


def fields_of(panel: Mapping[str, Any], answers: Sequence[Answer]) -> set[str]:
    """Return the names of the fields that the panel's transformations begin with."""
    several = len(panel["targets"]) > 1
    fields: set[str] = set()
    for target, answer in zip(panel["targets"], answers, strict=True):
        if answer.rows is not None:
            fields.update(key for row in answer.rows for key in row)
        elif target.get("format") == _LABELLED_TABLE:
            fields.update(label for series in answer.series for label in series.labels)
            fields.update(("Time", f"Value #{target['refId']}" if several else "Value"))
        else:
            fields.add("Time")
            fields.update(legend_of(target, series.labels) for series in answer.series)
    return fields


def legend_of(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return the name of a series in the legend."""
    template = target.get("legendFormat") or ""
    return _LABEL.sub(lambda match: labels.get(match[1], ""), template)


def _field_problems(panel: Mapping[str, Any], answers: Sequence[Answer]) -> Iterator[str]:
    fields = fields_of(panel, answers)
    for transformation in panel.get("transformations") or ():
        options = transformation["options"]
        if transformation["id"] != "organize":
            continue
        excluded = {name for name, yes in options.get("excludeByName", {}).items() if yes}
        renamed: Mapping[str, str] = options.get("renameByName", {})
        for name in sorted({*excluded, *renamed, *options.get("indexByName", {})} - fields):
            yield f"organize names the field {name!r}; there are {sorted(fields)}"
        fields = {renamed.get(name, name) for name in fields - excluded}
    for override in panel["fieldConfig"].get("overrides") or ():
        kind, name = override["matcher"]["id"], override["matcher"]["options"]
        if kind == "byName" and name not in fields:
            yield f"an override names the field {name!r}; there are {sorted(fields)}"
        if kind == "byRegexp" and not any(re.search(name, field) for field in fields):
            yield f"an override's pattern {name!r} matches none of {sorted(fields)}"
        if kind == "byFrameRefID" and name not in {each["refId"] for each in panel["targets"]}:
            yield f"an override names the query {name!r}, which there is not"
    x_field = (panel.get("options") or {}).get("xField")
    if x_field is not None and x_field not in fields:
        yield f"the x axis is the field {x_field!r}; there are {sorted(fields)}"
