"""What a rule's finding is made of, where the finding is the end of what its pattern matches.

The scan tells where matches of a relaxed pattern end, and that end lies within the finding then. So
where the finding can't go on beyond a secret that is known already, the rule needs not be asked.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tapeline.redaction.relax import letters_of, parsed, relaxed_end

__all__ = ["Ending", "endings", "lies_within"]


class Ending(NamedTuple):
    """A form of what a rule finds: characters of its first piece, and of all that may follow."""

    first: frozenset[str]
    rest: frozenset[str]


_Items = Sequence[tuple[Any, Any]]


def endings(pattern: str) -> tuple[Ending, ...] | None:
    """Return the forms of what a pattern finds; None where that is not the end of its match.

    An empty group finds nothing, and so has no form.
    """
    return _of_sequence(list(parsed(pattern)))


def _of_sequence(items: _Items) -> tuple[Ending, ...] | None:
    """Return the forms of a sequence of items, whose only group may be the last of them."""
    if items and str(items[-1][0]) == "SUBPATTERN" and not items[-1][1][3]:
        return None if items[-1][1][0] is None or _any_group(items[:-1]) else ()
    for number, (name, argument) in enumerate(items):
        behind = items[number + 1 :]
        if str(name) == "AT" or relaxed_end(behind) != "":
            continue
        if _any_group(items[:number]):
            return None
        return _of_last(str(name), argument, is_last_group=not _any_group(behind))
    return None


def _of_last(name: str, argument: Any, *, is_last_group: bool) -> tuple[Ending, ...] | None:
    """Return the forms of the last item that has to be there."""
    if name == "SUBPATTERN" and argument[0] is not None:
        return _forms(list(argument[3]))
    if name == "SUBPATTERN" and is_last_group:
        return _of_sequence(list(argument[3]))
    return _of_branches(argument[1]) if name == "BRANCH" and is_last_group else None


def _of_branches(branches: Sequence[_Items]) -> tuple[Ending, ...] | None:
    forms: list[Ending] = []
    for branch in branches:
        found = _of_sequence(list(branch))
        if found is None:
            return None
        forms.extend(found)
    return tuple(forms)


def _forms(items: _Items) -> tuple[Ending, ...] | None:
    """Return the forms of a group's content."""
    if not items:
        return ()
    if len(items) == 1 and str(items[0][0]) == "BRANCH":
        forms: list[Ending] = []
        for branch in items[0][1][1]:
            found = _forms(list(branch))
            if not found:
                return None
            forms.extend(found)
        return tuple(forms)
    if _any_group(items) or relaxed_end(items) == "":
        return None
    return (Ending(letters_of(items[:1]), letters_of(items[1:])),)


def _any_group(items: _Items) -> bool:
    return any(map(_has_group, items))


def _has_group(item: tuple[Any, Any]) -> bool:
    name, argument = str(item[0]), item[1]
    if name == "SUBPATTERN":
        return argument[0] is not None or _any_group(list(argument[3]))
    if name == "BRANCH":
        return any(_any_group(list(branch)) for branch in argument[1])
    return name.endswith("_REPEAT") and _any_group(list(argument[2]))


def lies_within(
    forms: Sequence[Ending], text: str, span: tuple[int, int], ends: tuple[int, int]
) -> bool:
    """Say whether all that has these forms lies within a span of the text.

    `ends` are where the first and the last of the scan's matches end. Each finding has the
    character before one of these; it would have to go on across one of the span's ends.
    """
    start, end = span
    if not start < ends[0] or not ends[1] <= end or start == 0:
        return False
    before, head = text[start - 1], text[start]
    behind = text[end] if end < len(text) else ""
    for first, rest in forms:
        if behind in first or behind in rest:
            return False
        if before in first or (before in rest and head in rest):
            return False
    return True
