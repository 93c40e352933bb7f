"""What stands around a processor's page: the document, its style, and what a browser may do.

One document with all that it needs in it: no picture, no font, nothing from elsewhere, so that it
works on a machine without a network. Nothing in it can run but the scripts that its page brings,
each of which the policy names by its digest.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from tapeline.pipeline.markup import Markup, element, joined
from tapeline.pipeline.pages import Page

__all__ = ["STYLE", "check_pages", "content", "document", "page_headers", "policy_headers"]

STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --warn: #b45309; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --warn: #fbbf24; --bad: #f87171; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 80rem;
  padding: 0 1rem; background: Canvas; color: CanvasText; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h1 small { font-size: .85rem; font-weight: 400; margin-left: .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font: 13px/1.4 ui-monospace, monospace; unicode-bidi: isolate; }
code { overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .6rem .8rem; border-radius: 4px; margin: .3rem 0;
  overflow-x: auto; user-select: all; }
ul { margin: 0; padding-left: 1.1rem; min-width: 15rem; }
td > code { display: inline-block; min-width: 8rem; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; }
dt { font-size: .85rem; opacity: .75; }
dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; padding: .35rem 0; }
details { border-bottom: 1px solid var(--line); }
.warn { color: var(--warn); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.soft { opacity: .75; }
"""
_LIVE_SCRIPT: Final = """
"use strict";
(() => {
  const main = document.querySelector("main");
  const state = document.getElementById("live");
  const all = (names) => [...main.querySelectorAll(names)];
  const key = (one, place) => one.dataset.key ?? String(place);
  const reading = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && main.contains(selection.anchorNode);
  };
  // What a reader has opened, scrolled and reached by the keyboard stays.
  const show = (html) => {
    const opened = new Map(all("details").map((one, place) => [key(one, place), one.open]));
    const left = all(".wide").map((one) => one.scrollLeft);
    const focused = all("a, summary").indexOf(document.activeElement);
    main.innerHTML = html;
    all("details").forEach((one, place) => {
      one.open = opened.get(key(one, place)) ?? one.open;
    });
    document.dispatchEvent(new Event("tapeline:content"));
    all(".wide").forEach((one, place) => { one.scrollLeft = left[place] ?? 0; });
    if (focused >= 0) all("a, summary")[focused]?.focus({ preventScroll: true });
  };
  const source = new EventSource(document.body.dataset.events);
  source.onmessage = (message) => {
    state.textContent = reading() ? " Waits while text is selected." : " Live.";
    state.className = "";
    if (!reading()) show(JSON.parse(message.data));
  };
  source.onerror = () => {
    state.textContent = " No connection: these figures are old.";
    state.className = "bad";
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10000);
  };
})();
"""

_PLAIN_HEADERS: Final = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


def page_headers(page: Page) -> dict[str, str]:
    """Return the headers of a processor's page."""
    return policy_headers(_style(page), _scripts(page), connects=page.is_live)


def policy_headers(style: str, scripts: Sequence[str], *, connects: bool) -> dict[str, str]:
    """Return what a browser may do with a page: this style, these scripts, this server."""
    policy = ["default-src 'none'", f"style-src {_digest(style)}"]
    if scripts:
        policy.append(f"script-src {' '.join(map(_digest, scripts))}")
    if connects:
        policy.append("connect-src 'self'")
    policy += ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return {"Content-Security-Policy": "; ".join(policy), **_PLAIN_HEADERS}


def _style(page: Page) -> str:
    return STYLE + page.style


def _scripts(page: Page) -> tuple[str, ...]:
    return (*page.scripts, _LIVE_SCRIPT) if page.is_live else page.scripts


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TAKEN: Final = frozenset({"health", "metrics", "tap"})


def check_pages(pages: Mapping[str, Page]) -> None:
    """Raise ValueError where a page's path would be taken or no path, or where text ends early."""
    for name, page in pages.items():
        if name in _TAKEN or not _NAME.fullmatch(name):
            raise ValueError(
                f"a processor named {name!r} can't have a page at /{name}: name it otherwise,"
                " with letters, digits, _ and -"
            )
        if any("</" in text for text in (page.style, *page.scripts)):
            raise ValueError(
                f"a style or script of the page {name!r} has '</' in it: write '<\\\\/'"
            )


def content(body: Markup, *, asked: int, answered: int, at: str) -> Markup:
    """Return what changes from one look to the next. `answered` workers of `asked` are in it."""
    told = f"As of {at}"
    if asked > 1:
        told += f", from {answered} of {asked} workers"
    top = element(
        "p",
        told,
        ". ",
        element("a", "The same as JSON", href="?format=json"),
        class_="bad" if answered < asked else "soft",
    )
    return joined(top, body)


def document(name: str, page: Page, inside: Markup) -> str:
    """Return a whole document around what `content` returned."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{page.title} · Tapeline"),
        element("style", Markup(_style(page))),
    )
    title = element("h1", page.title, element("small", id="live", role="status"))
    scripts = [element("script", Markup(script)) for script in _scripts(page)]
    events = f"{name}/events" if page.is_live else False
    inner = element("body", title, element("main", inside), *scripts, data_events=events)
    whole = element("html", head, inner, lang="en")
    return joined(Markup("<!doctype html>\n"), whole, "\n")
