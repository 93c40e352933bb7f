"""Redacts single fields of raw records: the plain redaction's work, without its parser and walker.

What the scan found in a field says which rules may concern it, so that only those are asked.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from tapeline.otlp.fields import FIELDS, Field
from tapeline.otlp.signals import Signal
from tapeline.otlp.walk import RECORD_NAMES, Place, Role
from tapeline.redaction.after_masks import AfterMasks, Left, Masked
from tapeline.redaction.core import (
    MAX_CLEAN_LENGTH,
    MAX_PASSES,
    TRADING_IDENTIFIERS,
    Change,
    Redactor,
)
from tapeline.redaction.decoding import MIN_BLOB_LENGTH
from tapeline.redaction.judged import Hit, KeyFacts, Said
from tapeline.redaction.rule import RuleAction
from tapeline.redaction.scan import NUMBER_BITS, NUMBER_MASK
from tapeline.redaction.text_fields import (
    ATTRIBUTE,
    BODY,
    TEXT,
    TextField,
    is_number,
    pair_bounds,
    string_begin,
    with_body,
    with_pair,
    with_plain,
)
from tapeline.redaction.value_matcher import ANYWHERE_BEHIND, Asked
from tapeline.redaction.wire_patterns import Hint, Meaning

__all__ = ["FieldPass", "Noted", "Rewritten"]

Noted = list[tuple[Change, int]]
"""What was done, and how many bytes long each secret was."""

_WEAK: Final = int(Hint.WEAK)
_NAME: Final = int(Hint.NAME)
_ENCODED: Final = int(Hint.ENCODED)
_BLOB: Final = int(Hint.BLOB)
_DROPS: Final = frozenset({RuleAction.DROP_ATTRIBUTE, RuleAction.DROP_RECORD})
_MASK: Final = RuleAction.MASK

MAX_KEYS: Final = 16_384
MAX_KEY_LENGTH: Final = 128
"""Names of attributes that are remembered, and the bytes of one: a few MB at the most."""

_NOTHING: Final = Said((), (), (), is_encoded=False)
_NO_KEY: Final = KeyFacts("", None, "")
_NAMES: Final[Mapping[Signal, Mapping[int, str]]] = {
    Signal.LOGS: {0x1A: "severity_text", 0x2A: "body", 0x32: "attributes", 0x62: "event_name"},
    Signal.TRACES: {0x1A: "trace_state", 0x2A: "name", 0x4A: "attributes"},
}


def _places(signal: Signal) -> Mapping[int, Place]:
    """Return what a text stands for in each of a record's own fields, by the field's tag."""
    rows = {
        row.steps[-1].name: row
        for row in FIELDS
        if row.signal is signal and row.steps[-2].name in RECORD_NAMES
    }
    return {tag: _place(rows[name]) for tag, name in _NAMES[signal].items()}


def _place(row: Field) -> Place:
    match row.steps[-1].name:
        case "attributes":
            return Place(row, Role.VALUE, ("key",))
        case "body":
            return Place(row, Role.VALUE)
        case _:
            return Place(row, Role.TEXT)


_PLACES: Final = {signal: _places(signal) for signal in _NAMES}
_NO_PLACE: Final = next(iter(_PLACES[Signal.LOGS].values()))


Rewritten = tuple[bytes | None, Noted]
"""A field's new bytes, and what was done in it; no bytes where it is none of the usual ones, or its
secrets call for more than a mask."""

_ODD: Final[Rewritten] = (None, [])


class _Suspect:
    """A text that may hold secrets, from the request until nothing is found in it any more."""

    __slots__ = (
        "again",
        "begin",
        "facts",
        "hits",
        "is_value_first",
        "key",
        "key_field",
        "matches",
        "noted",
        "number",
        "place",
        "said",
        "text",
    )

    def __init__(
        self, text: str, facts: KeyFacts, said: Said, matches: Sequence[int], begin: int
    ) -> None:
        """Take the text, its name, and what was found in its field.

        `begin` is where the text begins in the request.
        """
        self.text = text
        self.facts = facts
        self.said = said
        self.matches = matches
        self.begin = begin
        self.number = 0
        """Of its field."""
        self.place = _NO_PLACE
        self.key: str | None = None
        """Its name, if its field has one."""
        self.key_field = b""
        self.is_value_first = False
        self.hits: Sequence[Hit] = ()
        """What is secret in the text as it stands now."""
        self.noted: Noted = []
        self.again: Masked | None = None
        """Set where the text has to be judged once more."""


class _OddFieldError(Exception):
    """The field is none of the usual ones, or its secrets call for more than a mask."""


def _written(payload: bytes, field: TextField, suspect: _Suspect, text: str) -> bytes:
    """Return a field with another text in it."""
    shape, begin = field[0], field[1]
    data, tag = text.encode(), payload[begin : begin + 1]
    if shape == ATTRIBUTE:
        return with_pair(tag, suspect.key_field, data, value_first=suspect.is_value_first)
    return with_body(tag, data) if shape == BODY else with_plain(tag, data)


class FieldPass:
    """Redacts the fields of one request after the other; caches names, and texts without secrets.

    `meanings` tell what the scan's matches say, by the numbers in them; `after_masks` is of the
    redactor's judge.
    """

    def __init__(
        self, redactor: Redactor, meanings: Sequence[Meaning], after_masks: AfterMasks
    ) -> None:
        self._redactor = redactor
        self._judge = redactor.judge
        self._hints = tuple(int(meaning.hint) for meaning in meanings)
        self._rules = tuple(meaning.rules for meaning in meanings)
        self._after_masks = after_masks
        self._keys: dict[bytes, KeyFacts] = {}
        self._changes: dict[tuple[int, str], Change] = {}

    def rewrite(
        self,
        signal: Signal,
        payload: bytes,
        fields: Sequence[TextField],
        matches: Sequence[int],
    ) -> list[Rewritten | None]:
        """Return what becomes of each field: None where it holds no secret.

        All fields go through one step before the next begins: so the processor has the code and
        the tables of each step at hand, and one more scan serves them all.
        """
        results: list[Rewritten | None] = [None] * len(fields)
        places = _PLACES[signal]
        masked: list[_Suspect] = []
        for number, field in enumerate(fields):
            try:
                suspect = self._suspect(payload, field, matches)
                if suspect is None:
                    continue
                suspect.number = number
                suspect.place = places[payload[field[1]]]
                if self._begin(suspect):
                    masked.append(suspect)
            except _OddFieldError:
                results[number] = _ODD
        self._judge_again([suspect for suspect in masked if suspect.again is not None])
        for suspect in masked:
            try:
                text = self._end(suspect) if suspect.hits else suspect.text
            except _OddFieldError:
                results[suspect.number] = _ODD
            else:
                content = _written(payload, fields[suspect.number], suspect, text)
                results[suspect.number] = (content, suspect.noted)
        return results

    def _suspect(self, payload: bytes, field: TextField, matches: Sequence[int]) -> _Suspect | None:
        """Return the field's text if it has to be judged; raises _OddFieldError."""
        shape, _, content, end, first, stop = field
        facts, key, text_begin, key_begin = _NO_KEY, b"", content, 0
        if shape == ATTRIBUTE:
            bounds = pair_bounds(payload, content, end)
            if bounds is None:
                raise _OddFieldError
            key_begin, key_end, text_begin, end = bounds
            key = payload[key_begin - 2 : key_end]
            facts = self._keys.get(key[2:]) or self._facts(key[2:])
            if facts.finding is None and is_number(payload, text_begin, end):
                return None
        if shape != TEXT:
            text_begin = string_begin(payload, text_begin, end)
        if text_begin < 0:
            raise _OddFieldError
        of_field = matches[first:stop]
        said = self._said(of_field, text_begin, end)
        # What is no secret by its name holds none either where nothing was found in it.
        if (said is None and facts.finding is None) or facts.key in TRADING_IDENTIFIERS:
            return None
        try:
            text = payload[text_begin:end].decode()
        except UnicodeDecodeError as error:
            raise _OddFieldError from error
        suspect = _Suspect(text, facts, said or _NOTHING, of_field, text_begin)
        if shape == ATTRIBUTE:
            suspect.key = facts.key
            suspect.key_field = key
            suspect.is_value_first = key_begin > text_begin
        return suspect

    def _facts(self, name: bytes) -> KeyFacts:
        """Return what a name means for its values; _OddFieldError where it is itself secret."""
        try:
            key = name.decode()
        except UnicodeDecodeError as error:
            raise _OddFieldError from error
        if self._judge.judge(key):
            raise _OddFieldError
        facts = self._judge.facts(key)
        if len(name) <= MAX_KEY_LENGTH:
            if len(self._keys) >= MAX_KEYS:
                self._keys.clear()
            self._keys[name] = facts
        return facts

    def _said(  # noqa: C901, PLR0912 - one loop over matches: calls would cost more
        self, matches: Sequence[int], begin: int, end: int
    ) -> Said | None:
        """Return what the matches in a field say of its text, which stands at these places.

        None where they say nothing.
        """
        hints, rules_of = self._hints, self._rules
        floor, ceiling = begin << NUMBER_BITS, end << NUMBER_BITS
        hint = 0
        rules: dict[int, Asked] = {}
        names: list[int] = []
        blobs: list[int] = []
        for match in matches:
            number = match & NUMBER_MASK
            said = hints[number]
            if floor <= match < ceiling:
                if said & _NAME:
                    names.append((match >> NUMBER_BITS) + 1 - begin)
                elif said & _ENCODED:
                    hint = _ENCODED
                elif said & _BLOB:
                    blob = (match >> NUMBER_BITS) + 1 - MIN_BLOB_LENGTH - begin
                    if blob >= 0:
                        blobs.append(blob)
            elif said & (_WEAK | _ENCODED):
                hint |= said & _ENCODED
            else:
                continue
            of_match = rules_of[number]
            if of_match:
                last = ANYWHERE_BEHIND if said & _WEAK else (match >> NUMBER_BITS) + 1 - begin
                for rule in of_match:
                    known = rules.get(rule)
                    if known is None:
                        rules[rule] = (rule, last, last)
                    elif known[2] < last:
                        rules[rule] = (rule, known[1], last)
        if not rules and not names and not blobs and hint == 0:
            return None
        asked = list(rules.values())
        if len(asked) > 1:
            asked.sort()
        return Said(asked, names, blobs, is_encoded=hint != 0)

    def _begin(self, suspect: _Suspect) -> bool:
        """Judge a text and mask what is secret in it; return whether anything is."""
        text, key = suspect.text, suspect.key
        clean = self._redactor.clean_texts()
        is_short = len(text) <= MAX_CLEAN_LENGTH
        if is_short and (key, "", text) in clean:
            return False
        judged = self._judge.judge_hinted(text, suspect.facts, suspect.said)
        hits = self._judge.judge(text, key) if judged is None else judged.hits
        if not hits:
            if is_short:
                clean.add((key, "", text))
            return False
        after, is_plain = self._masked(suspect, hits)
        suspect.text = after
        if judged is None or not is_plain:
            suspect.hits = self._judge.judge(after, key)
        elif len(after) > MAX_CLEAN_LENGTH or (key, "", after) not in clean:
            left = self._left(suspect, len(text), hits)
            suspect.again = Masked(text, judged, after, suspect.facts, left)
        return True

    def _judge_again(self, suspects: Sequence[_Suspect]) -> None:
        """Judge what was masked once more."""
        masked = [suspect.again for suspect in suspects if suspect.again is not None]
        clean = self._redactor.clean_texts()
        for suspect, hits in zip(suspects, self._after_masks.judge(masked), strict=True):
            suspect.hits = hits
            # What else stands in place of a secret may tell something of it, so it is not kept.
            if not hits and len(suspect.text) <= MAX_CLEAN_LENGTH:
                clean.add((suspect.key, "", suspect.text))

    def _end(self, suspect: _Suspect) -> str:
        """Mask what is found in a text until nothing is any more, and return it."""
        for _ in range(MAX_PASSES - 1):
            if not suspect.hits:
                break
            suspect.text, _ = self._masked(suspect, suspect.hits)
            suspect.hits = self._judge.judge(suspect.text, suspect.key)
        return suspect.text

    def _change(self, place: Place, rule: str) -> Change:
        known = (id(place), rule)  # There are few places, and they stay.
        change = self._changes.get(known)
        if change is None:
            change = self._changes[known] = self._redactor.change(place, rule)
        return change

    def _left(self, suspect: _Suspect, length: int, masked: Sequence[Hit]) -> Left:
        """Return what the matches in a field say of what is left of a text of this length."""
        begin, hints, rules_of = suspect.begin, self._hints, self._rules
        rules: list[int] = []
        names: list[int] = []
        for match in suspect.matches:
            number = match & NUMBER_MASK
            hint, of_rules = hints[number], rules_of[number]
            if not of_rules and not hint & _NAME:
                continue
            place = (match >> NUMBER_BITS) - begin
            if not 0 <= place < length and not hint & _WEAK:
                continue
            for hit in masked:
                if hit[0] <= place < hit[1]:
                    break
            else:
                rules.extend(of_rules)
                if hint & _NAME:
                    names.append(place + 1)
        return Left(rules, names)

    def _masked(self, suspect: _Suspect, hits: Sequence[Hit]) -> tuple[str, bool]:
        """Return the text with these pieces masked, and whether the masks say nothing of them."""
        text, place, noted = suspect.text, suspect.place, suspect.noted
        is_plain = True
        masks: list[str] = []
        position = 0
        for start, end, rule, quote in hits:
            change = self._change(place, rule)
            hit, _, stands = change
            action = hit.action
            if action in _DROPS:
                raise _OddFieldError
            secret = text[start:end].encode()
            noted.append((change, len(secret)))
            if action is not _MASK:
                stands, is_plain = self._redactor.masked(change, secret), False
            masks.append(text[position:start])
            masks.append(f"{quote}{stands}{quote}" if quote else stands)
            position = end
        masks.append(text[position:])
        return "".join(masks), is_plain
