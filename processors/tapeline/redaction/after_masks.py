"""Looks at a text again whose secrets were just masked, at little cost.

A mask can bring out what was not seen before, so what is masked has to be judged once more. But
what a scan said of the text before still holds for what lies outside of the masks, and next to
nothing can be found across a mask's brackets. So hardly a rule is left to be asked.

A rule that matched nowhere in the text before matches nowhere outside of the masks either, unless
one of them changed on which side of a word's boundary it stands.
"""

import string
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from tapeline.redaction.assignments import is_part_of_path, leads_to
from tapeline.redaction.decoding import blobs, unescaped
from tapeline.redaction.judge import Judge
from tapeline.redaction.judged import Hit, Judged, KeyFacts
from tapeline.redaction.masks import mask
from tapeline.redaction.relax import has_inner_boundary, may_hold, relax
from tapeline.redaction.spans import Spans
from tapeline.redaction.value_matcher import Prefilter
from tapeline.redaction.within_words import least_word, relaxed_from_mark

__all__ = ["AfterMasks", "Left", "Masked"]

_MAX_MASKS: Final = 8
"""Of a text with more, the words around them are not measured: each may be as long as the text."""
_BRACKETS: Final = frozenset("[]")
_OF_NAME: Final = frozenset(f"{string.ascii_letters}{string.digits}_.-")
"""What names are made of (assignments.py), and whatever has a word's boundary beside a bracket."""


class Left:
    """What a scan said of a text, but for what it found in secrets that are masked by now."""

    __slots__ = ("names", "rules")

    def __init__(self, rules: Sequence[int], names: Sequence[int]) -> None:
        """Take the numbers of the value rules that may find something outside of the masks.

        `names` are where the names end that may mean a secret.
        """
        self.rules = rules
        self.names = names


class Masked:
    """A text whose secrets were masked, and what it was before."""

    __slots__ = ("before", "facts", "judged", "left", "text")

    def __init__(self, before: str, judged: Judged, text: str, facts: KeyFacts, left: Left) -> None:
        """Take the text before, and the one with masks, each the plain one of its rule.

        `before` was of ASCII, without masks, and with nothing in it that is encoded, but for what
        is masked by now.
        """
        self.before = before
        self.judged = judged
        self.text = text
        self.facts = facts
        self.left = left


