"""Redacts single fields of raw records: the plain redaction's work, without its parser and walker.

What the scan found in a field says which rules may concern it, so that only those are asked.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tapeline.otlp.fields import FIELDS, Field
from tapeline.otlp.signals import Signal
from tapeline.otlp.walk import RECORD_NAMES, Place, Role
from tapeline.redaction.after_masks import AfterMasks, Left
from tapeline.redaction.core import (
    MAX_CLEAN_LENGTH,
    MAX_PASSES,
    TRADING_IDENTIFIERS,
    Change,
    Redactor,
)
from tapeline.redaction.decoding import MIN_BLOB_LENGTH
from tapeline.redaction.judge import Hit, KeyFacts, Said
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
from tapeline.redaction.wire_patterns import Hint, Meaning

__all__ = ["FieldPass", "Noted", "OddFieldError"]

Noted = list[tuple[Change, int]]
"""What was done, and how many bytes long each secret was."""

_WEAK: Final = int(Hint.WEAK)
_NAME: Final = int(Hint.NAME)
_ENCODED: Final = int(Hint.ENCODED)
_BLOB: Final = int(Hint.BLOB)
_new: Final = tuple.__new__
"""Half the cost of calling a named tuple."""
_DROPS: Final = frozenset({RuleAction.DROP_ATTRIBUTE, RuleAction.DROP_RECORD})

MAX_KEYS: Final = 16_384
MAX_KEY_LENGTH: Final = 128
"""Names of attributes that are remembered, and the bytes of one: a few MB at the most."""

_NOTHING: Final = Said([], [], False, [])  # noqa: FBT003 - as it is compared
_NO_KEY: Final = KeyFacts("", None, "")
_NAMES: Final[Mapping[Signal, Mapping[int, str]]] = {
    Signal.LOGS: {0x1A: "severity_text", 0x2A: "body", 0x32: "attributes", 0x62: "event_name"},
    Signal.TRACES: {0x1A: "trace_state", 0x2A: "name", 0x4A: "attributes"},
}


class _Suspect(NamedTuple):
    """A text that may hold secrets, its name, and what was found in its field."""

    text: str
    facts: KeyFacts
    said: Said
    matches: Sequence[int]
    begin: int
    """Where the text begins in the request."""


class OddFieldError(Exception):
    """The field is none of the usual ones, or its secrets call for more than a mask."""


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


class FieldPass:
    """Redacts the fields of one request after the other; caches names, and texts without secrets.

    `meanings` tell what the scan's matches say, by the numbers in them.
    """

    def __init__(self, redactor: Redactor, meanings: Sequence[Meaning]) -> None:
        self._redactor = redactor
        self._judge = redactor.judge
        self._hints = tuple(int(meaning.hint) for meaning in meanings)
        self._rules = tuple(meaning.rules for meaning in meanings)
        self._after_masks = AfterMasks(redactor.judge)
        self._keys: dict[bytes, KeyFacts] = {}
        self._changes: dict[tuple[int, str], Change] = {}

    def rewrite(
        self,
        signal: Signal,
        payload: bytes,
        field: TextField,
        matches: Sequence[int],
        noted: Noted,
    ) -> bytes | None:
        """Return the field without its secrets, None if it has none; raises OddFieldError.

        What was found is added to `noted`.
        """
        shape, begin, content, end, first, stop = field
        facts, key, text_begin = _NO_KEY, b"", content
        if shape == ATTRIBUTE:
            bounds = pair_bounds(payload, content, end)
            if bounds is None:
                raise OddFieldError
            key_begin, key_end, text_begin, end = bounds
            key = payload[key_begin - 2 : key_end]
            facts = self._keys.get(key[2:]) or self._facts(key[2:])
            if facts.finding is None and is_number(payload, text_begin, end):
                return None
        if shape != TEXT:
            text_begin = string_begin(payload, text_begin, end)
        if text_begin < 0:
            raise OddFieldError
        of_field = matches[first:stop]
        said = self._said(of_field, text_begin, end)
        # What is no secret by its name holds none either where nothing was found in it.
        if facts.key in TRADING_IDENTIFIERS or (said == _NOTHING and facts.finding is None):
            return None
        try:
            text = payload[text_begin:end].decode()
        except UnicodeDecodeError as error:
            raise OddFieldError from error
        place = _PLACES[signal][payload[begin]]
        suspect = _new(_Suspect, (text, facts, said, of_field, text_begin))
        rewritten = self._text(place, suspect, noted)
        if rewritten is None:
            return None
        data, tag = rewritten.encode(), payload[begin : begin + 1]
        if shape == ATTRIBUTE:
            return with_pair(tag, key, data, value_first=key_begin > text_begin)
        return with_body(tag, data) if shape == BODY else with_plain(tag, data)

    def _facts(self, name: bytes) -> KeyFacts:
        """Return what a name means for its values; raises OddFieldError where it holds a secret."""
        try:
            key = name.decode()
        except UnicodeDecodeError as error:
            raise OddFieldError from error
        if self._judge.judge(key):
            raise OddFieldError
        facts = self._judge.facts(key)
        if len(name) <= MAX_KEY_LENGTH:
            if len(self._keys) >= MAX_KEYS:
                self._keys.clear()
            self._keys[name] = facts
        return facts

    def _said(self, matches: Sequence[int], begin: int, end: int) -> Said:
        """Return what the matches in a field say of its text, which stands at these places."""
        hints, rules_of = self._hints, self._rules
        floor, ceiling = begin << NUMBER_BITS, end << NUMBER_BITS
        hint = 0
        rules: list[int] = []
        names: list[int] = []
        blobs: list[int] = []
        for match in matches:
            number = match & NUMBER_MASK
            if floor <= match < ceiling:
                said = hints[number]
                if said & _NAME:
                    names.append((match >> NUMBER_BITS) + 1 - begin)
                elif said & _ENCODED:
                    hint = _ENCODED
                elif said & _BLOB:
                    blob = (match >> NUMBER_BITS) + 1 - MIN_BLOB_LENGTH - begin
                    if blob >= 0:
                        blobs.append(blob)
            elif hints[number] & (_WEAK | _ENCODED):
                hint |= hints[number] & _ENCODED
            else:
                continue
            for rule in rules_of[number]:
                if rule not in rules:
                    rules.append(rule)
        rules.sort()
        return _new(Said, (rules, names, hint != 0, blobs))

    def _text(self, place: Place, suspect: _Suspect, noted: Noted) -> str | None:
        """Return the text with its secrets masked; None if it has none."""
        text, facts, said, _, _ = suspect
        clean = self._redactor.clean_texts()
        key = facts.key if place.keys else None
        known = (key, "", text)
        is_short = len(text) <= MAX_CLEAN_LENGTH
        if is_short and known in clean:
            return None
        hinted = self._judge.judge_hinted(text, facts, said)
        pieces = self._judge.judge(text, key) if hinted is None else hinted
        if not pieces:
            if is_short:
                clean.add(known)
            return None
        before, (text, is_plain) = text, self._masked(place, text, pieces, noted)
        if hinted and is_plain:
            known = (key, "", text)
            if known in clean:
                return text
            left = self._left(suspect, pieces)
            pieces = self._after_masks.judge(before, pieces, text, facts, left)
            # What else stands in place of a secret may tell something of it, so it is not kept.
            if not pieces and len(text) <= MAX_CLEAN_LENGTH:
                clean.add(known)
        else:
            pieces = self._judge.judge(text, key)
        for _ in range(MAX_PASSES - 1):
            if not pieces:
                break
            text, _ = self._masked(place, text, pieces, noted)
            pieces = self._judge.judge(text, key)
        return text

    def _change(self, place: Place, rule: str) -> Change:
        known = (id(place), rule)  # There are few places, and they stay.
        change = self._changes.get(known)
        if change is None:
            change = self._changes[known] = self._redactor.change(place, rule)
        return change

    def _left(self, suspect: _Suspect, masked: Sequence[Hit]) -> Left:
        """Return what the matches in a field say of what is left of its text."""
        begin, length = suspect.begin, len(suspect.text)
        rules: set[int] = set()
        names: list[int] = []
        for match in suspect.matches:
            number = match & NUMBER_MASK
            hint, of_rules = self._hints[number], self._rules[number]
            place = (match >> NUMBER_BITS) - begin
            if not 0 <= place < length and not hint & _WEAK:
                continue
            for hit in masked:
                if hit[0] <= place < hit[1]:
                    break
            else:
                rules.update(of_rules)
                if hint & _NAME:
                    names.append(place + 1)
        return _new(Left, (rules, names))

    def _masked(
        self, place: Place, text: str, pieces: Sequence[Hit], noted: Noted
    ) -> tuple[str, bool]:
        """Return the text with these pieces masked, and whether the masks say nothing of them."""
        is_plain = True
        masks: list[str] = []
        position = 0
        for start, end, rule, quote in pieces:
            change = self._change(place, rule)
            action = change.hit.action
            if action in _DROPS:
                raise OddFieldError
            secret = text[start:end].encode()
            noted.append((change, len(secret)))
            stands = change.mask
            if action is not RuleAction.MASK:
                stands, is_plain = self._redactor.masked(change, secret), False
            masks += (text[position:start], quote, stands, quote)
            position = end
        masks.append(text[position:])
        return "".join(masks), is_plain
