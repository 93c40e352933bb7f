"""The patterns of the wire scan: every text that the judge would change holds a match of one.

That is what makes the scan safe: where none matches, nothing has to be looked at. So each pattern
covers one way in which the judge can come to a finding:

- a value rule: its pattern, relaxed for the wire; where that is no more than a run of characters
  that counts only near certain words, those words first and the run in a second look;
- a name rule, in a text or as an attribute's key: the words of its names;
- a name made of two keys, one within the other (`api`: {`key`: …}): the outer one's end;
- a vendor's name as a whole key;
- an encoding: whatever the judge would decode, since a match may show only then;
- characters that read as others: full-width, styled and unseen ones.

`tests/redaction/test_fast.py` holds the scan to the judge.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from tapeline.redaction.decoding import MIN_BLOB_LENGTH
from tapeline.redaction.pack import Pack
from tapeline.redaction.relax import relax

__all__ = [
    "AFTER_LAST_KEY_TAGS",
    "LOOK_ALIKES",
    "Hint",
    "Meaning",
    "Pattern",
    "WirePatterns",
    "wire_patterns",
]

Pattern = tuple[bytes, bool]


class Hint(IntFlag):
    """What a match says of its text, apart from the value rules that it may concern."""

    NOTHING = 0
    WEAK = 1
    """Only together with another match it says anything."""
    NAME = 2
    """There may be a name that means a secret."""
    ENCODED = 4
    """Something may be written in escapes or in odd characters."""
    BLOB = 8
    """Base64 or hexadecimal may begin MIN_BLOB_LENGTH characters before the match's end."""
    LAST_KEY = 16
    """It ends with a key that stands behind its value, and says nothing of any other text."""
    OUTER_KEY = 32
    """That key only matters where its value is a list or a map, for the keys in there."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a match of one pattern says; `rules` are numbers of value rules, in the pack's order."""

    hint: Hint
    rules: tuple[int, ...]


# The collector writes every message from its last field to its first, SDKs from the first to the
# last. So a key stands before its value or after it. After it, the tag of a later field follows, of
# whichever message ends there; before it stands the end of the value: two characters of a text, or
# of the last key of a list. What is a plain string in another field has tag and length there.
_LAST_KEY: Final = rb"[ -~]{2}\x0a[\x01-\xff][\x01-\x1f]?[^\x00-\x1f]*"
AFTER_LAST_KEY_TAGS: Final = (
    b"\x08\x09\x0a\x10\x11\x12\x18\x19\x1a\x20\x21\x22\x28\x29\x2a\x30\x31\x32\x35\x38\x39\x3a\x40\x41\x42"
    b"\x45\x4a\x50\x52\x59\x5a\x60\x61\x62\x69\x6a\x70\x71\x7a\x85"
)
"""The first byte of every tag in OTLP (opentelemetry-proto, the three Export requests)."""

_AFTER_LAST_KEY: Final = (
    b"(?-i:[" + b"".join(b"\\x%02x" % tag for tag in AFTER_LAST_KEY_TAGS) + b"]|$)"
)

_INNER_LIST: Final = rb"\x12[\x80-\xff]{0,4}[\x00-\x7f][\x2a\x32]"
"""A key's end, then a value that is a list or a map: length, and tag of the AnyValue's member."""

