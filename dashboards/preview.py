"""A page for each dashboard with its panels drawn from real answers, for a look without Grafana.

    python -m dashboards.preview --prometheus URL --loki URL --jaeger URL --out FOLDER
        [--board UID ...] [--range 15m]

Development only: places, numbers, colours and legends as they are; Grafana draws them finer.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from dashboards.asking import Asked, ask
from dashboards.catalog import BOARDS, FOLDER
from dashboards.check import SOURCE_ROOT, load
from dashboards.judge import legend_of
from dashboards.queries import InterpolationError, Span, Value, duration_ms
from dashboards.resolve import resolved
from dashboards.servers import Answer, AnswerError, Servers

__all__ = ["main", "page"]

_UPLOT: Final = SOURCE_ROOT / "processors/tapeline/signals/vendor/uplot"
_SCRIPT: Final = Path(__file__).with_suffix(".js")
_STYLE: Final = """
body { background: #111217; color: #d8d9da; font: 12px sans-serif; margin: 8px; width: 1584px; }
h1 { font-size: 16px; margin: 4px; }
section { position: absolute; overflow: hidden; box-sizing: border-box; }
.panel { background: #181b1f; border: 1px solid #2c3235; border-radius: 3px; padding: 6px; }
.row h2 { font-size: 14px; margin: 2px; }
.panel h2 { font-size: 12px; margin: 0 0 4px; font-weight: 600; }
.tiles { display: flex; flex-wrap: wrap; gap: 4px; }
.tile { flex: 1; min-width: 90px; padding: 8px; text-align: center; border-radius: 3px; }
.big { display: block; font-size: 20px; font-weight: 600; }
.legend { overflow: hidden; max-height: 72px; }
.key { border-left: 10px solid; padding: 0 10px 0 4px; white-space: nowrap; font-size: 11px; }
table { border-collapse: collapse; width: 100%; font-size: 11px; }
th, td { text-align: left; border-bottom: 1px solid #2c3235; padding: 2px 6px; }
td { white-space: nowrap; }
.line { font: 10px monospace; white-space: nowrap; }
.share { padding: 4px; margin: 2px 0; }
.trouble { color: #f2495c; }
"""


def page(
    dashboard: Mapping[str, Any], servers: Servers, span: Span, samples: Mapping[str, str]
) -> str:
    """Return the page of one dashboard, with everything that it needs in it."""
    try:
        variables = resolved(dashboard, servers, span, samples)
    except (InterpolationError, AnswerError) as error:
        return f"<p>{escape(str(error))}</p>"
    panels = [_panel(each, servers, span, variables) for each in dashboard["panels"]]
    data = json.dumps(panels).replace("</", "<\\/")
    return (
        "<!doctype html><meta charset=utf-8>"
        f"<title>{escape(dashboard['title'])}</title><style>{_STYLE}"
        f"{(_UPLOT / 'uPlot.min.css').read_text(encoding='utf-8')}</style>"
        f"<h1>{escape(dashboard['title'])}</h1>"
        f"<script type=application/json id=panels>{data}</script>"
        f"<script>{(_UPLOT / 'uPlot.iife.min.js').read_text(encoding='utf-8')}</script>"
        f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script>"
    )


def _panel(
    panel: Mapping[str, Any], servers: Servers, span: Span, variables: Mapping[str, Value]
) -> dict[str, Any]:
    basic = {"kind": panel["type"], "title": panel["title"], "place": panel["gridPos"]}
    if panel["type"] == "row":
        return basic
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom") or {}
    basic |= {
        "unit": defaults["unit"],
        "thresholds": (defaults.get("thresholds") or {}).get("steps") or [],
        "texts": {
            k: v for each in defaults.get("mappings") or () for k, v in each["options"].items()
        },
        "background": (panel.get("options") or {}).get("colorMode") == "background",
        "stacked": (custom.get("stacking") or {}).get("mode") == "normal",
        "bars": custom.get("drawStyle") == "bars" or panel["type"] == "barchart",
        "logarithmic": (custom.get("scaleDistribution") or {}).get("type") == "log",
    }
    try:
        asked = [ask(target, servers, span, variables) for target in panel["targets"]]
    except (InterpolationError, AnswerError) as error:
        return {**basic, "trouble": str(error)}
    return {**basic, **_content(panel, asked)}


def _content(panel: Mapping[str, Any], asked: Sequence[Asked]) -> dict[str, Any]:
    answers = [each.answer for each in asked]
    if all(not each.series and not each.rows and not each.texts for each in answers):
        return {"trouble": "no data"}
    if panel["type"] in ("logs", "traces"):
        rows = (json.dumps(row) for each in answers for row in each.rows or ())
        return {"lines": [*(text for each in answers for text in each.texts), *rows][:20]}
    if panel["type"] == "table":
        return _table(panel, answers)
    return {
        "series": [
            each for pair in zip(panel["targets"], answers, strict=True) for each in _series(*pair)
        ]
    }


def _series(target: Mapping[str, Any], answer: Answer) -> Iterable[dict[str, Any]]:
    for series in answer.series:
        yield {
            "name": legend_of(target, series.labels),
            "labels": dict(series.labels),
            "times": list(series.times_s),
            "numbers": [each if math.isfinite(each) else None for each in series.numbers],
        }


def _table(panel: Mapping[str, Any], answers: Sequence[Answer]) -> dict[str, Any]:
    """Merge the answers by their labels, and name the columns as `organize` says."""
    rows: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    several = len(answers) > 1
    for target, answer in zip(panel["targets"], answers, strict=True):
        for row in answer.rows or ():
            rows[tuple(sorted(row.items()))] = dict(row)
        for series in answer.series:
            labels = {k: v for k, v in series.labels.items() if k != "__name__"}
            cells = rows.setdefault(tuple(sorted(labels.items())), dict(labels))
            cells[f"Value #{target['refId']}" if several else "Value"] = series.numbers[-1]
    options: dict[str, Any] = {}
    for each in panel.get("transformations") or ():
        if each["id"] == "organize":
            options = each["options"]
    excluded = {name for name, yes in options.get("excludeByName", {}).items() if yes}
    names = dict.fromkeys(name for row in rows.values() for name in row if name not in excluded)
    order = options.get("indexByName", {})
    columns = sorted(names, key=lambda name: order.get(name, len(order)))
    return {
        "columns": [options.get("renameByName", {}).get(name, name) for name in columns],
        "rows": [[row.get(name) for name in columns] for row in rows.values()],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.preview")
    for name in ("prometheus", "loki", "jaeger"):
        parser.add_argument(f"--{name}", required=True, metavar="URL")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    known = [board.uid for board in BOARDS]
    parser.add_argument("--board", nargs="+", choices=known, default=[], metavar="UID")
    parser.add_argument("--range", default="15m")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    end_ms = round(time.time() * 1000)
    span = Span(end_ms - duration_ms(options.range), end_ms)
    boards = {board.uid: board for board in BOARDS}
    with Servers(options.prometheus, options.loki, options.jaeger) as servers:
        for dashboard in load(SOURCE_ROOT / FOLDER):
            uid = dashboard["uid"]
            if options.board and uid not in options.board:
                continue
            samples = {v.name: v.sample for v in boards[uid].variables if v.sample is not None}
            text = page(dashboard, servers, span, samples)
            (options.out / f"{uid}.html").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