class AfterMasks:
    """Judges texts with fresh masks. Holds nothing but what the rules say."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        rules = judge.pack.value_rules
        across = [
            (number, relaxed_from_mark(rule.pattern).encode(), False)
            for number, rule in enumerate(rules)
            if may_hold(rule.pattern, "[]") and (rule.near is None or not _is_in_any(rule.pattern))
        ]
        self._told = frozenset(number for number, _, _ in across)
        self._across = Prefilter(across, many=True) if across else None
        # What a mask may change for these even where they matched nothing before.
        self._never_silent = frozenset(
            number
            for number, rule in enumerate(rules)
            if has_inner_boundary(rule.pattern)
            or (number not in self._told and may_hold(rule.pattern, "[]"))
        )
        # Without a match before, a new one has some of a mask in it, and so stands in its word.
        self._least_words = {
            number: 0
            if has_inner_boundary(rules[number].pattern)
            else least_word(rules[number].pattern)
            for number in self._never_silent
        }
        near = [
            (number, word)
            for number, rule in enumerate(rules)
            if rule.near
            for word in rule.near.keywords
        ]
        self._near = tuple(near)
        # The few words that a mask's bracket may complete.
        self._near_across = tuple(
            (number, word) for number, word in near if not _BRACKETS.isdisjoint(word)
        )
        self._is_cased = any(word.lower() != word.upper() for _, word in self._near_across)
        self._words_of: dict[str, tuple[int, ...] | None] = {}

    def judge(self, texts: Sequence[Masked]) -> list[Sequence[Hit]]:
        """Return the secrets in each text that was made from another by masking some."""
        if self._across is None or not texts:
            return [self._judge_one(masked, ()) for masked in texts]
        across = self._across.rules_for_each([masked.text.encode("ascii") for masked in texts])
        return [self._judge_one(texts[number], across[number]) for number in range(len(texts))]

    def _judge_one(self, masked: Masked, across: Collection[int]) -> Sequence[Hit]:
        """Return the secrets of a text, of which `across` may match across a mask's brackets."""
        before, judged, text = masked.before, masked.judged, masked.text
        facts, left = masked.facts, masked.left
        judge, hits = self._judge, judged.hits
        if len(text) > judge.max_characters or (facts.finding is not None and hits[0].start > 0):
            return judge.judge(text, facts.key or None)
        is_alone = _stand_alone(before, hits)
        silent: Collection[int] = ()
        if is_alone and judged.silent:
            silent = self._silent(judged.silent, text, hits)
        # Of what may match across the masks it is known already whether it matches anywhere.
        told = self._told
        rules = {number for number in left.rules if number not in silent and number not in told}
        rules.update(across)
        for hit in hits:
            near = self._near_rules(hit.rule)
            if near is None or hit.quote:
                return judge.judge(text, facts.key or None)
            for number in near:
                if number not in silent and number not in told:
                    rules.add(number)
        if self._near_across:
            lowered = text.lower() if self._is_cased else text
            rules.update([number for number, word in self._near_across if word in lowered])
        has_name = False
        if left.names and not (judged.is_settled and is_alone):
            has_name = not _are_masked(left.names, before, hits)
        if not has_name and not (
            rules
            and judge.matcher.has_match_outside(text, facts.context, rules, Spans(_masks(hits)))
        ):
            return ()
        return judge.judge_by(text, facts, rules, has_name=has_name)

    def _silent(self, silent: Sequence[int], text: str, hits: Sequence[Hit]) -> Collection[int]:
        """Return the rules that still match nowhere, of those that did not before the masks."""
        if self._never_silent.isdisjoint(silent):
            return silent
        if len(hits) > _MAX_MASKS:
            return [number for number in silent if number not in self._never_silent]
        longest = _longest_word(text, _masks(hits))
        least = self._least_words
        return [number for number in silent if least.get(number, sys.maxsize) > longest]

    def _near_rules(self, rule: str) -> tuple[int, ...] | None:
        """Return the rules that take words of this rule's mask for their own.

        None where the mask itself reads as something that is encoded.
        """
        if rule not in self._words_of:
            text = mask(rule)
            is_odd = unescaped(text) is not None or any(True for _ in blobs(text))
            lowered = text.lower()
            near = {number for number, word in self._near if word in lowered}
            self._words_of[rule] = None if is_odd else tuple(near)
        return self._words_of[rule]


def _is_in_any(pattern: str) -> bool:
    """Say whether a pattern, relaxed, is found in any long run of letters and digits.

    Scanning for that would tell little and cost much.
    """
    runs = (string.ascii_letters + string.digits) * 8
    probe = Prefilter([(0, relax(pattern).encode(), False)])
    return bool(probe.rules_for(f" {runs} {string.digits * 16} ".encode()))


def _stand_alone(text: str, hits: Iterable[Hit]) -> bool:
    """Say whether no name and no word goes on across one of the ends of these secrets."""
    for start, end, _, _ in hits:
        if start and text[start - 1] in _OF_NAME:
            return False
        if text[end : end + 1] in _OF_NAME:
            return False
    return True


def _masks(hits: Iterable[Hit]) -> list[tuple[int, int]]:
    """Return where the masks stand that took the place of these."""
    masks: list[tuple[int, int]] = []
    growth = 0
    for start, end, rule, _ in hits:
        length = len(mask(rule))
        masks.append((start + growth, start + growth + length))
        growth += length - (end - start)
    return masks


def _longest_word(text: str, masks: Iterable[tuple[int, int]]) -> int:
    """Return how long the longest word is that a mask stands in."""
    longest = 0
    for start, end in masks:
        behind = text.find(" ", end)
        length = (behind if behind >= 0 else len(text)) - text.rfind(" ", 0, start) - 1
        longest = max(longest, length)
    return longest


def _are_masked(names: Iterable[int], before: str, hits: Sequence[Hit]) -> bool:
    """Say whether each of the names that end at these places is that of a value that is masked.

    Or of none.
    """
    for end in names:
        if is_part_of_path(before, end):
            continue
        for hit in hits:
            if end <= hit.start and leads_to(before, end, hit.start):
                break
        else:
            return False
    return True
