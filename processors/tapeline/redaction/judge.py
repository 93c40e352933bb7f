"""The exact judgement of one decoded text: which pieces of it are secrets, by which rule.

Pure: no clock, no configuration, no I/O. What is faster has to find the same.
"""

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tapeline.redaction.assignments import (
    assignments,
    is_part_of_path,
    judge_value,
    leads_to,
)
from tapeline.redaction.decoding import (
    BLOB_EXPRESSIONS,
    DIGITS,
    MIN_BLOB_LENGTH,
    Reading,
    blobs,
    normalised,
    unescaped,
)
from tapeline.redaction.filters import placeholder_reason
from tapeline.redaction.judged import Hit, Judged, KeyFacts, Said
from tapeline.redaction.key_words import DENIED, KeyWords, NameFinding
from tapeline.redaction.masks import end_of_mask
from tapeline.redaction.pack import Pack, compile_pattern
from tapeline.redaction.spans import Spans
from tapeline.redaction.value_matcher import Prefilter, ValueMatcher

__all__ = ["OVERSIZE", "Explanation", "Hit", "Judge"]

DEFAULT_DEPTH: Final = 3
"""Layers of encoding that are read: a JSON text in a JSON string in a URL has three."""

DEFAULT_MAX_CHARACTERS: Final = 65_536
"""Above the 60,000 bytes that values are cut to when they leave."""

OVERSIZE: Final = "oversize"
"""The rule of what lies beyond the longest text that is read: masked unread."""

_MAX_PASSES: Final = 4
_new: Final = tuple.__new__
"""Half the cost of calling the named tuples."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a piece of a text is a secret, or, with a reason, why it is none."""

    rule: str
    start: int
    end: int
    reason: str
    through: tuple[str, ...]
    """The encodings it was read through, the outermost first."""

    @property
    def is_secret(self) -> bool:
        """Whether nothing let it pass."""
        return not self.reason


class _Found(NamedTuple):
    """A finding at some depth, in the characters of the text at that depth."""

    rule: str
    start: int
    end: int
    reason: str
    quote: tuple[int, int] = (0, 0)
    through: tuple[str, ...] = ()
    strong: bool = False
    """Whether it was found by its own shape, which says more than the name it stands under."""