_GROUPS: Final = MIN_BLOB_LENGTH // 4
_PAIRS: Final = MIN_BLOB_LENGTH // 2
_PAIR: Final = rb"(?:[2-7][0-9a-fA-F]|0[09aAdD])"
_LETTER_PAIR: Final = rb"(?:[2-7][a-fA-F]|0[aAdD])"
_ESCAPES: Final = (
    rb"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[\x22'\\/nrtbf])",
    rb"%[0-9a-fA-F]{2}",
    rb"&(?:quot|apos|amp|lt|gt|#[0-9]{2}|#x[0-9a-fA-F]{2})",
)
_BLOBS: Final = (
    # Base64 of text: no byte of it has its highest bit set, which shows in three of four digits.
    rb"(?:[A-Za-f][A-HQ-Xg-nw-z0-3][A-BE-FI-JM-NQ-RU-VY-Zc-dg-hk-lo-ps-tw-x0-14-58-9]"
    rb"[A-Za-z0-9+/_-]){%d}" % _GROUPS,
    # Hexadecimal of text, one byte or two a character. A run of digits alone is a number.
    b"|".join(
        _PAIR * count + _LETTER_PAIR + _PAIR * (_PAIRS - 1 - count) for count in range(_PAIRS)
    ),
)
LOOK_ALIKES: Final = (
    # UTF-8 of every character that Unicode's NFKC turns into one of ASCII, and of unseen ones, in
    # ranges; here and there a range has a harmless neighbour.
    (
        rb"\xc2[\xa0\xaa\xad\xb2\xb3\xb9\xba]|\xc5\xbf|\xca[\xb0-\xb8]|\xcb[\xa1-\xa3]|\xcd[\x8f\xbe]"
        rb"|\xd8\x9c"
    ),
    (
        rb"\xe1(?:\x85[\x9f\xa0]|\x9e[\xb4\xb5]|\xa0[\x8b-\x8e]|\xb4[\xac-\xbf]|\xb5[\x80-\xa5]"
        rb"|\xb6[\x9c\xa0\xbb]|\xbf\xaf)"
    ),
    (
        rb"\xe2(?:\x80[\x80-\x8f\xa4\xaa-\xaf]|\x81[\x9f-\xbf]|\x82[\x80-\x9c]|[\x84\x85\x93]"
        rb"|\x91[\xa0-\xa8]|\x92[\xb6-\xbf]|\xb1[\xbc\xbd])"
    ),
    rb"\xe3\x80\x80|\xea\x9f[\xb2-\xb4]",
    rb"\xef(?:\xac\xa9|[\xb8\xb9\xbc\xbd]|\xbb\xbf)",
    rb"\xf0(?:\x90\x9e\xa5|\x9d[\x90-\x9f]|\x9f[\x84\x85\xaf])|\xf3\xa0[\x80-\x87]",
)


@dataclass(frozen=True, slots=True)
class WirePatterns:
    """Patterns in Hyperscan's syntax over bytes, each with whether case matters not.

    An element that matches one of `strong` or `apart` has to be looked at; one that only matches
    one of `weak` has to be if it matches one of `confirming`, too. Each pattern of `apart` is best
    compiled by itself: one pass after the other is twice as fast as all in one. A match of one of
    `last_keys` ends a byte behind what has to be looked at.

    `meanings` are those of `strong`, `weak`, `apart` and `last_keys`, one after the other.
    """

    strong: tuple[Pattern, ...]
    apart: tuple[Pattern, ...]
    last_keys: tuple[Pattern, ...]
    weak: tuple[Pattern, ...]
    confirming: tuple[Pattern, ...]
    meanings: tuple[Meaning, ...]


