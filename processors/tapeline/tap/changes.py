"""What the chain did to each record behind the redaction, as events of the tap. Pure.

Only what an enforcing redaction has just looked at comes here; see `tapeline.tap.sight`.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tapeline.pipeline.time_text import iso_from_unix_nano
from tapeline.tap.filters import TapFilter
from tapeline.tap.views import RecordView, cut

__all__ = ["Fate", "Pair", "event_of", "is_wanted", "pairs_of"]

_MASK: Final = re.compile(r"\[REDACTED:([A-Za-z0-9_.-]{1,64})(?::[^\]]{0,128})?\]")
_MASK_BEGIN: Final = "[REDACTED:"
_DOTS: Final = "●●●"


class Fate(StrEnum):
    """What became of a record behind the redaction."""

    KEPT = "kept"
    CHANGED = "changed"
    DROPPED = "dropped"
    MADE = "made"


@dataclass(frozen=True, slots=True)
class Pair:
    """A record right behind the redaction, and as it left; None where there was no such record."""

    before: RecordView | None
    after: RecordView | None

    @property
    def shown(self) -> RecordView:
        """The record as it left, or else as it was."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a pair of nothing")
        return found


def pairs_of(before: Sequence[RecordView], after: Sequence[RecordView]) -> list[Pair]:
    """Return who is who: by place where the same records stand there, else by what they keep."""
    if len(before) == len(after) and all(
        one.identity == other.identity for one, other in zip(before, after, strict=True)
    ):
        return [Pair(one, other) for one, other in zip(before, after, strict=True)]
    waiting: defaultdict[tuple[object, ...], deque[RecordView]] = defaultdict(deque)
    for view in before:
        waiting[view.identity].append(view)
    found = [Pair(_next(waiting.get(view.identity)), view) for view in after]
    found.extend(Pair(view, None) for views in waiting.values() for view in views)
    return found


def is_wanted(pair: Pair, wanted: TapFilter) -> bool:
    """Tell whether a reader wants to see it."""
    view = pair.shown
    if wanted.signal not in {None, view.signal} or not wanted.wants_service(view.service):
        return False
    return wanted.name is None or wanted.wants_name(view.name, view.body)


def event_of(pair: Pair, worker: int) -> dict[str, Any]:
    """Return what a reader is told of a record: plain data that is JSON as it is."""
    view = pair.shown
    changed = list(_changed(pair))
    return {
        "signal": view.signal.value,
        "worker": worker,
        "time": iso_from_unix_nano(view.time_unix_nano),
        "service": cut(view.service),
        "name": cut(view.name),
        "fate": _fate(pair).value,
        "changed": changed,
        "fields": {cut(path): cut(text) for path, text in view.fields.items()},
    }


def _next(views: deque[RecordView] | None) -> RecordView | None:
    return views.popleft() if views else None


def _fate(pair: Pair) -> Fate:
    if pair.after is None:
        return Fate.DROPPED
    if pair.before is None:
        return Fate.MADE
    return Fate.KEPT if pair.before.fields == pair.after.fields else Fate.CHANGED


def _changed(pair: Pair) -> Iterator[dict[str, str | None]]:
    """Yield each field that the chain changed behind the redaction, or the redaction itself.

    What the redaction took is dots before, with the rule's name, and its mask after.
    """
    before = pair.before.fields if pair.before else {}
    after = pair.after.fields if pair.after else {}
    for path in _paths(before, after):
        one, other = before.get(path), after.get(path)
        if one == other and _MASK_BEGIN not in f"{path}{one}":
            continue
        if (pair.before is None or pair.after is None) and _MASK_BEGIN not in f"{one}{other}":
            continue  # It is all new, or all gone: `fate` says so.
        yield {
            "field": cut(path),
            "before": None if one is None else cut(_dotted(one)),
            "after": None if other is None else cut(other),
        }


def _paths(before: Iterable[str], after: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys((*before, *after))


def _dotted(text: str) -> str:
    return _MASK.sub(rf"{_DOTS} (\1)", text)
