"""A piece of text that is a secret."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["Span", "merge"]


@dataclass(frozen=True, slots=True)
class Span:
    """The characters from `start` up to `end`, and the rule by which they are a secret.

    `quote` is put around the mask: it keeps JSON valid where a bare number or list is replaced.
    """

    start: int
    end: int
    rule: str
    quote: str = ""


def merge(spans: Iterable[Span]) -> list[Span]:
    """Return the spans in order, those that overlap joined under the rule of the first."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if merged and span.start < merged[-1].end:
            if span.end > merged[-1].end:
                merged[-1] = replace(merged[-1], end=span.end)
        else:
            merged.append(span)
    return merged
