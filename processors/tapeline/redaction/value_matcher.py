"""Matches the value rules of a pack against a text: keywords first, patterns where they call."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import hyperscan
import re2

from tapeline.redaction.endings import Ending, endings, lies_within
from tapeline.redaction.filters import CHECKS, has_more_entropy, is_published, placeholder_reason
from tapeline.redaction.pack import compile_pattern
from tapeline.redaction.relax import relax, shortest
from tapeline.redaction.rule import Near, ValueRule
from tapeline.redaction.spans import Spans
from tapeline.redaction.within_words import InWord, first_letters, in_word

__all__ = ["ANYWHERE_BEHIND", "Asked", "Candidate", "Prefilter", "ValueMatcher"]


_new: Final = tuple.__new__
"""Half the cost of calling the named tuple."""


class Candidate(NamedTuple):
    """What a pattern matched, and why it is no secret if it is none."""

    rule: str
    start: int
    end: int
    reason: str


Asked = tuple[int, int, int]
"""A rule that a scan calls for, and where the first and the last of its matches end.

Whatever the rule finds begins before one of these ends, and ends there or behind it.
"""

ANYWHERE_BEHIND: Final = 1 << 60
"""As the end of the last match: the rule's matches may end anywhere."""

_FLAGS: Final = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY
_NUMBER_BITS: Final = 14
_NUMBER_MASK: Final = (1 << _NUMBER_BITS) - 1
_MATCHES_A_TEXT: Final = 16
MAX_PIECES: Final = 4_096
MAX_PIECE_LENGTH: Final = 256
"""Pieces of masked texts that are remembered, and the bytes of one: a few MB at the most."""
_BYTES_A_MATCH: Final = 64


