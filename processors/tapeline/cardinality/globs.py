"""Patterns for metric names: `*` any text, `?` any character, `[ab]` or `[!ab]` one of a set."""

import fnmatch
import re
from typing import Final

__all__ = ["check_glob", "compile_globs", "covers"]

MANY: Final = "*"
ONE: Final = "?"


def check_glob(pattern: str) -> None:
    """Raise ValueError where a bracket is open: it would only match itself, which nobody means."""
    for piece in _pieces(pattern):
        if piece == "[":
            raise ValueError(f"{pattern!r}: a [ has no ]; write [[] for the character itself")


def compile_globs(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Return what matches a whole name if one of the patterns does. Upper and lower case differ."""
    return re.compile("|".join(map(fnmatch.translate, patterns)))


def covers(pattern: str, other: str) -> bool:
    """Return whether the pattern surely matches all that the other one matches.

    Sure is what can be seen by laying one on the other; False may also mean that it can't.
    """
    inner = _pieces(other)
    # reached[i]: what was read of `pattern` covers the first i pieces of the other.
    reached = [True] + [False] * len(inner)
    for piece in _pieces(pattern):
        following = [False] * (len(inner) + 1)
        for position in range(len(inner) + 1):
            if piece == MANY:
                following[position] = reached[position] or (
                    position > 0 and following[position - 1]
                )
            elif position > 0 and reached[position - 1]:
                following[position] = _covers_one(piece, inner[position - 1])
        reached = following
    return reached[-1]


def _covers_one(piece: str, other: str) -> bool:
    if piece == ONE:
        return other != MANY
    if piece == other:
        return True
    # A set covers a plain character that is in it.
    is_set, is_plain = len(piece) > 1, len(other) == 1 and other not in (MANY, ONE)
    return is_set and is_plain and fnmatch.fnmatchcase(other, piece)


def _pieces(pattern: str) -> list[str]:
    """Split a pattern into characters, wildcards and sets, as fnmatch reads it."""
    pieces: list[str] = []
    position = 0
    while position < len(pattern):
        piece = pattern[position]
        if piece == "[":
            # A ] that comes first, or right after !, is one of the set.
            first = position + 2 + (pattern[position + 1 : position + 2] == "!")
            end = pattern.find("]", first)
            if end > 0:
                piece = pattern[position : end + 1]
        if piece != MANY or not pieces or pieces[-1] != MANY:
            pieces.append(piece)
        position += len(piece)
    return pieces
