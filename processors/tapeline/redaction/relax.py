"""Patterns for the wire: of an exact pattern, one that finds at least as much in raw bytes.

On the wire a text has neighbours: the byte before it is its length, the byte after it the tag of
the next field, and both may be letters, digits or quotes. So anchors and boundaries don't hold
there and are taken out. What an exact pattern counts as one odd character (anything that is not
ASCII) is up to four bytes there, so upper limits of repeats grow. And since a match is only a
reason to look closer, an open end is cut to its shortest form, or one secret would be reported once
for each of its last characters.

The relaxed pattern is never shown the text alone, so it finds more; the exact one then decides.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any, Final

__all__ = [
    "has_inner_boundary",
    "letters_of",
    "may_hold",
    "parsed",
    "relax",
    "relaxed_end",
    "shortest",
]

_MAX_BYTES_A_CHARACTER: Final = 4
_MAX_REPEAT: Final = 64
"""Longer repeats are left open: they cost the scanner memory and tell it nothing more."""
_MAX_END: Final = 32
"""The last repeat asks for no more than that, for the same reason."""
_MAX_DEPTH: Final = 50
_ASCII: Final = "".join(map(chr, range(128)))

# The standard library's own parser of patterns: private by its name, and the same for decades.
# test_relax holds what is made of its tree to the exact patterns.
_parser: Final[Any] = import_module("re._parser")
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S\x0b",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
# For RE2 a vertical tab is no space, for Hyperscan and `re` it is one: here it is both.
_NEGATED_CATEGORIES: Final = _CATEGORIES | {
    "CATEGORY_SPACE": r"\x20\t\n\x0c\r",
    "CATEGORY_NOT_SPACE": r"\S",
}
_WIDE_CATEGORIES: Final = {"CATEGORY_NOT_DIGIT", "CATEGORY_NOT_SPACE", "CATEGORY_NOT_WORD"}
_Items = Sequence[tuple[Any, Any]]


def relax(pattern: str) -> str:
    """Return a pattern (PCRE syntax, over bytes) that matches wherever the given one does.

    Raises ValueError for what the standard library's `re` can't parse, or what has no counterpart.
    """
    tree = parsed(pattern)
    body = _sequence(list(tree), depth=0, is_last=True)
    return f"(?i:{body})" if tree.state.flags & re.IGNORECASE else body


def shortest(pattern: str) -> int:
    """Return how many characters a match of a pattern has at least; ValueError as `relax`."""
    least: int = parsed(pattern).getwidth()[0]
    return least


def has_inner_boundary(pattern: str) -> bool:
    """Say whether a pattern asks for a place within a word, or between two others: with a `B`."""
    return "AT_NON_BOUNDARY" in str(parsed(pattern))


def relaxed_end(items: _Items) -> str:
    """Return the relaxed form of the last items of a pattern; empty where nothing has to be there.

    What a match of the relaxed pattern ends with is then in the items before these.
    """
    return _sequence(list(items), depth=0, is_last=True)


def letters_of(items: _Items) -> frozenset[str]:
    """Return the characters of ASCII that items of a pattern may match, in either case."""
    leaves = "|".join(_leaves(list(items), 0))
    found = re.findall(leaves, _ASCII, re.ASCII | re.DOTALL) if leaves else []
    return frozenset("".join(found).lower() + "".join(found).upper())


def may_hold(pattern: str, characters: str) -> bool:
    """Say whether one of the characters may be part of what a pattern matches."""
    return any(
        re.search(leaf, characters, re.ASCII | re.DOTALL)
        for leaf in _leaves(list(parsed(pattern)), 0)
    )


def _leaves(items: _Items, depth: int) -> Iterator[str]:
    """Yield each item of a pattern that is no more than a class of characters."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"a pattern nests more than {_MAX_DEPTH} levels")
    for item, argument in items:
        name = str(item)
        if name == "SUBPATTERN":
            yield from _leaves(list(argument[3]), depth + 1)
        elif name == "BRANCH":
            for branch in argument[1]:
                yield from _leaves(list(branch), depth + 1)
        elif name.endswith("_REPEAT"):
            yield from _leaves(list(argument[2]), depth + 1)
        elif name != "AT":
            yield _LEAVES[name](argument)


def parsed(pattern: str) -> Any:
    """Return a pattern's tree, as the standard library's `re` parses it; ValueError as `relax`."""
    try:
        return _parser.parse(_scoped_flags(pattern), re.ASCII)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} can't be relaxed: {error}") from error


def _scoped_flags(pattern: str) -> str:
    """Scope a flag group in mid-pattern to what follows it, as RE2 reads it."""
    return re.sub(r"(?<=.)\(\?([is]+)\)(.*)\Z", r"(?\1:\2)", pattern, count=1, flags=re.DOTALL)