class Prefilter:
    """Says which of many rules a text may concern, in one pass over it.

    `expressions` are rules' numbers, each with a pattern in Hyperscan's syntax and whether case
    matters not; a rule may have many. With `many`, it is made for many texts at a time.
    """

    def __init__(
        self, expressions: Iterable[tuple[int, bytes, bool]], *, many: bool = False
    ) -> None:
        by_expression: dict[tuple[bytes, bool], set[int]] = {}
        for rule, expression, caseless in expressions:
            by_expression.setdefault((expression, caseless), set()).add(rule)
        self._rules = tuple(frozenset(rules) for rules in by_expression.values())
        flags_of_all = hyperscan.HS_FLAG_ALLOWEMPTY if many else _FLAGS
        self._database = hyperscan.Database()
        self._database.compile(
            expressions=[expression for expression, _ in by_expression],
            ids=list(range(len(by_expression))),
            elements=len(by_expression),
            flags=[
                flags_of_all | (hyperscan.HS_FLAG_CASELESS if caseless else 0)
                for _, caseless in by_expression
            ],
        )
        self._local = threading.local()

    def rules_for(self, data: bytes) -> set[int]:
        """Return the numbers of the rules of which at least one expression is in the data."""
        hits: list[int] = []
        self._database.scan(data, match_event_handler=_note, context=hits, scratch=self._scratch)
        rules = self._rules
        return set().union(*[rules[number] for number in hits]) if hits else set()

    def rules_for_each(self, texts: Sequence[bytes]) -> list[frozenset[int]]:
        """Return for each of many texts the rules that it may concern, in one pass over all.

        Where there are too many matches, those are all rules.
        """
        limit = len(texts) * _MATCHES_A_TEXT + sum(map(len, texts)) // _BYTES_A_MATCH
        matches: list[int] = []

        def note(number: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            matches.append((end << _NUMBER_BITS) + number)
            return len(matches) > limit

        try:
            self._database.scan(b"\n".join(texts), match_event_handler=note, scratch=self._scratch)
        except hyperscan.ScanTerminated:
            return [frozenset().union(*self._rules)] * len(texts)
        found: list[frozenset[int]] = [_NO_RULES] * len(texts)
        matches.sort()
        text, end = 0, len(texts[0])
        for match in matches:
            # What ends with the line's end only may be a match of nothing: no match of a rule is.
            while match >> _NUMBER_BITS > end:
                text += 1
                end += 1 + len(texts[text])
            found[text] |= self._rules[match & _NUMBER_MASK]
        return found

    @property
    def _scratch(self) -> Any:
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = hyperscan.Scratch(self._database)
        return scratch


_NO_RULES: Final[frozenset[int]] = frozenset()


def _note(number: int, _start: int, _end: int, _flags: int, hits: Any) -> None:
    hits.append(number)


_Spans = Sequence[tuple[int, int]]
_Match = Callable[[Any, bytes, int, int], _Spans]
_ANYWHERE: Final = re2._Anchor.UNANCHORED  # noqa: SLF001 - see _matching


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A value rule with its patterns compiled; its fields stand here, where they are at hand."""

    rule: ValueRule
    id: str
    keywords: tuple[str, ...]
    near: Near | None
    placeholders_pass: bool
    stop_words: tuple[str, ...]
    entropy: float | None
    check: Callable[[str], bool] | None
    match: _Match
    shortest: int
    """Bytes that every match has at least."""
    require: tuple[_Match, ...]
    allow: _Match | None
    published: frozenset[str]
    allow_letters: frozenset[str] | None
    """With what a secret begins that is allowed, where that is known."""
    forms: tuple[Ending, ...] | None
    """Of what it finds, if that is the end of what it matches."""
    in_word: InWord | None
    """What ties its matches to one word of a text, if anything does."""


class ValueMatcher:
    """Finds the candidates of all value rules; the rules are numbered in the pack's order."""

    def __init__(self, rules: Sequence[ValueRule]) -> None:
        self._compiled = tuple(_compiled(rule) for rule in rules)
        self._in_pieces: dict[tuple[int, bytes], tuple[int, int]] = {}

    @property
    def expressions(self) -> list[tuple[int, bytes, bool]]:
        """Each rule's number with its pattern, relaxed, for the prefilter."""
        return [
            (number, relax(compiled.rule.pattern).encode(), False)
            for number, compiled in enumerate(self._compiled)
        ]

    @property
    def count(self) -> int:
        """How many rules there are."""
        return len(self._compiled)

    def has_match_outside(  # noqa: C901 - one loop over rules and matches: calls would cost more
        self, text: str, context: str, rules: Iterable[int], spans: Spans
    ) -> bool:
        """Say whether one of these rules' patterns finds anything that is not part of a span.

        Patterns of rules whose keywords are missing, as `candidates` asks for them, count not.
        """
        lowered = (f"{text}\0{context}" if context else text).lower()
        data = text.encode("ascii")
        length = len(data)
        for number in rules:
            compiled = self._compiled[number]
            if not _has_keyword(compiled, lowered):
                continue
            if compiled.in_word is not None:
                place = lowered.find(compiled.in_word.literal, 0, length)
                if place < 0:
                    continue
                if lowered.find(compiled.in_word.literal, place + 1, length) < 0:
                    if self._is_outside(number, data, place, spans):
                        return True
                    continue
            match, shortest_bytes = compiled.match, compiled.shortest
            position = 0
            while length - position >= shortest_bytes:
                groups = match(_ANYWHERE, data, position, length)
                start, end = whole = groups[0]
                if start < 0:
                    break
                for group in groups[1:]:
                    if group[0] >= 0:
                        start, end = group
                        break
                if not spans.cover(start, end):
                    return True
                if position == length:
                    break
                position = whole[1] if whole[1] > position else position + 1
        return False

    def _is_outside(self, number: int, data: bytes, place: int, spans: Spans) -> bool:
        """Say whether a rule whose only literal stands at a place finds what is no part of a span.

        Whatever it finds stands in the word around the literal, which one text after the other
        repeats: of such a piece of a text it is remembered what the rule finds in it.
        """
        compiled = self._compiled[number]
        assert compiled.in_word is not None  # noqa: S101 - the caller asked
        _, before, behind = compiled.in_word
        begin = max(0, data.rfind(b" ", 0, place) - before)
        end = data.find(b" ", place)
        # With the character beside: boundaries ask for it.
        end = len(data) if end < 0 else min(len(data), end + behind + 1)
        known = (number, data[begin:end])
        found = self._in_pieces.get(known)
        if found is None:
            groups = compiled.match(_ANYWHERE, known[1], 0, len(known[1]))
            found = groups[0]
            for group in groups[1:]:
                if group[0] >= 0:
                    found = group
                    break
        if found[0] >= 0 and not spans.cover(begin + found[0], begin + found[1]):
            return True
        # What holds a secret is not remembered.
        if len(known[1]) <= MAX_PIECE_LENGTH:
            if len(self._in_pieces) >= MAX_PIECES:
                self._in_pieces.clear()
            self._in_pieces[known] = found
        return False

    def candidates(
        self, text: str, data: bytes, context: str, rules: Collection[int]
    ) -> Iterator[Candidate]:
        """Yield what the patterns of the rules match, in the rules' order.

        `data` is the text as bytes; `context` stands for what is around the whole text: its key.
        """
        lowered = f"{text}\0{context}".lower()
        for number in sorted(rules) if len(rules) > 1 else rules:
            compiled = self._compiled[number]
            if not _has_keyword(compiled, lowered):
                continue
            for start, end in _found(compiled, data):
                if start != end:
                    reason = _reason(compiled, text, context, start, end)
                    yield _new(Candidate, (compiled.id, start, end, reason))

    def secrets(  # noqa: C901 - one loop over rules and matches: calls would cost more
        self,
        text: str,
        context: str,
        asked: Sequence[Asked],
        covered: Spans,
        allowed: Callable[[str], str] | None,
    ) -> tuple[list[tuple[int, int, str]], list[int]]:
        """Return what the rules find that no filter lets pass, and the rules that match nothing.

        The rules are in order. `allowed` says why a value passes all the same. What is found is
        added to `covered`; what lies within one of these spans is left out.
        """
        lowered = (f"{text}\0{context}" if context else text).lower()
        data = text.encode("ascii")
        length = len(data)
        found: list[tuple[int, int, str]] = []
        silent: list[int] = []
        for number, first, last in asked:
            compiled = self._compiled[number]
            if not _has_keyword(compiled, lowered):
                continue
            if found and compiled.forms is not None and last != ANYWHERE_BEHIND:
                span = covered.around(first)
                if span is not None and lies_within(compiled.forms, text, span, (first, last)):
                    continue
            match, shortest_bytes = compiled.match, compiled.shortest
            position = 0
            is_silent = True
            while position < last and length - position >= shortest_bytes:
                groups = match(_ANYWHERE, data, position, length)
                start, end = whole = groups[0]
                if start < 0:
                    break
                is_silent = False
                for group in groups[1:]:
                    if group[0] >= 0:
                        start, end = group
                        break
                position = whole[1] if whole[1] > position else position + 1
                if start == end or covered.cover(start, end):
                    continue
                if _reason(compiled, text, context, start, end):
                    continue
                if allowed is None or not allowed(text[start:end]):
                    covered.add(start, end)
                    found.append((start, end, compiled.id))
            if is_silent:
                silent.append(number)
        return found, silent


def _has_keyword(compiled: _Compiled, lowered: str) -> bool:
    for keyword in compiled.keywords:  # noqa: SIM110 - a third of the time of `any`
        if keyword in lowered:
            return True
    return False


def _found(compiled: _Compiled, data: bytes) -> Iterator[tuple[int, int]]:
    """Yield what is hidden of each match: the first group that took part, or the whole match."""
    match = compiled.match
    position, length = 0, len(data)
    while length - position >= compiled.shortest:
        whole, *groups = match(_ANYWHERE, data, position, length)
        if whole[0] < 0:
            return
        for group in groups:
            if group[0] >= 0:
                yield group
                break
        else:
            yield whole
        if position == length:
            return
        position = whole[1] if whole[1] > position else position + 1


def _compiled(rule: ValueRule) -> _Compiled:
    return _Compiled(
        rule,
        rule.id,
        rule.keywords,
        rule.near,
        rule.placeholders_pass,
        rule.stop_words,
        rule.entropy,
        CHECKS[rule.check] if rule.check is not None else None,
        _matching(rule.pattern),
        shortest(rule.pattern),
        tuple(map(_matching, rule.require)),
        _matching("|".join(f"(?:{pattern})" for pattern in rule.allow)) if rule.allow else None,
        frozenset(rule.published),
        first_letters(rule.allow) if rule.allow else None,
        endings(rule.pattern),
        in_word(rule.pattern),
    )


def _matching(pattern: str) -> _Match:
    """Return RE2's own search, which gives the spans of all groups, -1 for those without a part.

    The package's methods around it, made of a generator and objects, take more time than the search
    itself; the tests hold the two equal.
    """
    match: _Match = compile_pattern(pattern)._regexp.Match  # noqa: SLF001
    return match


def _reason(compiled: _Compiled, text: str, context: str, start: int, end: int) -> str:
    """Say which of the rule's filters lets a match pass."""
    if compiled.near is not None and not _is_near(compiled.near, text, context, start, end):
        return "has none of the rule's words close by"
    secret = text[start:end]
    if compiled.placeholders_pass:
        reason = placeholder_reason(secret)
        if reason:
            return reason
    allow, letters = compiled.allow, compiled.allow_letters
    if allow is not None and letters is not None and secret[0] not in letters:
        allow = None
    if compiled.require or allow is not None:
        data = secret.encode("ascii")
        for match in compiled.require:
            if match(_ANYWHERE, data, 0, len(data))[0][0] < 0:
                return "lacks what the rule requires"
        if allow is not None and allow(_ANYWHERE, data, 0, len(data))[0][0] >= 0:
            return "is allowed by the rule"
    if compiled.stop_words and any(map(secret.lower().__contains__, compiled.stop_words)):
        return "holds a stop word of the rule"
    return _measured_reason(compiled, secret)


def _measured_reason(compiled: _Compiled, secret: str) -> str:
    if compiled.entropy is not None and not has_more_entropy(secret, compiled.entropy):
        return "has too little entropy"
    if compiled.published and is_published(secret, compiled.published):
        return "is a published sample"
    if compiled.check is not None and not compiled.check(secret):
        return "fails the rule's check"
    return ""


def _is_near(near: Near, text: str, context: str, start: int, end: int) -> bool:
    around = f"{context} {text[max(0, start - near.within) : end + near.within]}".lower()
    return any([keyword in around for keyword in near.keywords])  # noqa: C419 - half the time