class Judge:
    """Finds secrets by the rules of a pack; holds nothing but what it was made with, and caches."""

    def __init__(
        self,
        pack: Pack,
        *,
        keep: Iterable[str] = (),
        deny: Iterable[str] = (),
        allow_values: Iterable[str] = (),
        depth: int = DEFAULT_DEPTH,
        max_characters: int = DEFAULT_MAX_CHARACTERS,
    ) -> None:
        """Take the rules, names that the user keeps or denies, and patterns of values to keep.

        `depth` is how many layers of encoding are read, 0 for none. Of a text longer than
        `max_characters` the rest is masked unread.
        """
        self.pack = pack
        self._names = KeyWords(pack.name_rules, keep, deny)
        self.matcher = ValueMatcher(pack.value_rules)
        self._allow_values = tuple(map(compile_pattern, allow_values))
        self._depth = depth
        self._max_characters = max_characters
        self._name_number = self.matcher.count
        self._blob_number = self._name_number + 1
        self._prefilter = Prefilter(
            [
                *self.matcher.expressions,
                *((self._name_number, expression, True) for expression in self._names.expressions),
                *((self._blob_number, expression, False) for expression in BLOB_EXPRESSIONS),
            ]
        )
        ids = sorted({*pack.ids, DENIED.rule, OVERSIZE}, key=len, reverse=True)
        self._mask = re.compile(
            rf"\[REDACTED:(?:{'|'.join(map(re.escape, ids))})(?::[A-Za-z0-9._\-]{{1,80}}){{0,2}}\]"
        )

    @property
    def depth(self) -> int:
        """How many layers of encoding are read."""
        return self._depth

    @property
    def max_characters(self) -> int:
        """The longest text that is read; of a longer one the rest is masked unread."""
        return self._max_characters

    @property
    def name_expressions(self) -> tuple[bytes, ...]:
        """Patterns of which one is in every text that holds a name which means a secret."""
        return self._names.expressions

    @property
    def vendor_expressions(self) -> tuple[bytes, ...]:
        """Patterns of the vendors' names: a value under one of them alone may be a secret."""
        return self._names.vendor_expressions

    @property
    def beginnings_of_names(self) -> tuple[tuple[str, ...], ...]:
        """The words of a key that only mean a secret together with those of one within it."""
        return self._names.beginnings

    def judge(self, text: str, key: str | None = None, before: str = "") -> tuple[Hit, ...]:
        """Return the secrets of a text in order, without overlap, and none that is masked already.

        `key` is the name that the text stands under, `before` the name above that.
        """
        limit = self._max_characters
        head = text[:limit]
        if not head:
            return ()
        secrets = [found for found in self._all(head, key, before) if not found.reason]
        if len(text) > limit:
            secrets.append(_Found(OVERSIZE, limit, len(text), "", strong=True))
        if not secrets:
            return ()
        return tuple(
            Hit(found.start, found.end, found.rule, text[found.quote[0] : found.quote[1]])
            for found in _merged(secrets)
        )

    def facts(self, key: str) -> KeyFacts:
        """Return what a name means for every text under it, for `judge_hinted`."""
        context = normalised(key)[0]
        return KeyFacts(key, self._finding(key, ""), context)

    def judge_hinted(self, text: str, facts: KeyFacts, said: Said) -> Judged | None:
        """As `judge` under one name, for a text of which a scan has told what may be in it.

        None where that does not help, because the text has to be read through an encoding.
        """
        if (
            said.is_encoded
            or not text.isascii()
            or len(text) > self._max_characters
            or "[REDACTED:" in text
        ):
            return None
        finding = facts.finding
        if (
            finding is not None
            and text
            and not judge_value(finding, text, bare=False)
            and not (self._allow_values and self._allowed(text))
        ):
            return Judged([_new(Hit, (0, len(text), finding.rule, ""))], (), is_settled=False)
        covered = Spans()
        hits: list[Hit] = []
        silent: list[int] = []
        if said.rules:
            allowed = self._allowed if self._allow_values else None
            found, silent = self.matcher.secrets(text, facts.context, said.rules, covered, allowed)
            hits = _joined(found)
        if said.blobs and not _are_covered(said.blobs, text, covered):
            return None
        is_settled = False
        if said.names and not _are_values_known(said.names, text, hits):
            hits, is_settled = self._by_name(text, hits, covered, said.names)
        return Judged(hits, silent, is_settled=is_settled)

    def judge_by(
        self, text: str, facts: KeyFacts, rules: Iterable[int], *, has_name: bool
    ) -> Sequence[Hit]:
        """Return the secrets in a text of ASCII as it stands, by these value rules, or by name."""
        numbers = {*rules, self._name_number} if has_name else set(rules)
        found = self._here(text, text.encode("ascii"), facts.context, numbers, ())
        secrets = [item for item in found if not item.reason]
        return [
            Hit(item.start, item.end, item.rule, text[item.quote[0] : item.quote[1]])
            for item in _merged(secrets)
        ]

    def _by_name(
        self, text: str, hits: list[Hit], covered: Spans, ends: Sequence[int]
    ) -> tuple[list[Hit], bool]:
        """Return these secrets and those under a name in the text, which end at these places.

        And whether no name is left that means a secret, but those of the values among them.
        """
        found: list[_Found] = []
        loose: list[int] = []
        named = assignments(text, self._names, (), covered, loose, ends)
        for rule, start, end, quote, reason in named:
            if covered.cover(start, end):
                continue
            if reason or (self._allow_values and self._allowed(text[start:end])):
                loose.append(start)
            else:
                found.append(_new(_Found, (rule, start, end, "", quote, (), False)))
        if not found:
            return hits, not loose
        found += [_Found(rule, start, end, "", strong=True) for start, end, rule, _ in hits]
        if len(found) > 1:
            found = _merged(found)
        of_both = [
            _new(Hit, (start, end, rule, text[quote[0] : quote[1]]))
            for rule, start, end, _, quote, _, _ in found
        ]
        return of_both, not loose

    def finding_of(self, key: str, before: str = "") -> NameFinding | None:
        """Return what a name calls for, whatever stands under it; None if it names no secret.

        Masks in it don't count: the rule's name in one is not the key's.
        """
        plain = normalised(key)[0]
        if "[REDACTED:" in plain:
            plain = self._mask.sub(" ", plain)
        return self._names.finding(plain, before)

    def explain(self, text: str, key: str | None = None) -> list[Explanation]:
        """Return what was found in a text and what was let pass, with the reasons."""
        seen = {
            Explanation(found.rule, found.start, found.end, found.reason, found.through)
            for found in self._all(text[: self._max_characters], key, "")
        }
        return sorted(seen, key=lambda item: (item.start, item.end, item.rule, item.through))

    def redact(
        self,
        text: str,
        key: str | None = None,
        mask: Callable[[Hit, str], str] = lambda hit, _: f"[REDACTED:{hit.rule}]",
    ) -> str:
        """Return a text with each secret replaced by what `mask` makes of it.

        Judged anew until nothing is found: a mask can bring out what was hidden beside it.
        """
        for _ in range(_MAX_PASSES):
            hits = self.judge(text, key)
            if not hits:
                break
            text = replaced(text, hits, mask)
        return text

    def _all(self, text: str, key: str | None, before: str) -> Iterable[_Found]:
        plain, reading = normalised(text)
        context = "" if key is None else normalised(key)[0]
        found = self._by_key(plain, key, before) if key is not None else None
        if found is None:
            return _back(self._scan(plain, context, self._depth, ()), reading)
        if not found.reason:
            return _back((found,), reading)
        return _back((found, *self._scan(plain, context, self._depth, ())), reading)

    def _by_key(self, text: str, key: str, before: str) -> _Found | None:
        """Judge a whole text by the name it stands under."""
        finding = self._finding(key, before)
        # A text of nothing but unseen characters reads as none.
        if finding is None or not text or ("[REDACTED:" in text and self._mask.match(text)):
            return None
        reason = judge_value(finding, text, bare=False) or self._allowed(text)
        return _Found(finding.rule, 0, len(text), reason)

    def _finding(self, key: str, before: str) -> NameFinding | None:
        if "[REDACTED:" in key:
            key = self._mask.sub(" ", key)
        return self._names.finding(key, before)

    def _scan(self, text: str, context: str, depth: int, through: tuple[str, ...]) -> list[_Found]:
        """Return the findings in a text of ASCII and in what it says through its encodings."""
        data = text.encode("ascii")
        rules = self._prefilter.rules_for(data)
        found = self._here(text, data, context, rules, through) if rules else []
        if depth > 0:
            found.extend(self._escaped(text, context, depth, through))
            if self._blob_number in rules:
                found.extend(self._encoded(text, context, depth, through))
        return found

    def _encoded(
        self, text: str, context: str, depth: int, through: tuple[str, ...]
    ) -> Iterator[_Found]:
        """Yield the findings in what a text says in base64 or hexadecimal, as whole runs."""
        for start, end, said in blobs(text):
            plain, _ = normalised(said)
            for found in self._scan(plain, context, depth - 1, (*through, "base64 or hex")):
                yield found._replace(start=start, end=end, quote=(0, 0), strong=True)

    def _escaped(
        self, text: str, context: str, depth: int, through: tuple[str, ...]
    ) -> Iterator[_Found]:
        """Yield the findings in what a text says with one layer of escapes read."""
        reading = unescaped(text)
        if reading is None:
            return
        plain, seen = normalised(reading.text)
        inner = self._scan(plain, context, depth - 1, (*through, "escapes"))
        for found in _back(_back(inner, seen), reading):
            # Of `%DB_PASSWORD%` the beginning can be read as an escape, too.
            reason = found.reason or placeholder_reason(text[found.start : found.end])
            yield found._replace(reason=reason)

    def _here(
        self, text: str, data: bytes, context: str, rules: set[int], through: tuple[str, ...]
    ) -> list[_Found]:
        """Return the findings in a text as it stands, by the rules that it may concern."""
        masks: Sequence[tuple[int, int]] = ()
        if "[REDACTED:" in text:
            masks = [match.span() for match in self._mask.finditer(text)]
        by_value = rules - {self._name_number, self._blob_number}
        found: list[_Found] = []
        if by_value:
            found = [
                _Found(rule, start, end, reason, (0, 0), through, strong=True)
                for rule, start, end, reason in self.matcher.candidates(
                    text, data, context, by_value
                )
            ]
        if self._name_number in rules:
            found.extend(
                _Found(rule, start, end, reason, quote, through)
                for rule, start, end, quote, reason in assignments(
                    text, self._names, masks, self._covered(text, found)
                )
            )
        if masks:
            outside = (_outside(item, text, masks) for item in found)
            found = [item for item in outside if item is not None]
        if self._allow_values:
            return [
                item._replace(reason=item.reason or self._allowed(text[item.start : item.end]))
                for item in found
            ]
        return found

    def _covered(self, text: str, found: Iterable[_Found]) -> Spans:
        """Return where the secrets stand among these findings."""
        return Spans(
            (item.start, item.end)
            for item in found
            if not item.reason and not self._allowed(text[item.start : item.end])
        )

    def _allowed(self, value: str) -> str:
        if not self._allow_values:
            return ""
        data = value.encode("ascii")
        if any(pattern.fullmatch(data) for pattern in self._allow_values):
            return "is allowed by the configuration"
        return ""


