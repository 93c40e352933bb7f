"""Redaction of a parsed Export request: every text of the field table, judged by name and shape.

Plain on purpose: it parses everything and looks at everything. What is faster has to find the same.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tapeline.otlp.fields import FieldClass
from tapeline.otlp.named import VALUES
from tapeline.otlp.signals import Signal
from tapeline.otlp.walk import RECORD_NAMES, Drop, Place, Role, delete_records, rewrite_request
from tapeline.redaction.judge import Hit as Piece
from tapeline.redaction.judge import Judge, replaced
from tapeline.redaction.key_words import NameFinding
from tapeline.redaction.masks import MIN_HMAC_KEY_BYTES, key_id, mask, partial, token
from tapeline.redaction.rule import RuleAction, Strength

__all__ = [
    "MAX_CLEAN_LENGTH",
    "MAX_PASSES",
    "TRADING_IDENTIFIERS",
    "Change",
    "Hit",
    "Notice",
    "Outcome",
    "Redactor",
]

TRADING_IDENTIFIERS: Final = frozenset(
    {
        "trading.account",
        "trading.cash.id",
        "trading.execution.id",
        "trading.execution.ref_id",
        "trading.instrument",
        "trading.order.id",
        "trading.order.parent_id",
    }
)
"""Attributes of the trading convention that tell events apart: never judged by their shape, since a
mask in place of two of them would make one order of two."""

MAX_PASSES: Final = 8
MAX_CLEAN_TEXTS: Final = 16_384
MAX_CLEAN_LENGTH: Final = 96
"""Texts that are remembered as clean, and the characters of one: together a few MB at the most."""

_NO_NAME: Final = re.compile(r"(?=[^0-9]{0,200}[0-9])[^\s]{8,}\Z")
_new: Final = tuple.__new__
"""Half the cost of calling the named tuple."""

_LISTS: Final = frozenset({"array_value", "kvlist_value"})
_NUMBERS: Final = frozenset({"int_value", "double_value"})


@dataclass(frozen=True, slots=True)
class Hit:
    """A kind of finding: what is counted of a secret, and never any of its text."""

    rule: str
    field_class: FieldClass
    action: RuleAction


class Notice(NamedTuple):
    """What may be said of one secret in a log: where it stood and how long it was."""

    hit: Hit
    path: str
    length_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found in a request, and which of its records shall go: numbers in their order."""

    hits: Counter[Hit]
    dropped: tuple[int, ...]


class Change(NamedTuple):
    """What is done about the secrets that one rule finds in one field."""

    hit: Hit
    path: str
    mask: str
    """What stands in their place, where that does not depend on the secret."""


def _ignore(_: Notice) -> None:
    return None


class Redactor:
    """Replaces secrets in parsed requests; holds no state but what it was made with."""

    def __init__(
        self,
        judge: Judge,
        hmac_key: bytes,
        actions: Mapping[str, RuleAction] = MappingProxyType({}),
        notify: Callable[[Notice], None] = _ignore,
    ) -> None:
        """Take the judge, and the key of the tokens, at least MIN_HMAC_KEY_BYTES.

        `actions` override those of the rules, by id. `notify` hears of each secret.
        """
        if len(hmac_key) < MIN_HMAC_KEY_BYTES:
            raise ValueError(
                f"the HMAC key has {len(hmac_key)} bytes, but needs at least {MIN_HMAC_KEY_BYTES}"
            )
        self.judge = judge
        self._hmac_key = hmac_key
        self._key_id = key_id(hmac_key)
        self._notify = notify
        self._clean: set[tuple[str | None, str, str]] = set()
        rules = (*judge.pack.value_rules, *judge.pack.name_rules)
        self._actions = {rule.id: rule.action for rule in rules} | dict(actions)
        self._changes: dict[tuple[str, Signal, str, Role, bool], Change] = {}

    def redact(self, signal: Signal, request: Message) -> Counter[Hit]:
        """Replace every secret of the request, in place; return what was found, by kind.

        Raises NestingError where a value is nested too deeply; the request must then be thrown
        away, because it is half done.
        """
        outcome = self.rewrite(signal, request)
        delete_records(signal, request, outcome.dropped)
        return outcome.hits

    def rewrite(self, signal: Signal, request: Message) -> Outcome:
        """As `redact`, but leave the records that shall go, for the caller to take out."""
        pass_over = _Pass(self, self.judge, self.clean_texts(), self._notify)
        rewrite_request(signal, request, pass_over)
        return Outcome(pass_over.hits, tuple(pass_over.dropped))

    def clean_texts(self) -> set[tuple[str | None, str, str]]:
        """Return the short texts that are known to hold no secret: name, name above it, text."""
        if len(self._clean) > MAX_CLEAN_TEXTS:
            self._clean.clear()
        return self._clean

    def change(self, place: Place, rule: str) -> Change:
        """Return what becomes of a secret that a rule found at this place."""
        field = place.field
        known = (rule, field.signal, field.path, place.role, bool(place.keys))
        change = self._changes.get(known)
        if change is None:
            action = _possible(self._actions.get(rule, RuleAction.MASK), place)
            change = Change(Hit(rule, field.field_class, action), field.path, mask(rule))
            self._changes[known] = change
        return change

    def masked(self, change: Change, secret: bytes) -> str:
        """Return what stands in place of this secret, if anything does."""
        match change.hit.action:
            case RuleAction.HMAC:
                return mask(change.hit.rule, f"{self._key_id}:{token(self._hmac_key, secret)}")
            case RuleAction.PARTIAL:
                return mask(change.hit.rule, partial(secret))
            case _:
                return change.mask

    def notify(self, change: Change, length_bytes: int) -> None:
        """Tell of one secret."""
        self._notify(_new(Notice, (change.hit, change.path, length_bytes)))


