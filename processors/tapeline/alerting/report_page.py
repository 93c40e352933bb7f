"""The month's SLO report as one HTML page with its plots inside: it needs nothing else. Pure."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tapeline.alerting.report import DAY_S, HOUR_S, Month, SloMonth, Verdict
from tapeline.alerting.report_text import (
    COVERAGE_NOTE,
    alert_text,
    count,
    covered,
    known_text,
    percent,
    spent_text,
    verdict_text,
)
from tapeline.pipeline.markup import Markup, element, joined

__all__ = ["as_page"]

_WIDTH: Final = 720
_HEIGHT: Final = 120
_LEFT: Final = 52
_TOP: Final = 8
_BOTTOM: Final = 20
_FLOOR: Final = -1.0
"""What is overspent by more than the whole budget is drawn at the edge."""
_BURN_MAX: Final = 20.0
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2430; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde2ea; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.met { color: #13693a; } .missed { color: #a8201a; font-weight: 600; }
.no-data, .no-events { color: #6b7484; }
figure { margin: .6rem 0; } figcaption { color: #6b7484; font-size: .85rem; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 10px; fill: #6b7484; }
@media (prefers-color-scheme: dark) { body { color: #e4e8ef; background: #14181f; }
  th, td { border-color: #2c3442; } .met { color: #6fcf97; } .missed { color: #ff8b85; } }
"""
_HEADINGS: Final = (
    "system", "SLO", "objective", "reached", "budget spent", "verdict", "alerts", "data",
)  # fmt: skip


def as_page(month: Month, slos: Sequence[SloMonth], source: str, made_at: str) -> str:
    """Return the report as a page; `made_at` is when it was made, as text."""
    title = f"Service level objectives: {month.name}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(_STYLE)),
    )
    body = element(
        "body",
        element("h1", title),
        element("p", f"Made {made_at} from {source}. It covers {covered(month)}. {COVERAGE_NOTE}"),
        _table(slos),
        joined(*(_section(slo) for slo in slos)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _table(slos: Sequence[SloMonth]) -> Markup:
    head = element("tr", *(element("th", heading) for heading in _HEADINGS))
    return element("table", element("thead", head), element("tbody", *map(_row, slos)))


def _row(slo: SloMonth) -> Markup:
    link = element("a", slo.name, href=f"#{slo.system}-{slo.name}")
    verdict = slo.verdict.value.replace(" ", "-")
    return element(
        "tr",
        element("td", slo.system),
        element("td", link),
        *(
            element("td", text, class_="number")
            for text in (percent(slo.objective), percent(slo.reached), spent_text(slo.spent))
        ),
        element("td", verdict_text(slo), class_=verdict),
        element("td", alert_text(slo.fired)),
        element("td", known_text(slo), class_="number"),
    )


def _section(slo: SloMonth) -> Markup:
    parts: list[str] = [
        element("h2", f"{slo.system}: {slo.name}", id=f"{slo.system}-{slo.name}"),
        element("p", slo.description),
    ]
    if slo.verdict in {Verdict.NO_DATA, Verdict.NO_EVENTS}:
        told = "There is no data" if slo.verdict is Verdict.NO_DATA else "There were no events"
        return joined(*parts, element("p", f"{told}: nothing is known of this month."))
    bad = f"{count(slo.errors)} of {count(slo.events)} events were bad."
    return joined(
        *parts,
        element("p", bad),
        _figure("What was left of the error budget by then; grey: no data.", _budget_plot(slo)),
        _figure("Bad events a day, by what the budget allows; the line is 1.", _burn_plot(slo)),
    )


def _figure(caption: str, plot: Markup) -> Markup:
    return element("figure", plot, element("figcaption", caption))


def _month_days(slo: SloMonth) -> float:
    return (slo.month.end_s - slo.month.start_s) / DAY_S


def _x(slo: SloMonth, at_s: float) -> float:
    """Return where a moment stands, from the left."""
    part = (at_s - slo.month.start_s) / (slo.month.end_s - slo.month.start_s)
    return _LEFT + part * (_WIDTH - _LEFT)


def _y(part: float) -> float:
    """Return where a part of the height stands, from the top: 1 is the top."""
    return _TOP + (1 - part) * (_HEIGHT - _TOP - _BOTTOM)


def _budget_plot(slo: SloMonth) -> Markup:
    points = " ".join(
        f"{_x(slo, at_s):.1f},{_y((max(_FLOOR, left) - _FLOOR) / (1 - _FLOOR)):.1f}"
        for at_s, left in slo.budget_left()
    )
    line = element("polyline", points=points, fill="none", stroke="#2f6fde", stroke_width="1.6")
    zero = _y(-_FLOOR / (1 - _FLOOR))
    marks = ((1.0, "100 %"), (0.5, "0 %"), (0.0, "-100 %"))
    return _svg(slo, _gaps(slo), _level(zero), line, *(_mark(part, text) for part, text in marks))


def _burn_plot(slo: SloMonth) -> Markup:
    budget = 1 - (slo.objective or 0.0)
    ratios = {day.number: day.ratio for day in slo.days() if day.ratio is not None}
    burns = {number: min(_BURN_MAX, ratio / budget) for number, ratio in ratios.items()}
    top = max(2.0, *burns.values()) if burns else 2.0
    bars = [
        element(
            "rect",
            x=f"{_x(slo, slo.month.start_s + (number - 1) * DAY_S):.1f}",
            y=f"{_y(burn / top):.1f}",
            width=f"{max(2.0, (_WIDTH - _LEFT) / _month_days(slo) - 2):.1f}",
            height=f"{_y(0) - _y(burn / top):.1f}",
            fill="#c0392b" if slo.is_beyond(ratios[number]) else "#7f9fd6",
        )
        for number, burn in burns.items()
    ]
    return _svg(
        slo, _gaps(slo), *bars, _level(_y(1 / top)), _mark(1.0, f"{top:.0f}"), _mark(0, "0")
    )


def _gaps(slo: SloMonth) -> Markup:
    """Return grey bands where there is no data, from one hour with data to the next."""
    ends = [slo.month.start_s, *(hour.end_s for hour in slo.hours), slo.month.end_s + HOUR_S]
    bands = []
    for before, after in pairwise(ends):
        if after - before <= HOUR_S:
            continue
        left, right = _x(slo, before), _x(slo, after - HOUR_S)
        bands.append(
            element(
                "rect", x=f"{left:.1f}", y=str(_TOP), width=f"{right - left:.1f}",
                height=str(_HEIGHT - _TOP - _BOTTOM), fill="#8892a3", opacity="0.18",
            )
        )  # fmt: skip
    return joined(*bands)


def _level(y: float) -> Markup:
    return element(
        "line", x1=str(_LEFT), x2=str(_WIDTH), y1=f"{y:.1f}", y2=f"{y:.1f}", stroke="#8892a3",
        stroke_dasharray="3 3",
    )  # fmt: skip


def _mark(part: float, text: str) -> Markup:
    return element("text", text, x=str(_LEFT - 6), y=f"{_y(part) + 3:.1f}", text_anchor="end")


def _svg(slo: SloMonth, *parts: str) -> Markup:
    days = range(1, math.ceil(_month_days(slo)) + 1, 5)
    labels = [
        element(
            "text", str(day), x=f"{_x(slo, slo.month.start_s + (day - 1) * DAY_S):.1f}",
            y=str(_HEIGHT - 4),
        )
        for day in days
    ]  # fmt: skip
    return element(
        "svg", *parts, *labels, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img",
        aria_label=f"{slo.system} {slo.name}",
    )  # fmt: skip