def wire_patterns(
    pack: Pack,
    names: Iterable[bytes],
    outer_names: Iterable[Sequence[str]],
    vendors: Iterable[bytes],
    *,
    depth: int,
) -> WirePatterns:
    """Return the patterns of a pack's rules.

    `names` are the judge's own expressions for names, `outer_names` the words of a key that count
    together with those of one within it, and `vendors` its expressions for the names of vendors
    alone. `depth` 0 leaves the encodings out, as the judge does. Raises ValueError for a rule whose
    pattern has no form for the wire.
    """
    strong, weak, apart, last_keys = _Patterns(), _Patterns(), _Patterns(), _Patterns()
    confirming: list[Pattern] = []
    for number, rule in enumerate(pack.value_rules):
        pattern = (relax(rule.pattern).encode(), False)
        if rule.near is None:
            strong.add(pattern, Hint.NOTHING, number)
            continue
        confirming.append(pattern)
        for word in rule.near.keywords:
            weak.add((re.escape(word.encode()), True), Hint.WEAK, number)
    strong.add_all(map(_as_key, _without_implied(names)), Hint.NAME)
    outer = tuple(_outer(outer_names))
    strong.add_all((name + _INNER_LIST for name in outer), Hint.NAME)
    for names_behind, hint in ((outer, Hint.LAST_KEY | Hint.OUTER_KEY), (vendors, Hint.LAST_KEY)):
        last_keys.add_all((_LAST_KEY + name + _AFTER_LAST_KEY for name in names_behind), hint)
    # Read whatever the depth: these are no encoding, but another way to write the same.
    for look in LOOK_ALIKES:
        strong.add((look, False), Hint.ENCODED)
    if depth > 0:
        for form in _ESCAPES:
            strong.add((form, False), Hint.ENCODED)
        for form in _BLOBS:
            apart.add((form, False), Hint.BLOB)
    return WirePatterns(
        strong.patterns,
        apart.patterns,
        last_keys.patterns,
        weak.patterns,
        tuple(dict.fromkeys(confirming)),
        (*strong.meanings, *weak.meanings, *apart.meanings, *last_keys.meanings),
    )


class _Patterns:
    """Patterns, each once, with all that a match of it may mean."""

    def __init__(self) -> None:
        self._meanings: dict[Pattern, tuple[Hint, tuple[int, ...]]] = {}

    def add(self, pattern: Pattern, hint: Hint, *rules: int) -> None:
        known_hint, known_rules = self._meanings.get(pattern, (Hint.NOTHING, ()))
        self._meanings[pattern] = (known_hint | hint, (*known_rules, *rules))

    def add_all(self, names: Iterable[bytes], hint: Hint) -> None:
        for name in names:
            self.add((name, True), hint)

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        return tuple(self._meanings)

    @property
    def meanings(self) -> tuple[Meaning, ...]:
        return tuple(Meaning(hint, rules) for hint, rules in self._meanings.values())


_JOIN: Final = rb"[^a-z0-9]*"
"""What may stand between the words of a name (key_words.py)."""


def _without_implied(names: Iterable[bytes]) -> list[bytes]:
    """Leave out names of words that are never found without a shorter one being found in them.

    `db password` has `password` in it: one match of the two is enough, and half as much work.
    """
    known: dict[bytes, list[set[int]]] = {}
    spelled: list[tuple[bytes, bytes, set[int]]] = []
    for name in dict.fromkeys(names):
        words = name.split(_JOIN)
        joined = b"".join(words)
        if joined.isalnum():
            joints = {len(b"".join(words[:count])) for count in range(1, len(words))}
            spelled.append((name, joined, joints))
            known.setdefault(joined, []).append(joints)
    implied = {
        name
        for name, joined, joints in spelled
        for begin in range(len(joined))
        for end in range(begin + 1, len(joined) + 1)
        for inner in known.get(joined[begin:end], ())
        # What joins the words may stand in the shorter name only where it allows that.
        if {joint - begin for joint in joints if begin < joint < end} <= inner
        and (end - begin < len(joined) or inner != joints)
    }
    return [name for name in dict.fromkeys(names) if name not in implied]


def _as_key(name: bytes) -> bytes:
    """Let a name that wants a mark behind it also be a whole key."""
    head, mark, tail = name.rpartition(b"[:=<,>?.+|-]")
    return head + b"[:=<,>?.+|\\x12-]" + tail if mark else name


def _outer(beginnings: Iterable[Sequence[str]]) -> Iterator[bytes]:
    for words in beginnings:
        name = _JOIN.join(word.encode() for word in words)
        # A single letter stands at the end of many a word, and of sentences.
        yield name if len(name) > 1 else rb"[^a-z ]" + name
