"""Matches the value rules of a pack against a text: keywords first, patterns where they call."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import hyperscan
import re2

from tapeline.redaction.filters import CHECKS, has_more_entropy, is_published, placeholder_reason
from tapeline.redaction.pack import compile_pattern
from tapeline.redaction.relax import relax, shortest
from tapeline.redaction.rule import Near, ValueRule
from tapeline.redaction.spans import Spans

__all__ = ["Candidate", "Prefilter", "ValueMatcher"]


_new: Final = tuple.__new__
"""Half the cost of calling the named tuple."""


class Candidate(NamedTuple):
    """What a pattern matched, and why it is no secret if it is none."""

    rule: str
    start: int
    end: int
    reason: str


_FLAGS: Final = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY


class Prefilter:
    """Says which of many rules a text may concern, in one pass over it.

    `expressions` are rules' numbers, each with a pattern in Hyperscan's syntax and whether case
    matters not; a rule may have many.
    """

    def __init__(self, expressions: Iterable[tuple[int, bytes, bool]]) -> None:
        by_expression: dict[tuple[bytes, bool], set[int]] = {}
        for rule, expression, caseless in expressions:
            by_expression.setdefault((expression, caseless), set()).add(rule)
        self._rules = tuple(frozenset(rules) for rules in by_expression.values())
        self._database = hyperscan.Database()
        self._database.compile(
            expressions=[expression for expression, _ in by_expression],
            ids=list(range(len(by_expression))),
            elements=len(by_expression),
            flags=[
                _FLAGS | (hyperscan.HS_FLAG_CASELESS if caseless else 0)
                for _, caseless in by_expression
            ],
        )
        self._local = threading.local()

    def rules_for(self, data: bytes) -> set[int]:
        """Return the numbers of the rules of which at least one expression is in the data."""
        hits: list[int] = []
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = hyperscan.Scratch(self._database)
        self._database.scan(data, match_event_handler=_note, context=hits, scratch=scratch)
        rules = self._rules
        return set().union(*[rules[number] for number in hits]) if hits else set()


def _note(number: int, _start: int, _end: int, _flags: int, hits: Any) -> None:
    hits.append(number)


_Spans = Sequence[tuple[int, int]]
_Match = Callable[[Any, bytes, int, int], _Spans]
_ANYWHERE: Final = re2._Anchor.UNANCHORED  # noqa: SLF001 - see _matching


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A value rule with its patterns compiled."""

    rule: ValueRule
    keywords: tuple[str, ...]
    match: _Match
    shortest: int
    """Bytes that every match has at least."""
    require: tuple[_Match, ...]
    allow: _Match | None
    published: frozenset[str]


class ValueMatcher:
    """Finds the candidates of all value rules; the rules are numbered in the pack's order."""

    def __init__(self, rules: Sequence[ValueRule]) -> None:
        self._compiled = tuple(_compiled(rule) for rule in rules)

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

    def has_match_outside(self, data: bytes, rules: Iterable[int], spans: Spans) -> bool:
        """Say whether one of these rules' patterns finds anything that is not part of a span."""
        compiled = self._compiled
        return any(
            not spans.cover(start, end)
            for number in rules
            for start, end in _found(compiled[number], data)
        )

    def candidates(
        self,
        text: str,
        data: bytes,
        context: str,
        rules: Collection[int],
        covered: Spans | None = None,
    ) -> Iterator[Candidate]:
        """Yield what the patterns of the rules match, in the rules' order.

        `data` is the text as bytes; `context` stands for what is around the whole text: its key.
        What lies within one of the `covered` spans is left out, of which there may come more while
        this goes on.
        """
        lowered = f"{text}\0{context}".lower()
        for number in sorted(rules) if len(rules) > 1 else rules:
            compiled = self._compiled[number]
            for keyword in compiled.keywords:
                if keyword in lowered:
                    yield from _of_rule(compiled, text, data, context, covered)
                    break


def _of_rule(
    compiled: _Compiled,
    text: str,
    data: bytes,
    context: str,
    covered: Spans | None,
) -> Iterator[Candidate]:
    rule = compiled.rule
    for start, end in _found(compiled, data):
        if start != end and not (covered and covered.cover(start, end)):
            if rule.near is not None and not _is_near(rule.near, text, context, start, end):
                reason = "has none of the rule's words close by"
            else:
                reason = _reason(compiled, text[start:end])
            yield _new(Candidate, (rule.id, start, end, reason))


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
        rule.keywords,
        _matching(rule.pattern),
        shortest(rule.pattern),
        tuple(map(_matching, rule.require)),
        _matching("|".join(f"(?:{pattern})" for pattern in rule.allow)) if rule.allow else None,
        frozenset(rule.published),
    )


def _matching(pattern: str) -> _Match:
    """Return RE2's own search, which gives the spans of all groups, -1 for those without a part.

    The package's methods around it, made of a generator and objects, take more time than the search
    itself; the tests hold the two equal.
    """
    match: _Match = compile_pattern(pattern)._regexp.Match  # noqa: SLF001
    return match


def _reason(compiled: _Compiled, secret: str) -> str:
    """Say which of the rule's filters lets a match pass."""
    rule = compiled.rule
    reason = placeholder_reason(secret) if rule.placeholders_pass else ""
    if reason:
        return reason
    data = secret.encode("ascii")
    for match in compiled.require:
        if match(_ANYWHERE, data, 0, len(data))[0][0] < 0:
            return "lacks what the rule requires"
    if compiled.allow is not None and compiled.allow(_ANYWHERE, data, 0, len(data))[0][0] >= 0:
        return "is allowed by the rule"
    if rule.stop_words and any(map(secret.lower().__contains__, rule.stop_words)):
        return "holds a stop word of the rule"
    return _measured_reason(compiled, secret)


def _measured_reason(compiled: _Compiled, secret: str) -> str:
    rule = compiled.rule
    if rule.entropy is not None and not has_more_entropy(secret, rule.entropy):
        return "has too little entropy"
    if compiled.published and is_published(secret, compiled.published):
        return "is a published sample"
    if rule.check is not None and not CHECKS[rule.check](secret):
        return "fails the rule's check"
    return ""


def _is_near(near: Near, text: str, context: str, start: int, end: int) -> bool:
    around = f"{context} {text[max(0, start - near.within) : end + near.within]}".lower()
    return any([keyword in around for keyword in near.keywords])  # noqa: C419 - half the time
