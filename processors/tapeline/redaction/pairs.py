"""Finds secrets that a name in the same text gives away: `password=x`, `"token": "x"`, `?sig=x`.

Pure text, no parser: a log line is seldom a whole document, and a cut-off one is never.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tapeline.redaction.key_names import PAIR_TERMS, KeyNames, is_end_of_term, words_of
from tapeline.redaction.masks import end_of_mask
from tapeline.redaction.spans import Span

__all__ = ["PAIR_MARKS", "find_pairs"]

PAIR_MARKS: Final = ("=", ":", "->", "--")
"""What stands between a name and its value, or in front of an option: one of them in every pair."""

# A name begins where its run of characters does: so each run is read once, whatever follows it.
_PAIR: Final = re.compile(
    r"(?<![\w.\-])(?P<name>[\w.\-]++)(?P<close>[\\\"'`\])]{0,16}+)[ \t]{0,8}+"
    r"(?P<mark>=>|->|:=|={1,3}+|:)"
)
# Options of a command line take their value after a blank.
_OPTION: Final = re.compile(
    r"(?<![\w.\-])--(?P<name>[\w\-]++)(?P<close>)(?P<mark>)(?=[ \t]{1,8}+[^\s\-=:])"
)
_WORD_BEFORE: Final = re.compile(r"(?<![\w\-])[\w\-]{1,30}+(?=[ \t]\Z)")
_BEFORE_LENGTH: Final = 32

_GAP: Final = re.compile(r"[ \t]{0,16}+")
_GAP_IN_JSON: Final = re.compile(r"\s{0,64}+")
_OPENING: Final = re.compile(r"(?:[bru]{1,2}+(?=[\"']))?(?P<slashes>\\{0,15}+)(?P<quote>[\"'`])")
_CLOSINGS: Final = {quote: re.compile(rf"(?<!\\)\\*+{quote}") for quote in "\"'`"}
_NOTHING: Final = re.compile(r"(?:null|None|nil|undefined|NULL)(?![\w.\-])")
# A quoted string counts as one piece, since brackets in it mean nothing; an open one has no end.
_BRACKET: Final = re.compile(r"[\[{]|[\]}]|\"(?:[^\"\\]++|\\(?:.|\Z))*+(?:\"|\Z)", re.DOTALL)
_BARE_BRACKET: Final = re.compile(r"[\[{]|[\]}]")

# How far a value goes that stands in no quotes, by the rule of its name and by what is around it.
_WORD: Final = re.compile(r"(?:[^\s&;,\"'`<>|)}\]\\\x00-\x1f]|\\(?![nrt\"'`u\\]))++")
_HEADER_WORD: Final = re.compile(r"(?:[^\s;,\"'`<>)}\]\\\x00-\x1f]|\\(?![nrt\"'`u\\]))++")
_QUERY_WORD: Final = re.compile(r"[^\s&\"'<>#\\]++")
_CONNECTION_WORD: Final = re.compile(r"[^;\r\n\"'`]++")
_LINE: Final = re.compile(r"[^\r\n\"'`]++")
_WHOLE_LINE: Final = re.compile(r"[^\r\n]++")
_PHRASE: Final = re.compile(r"[^\r\n,;\"'`&|<>{}\[\]()]++")
_COOKIES: Final = re.compile(r"[^\s;,\"'`]++(?:;[ \t]{0,4}+[^\s;,\"'`]*+)*+")
_AUTHORIZATION: Final = re.compile(
    r"(?:(?i:bearer|basic|token|api-?key|geniekey|key|negotiate|ntlm|splunk|sharedkey|jwt|bot)"
    r"[ \t]{1,4}+)?+[^\s;,\"'`<>)}\]\\]++"
)
_AUTHORIZATION_HEADER: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9\-]{1,31}+[ \t]{1,4}+)?+[^\s;,\"'`<>)}\]\\]++"
)
_EXTENTS: Final = {
    "cookie": _COOKIES,
    "connection_string": _LINE,
    "recovery_phrase": _PHRASE,
}
# Schemes whose parameters are further quoted or comma-separated pairs of the same header.
_MANY_PARAMETERS: Final = re.compile(r"(?i:digest|oauth|hawk|mac|aws4-hmac-sha256)[ \t]")

# What stands under a name of PAIR_TERMS is a secret only if it is long.
_STRONG_VALUE: Final = re.compile(r"[A-Za-z0-9+/=_%\-]{20}")


@dataclass(frozen=True, slots=True)
class _Pair:
    """A name that means a secret, and where its value begins."""

    rule: str
    start: int
    close: str
    mark: str
    before: str


def find_pairs(text: str, names: KeyNames, masks: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """Yield the values in a text whose name means a secret.

    `masks` are where the masks stand that are in the text already, in order: a mask is no value,
    and what is in it is no name.
    """
    yield from _find(_PAIR, text, names, masks)
    if "--" in text:
        yield from _find(_OPTION, text, names, masks)


def _find(
    pattern: re.Pattern[str], text: str, names: KeyNames, masks: Sequence[tuple[int, int]]
) -> Iterator[Span]:
    position = 0
    while match := pattern.search(text, position):
        # What a secret's value holds is not searched again: so all values together are read once.
        position = match.end()
        pair = _judge(text, match, names)
        if pair is None or end_of_mask(masks, match.start()):
            continue
        span = _value(text, pair, masks)
        if span is not None:
            yield span
            position = max(position, span.end)


def _judge(text: str, match: re.Match[str], names: KeyNames) -> _Pair | None:
    name, start = match["name"], match.start("name")
    rule = names.rule_of(name, "")
    if rule is None and is_end_of_term(name):
        word = _WORD_BEFORE.search(text[max(0, start - _BEFORE_LENGTH) : start])
        rule = names.rule_of(name, word[0]) if word else None
    close, mark = match["close"], match["mark"]
    gap = (_GAP_IN_JSON if '"' in close else _GAP).match(text, match.end())
    value_start = gap.end() if gap else match.end()
    if rule is None and mark == "=":
        rule = PAIR_TERMS.get(words_of(name))
        if rule is not None and not _STRONG_VALUE.match(text, value_start):
            return None
    if rule is None:
        return None
    return _Pair(rule, value_start, close, mark, text[max(0, start - 1) : start])


def _value(text: str, pair: _Pair, masks: Sequence[tuple[int, int]]) -> Span | None:
    """Return the value of a pair; None where there is nothing to hide."""
    start, quote = pair.start, ""
    opening = _OPENING.match(text, start)
    if opening is not None:
        start = opening.end()
        end = _quoted_end(text, start, len(opening["slashes"]), opening["quote"])
    else:
        quote = _quote_of(pair.close)
        end = _bare_end(text, pair)
    if end_of_mask(masks, start) or not text[start:end].strip():
        return None
    return Span(start, end, pair.rule, quote)


def _quoted_end(text: str, start: int, slashes: int, quote: str) -> int:
    """Return where a quoted value ends; the end of the text if it was cut off.

    Quotes that end it are escaped as often as those that opened it; more escapes are of quotes
    within the value.
    """
    for closing in _CLOSINGS[quote].finditer(text, start):
        found = closing.end() - closing.start() - 1
        if found <= slashes or (slashes == 0 and found % 2 == 0):
            return closing.end() - 1 - min(found, slashes)
    return len(text)


def _quote_of(close: str) -> str:
    quoted = re.search(r"\\*+[\"']", close)
    return quoted[0] if quoted else ""


def _bare_end(text: str, pair: _Pair) -> int:
    """Return where a value without quotes ends."""
    if text[pair.start : pair.start + 1] in {"{", "["}:
        return _bracketed_end(text, pair)
    if _NOTHING.match(text, pair.start):
        return pair.start
    value = _extent(text, pair).match(text, pair.start)
    return value.end() if value else pair.start


def _bracketed_end(text: str, pair: _Pair) -> int:
    depth = 0
    pattern = _BARE_BRACKET if "\\" in pair.close else _BRACKET
    for bracket in pattern.finditer(text, pair.start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(bracket[0], 0)
        if depth == 0:
            return bracket.end()
    return len(text)


def _extent(text: str, pair: _Pair) -> re.Pattern[str]:
    """Choose how far a value goes, by what kind of secret it is and by what is around it."""
    in_header = pair.mark == ":"
    if pair.rule == "authorization":
        if _MANY_PARAMETERS.match(text, pair.start):
            return _WHOLE_LINE
        return _AUTHORIZATION_HEADER if in_header else _AUTHORIZATION
    if pair.rule in _EXTENTS:
        return _EXTENTS[pair.rule]
    if in_header:
        return _PHRASE if pair.rule == "passphrase" else _HEADER_WORD
    if pair.before in {"?", "&", "#"}:
        return _QUERY_WORD
    return _CONNECTION_WORD if pair.before == ";" else _WORD
