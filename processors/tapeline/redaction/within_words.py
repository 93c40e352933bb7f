"""Where in a text a rule can match at all, told by what every match of its pattern holds.

Many patterns hold a literal, as `://`, and leave a blank no room but near their ends. Then a match
stands in the word around that literal and a few characters beside it, whatever the rest of the text
says.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tapeline.redaction.relax import letters_of, parsed, relax, relaxed_end

__all__ = ["InWord", "first_letters", "in_word", "least_word", "relaxed_from_mark"]

MIN_LITERAL: Final = 3
MAX_BESIDE: Final = 32
_Items = Sequence[tuple[Any, Any]]


class InWord(NamedTuple):
    """What each match of a pattern holds, and how far it goes beyond the word around that."""

    literal: str
    """In lower case."""
    before: int
    behind: int


def in_word(pattern: str) -> InWord | None:
    """Return what ties the matches of a pattern to one word; None where nothing does."""
    tree = parsed(pattern)
    items = list(tree)
    first, last = _literal(items)
    if last - first < MIN_LITERAL:
        return None
    literal = "".join(chr(argument) for _, argument in items[first:last]).lower()
    while first > 0 and not _holds_blank(items[first - 1]):
        first -= 1
    while last < len(items) and not _holds_blank(items[last]):
        last += 1
    before, behind = tree[:first].getwidth()[1], tree[last:].getwidth()[1]
    if " " in literal or before > MAX_BESIDE or behind > MAX_BESIDE:
        return None
    return InWord(literal, int(before), int(behind))


def least_word(pattern: str) -> int:
    """Return how long the word has to be at least in which a match of a pattern stands.

    But for one character at either end, which may be a blank; 0 where a match may hold others.
    """
    tree = parsed(pattern)
    items = list(tree)
    first, last = 0, len(items)
    if items and _holds_blank(items[0]):
        first = 1
    if last > first and _holds_blank(items[-1]):
        last -= 1
    before, behind = tree[:first].getwidth()[1], tree[last:].getwidth()[1]
    if before > 1 or behind > 1 or any(map(_holds_blank, items[first:last])):
        return 0
    return max(0, int(tree.getwidth()[0]) - int(before) - int(behind))


def relaxed_from_mark(pattern: str) -> str:
    """Return a pattern relaxed, without what stands before its literal if that is no mere word.

    It matches more, and ends in the same places, at a part of the scanner's cost.
    """
    tree = parsed(pattern)
    items = list(tree)
    first, last = _literal(items)
    if last - first < MIN_LITERAL or any(chr(code).isalnum() for _, code in items[first:last]):
        return relax(pattern)
    return f"(?i:{relaxed_end(items[first:])})"


def first_letters(patterns: Sequence[str]) -> frozenset[str] | None:
    """Return with what a text begins in which one of these is found; None if that can be anything.

    That is known of patterns that begin with `^`.
    """
    found: set[str] = set()
    for pattern in patterns:
        tree = parsed(pattern)
        items = list(tree)
        begins = bool(items) and str(items[0][1]) == "AT_BEGINNING"
        letters = _first_of(items[1:]) if begins else None
        if letters is None or tree.state.flags & re.MULTILINE:
            return None
        found |= letters
    return frozenset(found)


def _first_of(items: _Items) -> frozenset[str] | None:
    """Return the characters with which items may begin; None where they may be nothing."""
    found: frozenset[str] = frozenset()
    for name, argument in items:
        match str(name):
            case "SUBPATTERN":
                inner = _first_of(list(argument[3]))
            case "BRANCH":
                each = [_first_of(list(branch)) for branch in argument[1]]
                known = [letters for letters in each if letters is not None]
                inner = frozenset().union(*known) if len(known) == len(each) else None
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                found |= letters_of(list(argument[2]))
                inner = frozenset() if argument[0] else None
                if inner is None:
                    continue
            case "AT":
                return None
            case _:
                inner = letters_of([(name, argument)])
        return None if inner is None else found | inner
    return None


def _literal(items: _Items) -> tuple[int, int]:
    """Return where the longest run of literals among items begins and ends."""
    best = (0, 0)
    begin = 0
    for number in range(len(items) + 1):
        if number == len(items) or str(items[number][0]) != "LITERAL":
            if number - begin > best[1] - best[0]:
                best = (begin, number)
            begin = number + 1
    return best


def _holds_blank(item: tuple[Any, Any]) -> bool:
    return " " in letters_of([item])