def replaced(text: str, hits: Iterable[Hit], mask: Callable[[Hit, str], str]) -> str:
    """Return a text with each hit replaced by what `mask` makes of it and of the secret."""
    pieces: list[str] = []
    position = 0
    for hit in hits:
        pieces.append(text[position : hit.start])
        pieces.append(f"{hit.quote}{mask(hit, text[hit.start : hit.end])}{hit.quote}")
        position = hit.end
    pieces.append(text[position:])
    return "".join(pieces)


def _joined(found: list[tuple[int, int, str]]) -> list[Hit]:
    """Return what value rules found as hits in order, those that overlap joined."""
    if len(found) == 1:
        start, end, rule = found[0]
        return [_new(Hit, (start, end, rule, ""))]
    secrets = [_new(_Found, (rule, start, end, "", (0, 0), (), True)) for start, end, rule in found]
    return [_new(Hit, (start, end, rule, "")) for rule, start, end, *_ in _merged(secrets)]


def _are_values_known(ends: Sequence[int], text: str, hits: Sequence[Hit]) -> bool:
    """Say whether the names that end at these places have no values but what is secret already.

    That is certain of a name that is part of a path, and of one right before a secret with which
    the text ends: whatever its value is, it begins and ends within that one.
    """
    last = hits[-1] if hits and hits[-1].end == len(text) else None
    for end in ends:
        if not is_part_of_path(text, end) and (last is None or not leads_to(text, end, last.start)):
            return False
    return True


