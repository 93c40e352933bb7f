"""How the admin server shows what a processor reports. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tapeline.pipeline.markup import Markup
from tapeline.pipeline.processor import Report

__all__ = ["Page"]


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a processor that reports.

    `merge` makes one report of several workers' (at least one). `body`
    makes HTML of a report: what stands below the title, with no resource from elsewhere.

    A page needs nothing else. `style` is added to that of all pages. `scripts` run in their order
    in a reader's browser, which is told to run nothing else. A page that `is_live` has its body
    made anew every few seconds while somebody looks; scripts hear of it by the event
    `tapeline:content` of the document.
    """

    title: str
    merge: Callable[[Sequence[Report]], Report]
    body: Callable[[Report], Markup]
    style: str = ""
    scripts: tuple[str, ...] = ()
    is_live: bool = False
