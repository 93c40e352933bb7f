"""What a route is, and how the verdicts on a point's and its resource's attributes make one."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from tapeline.cardinality.config import OVERFLOW_ATTRIBUTE, LabelPolicy
from tapeline.cardinality.key_values import (
    OVERFLOW_PAIR,
    has_value,
    key_first,
    key_of,
    key_prefix,
    values_written_as,
)
from tapeline.otlp.wire import encode_varint

__all__ = [
    "OVERFLOW_PAIRS",
    "Action",
    "Judged",
    "Reason",
    "ResourceView",
    "Route",
    "is_overflow",
    "merged",
    "refused",
    "resource_content",
]

OVERFLOW_PAIRS: Final = (OVERFLOW_PAIR,)
"""The attributes of an overflow series."""

# Prometheus writes names with `_`, and has no types: these are all one label to it.
_OVERFLOW_FORMS: Final = frozenset(
    form
    for name in (OVERFLOW_ATTRIBUTE, OVERFLOW_ATTRIBUTE.replace(".", "_"))
    for value in values_written_as("true")
    for form in (key_prefix(name) + value, value + key_prefix(name))
)
_SERVICE_NAME: Final = b"service.name"


class Action(IntEnum):
    """What becomes of a stream."""

    PASS = 0
    FOLD = 1
    DROP = 2


class Reason:
    """Why a stream does not pass, as own metrics name it."""

    NONE: Final = ""
    LABEL_LIMIT: Final = "label_limit"
    NORMALIZED: Final = "normalized"
    IDENTITY: Final = "identity"
    """It has an identity that outputs have, so it is folded into that one from the first."""


class Route(NamedTuple):
    """What becomes of a stream.

    `pairs` is the given object itself, unless the stream is folded: then it is what the output
    has, sorted, keys before values and without empty ones: one identity has one spelling.
    `removed` holds the attributes as they were before they went or were rewritten. `resource` is
    the content of the output's resource, spelled likewise, unless that is the stream's. `label`
    is the label that decided. No limit on series may refuse what `is_protected`.
    """

    action: Action
    pairs: tuple[bytes, ...]
    removed: tuple[bytes, ...] = ()
    resource: bytes | None = None
    reason: str = Reason.NONE
    label: str = ""
    is_protected: bool = False


@dataclass(frozen=True, slots=True)
class ResourceView:
    """A resource: its content on the wire (merged, where it stood there twice), its attributes."""

    content: bytes
    pairs: tuple[bytes, ...]


@dataclass(slots=True)
class Judged:
    """What was found of the attributes of a point or of a resource. `pairs` None: unchanged."""

    pairs: list[bytes] | None = None
    removed: list[bytes] | None = None
    verdict: LabelPolicy | None = None
    reason: str = Reason.NONE
    label: str = ""

    def change(self, pairs: tuple[bytes, ...], number: int, new: bytes) -> None:
        """Put another attribute, or none (empty), in place of one."""
        if self.pairs is None or self.removed is None:
            self.pairs, self.removed = list(pairs), []
        self.removed.append(pairs[number])
        self.pairs[number] = new

    def note(self, reason: str, label: str) -> None:
        """Keep the weightiest of the reasons, and of equal ones the first."""
        if _WEIGHTS[reason] > _WEIGHTS[self.reason]:
            self.reason, self.label = reason, label


_WEIGHTS: Final = {
    Reason.NONE: 0,
    Reason.IDENTITY: 1,
    Reason.NORMALIZED: 2,
    Reason.LABEL_LIMIT: 3,
}


def refused(
    point: Judged,
    around: Judged | None,
    resource: ResourceView,
    pairs: tuple[bytes, ...],
) -> Route:
    """Return the route of a series which a label's limit lets nothing remain of."""
    deciding = point if around is None or around.verdict is None else around
    if LabelPolicy.DROP_SERIES in (point.verdict, around.verdict if around else None):
        if point.verdict is LabelPolicy.DROP_SERIES:
            deciding = point
        return Route(Action.DROP, pairs, (), None, Reason.LABEL_LIMIT, deciding.label)
    if around is not None and around.verdict is LabelPolicy.OVERFLOW:
        # The value that is one too many stands in the resource, so that one goes too.
        named = tuple(pair for pair in resource.pairs if key_of(pair) == _SERVICE_NAME)
        gone = tuple(pair for pair in resource.pairs if key_of(pair) != _SERVICE_NAME)
        content: bytes | None = resource_content(named)
        removed = pairs + gone
    else:
        content = _content(around, resource)
        removed = pairs + tuple(around.removed or () if around else ())
    return Route(Action.FOLD, OVERFLOW_PAIRS, removed, content, Reason.LABEL_LIMIT, deciding.label)


def merged(
    point: Judged,
    around: Judged | None,
    resource: ResourceView,
    pairs: tuple[bytes, ...],
    *,
    is_protected: bool,
) -> Route:
    """Return the route of a series that remains a series, be it another one."""
    if is_overflow(pairs):
        point.note(Reason.IDENTITY, "")
    deciding = point
    if around is not None and _WEIGHTS[around.reason] > _WEIGHTS[point.reason]:
        deciding = around
    if deciding.reason == Reason.NONE:
        return Route(Action.PASS, pairs, is_protected=is_protected)
    remaining = tuple(_spelled(point.pairs or pairs))
    return Route(
        Action.FOLD,
        OVERFLOW_PAIRS if is_overflow(remaining) else remaining,
        (*(point.removed or ()), *((around.removed or ()) if around else ())),
        _content(around, resource),
        deciding.reason,
        deciding.label,
        is_protected,
    )


def _content(around: Judged | None, resource: ResourceView) -> bytes | None:
    """Return the output's resource, where its attributes have anything to do with the route."""
    if around is None or around.reason == Reason.NONE:
        return None
    return resource_content(around.pairs or resource.pairs)


def resource_content(pairs: Iterable[bytes]) -> bytes:
    """Return the content of an output's resource: these attributes and nothing else."""
    return b"".join(b"\x0a" + encode_varint(len(pair)) + pair for pair in _spelled(pairs))


def is_overflow(pairs: tuple[bytes, ...]) -> bool:
    """Return whether a backend takes these for the attributes of an overflow series."""
    if _OVERFLOW_FORMS.isdisjoint(pairs):
        return False
    return len(list(filter(has_value, pairs))) == 1


def _spelled(pairs: Iterable[bytes]) -> list[bytes]:
    """Return the attributes as outputs have them: keys first, sorted, none without a value."""
    return sorted(map(key_first, filter(has_value, pairs)))