@dataclass(slots=True)
class _Pass:
    """One pass over a request: the walker's callback, and the hits so far."""

    redactor: Redactor
    judge: Judge
    clean: set[tuple[str | None, str, str]]
    notify: Callable[[Notice], None]
    hits: Counter[Hit] = field(default_factory=Counter)
    dropped: list[int] = field(default_factory=list)
    record: int = 0
    drops_record: bool = False
    drops_pair: bool = False

    def end_record(self) -> None:
        """Note whether the record that was just walked shall go."""
        if self.drops_record:
            self.dropped.append(self.record)
            self.drops_record = False
        self.record += 1

    def rewrite_text(self, place: Place, text: str) -> str | Drop:
        """Return the text with each secret in it masked, and everything around them kept."""
        key, before = None, ""
        if place.role is Role.VALUE and place.keys:
            key = place.keys[-1]
            if key in TRADING_IDENTIFIERS:
                return text
            before = place.keys[-2] if len(place.keys) > 1 else ""
        if place.beside and self._is_named(place, text):
            key, before = place.beside, ""
        # Telemetry repeats itself: most names and short values were judged before, and were clean.
        is_short = len(text) <= MAX_CLEAN_LENGTH
        if is_short and (key, before, text) in self.clean:
            return text
        pieces = self.judge.judge(text, key, before)
        if not pieces and is_short:
            self.clean.add((key, before, text))
        # A mask can bring out what was not seen before: of `a:b` the second half may be a name
        # once the first is masked. What no pass changes any more stays so in later redactions.
        for _ in range(MAX_PASSES):
            if not pieces:
                break
            text = self._replace(place, text, pieces)
            if self.drops_pair:
                self.drops_pair = False
                return Drop.PAIR
            pieces = self.judge.judge(text, key, before)
        return text

    def _is_named(self, place: Place, text: str) -> bool:
        """Say whether the text beside this one names it, and a secret."""
        finding = self.judge.finding_of(place.beside)
        if finding is None or finding.vendor:
            return False
        if place.keys and place.keys[-1].lower() in VALUES:
            return True
        # In a list, what comes next may be the next name; after an option, the next option.
        if place.beside.startswith("-"):
            return not text.startswith("-")
        return _NO_NAME.match(text) is not None

    def replace_value(self, place: Place, value: AnyValue) -> str | Drop | None:
        """Return the mask of a number, a list or a map whose name means a secret.

        Texts are left to `rewrite_text`, which hears their name too. Under names that ask for an
        opaque value no number is one, and what is in a list or a map is judged by itself.
        """
        kind = value.WhichOneof("value")
        if kind in {None, "string_value", "bytes_value"} or place.keys[-1] in TRADING_IDENTIFIERS:
            return None
        before = place.keys[-2] if len(place.keys) > 1 else ""
        finding = self.judge.finding_of(place.keys[-1], before)
        if finding is None and place.beside and kind in _NUMBERS:
            finding = self.judge.finding_of(place.beside)
        if finding is None or finding.vendor or finding.strength is Strength.OPAQUE:
            return None
        if finding.form is not None and not _has_form(finding, str(kind), value):
            return None
        if kind in _LISTS and not getattr(value, str(kind)).values:
            return None
        masked = self._mask(place, finding.rule, value.SerializeToString(deterministic=True))
        if self.drops_pair:
            self.drops_pair = False
            return Drop.PAIR
        return masked

    def _replace(self, place: Place, text: str, pieces: Iterable[Piece]) -> str:
        def in_place(piece: Piece, secret: str) -> str:
            return self._mask(place, piece.rule, secret.encode("utf-8", "surrogateescape"))

        return replaced(text, pieces, in_place)

    def _mask(self, place: Place, rule: str, secret: bytes) -> str:
        change = self.redactor.change(place, rule)
        self.hits[change.hit] += 1
        self.notify(Notice(change.hit, change.path, len(secret)))
        match change.hit.action:
            case RuleAction.DROP_ATTRIBUTE:
                self.drops_pair = True
            case RuleAction.DROP_RECORD:
                self.drops_record = True
            case _:
                pass
        return self.redactor.masked(change, secret)


def _has_form(finding: NameFinding, kind: str, value: AnyValue) -> bool:
    """Say whether a number's digits have the form that the rule of its name asks for.

    What is in a list or a map is judged by itself, unless any value is a secret.
    """
    if kind in _LISTS:
        return finding.strength is Strength.ANY
    digits = str(value.int_value) if kind == "int_value" else ""
    return finding.form is not None and bool(finding.form.fullmatch(digits.encode()))


def _possible(action: RuleAction, place: Place) -> RuleAction:
    """Return the action itself, or the one in its stead where it would lose or merge others."""
    if action is RuleAction.DROP_RECORD:
        if any(step.name in RECORD_NAMES for step in place.field.steps):
            return action
        action = RuleAction.MASK
    # Two metric series must stay two, and so must two keys of one map.
    if place.field.is_identity:
        return RuleAction.HMAC
    if action is RuleAction.DROP_ATTRIBUTE:
        if _is_in_pair(place):
            return action
        action = RuleAction.MASK
    return RuleAction.HMAC if place.role is Role.KEY else action


def _is_in_pair(place: Place) -> bool:
    """Say whether a text is part of a key and value that can be taken out.

    The metadata of a metric can't: the wire's index takes each of them for a piece of the metric.
    """
    if place.field.field_class is FieldClass.METRIC_METADATA:
        return False
    return place.role is Role.KEY or bool(place.keys)
