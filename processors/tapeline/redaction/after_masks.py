"""Looks at a text again whose secrets were just masked, at little cost.

A mask can bring out what was not seen before, so what is masked has to be judged once more. But
what a scan said of the text before still holds for what lies outside of the masks, and next to
nothing can be found across a mask's brackets. So hardly a rule is left to be asked.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tapeline.redaction.assignments import is_part_of_path
from tapeline.redaction.decoding import blobs, unescaped
from tapeline.redaction.judge import Hit, Judge, KeyFacts
from tapeline.redaction.masks import mask
from tapeline.redaction.relax import may_hold, relax
from tapeline.redaction.spans import Spans
from tapeline.redaction.value_matcher import Prefilter

__all__ = ["AfterMasks", "Left"]

_BRACKETS: Final = frozenset("[]")

# From within a name to a value that begins right after: nothing else can be the value.
_TO_VALUE: Final = re.compile(r"[\w.\-]*+(?:=[\"']?|[\"']?:[ ]?[\"']?)", re.ASCII)


class Left(NamedTuple):
    """What a scan said of a text, but for what it found in secrets that are masked by now."""

    rules: Sequence[int]
    """The numbers of the value rules that may find something outside of the masks."""
    names: Sequence[int]
    """Where the names end that may mean a secret."""


class AfterMasks:
    """Judges texts with fresh masks. Holds nothing but what the rules say."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        rules = judge.pack.value_rules
        across = [
            (number, relax(rule.pattern).encode(), False)
            for number, rule in enumerate(rules)
            if rule.near is None and may_hold(rule.pattern, "[]")
        ]
        self._across = Prefilter(across) if across else None
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
        self._words_of: dict[str, tuple[int, ...] | None] = {}

    def judge(
        self, before: str, hits: Sequence[Hit], text: str, facts: KeyFacts, left: Left
    ) -> Sequence[Hit]:
        """Return the secrets in a text that was made from another by masking these.

        `before` is that other text: of ASCII, without masks, and with nothing in it that is
        encoded, but for what is masked by now. Each mask is the plain one of its rule.
        """
        judge = self._judge
        if len(text) > judge.max_characters or (facts.finding is not None and hits[0].start > 0):
            return judge.judge(text, facts.key or None)
        rules = set(left.rules)
        for hit in hits:
            near = self._near_rules(hit.rule)
            if near is None or hit.quote:
                return judge.judge(text, facts.key or None)
            rules.update(near)
        lowered = text.lower()
        for number, word in self._near_across:
            if word in lowered:
                rules.add(number)
        data = text.encode("ascii")
        if self._across is not None:
            rules |= self._across.rules_for(data)
        has_name = not _are_masked(left.names, before, hits)
        if not has_name and not (
            rules and judge.matcher.has_match_outside(data, rules, Spans(_masks(hits)))
        ):
            return ()
        return judge.judge_by(text, facts, rules, has_name=has_name)

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


def _masks(hits: Iterable[Hit]) -> list[tuple[int, int]]:
    """Return where the masks stand that took the place of these."""
    masks: list[tuple[int, int]] = []
    growth = 0
    for start, end, rule, _ in hits:
        length = len(mask(rule))
        masks.append((start + growth, start + growth + length))
        growth += length - (end - start)
    return masks


def _are_masked(names: Iterable[int], before: str, hits: Sequence[Hit]) -> bool:
    """Say whether each of the names that end at these places is that of a value that is masked.

    Or of none.
    """
    to_value = _TO_VALUE.fullmatch
    for end in names:
        if is_part_of_path(before, end):
            continue
        for hit in hits:
            if end <= hit.start and to_value(before, end - 1, hit.start):
                break
        else:
            return False
    return True
