"""Redaction of a parsed Export request: every text of the field table, judged by name and shape.

Plain on purpose: it parses everything and looks at everything. What is faster has to find the same.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tapeline.otlp.fields import FieldClass
from tapeline.otlp.signals import Signal
from tapeline.otlp.walk import Place, Role, rewrite_request
from tapeline.redaction.judge import Hit as Piece
from tapeline.redaction.judge import Judge, replaced
from tapeline.redaction.masks import MIN_HMAC_KEY_BYTES, mask, partial, token
from tapeline.redaction.rule import RuleAction, Strength

__all__ = ["TRADING_IDENTIFIERS", "Hit", "Redactor"]

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

_MAX_PASSES: Final = 8
MAX_CLEAN_TEXTS: Final = 16_384
MAX_CLEAN_LENGTH: Final = 96
"""Texts that are remembered as clean, and the characters of one: together a few MB at the most."""

_LISTS: Final = frozenset({"array_value", "kvlist_value"})


@dataclass(frozen=True, slots=True)
class Hit:
    """A kind of finding: what is counted of a secret, and never any of its text."""

    rule: str
    field_class: FieldClass
    action: RuleAction


class Redactor:
    """Replaces secrets in parsed requests; holds no state but what it was made with."""

    def __init__(self, judge: Judge, hmac_key: bytes) -> None:
        """Take the judge, and the key of the tokens, at least MIN_HMAC_KEY_BYTES."""
        if len(hmac_key) < MIN_HMAC_KEY_BYTES:
            raise ValueError(
                f"the HMAC key has {len(hmac_key)} bytes, but needs at least {MIN_HMAC_KEY_BYTES}"
            )
        self.judge = judge
        self._hmac_key = hmac_key
        self._clean: set[tuple[str | None, str, str]] = set()
        rules = (*judge.pack.value_rules, *judge.pack.name_rules)
        self._actions = {rule.id: rule.action for rule in rules}

    def redact(self, signal: Signal, request: Message) -> Counter[Hit]:
        """Replace every secret of the request, in place; return what was found, by kind.

        Raises NestingError where a value is nested too deeply; the request must then be thrown
        away, because it is half done.
        """
        if len(self._clean) > MAX_CLEAN_TEXTS:
            self._clean.clear()
        pass_over = _Pass(self.judge, self._hmac_key, self._actions, self._clean, Counter())
        rewrite_request(signal, request, pass_over)
        return pass_over.hits


@dataclass(slots=True)
class _Pass:
    """One pass over a request: the walker's callback, and the hits so far."""

    judge: Judge
    hmac_key: bytes
    actions: dict[str, RuleAction]
    clean: set[tuple[str | None, str, str]]
    hits: Counter[Hit]

    def rewrite_text(self, place: Place, text: str) -> str:
        """Return the text with each secret in it masked, and everything around them kept."""
        key, before = None, ""
        if place.role is Role.VALUE and place.keys:
            key = place.keys[-1]
            if key in TRADING_IDENTIFIERS:
                return text
            before = place.keys[-2] if len(place.keys) > 1 else ""
        # Telemetry repeats itself: most names and short values were judged before, and were clean.
        is_short = len(text) <= MAX_CLEAN_LENGTH
        if is_short and (key, before, text) in self.clean:
            return text
        pieces = self.judge.judge(text, key, before)
        if not pieces and is_short:
            self.clean.add((key, before, text))
        # A mask can bring out what was not seen before: of `a:b` the second half may be a name
        # once the first is masked. What no pass changes any more stays so in later redactions.
        for _ in range(_MAX_PASSES):
            if not pieces:
                break
            text = self._replace(place, text, pieces)
            pieces = self.judge.judge(text, key, before)
        return text

    def replace_value(self, place: Place, value: AnyValue) -> str | None:
        """Return the mask of a number, a list or a map whose name means a secret.

        Texts are left to `rewrite_text`, which hears their name too. Under names that ask for an
        opaque value no number is one, and what is in a list or a map is judged by itself.
        """
        kind = value.WhichOneof("value")
        if kind in {None, "string_value", "bytes_value"} or place.keys[-1] in TRADING_IDENTIFIERS:
            return None
        before = place.keys[-2] if len(place.keys) > 1 else ""
        finding = self.judge.finding_of(place.keys[-1], before)
        if finding is None or finding.vendor or finding.strength is Strength.OPAQUE:
            return None
        if kind in _LISTS and not getattr(value, str(kind)).values:
            return None
        return self._mask(place, finding.rule, value.SerializeToString(deterministic=True))

    def _replace(self, place: Place, text: str, pieces: Iterable[Piece]) -> str:
        def in_place(piece: Piece, secret: str) -> str:
            return self._mask(place, piece.rule, secret.encode("utf-8", "surrogateescape"))

        return replaced(text, pieces, in_place)

    def _mask(self, place: Place, rule: str, secret: bytes) -> str:
        # Two metric series must stay two, and so must two keys of one map.
        keeps_apart = place.field.is_identity or place.role is Role.KEY
        action = self.actions.get(rule, RuleAction.MASK)
        action = RuleAction.HMAC if keeps_apart else action
        self.hits[Hit(rule, place.field.field_class, action)] += 1
        if action is RuleAction.HMAC:
            return mask(rule, token(self.hmac_key, secret))
        if action is RuleAction.PARTIAL:
            return mask(rule, partial(secret))
        return mask(rule)
