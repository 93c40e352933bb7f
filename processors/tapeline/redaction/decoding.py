"""Reads a text through its encodings, and knows for every character where it came from."""

import base64
import binascii
import html
import re
import string
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = [
    "BLOB_EXPRESSIONS",
    "DIGITS",
    "MIN_BLOB_LENGTH",
    "Reading",
    "blobs",
    "normalised",
    "unescaped",
]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it reads, and the way back to the text it was read from.

    Piece `i` begins at `starts[i]` in it and stands for `origins[i]` up to `ends[i]` of that text.
    """

    text: str
    starts: tuple[int, ...]
    origins: tuple[int, ...]
    ends: tuple[int, ...]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return where a non-empty piece of the reading stands in the text it was read from."""
        return self._origin(start), self._end(end)

    def _origin(self, position: int) -> int:
        piece = bisect_right(self.starts, position) - 1
        if self._is_literal(piece):
            return self.origins[piece] + position - self.starts[piece]
        return self.origins[piece]

    def _end(self, position: int) -> int:
        piece = bisect_right(self.starts, position - 1) - 1
        if self._is_literal(piece):
            return self.origins[piece] + position - self.starts[piece]
        return self.ends[piece]

    def _is_literal(self, piece: int) -> bool:
        following = self.starts[piece + 1] if piece + 1 < len(self.starts) else len(self.text)
        return following - self.starts[piece] == self.ends[piece] - self.origins[piece]


def _read(text: str, pattern: re.Pattern[str], replace: Callable[[str], str]) -> Reading:
    """Replace each match; the matches and what lies between them become the pieces."""
    pieces: list[str] = []
    starts: list[int] = []
    origins: list[int] = []
    ends: list[int] = []
    length = position = 0

    def add(piece: str, origin: int, end: int) -> None:
        nonlocal length
        if piece:
            pieces.append(piece)
            starts.append(length)
            origins.append(origin)
            ends.append(end)
            length += len(piece)

    for match in pattern.finditer(text):
        add(text[position : match.start()], position, match.start())
        add(replace(match[0]), match.start(), match.end())
        position = match.end()
    add(text[position:], position, len(text))
    return Reading("".join(pieces), tuple(starts), tuple(origins), tuple(ends))


# Characters that are not seen: soft hyphen, joiners, marks of direction, variation selectors, tags.
_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]+"
)
_ODD: Final = "\x7f"
"""Stands for every character that is not ASCII and not a form of one."""


def normalised(text: str) -> tuple[str, Reading | None]:
    """Return a text as ASCII, and the way back if characters were left out.

    Full-width and styled forms of ASCII characters become these (Unicode NFKC), unseen characters
    are left out, and everything else that is not ASCII becomes one odd character.
    """
    if text.isascii():
        return text, None
    reading = _read(text, _UNSEEN, _nothing) if _UNSEEN.search(text) else None
    seen = reading.text if reading else text
    plain = seen.translate({ord(char): _plain(char) for char in set(seen) if not char.isascii()})
    if reading is None:
        return plain, None
    return plain, Reading(plain, reading.starts, reading.origins, reading.ends)


def _nothing(_: str) -> str:
    return ""


def _plain(character: str) -> str:
    form = unicodedata.normalize("NFKC", character)
    return form if len(form) == 1 and form.isascii() else _ODD


_ESCAPE: Final = re.compile(
    r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[\"'\\/nrtbf]"
    r"|%[0-7][0-9a-fA-F]|(?:%[89a-fA-F][0-9a-fA-F])++"
    r"|&(?:quot|apos|amp|lt|gt|#[0-9]{2,5}|#x[0-9a-fA-F]{2,4});"
)
_LETTERS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def unescaped(text: str) -> Reading | None:
    """Return a text with one layer of escapes read: JSON, URL-encoding, character references.

    None where it has none.
    """
    if "\\" not in text and "%" not in text and "&" not in text:
        return None
    if _ESCAPE.search(text) is None:
        return None
    return _read(text, _ESCAPE, _unescape)


def _unescape(escape: str) -> str:
    if escape[0] == "&":
        return html.unescape(escape)
    if escape[0] == "%":
        return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "replace")
    if escape[1] in "ux" and len(escape) > 2:  # noqa: PLR2004 - a backslash and a letter
        return chr(int.from_bytes(bytes.fromhex(escape[2:]), "big"))
    return _LETTERS.get(escape[1], escape[1])