def _are_covered(blobs: Sequence[int], text: str, covered: Spans) -> bool:
    """Say whether the runs that begin at these places all end within secrets already found."""
    # Behind such a secret no run goes on.
    whole = Spans(span for span in covered if text[span[1] : span[1] + 1] not in DIGITS)
    if whole.cover(blobs[0], blobs[-1] + MIN_BLOB_LENGTH):
        return True  # They are in order.
    return all([whole.cover(blob, blob + MIN_BLOB_LENGTH) for blob in blobs])  # noqa: C419 - half the time


def _back(found: Iterable[_Found], reading: Reading | None) -> Iterable[_Found]:
    """Return findings with their places in the text that the reading was made from."""
    return found if reading is None else [_placed(item, reading) for item in found]


def _placed(item: _Found, reading: Reading) -> _Found:
    start, end = reading.origin(item.start, item.end)
    quote = reading.origin(*item.quote) if item.quote[1] else (0, 0)
    return item._replace(start=start, end=end, quote=quote)


def _outside(found: _Found, text: str, masks: Sequence[tuple[int, int]]) -> _Found | None:
    """Return a finding without the masks at its ends; None where nothing readable is left."""
    start, end = found.start, found.end
    while covered := end_of_mask(masks, start):
        start = covered
    while end > start and end_of_mask(masks, end - 1):
        end = masks[bisect_right(masks, (end - 1, sys.maxsize)) - 1][0]
    if not any(map(str.isalnum, text[start:end])):
        return None
    return found._replace(start=start, end=end)


def _merged(secrets: Iterable[_Found]) -> list[_Found]:
    """Return findings in order, those that overlap joined under the rule that says most."""
    merged: list[_Found] = []
    for found in sorted(secrets, key=lambda found: (found.start, -found.end, not found.strong)):
        last = merged[-1] if merged else None
        if last is None or found.start >= last.end:
            merged.append(found)
            continue
        stronger = found if found.strong and not last.strong else last
        merged[-1] = last._replace(
            end=max(last.end, found.end), rule=stronger.rule, strong=stronger.strong
        )
    return merged
