"""Rewrites ids within label values to placeholders, so that few values remain of many.

`/orders/123/fills/9f86d081884c7d65` becomes `/orders/{number}/fills/{hex}`. All rewriting takes
time linear in the text, and rewriting a result again changes nothing.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import re2

__all__ = ["MAX_PATTERNS", "Named", "Normaliser", "OwnPattern", "compile_pattern", "placeholder"]

MAX_PROGRAM_BYTES: Final = 1 << 20
"""What RE2 may spend on one pattern, compiled and while it searches."""

MAX_PATTERNS: Final = 16
"""Patterns of one label; each reads the whole value."""

SURE_HEX_LENGTH: Final = 16
MIN_HEX_DIGITS: Final = 2


class Named(StrEnum):
    """The built-in patterns, in the order in which they are applied."""

    UUID = "uuid"
    """Five groups of hex digits with hyphens, as RFC 9562 writes them."""
    HEX = "hex"
    """`0x` and hex digits; or 8 hex digits or more, of one case, with a letter, and (below 16 of
    them, where it might be a word such as `facade`) two digits."""
    NUMBER = "number"
    """Decimal digits that are no part of a word: `orders/42` and `desk-42`, but not `v2`."""


@dataclass(frozen=True, slots=True)
class OwnPattern:
    """A pattern in RE2 syntax, and the name of the placeholder for what it matches."""

    pattern: str
    name: str


def placeholder(name: str) -> str:
    """Return what stands in place of an id: its kind in braces."""
    return f"{{{name}}}"


def compile_pattern(pattern: str) -> re2._Regexp:
    """Compile a pattern with RE2, which takes time linear in the text whatever the pattern is.

    Raises ValueError where RE2 refuses it, or where it matches the empty text.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PROGRAM_BYTES
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(
            f"pattern {pattern!r} is refused: {text}; look-around and backreferences can't be"
            " searched for in linear time"
        ) from error
    if compiled.search("") is not None:
        raise ValueError(f"pattern {pattern!r} matches the empty text, so it would match anywhere")
    return compiled


# A letter or digit, of any script, next to it makes an id part of a word.
_BEFORE: Final = r"(?<![^\W_])"
_AFTER: Final = r"(?![^\W_])"
_UUID: Final = re.compile(
    _BEFORE + r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}" + _AFTER
)
_HEX: Final = re.compile(
    _BEFORE + r"(?:0[xX][0-9a-fA-F]++|[0-9a-f]{8,}+|[0-9A-F]{8,}+)" + _AFTER,
)
_NUMBER: Final = re.compile(_BEFORE + r"[0-9]++" + _AFTER)
_DIGITS: Final = re.compile("[0-9]")


def _hex_or_word(match: re.Match[str]) -> str:
    text = match.group()
    if text[1] in "xX":
        return placeholder(Named.HEX)
    digit_count = len(_DIGITS.findall(text))
    if digit_count == len(text):
        return text
    if len(text) < SURE_HEX_LENGTH and digit_count < MIN_HEX_DIGITS:
        return text
    return placeholder(Named.HEX)


def _named(name: Named) -> Callable[[str], str]:
    replacement = placeholder(name)
    match name:
        case Named.UUID:
            return lambda text: _UUID.sub(replacement, text) if text.count("-") > 3 else text  # noqa: PLR2004 - a UUID has four
        case Named.HEX:
            return lambda text: _HEX.sub(_hex_or_word, text)
        case Named.NUMBER:
            return lambda text: _NUMBER.sub(replacement, text)


def _own(own: OwnPattern) -> Callable[[str], str]:
    compiled: Any = compile_pattern(own.pattern)
    replacement = placeholder(own.name).encode()

    def step(text: str) -> str:
        # In bytes, since text that is not UTF-8 may come by, and since RE2 works on them anyway.
        encoded = text.encode("utf-8", "surrogateescape")
        if compiled.search(encoded) is None:
            return text
        # A function: in a template a backslash would have a meaning.
        rewritten: bytes = compiled.sub(lambda _: replacement, encoded)
        return rewritten.decode("utf-8", "surrogateescape")

    return step


class Normaliser:
    """The patterns of one label: its own in the given order, then the built-in ones in theirs.

    So what is special goes before what is general, wherever it is listed: the number of an order
    id, or within a UUID, is never taken for itself.
    """

    def __init__(self, patterns: Sequence[Named | OwnPattern]) -> None:
        """Compile the patterns; raises ValueError where one can't be used, or not with others."""
        if len(patterns) > MAX_PATTERNS:
            raise ValueError(f"{len(patterns)} patterns; a label has at most {MAX_PATTERNS}")
        named = [name for name in Named if name in patterns]
        own = [pattern for pattern in patterns if isinstance(pattern, OwnPattern)]
        self._steps = (*map(_own, own), *map(_named, named))
        names = (*(pattern.name for pattern in own), *named)
        self._placeholders = tuple(dict.fromkeys(map(placeholder, names)))
        self._may_repeat = bool(own)
        for text in self._placeholders:
            if self._once(text) != text:
                raise ValueError(
                    f"the patterns match their own placeholder {text!r}: let them match what it"
                    " does not hold, for example a digit, or name it otherwise"
                )

    @property
    def placeholders(self) -> tuple[str, ...]:
        """What stands in results in place of ids."""
        return self._placeholders

    def rewrite(self, text: str) -> str:
        """Return the text with placeholders: the same object where there was nothing to rewrite.

        Where own patterns would rewrite the result yet again, the first placeholder stands for the
        whole text: results are fixed points, so that a rewritten value is known as such.
        """
        once = self._once(text)
        if once == text:
            return text
        if self._may_repeat and self._once(once) != once:
            return self._placeholders[0]
        return once

    def may_be_result(self, text: str) -> bool:
        """Return whether the text holds a placeholder, so that another may be rewritten to it."""
        return any(map(text.__contains__, self._placeholders))

    def _once(self, text: str) -> str:
        for step in self._steps:
            text = step(text)
        return text
