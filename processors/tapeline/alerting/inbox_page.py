"""The inbox as a page: what fires now, and every notice, newest first. Pure."""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from tapeline.alerting.notices import Inbox, Notice
from tapeline.alerting.runbook_page import RUNBOOK_NAME
from tapeline.pipeline.markup import Markup, element, joined, visible

__all__ = ["PAGE_STYLE", "inbox_body", "page", "runbook_link"]

SHOWN: Final = 300
"""So many rows of each table; /api/alerts has all."""
_CHARACTERS_SHOWN: Final = 500
_LABELS_SHOWN: Final = 24
"""Of a row: what a hundred of the longest alerts say would be pages of many megabytes."""
PAGE_STYLE: Final = """
.labels code { margin-right: .5rem; white-space: nowrap; }
.good { color: #15803d; font-weight: 600; }
@media (prefers-color-scheme: dark) { .good { color: #4ade80; } }
.when { white-space: nowrap; }
"""
_IN_REPOSITORY: Final = re.compile(rf"docs/runbooks/({RUNBOOK_NAME.pattern})\.md")
# Shown in columns or text of their own.
_TOLD_ELSEWHERE: Final = frozenset({"alertname", "severity", "priority"})
_SEVERITY_CLASS: Final = {"critical": "bad", "warning": "warn"}


def page(title: str, style: str, body: Markup, refresh_s: int | None) -> str:
    """Return a whole document; it loads itself again after `refresh_s`."""
    refresh = (element("meta", http_equiv="refresh", content=str(refresh_s)),) if refresh_s else ()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        *refresh,
        element("title", f"{title} · Tapeline"),
        element("style", Markup(style)),
    )
    whole = element("html", head, element("body", element("main", body)), lang="en")
    return joined(Markup("<!doctype html>\n"), whole, "\n")


def inbox_body(inbox: Inbox, at: str) -> Markup:
    """Return what changes from one look to the next; `at` is the time of the look."""
    firing = inbox.firing()
    told = f"As of {at}: {len(firing)} firing, {inbox.received} notices received"
    if inbox.forgotten:
        told += f", the oldest {inbox.forgotten} no longer kept"
    return joined(
        element("h1", "Alerts", element("small", "what every receiver would have been told")),
        element("p", told, ". ", element("a", "As JSON", href="/api/alerts"), class_="soft"),
        element("h2", "Firing now"),
        _firing_table(firing),
        element("h2", "Notices, newest first"),
        _history_table(islice(inbox.newest_first(), SHOWN)),
    )


def runbook_link(notice: Notice) -> Markup | None:
    """Return the link to an alert's runbook: of this server for a path, else as it stands."""
    where = notice.annotations.get("runbook_url", "")
    path = _IN_REPOSITORY.fullmatch(where)
    if path is not None:
        return element("a", "runbook", href=f"/runbooks/{path[1]}")
    if where.startswith(("http://", "https://")):
        return element("a", "runbook", href=where, rel="noreferrer")
    return None


def _firing_table(firing: Sequence[tuple[Notice, tuple[str, ...]]]) -> Markup:
    if not firing:
        return element("p", "Nothing.", class_="soft")
    rows = [
        (_name(notice), _what(notice), _labels(notice), _shown(", ".join(told)), _since(notice))
        for notice, told in firing[:SHOWN]
    ]
    table = _table(("alert", "what", "labels", "told", "since"), rows)
    more = len(firing) - SHOWN
    return joined(table, element("p", f"And {more} more.", class_="soft")) if more > 0 else table


def _history_table(notices: Iterable[Notice]) -> Markup:
    rows = [
        (
            _time(notice.received_at),
            _status(notice),
            _name(notice),
            _what(notice),
            _labels(notice),
            _shown(notice.receiver),
            _since(notice),
            _time(notice.ends_at),
        )
        for notice in notices
    ]
    if not rows:
        return element("p", "None yet.", class_="soft")
    names = ("received", "status", "alert", "what", "labels", "receiver", "from", "until")
    return _table(names, rows)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    head = element("tr", *(element("th", name) for name in names))
    made = (element("tr", *(element("td", cell) for cell in row)) for row in rows)
    return element("div", element("table", head, *made), class_="wide")


def _name(notice: Notice) -> Markup:
    severity = notice.labels.get("severity", "")
    worth = " ".join(part for part in (severity, notice.labels.get("priority", "")) if part)
    link = runbook_link(notice)
    return joined(
        element("strong", _shown(notice.name) or "(no name)"),
        element("br"),
        element("span", _shown(worth), class_=_SEVERITY_CLASS.get(severity, "soft")),
        *((" · ", link) if link is not None else ()),
    )


def _what(notice: Notice) -> Markup:
    summary = _shown(notice.annotations.get("summary", ""))
    description = _shown(notice.annotations.get("description", ""))
    return joined(summary, element("br"), element("span", description, class_="soft"))


def _labels(notice: Notice) -> Markup:
    pairs = sorted(pair for pair in notice.labels.items() if pair[0] not in _TOLD_ELSEWHERE)
    more = len(pairs) - _LABELS_SHOWN
    return element(
        "span",
        *(element("code", _shown(f"{name}={value}")) for name, value in pairs[:_LABELS_SHOWN]),
        *((f"and {more} more",) if more > 0 else ()),
        class_="labels",
    )


def _status(notice: Notice) -> Markup:
    return element("span", notice.status, class_="bad" if notice.status == "firing" else "good")


def _since(notice: Notice) -> Markup:
    return _time(notice.starts_at)


def _shown(text: str) -> str:
    """Return a text that can be seen, and not too much of it."""
    cut = text if len(text) <= _CHARACTERS_SHOWN else text[: _CHARACTERS_SHOWN - 1] + "…"
    return visible(cut)


def _time(text: str) -> Markup:
    """Return a time to the second; what is no time stays as it came."""
    short = re.sub(r"T(\d\d:\d\d:\d\d)\S*", r" \1", text)
    return element("span", _shown(short), class_="when")
