"""What every dashboard's JSON must keep to, as grafana/dashboard-linter has it, and more. Pure.

`EXCUSED` holds the exceptions, each with its reason; one that excuses nothing is itself a finding.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["EXCUSED", "problems", "problems_of_all"]

_UID_LENGTH_MAX: Final = 40
_LEGENDED: Final = frozenset({"stat", "timeseries", "gauge", "piechart", "barchart", "heatmap"})
_RANGE: Final = re.compile(r"\[([^\]]+)\]")
_RANGES: Final = ("$__rate_interval", "$__range", "$__range:5s", "$__interval", "$bucket")
_LONG_RANGE: Final = re.compile(r"\d+d")
"""Windows of an objective are part of what it says, not of what is looked at."""
_METRIC: Final = re.compile(r"[a-zA-Z_:][\w:]*")
_COUNTER: Final = re.compile(
    r"\w+_(total|bucket|count|sum)"
    r"|otelcol_(exporter_(sent|send_failed|enqueue_failed)|receiver_(accepted|refused|failed))_\w+"
    r"|otelcol_processor_tail_sampling_\w+|otelcol_process_cpu_seconds"
)
_GAUGES_NAMED_SO: Final = frozenset({"trading_open_positions_count"})
_RATES: Final = re.compile(r"(rate|irate|increase|delta|resets|changes|count)\s*\($")
"""Functions of rates; and count, which asks how many series there are."""
_STRING: Final = re.compile(r'"[^"]*"')
_SIGNED_SUM: Final = re.compile(r"rate\(trading_\w+_bps_sum")
_VARIABLE: Final = re.compile(r"\$\{?(\w+)")

EXCUSED: Final[Mapping[tuple[str, str], str]] = {
    ("veloz-trading", "Total Orders"): "the document's panel is the cumulative count",
    ("veloz-trading", "Total Fills"): "the document's panel is the cumulative count",
    ("20-pnl-dashboard", "Win Rate"): "the document's rate is over all trades so far",
    ("22-strategy-performance", "Win Rate by Strategy"): "over all trades so far, as on 20",
    ("23-fee-analysis", "Maker Ratio"): "over all orders so far, as fees are",
    ("23-fee-analysis", "Fees by Volume"): "over all volume so far, as fees are",
    ("31-order-execution-service", "Fill Rate"): "the document's rate is over all orders so far",
}
"""Counters without rate, by dashboard and panel."""


def problems_of_all(dashboards: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with dashboards, each and together."""
    seen: set[str] = set()
    panels: set[tuple[str, str]] = set()
    for dashboard in dashboards:
        uid = dashboard["uid"]
        if uid in seen:
            yield f"{uid}: another dashboard has this uid"
        seen.add(uid)
        panels.update((uid, panel["title"]) for panel in _panels(dashboard))
        yield from (f"{uid}: {each}" for each in problems(dashboard))
    for uid, title in sorted(EXCUSED.keys() - panels):
        yield f"{uid} / {title} is excused, and there is no such panel"


def problems(dashboard: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one dashboard."""
    if dashboard.get("editable") is not False:
        yield "editable is not false: the next start would overwrite what somebody edits"
    if not dashboard.get("uid") or len(dashboard["uid"]) > _UID_LENGTH_MAX:
        yield f"its uid must have 1 to {_UID_LENGTH_MAX} characters"
    for name in ("title", "description", "tags", "refresh"):
        if not dashboard.get(name):
            yield f"it has no {name}"
    yield from _variable_problems(dashboard)
    titles: set[str] = set()
    for panel in _panels(dashboard):
        title = panel.get("title") or f"panel {panel['id']}"
        if title in titles:
            yield f"{title}: another panel has this title"
        titles.add(title)
        excused = (dashboard["uid"], title) in EXCUSED
        yield from (f"{title}: {each}" for each in _panel_problems(panel, excused=excused))


def _panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def _variable_problems(dashboard: Mapping[str, Any]) -> Iterator[str]:
    declared = {each["name"]: each for each in dashboard["templating"]["list"]}
    sources = {name for name, each in declared.items() if each["type"] == "datasource"}
    if "datasource" not in sources:
        yield "it has no variable `datasource`"
    used = set(_VARIABLE.findall(str([*_panels(dashboard)])))
    for name, each in declared.items():
        used.update(_VARIABLE.findall(str(each.get("query"))))
        if each["type"] == "query" and not each["datasource"]["uid"].startswith("${"):
            yield f"the variable {name!r} asks a data source that is not templated"
    for name in sorted(declared.keys() - sources - used):
        yield f"the variable {name!r} is used nowhere"
    for name in sorted(each for each in used - declared.keys() if not each.startswith("__")):
        yield f"the variable {name!r} is used, and not declared"


def _panel_problems(panel: Mapping[str, Any], *, excused: bool) -> Iterator[str]:
    for name in ("title", "description"):
        if not panel.get(name):
            yield f"it has no {name}"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "it has no unit"
    if not panel.get("targets"):
        yield "it has no query"
    bare: list[str] = []
    for target in panel.get("targets") or ():
        yield from (f"query {target['refId']}: {each}" for each in _target_problems(panel, target))
        bare += (f"query {target['refId']}: {each}" for each in _bare_counter_problems(target))
    if not excused:
        yield from bare
    elif not bare:
        yield "it is excused from rates, and needs no excuse"
    if "ALERTS" in str(panel.get("targets")) and panel["type"] == "table":
        yield from _runbook_problems(panel)


def _target_problems(panel: Mapping[str, Any], target: Mapping[str, Any]) -> Iterator[str]:
    for source in (panel["datasource"], target["datasource"]):
        if not source["uid"].startswith("${"):
            yield "its data source is not templated"
    legended = panel["type"] in _LEGENDED and target.get("format") != "table" and "expr" in target
    if legended and not target.get("legendFormat"):
        yield "it has no legend"
    text = target.get("expr", "")
    for found in _RANGE.findall(_STRING.sub("", text)):
        if found not in _RANGES and not _LONG_RANGE.fullmatch(found):
            yield f"the range [{found}] is hard-coded: $__rate_interval follows the time shown"
    if _SIGNED_SUM.search(text):
        yield "rate() of the sum of a signed histogram: see docs/trading-convention.md"


def _bare_counter_problems(target: Mapping[str, Any]) -> Iterator[str]:
    if target["datasource"]["type"] == "prometheus":
        for metric in _bare_counters(target.get("expr", "")):
            yield f"the counter {metric} stands without rate or increase"


def _bare_counters(text: str) -> Iterator[str]:
    """Yield counters that are not read over a range by a function of rates."""
    for match in _METRIC.finditer(_without_strings(text)):
        name = match[0]
        if not _COUNTER.fullmatch(name) or name in _GAUGES_NAMED_SO:
            continue
        before = _without_strings(text)[: match.start()]
        if not _RATES.search(before):
            yield name


def _without_strings(text: str) -> str:
    """Blank what stands in quotes, and label lists, where a name is no metric."""
    blank = _STRING.sub(lambda found: " " * len(found[0]), text)
    blank = re.sub(r"\{[^}]*\}", lambda found: " " * len(found[0]), blank)
    return re.sub(
        r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)",
        lambda found: " " * len(found[0]),
        blank,
    )


def _runbook_problems(panel: Mapping[str, Any]) -> Iterator[str]:
    links = [
        link["url"]
        for override in panel["fieldConfig"].get("overrides") or ()
        for each in override["properties"]
        if each["id"] == "links"
        for link in each["value"]
    ]
    if not any(url.startswith("${runbooks}/") for url in links):
        yield "it shows alerts without a link to their runbooks"