def _sequence(items: _Items, *, depth: int, is_last: bool) -> str:
    """Return items one after the other; of the last, only the shortest form where `is_last`."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"a pattern nests more than {_MAX_DEPTH} levels")
    pieces: list[str] = []
    for item in reversed(items):
        piece = _item(item, depth=depth, is_last=is_last)
        # What is empty at the end leaves its place to the item before it.
        is_last = is_last and not piece
        pieces.append(piece)
    return "".join(reversed(pieces))


def _item(item: tuple[Any, Any], *, depth: int, is_last: bool) -> str:
    name, argument = str(item[0]), item[1]
    if name in _LEAVES:
        text = _LEAVES[name](argument)
        # One odd character is several bytes; at the end the first of them is enough.
        return f"{text}{{1,{_MAX_BYTES_A_CHARACTER}}}" if _is_wide(item) and not is_last else text
    match name:
        case "SUBPATTERN":
            return _group(argument, depth=depth, is_last=is_last)
        case "BRANCH":
            return _branch(argument[1], depth=depth, is_last=is_last)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return _repeat(argument, depth=depth, is_last=is_last)
    raise ValueError(f"a pattern uses {name}, which has no form for the wire")


def _group(argument: tuple[Any, int, int, _Items], *, depth: int, is_last: bool) -> str:
    _, added, removed, items = argument
    body = _sequence(list(items), depth=depth + 1, is_last=is_last)
    if not body:
        return ""
    flags = "i" if added & re.IGNORECASE else ""
    flags += "-i" if removed & re.IGNORECASE else ""
    return f"(?{flags}:{body})"


def _branch(branches: Iterable[_Items], *, depth: int, is_last: bool) -> str:
    bodies = [_sequence(list(items), depth=depth + 1, is_last=is_last) for items in branches]
    if is_last and not all(bodies):
        return ""  # One of them may be empty, and that is the shortest form.
    return f"(?:{'|'.join(dict.fromkeys(bodies))})"


def _repeat(argument: tuple[int, Any, _Items], *, depth: int, is_last: bool) -> str:
    least, most, items = argument
    if is_last and least == 0:
        return ""
    items = list(items)
    is_leaf = len(items) == 1 and str(items[0][0]) in _LEAVES
    if is_leaf:
        body = _LEAVES[str(items[0][0])](items[0][1])
    else:
        body = _sequence(items, depth=depth + 1, is_last=is_last and least == 1)
    if not body:
        return ""
    if is_last:
        least = min(least, _MAX_END)
        return f"(?:{body}){{{least}}}" if least > 1 else f"(?:{body})"
    if most is not _parser.MAXREPEAT and is_leaf and _is_wide(items[0]):
        most *= _MAX_BYTES_A_CHARACTER
    if most is _parser.MAXREPEAT or most > _MAX_REPEAT:
        return f"(?:{body}){{{least},}}"
    return f"(?:{body}){{{least},{most}}}"


def _is_wide(item: tuple[Any, Any]) -> bool:
    """Tell whether an item also matches characters that are not ASCII."""
    name, argument = str(item[0]), item[1]
    if name == "IN":
        return any(
            str(kind) == "NEGATE" or str(value) in _WIDE_CATEGORIES for kind, value in argument
        )
    return name in {"NOT_LITERAL", "ANY"}


def _class(members: Sequence[tuple[Any, Any]]) -> str:
    text = ""
    is_negated = str(members[0][0]) == "NEGATE"
    for name, argument in members:
        match str(name):
            case "NEGATE":
                text += "^"
            case "LITERAL":
                text += _byte(argument)
            case "RANGE":
                text += f"{_byte(argument[0])}-{_byte(argument[1])}"
            case "CATEGORY":
                categories = _NEGATED_CATEGORIES if is_negated else _CATEGORIES
                text += categories[str(argument)]
            case other:
                raise ValueError(f"a class uses {other}, which has no form for the wire")
    return f"[{text}]"


def _byte(code: int) -> str:
    if code > 0x7F:  # noqa: PLR2004 - the end of ASCII.
        raise ValueError(f"a pattern holds U+{code:04X}; rules are ASCII")
    character = chr(code)
    return character if character.isalnum() else f"\\x{code:02x}"


_LEAVES: Final[dict[str, Callable[[Any], str]]] = {
    "LITERAL": _byte,
    "NOT_LITERAL": lambda code: f"[^{_byte(code)}]",
    # With `(?s)` a dot is any byte, and more is never less than asked for.
    "ANY": lambda _: r"[\x00-\xff]",
    "IN": _class,
    "AT": lambda _: "",
}