MIN_BLOB_LENGTH: Final = 20
"""Characters: a shorter run holds at most 15 bytes, which is hardly a name and its secret."""

_HEAD_LENGTH: Final = 32

# What base64 and hexadecimal of text begin with: no byte of ASCII has its highest bit set, which
# shows in three of four digits of base64. One random run in thousands begins so, too.
_BASE64_OF_TEXT: Final = (
    r"(?:[A-Za-f][A-HQ-Xg-nw-z0-3][A-BE-FI-JM-NQ-RU-VY-Zc-dg-hk-lo-ps-tw-x0-14-58-9]"
    r"[A-Za-z0-9+/_\-]){4}"
)
_HEX_OF_TEXT: Final = r"(?:[2-7][0-9a-fA-F]|0[09aAdD]){8}"
BLOB_EXPRESSIONS: Final = (_BASE64_OF_TEXT.encode(), _HEX_OF_TEXT.encode())
"""In Hyperscan's syntax: a text in which neither is found has no readable run."""

_DIGIT: Final = r"[A-Za-z0-9+/_\-]"
DIGITS: Final = frozenset(f"{string.ascii_letters}{string.digits}+/_-=")
"""What may stand in a run of base64 or hexadecimal, and at its end."""

_HEAD: Final = re.compile(
    rf"(?<![A-Za-z0-9+])(?={_BASE64_OF_TEXT}|{_HEX_OF_TEXT})"
    rf"{_DIGIT}{{{MIN_BLOB_LENGTH},{_HEAD_LENGTH}}}+"
)
_REST: Final = re.compile(rf"{_DIGIT}*+={{0,2}}+")
_READABLE: Final = re.compile(rb"[\t\n\r\x20-\x7e]*\Z")
_WIDE: Final = re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00)+[\t\n\r\x20-\x7e]?\Z")
_SEPARATOR: Final = re.compile(r"[/_\-]")
_TO_STANDARD: Final = str.maketrans("-_", "+/")


def blobs(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where a run of base64 or hexadecimal stands and what it says, if it is readable.

    A run may begin after a slash, a dash or an underscore, though these are digits of it too.
    """
    position = 0
    while head := _HEAD.search(text, position):
        # Only the head is decoded until it proves readable: so a run is read once, however many
        # places it has at which it might begin.
        if not any(_is_readable(decode(head[0])) for decode in (_from_base64, _from_hex)):
            separator = _SEPARATOR.search(text, head.start() + 1, head.end())
            position = separator.end() if separator else head.end()
            continue
        rest = _REST.match(text, head.end())
        position = rest.end() if rest else head.end()
        said = _said(text[head.start() : position])
        if said is not None:
            yield head.start(), position, said


def _said(run: str) -> str | None:
    """Return what a run says whose head is readable."""
    if run.isdigit():
        return None  # A number, and no text that holds a name and its secret.
    for decode in (_from_base64, _from_hex):
        head, whole = decode(run[:_HEAD_LENGTH]), decode(run)
        if whole is None or not _is_readable(head):
            continue
        if _WIDE.match(whole):
            return whole[::2].decode("ascii")
        return whole.decode("utf-8", "replace")
    return None


def _is_readable(data: bytes | None) -> bool:
    return data is not None and bool(_READABLE.match(data) or _WIDE.match(data))


def _from_base64(run: str) -> bytes | None:
    encoded = run.rstrip("=")
    if "-" in encoded or "_" in encoded:
        encoded = encoded.translate(_TO_STANDARD)
    # One character alone is six bits: cut off, it says nothing.
    encoded = encoded[: len(encoded) - (len(encoded) % 4 == 1)]
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error:
        return None


def _from_hex(run: str) -> bytes | None:
    pairs = run.rstrip("=")
    try:
        return bytes.fromhex(pairs[: len(pairs) // 2 * 2])
    except ValueError:
        return None
