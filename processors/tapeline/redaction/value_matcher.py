"""Matches the value rules of a pack against a text: keywords first, patterns where they call."""

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import hyperscan
import re2

from tapeline.redaction.filters import CHECKS, is_published, placeholder_reason, shannon_entropy
from tapeline.redaction.pack import compile_pattern
from tapeline.redaction.relax import relax
from tapeline.redaction.rule import ValueRule

__all__ = ["Candidate", "Prefilter", "ValueMatcher"]


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


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A value rule with its patterns compiled."""

    rule: ValueRule
    pattern: re2._Regexp
    groups: tuple[int, ...]
    require: tuple[re2._Regexp, ...]
    allow: tuple[re2._Regexp, ...]
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

    def candidates(
        self, text: str, data: bytes, context: str, rules: Collection[int]
    ) -> Iterator[Candidate]:
        """Yield what the patterns of the rules match, in the rules' order.

        `data` is the text as bytes; `context` stands for what is around the whole text: its key.
        """
        lowered = f"{text}\0{context}".lower()
        for number in sorted(rules):
            compiled = self._compiled[number]
            if any(keyword in lowered for keyword in compiled.rule.keywords):
                yield from self._of_rule(compiled, text, data, context)

    @staticmethod
    def _of_rule(compiled: _Compiled, text: str, data: bytes, context: str) -> Iterator[Candidate]:
        rule = compiled.rule
        for match in compiled.pattern.finditer(data):
            start, end = _span(match, compiled.groups)
            if start == end:
                continue
            reason = _reason(compiled, text[start:end])
            if (
                not reason
                and rule.near is not None
                and not _is_near(rule, text, context, start, end)
            ):
                reason = "has none of the rule's words close by"
            yield Candidate(rule.id, start, end, reason)


def _compiled(rule: ValueRule) -> _Compiled:
    pattern = compile_pattern(rule.pattern)
    return _Compiled(
        rule,
        pattern,
        tuple(range(1, pattern.groups + 1)),
        tuple(map(compile_pattern, rule.require)),
        tuple(map(compile_pattern, rule.allow)),
        frozenset(rule.published),
    )


def _span(match: Any, groups: tuple[int, ...]) -> tuple[int, int]:
    """Return the first group that took part, or the whole match."""
    for group in groups:
        start, end = match.span(group)
        if start >= 0:
            return start, end
    start, end = match.span()
    return start, end


def _reason(compiled: _Compiled, secret: str) -> str:
    """Say which of the rule's filters lets a match pass."""
    rule = compiled.rule
    reason = placeholder_reason(secret) if rule.placeholders_pass else ""
    if reason:
        return reason
    data = secret.encode("ascii")
    if any(pattern.search(data) is None for pattern in compiled.require):
        return "lacks what the rule requires"
    if any(pattern.search(data) is not None for pattern in compiled.allow):
        return "is allowed by the rule"
    if rule.stop_words and any(map(secret.lower().__contains__, rule.stop_words)):
        return "holds a stop word of the rule"
    return _measured_reason(compiled, secret)


def _measured_reason(compiled: _Compiled, secret: str) -> str:
    rule = compiled.rule
    if rule.entropy is not None and shannon_entropy(secret) <= rule.entropy:
        return "has too little entropy"
    if is_published(secret, compiled.published):
        return "is a published sample"
    if rule.check is not None and not CHECKS[rule.check](secret):
        return "fails the rule's check"
    return ""


def _is_near(rule: ValueRule, text: str, context: str, start: int, end: int) -> bool:
    near = rule.near
    if near is None:
        return True
    around = f"{context} {text[max(0, start - near.within) : end + near.within]}".lower()
    return any(keyword in around for keyword in near.keywords)
