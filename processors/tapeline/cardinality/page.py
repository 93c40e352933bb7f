"""The page `/cardinality`: a report as HTML, the metrics nearest to their limits first. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from tapeline.cardinality.report import Report
from tapeline.cardinality.report_merge import merge_reports
from tapeline.pipeline.markup import Markup, element, joined, visible
from tapeline.pipeline.pages import Page

__all__ = ["PAGE", "body"]

_NEAR: Final = 0.8
"""From this share of a limit on a metric stands out, as the alert does."""
_KIB: Final = 1024
_UNITS: Final = ("B", "KiB", "MiB", "GiB")
_WHERE: Final = (
    "A fix is a rule for one metric. Put it before the other rules of the section cardinality: the"
    " first that matches counts, alone, so make one rule of the fixes of a metric, and take over"
    " what other rules say of it. Then send SIGHUP."
)


def body(report: Report) -> Markup:
    """Return the page's content."""
    metrics = report["metrics"]
    return joined(
        _summary(report),
        element("h2", "Metrics"),
        _metrics(metrics) if metrics else element("p", "No metric has come yet."),
        _left_out(report["metrics_left_out"]),
        element("h2", "Worst labels"),
        element("p", _WHERE, class_="soft"),
        *(_labels(metric) for metric in metrics if metric["labels"]),
        _texts(report["texts"]),
        element("h2", "Counts"),
        _counts("What happened", report["totals"]["counts"]),
        _counts("Points refused because they can't be folded", report["totals"]["refused"]),
    )


def _summary(report: Report) -> Markup:
    totals = report["totals"]
    facts = {
        "mode": report["mode"],
        "metrics": _number(totals["metrics"]),
        "series admitted": f"{_number(totals['admitted'])} of {_number(totals['limit'])}",
        "streams overflowed": _number(totals["overflowed_streams"]),
        "series demanded": f"about {_number(totals['demand'])}",
        "state": _bytes(totals["state_bytes"]),
    }
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", value))
            for name, value in facts.items()
        ),
    )


def _metrics(metrics: Iterable[Report]) -> Markup:
    rows = []
    for metric in metrics:
        refused = sum(metric["refused"].values())
        rows.append(
            (
                _code(metric["metric"]),
                _ratio(metric["ratio"]),
                _number(metric["admitted"]),
                _number(metric["limit"]),
                _number(metric["overflowed_streams"]),
                _number(metric["demand"]),
                metric["policy"],
                _number(metric["evictions"]),
                element("span", _number(refused), title=_spelt(metric["refused"])),
                _bytes(metric["state_bytes"]),
            )
        )
    heads = (
        "metric",
        "of limit",
        "admitted",
        "limit",
        "overflowed",
        "demand",
        "policy",
        "evicted",
        "refused",
        "state",
    )
    return _table(heads, rows, numbers=frozenset({1, 2, 3, 4, 5, 7, 8, 9}))


def _labels(metric: Report) -> Markup:
    rows = [
        (
            _code(label["label"]),
            _number(label["distinct_values"]),
            _limit(label),
            _list(_code(sample) for sample in label["samples"]),
            _list(
                joined(_code(one["value"]), f" in {_number(one['streams'])} new streams")
                for one in label["top_offenders"]
            ),
            _fix(label["fix"]),
        )
        for label in metric["labels"]
    ]
    heads = ("label", "values", "limit", "samples", "top offenders", "fix")
    return element(
        "details",
        element(
            "summary",
            _code(metric["metric"]),
            f" · {_number(metric['demand'])} series demanded of {_number(metric['limit'])}",
        ),
        _table(heads, rows, numbers=frozenset({1})),
        open=metric["ratio"] >= _NEAR,
    )


def _limit(label: Report) -> str:
    if "limit" not in label:
        return "none"
    return (
        f"{_number(label['admitted_values'])} of {_number(label['limit'])}, then {label['policy']}"
    )


def _fix(fix: Report | None) -> Markup:
    if fix is None:
        return element("span", "none needed", class_="soft")
    return joined(
        element("p", f"{fix['kind']}: {fix['why']}"), element("pre", fix["yaml"].rstrip("\n"))
    )


def _texts(texts: Iterable[Report]) -> Markup:
    rows = [
        (
            text["kind"].replace("_", " "),
            _code(text["name"]),
            f"{_number(text['admitted'])} of {_number(text['limit'])}",
            _number(text["replaced"]),
        )
        for text in texts
    ]
    if not rows:
        return Markup()
    return joined(
        element("h2", "Logs and traces"),
        _table(("text", "name", "values", "replaced"), rows, numbers=frozenset({2, 3})),
    )


def _counts(title: str, counts: Mapping[str, int]) -> Markup:
    rows = [(name.replace("_", " "), _number(count)) for name, count in sorted(counts.items())]
    return _table((title, "count"), rows, numbers=frozenset({1}))


def _left_out(count: int) -> Markup:
    if count == 0:
        return Markup()
    return element("p", f"And {_number(count)} more, further from their limits.", class_="soft")


def _table(
    heads: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: frozenset[int]
) -> Markup:
    def cells(kind: str, row: Iterable[str]) -> Markup:
        return element(
            "tr",
            *(
                element(kind, cell, class_="number" if place in numbers else False)
                for place, cell in enumerate(row)
            ),
        )

    table = element(
        "table",
        element("thead", cells("th", heads)),
        element("tbody", *(cells("td", row) for row in rows)),
    )
    return element("div", table, class_="wide")


def _ratio(ratio: float) -> Markup:
    text = f"{ratio:.0%}"
    if ratio > 1:
        return element("span", text, class_="bad")
    return element("span", text, class_="warn" if ratio >= _NEAR else False)


def _code(text: str) -> Markup:
    return element("code", visible(text))


def _list(items: Iterable[Markup]) -> Markup:
    listed = [element("li", item) for item in items]
    return element("ul", *listed) if listed else element("span", "none", class_="soft")


def _spelt(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "none"


def _number(count: int) -> str:
    return f"{count:,}"


def _bytes(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in _UNITS[:-1]:
        if size < _KIB:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KIB
    return f"{size:.1f} {_UNITS[-1]}"


PAGE: Final = Page("Cardinality", merge_reports, body)
"""What the factory of the processor offers."""
