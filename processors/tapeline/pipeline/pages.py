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
    """

    title: str
    merge: Callable[[Sequence[Report]], Report]
    body: Callable[[Report], Markup]
