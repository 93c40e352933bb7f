"""What stands around a processor's page: the document, its style, and what a browser may do.

One document with its style in it and nothing else: no script, no picture, no font, nothing from
elsewhere, so that it works on a machine without a network and nothing in it can run.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tapeline.pipeline.markup import Markup, element, joined
from tapeline.pipeline.pages import Page

__all__ = ["PAGE_HEADERS", "check_names", "document"]

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --warn: #b45309; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --warn: #fbbf24; --bad: #f87171; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 80rem;
  padding: 0 1rem; background: Canvas; color: CanvasText; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
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
_STYLE_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

PAGE_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; base-uri 'none';"
            " form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
)

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TAKEN: Final = frozenset({"health", "metrics"})


def check_names(pages: Mapping[str, Page]) -> None:
    """Raise ValueError where a page's path would be taken or no path."""
    for name in pages:
        if name in _TAKEN or not _NAME.fullmatch(name):
            raise ValueError(
                f"a processor named {name!r} can't have a page at /{name}: name it otherwise,"
                " with letters, digits, _ and -"
            )


def document(page: Page, body: Markup, *, asked: int, answered: int, at: str) -> str:
    """Return a whole document. `at` is the time, and of `asked` workers `answered` are in it."""
    told = f"As of {at}"
    if asked > 1:
        told += f", from {answered} of {asked} workers"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{page.title} · Tapeline"),
        element("style", Markup(_STYLE)),
    )
    top = element(
        "p",
        told,
        ". ",
        element("a", "The same as JSON", href="?format=json"),
        class_="bad" if answered < asked else "soft",
    )
    whole = element("html", head, element("body", element("h1", page.title), top, body), lang="en")
    return joined(Markup("<!doctype html>\n"), whole, "\n")
