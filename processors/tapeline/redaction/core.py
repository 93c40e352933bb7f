"""Redaction of a parsed Export request: every text of the field table, judged by name and shape.

Plain on purpose: it parses everything and looks at everything. What is faster has to find the same.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tapeline.otlp.fields import FieldClass
from tapeline.otlp.signals import Signal
from tapeline.otlp.walk import Place, Role, rewrite_request
from tapeline.redaction.key_names import NAME_RULES, KeyNames
from tapeline.redaction.masks import MIN_HMAC_KEY_BYTES, end_of_mask, mask, mask_pattern, token
from tapeline.redaction.pairs import PAIR_MARKS, find_pairs
from tapeline.redaction.spans import Span, merge
from tapeline.redaction.value_rules import VALUE_RULES, find_by_value

__all__ = ["RULES", "TRADING_IDENTIFIERS", "Action", "Hit", "Redactor", "find_secrets"]

RULES: Final = (*NAME_RULES, *(rule.rule for rule in VALUE_RULES))
"""Every rule id that can stand in a mask."""

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

_MASK: Final = mask_pattern(RULES)
_MAX_PASSES: Final = 8


class Action(StrEnum):
    """What was put in place of a secret."""

    MASK = "mask"
    HMAC = "hmac"


@dataclass(frozen=True, slots=True)
class Hit:
    """A kind of finding: what is counted of a secret, and never any of its text."""

    rule: str
    field_class: FieldClass
    action: Action


class Redactor:
    """Replaces secrets in parsed requests; holds no state but its configuration and caches."""

    def __init__(self, hmac_key: bytes, keep: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        """Take the key of the tokens, at least MIN_HMAC_KEY_BYTES, and names to keep and deny."""
        if len(hmac_key) < MIN_HMAC_KEY_BYTES:
            raise ValueError(
                f"the HMAC key has {len(hmac_key)} bytes, but needs at least {MIN_HMAC_KEY_BYTES}"
            )
        self._hmac_key = hmac_key
        self._names = KeyNames(keep, deny)

    def redact(self, signal: Signal, request: Message) -> Counter[Hit]:
        """Replace every secret of the request, in place; return what was found, by kind.

        Raises NestingError where a value is nested too deeply; the request must then be thrown
        away, because it is half done.
        """
        pass_over = _Pass(self._names, self._hmac_key)
        rewrite_request(signal, request, pass_over)
        return pass_over.hits


@dataclass(slots=True)
class _Pass:
    """One pass over a request: the walker's callback, and the hits so far."""

    names: KeyNames
    hmac_key: bytes
    hits: Counter[Hit]

    def __init__(self, names: KeyNames, hmac_key: bytes) -> None:
        self.names = names
        self.hmac_key = hmac_key
        self.hits = Counter()

    def rewrite_text(self, place: Place, text: str) -> str:
        """Return the text with each secret in it masked, and everything around them kept."""
        if place.role is Role.VALUE and place.keys and place.keys[-1] in TRADING_IDENTIFIERS:
            return text
        # A mask can bring out what was not seen before: of `a:b` the second half may be a name
        # once the first is masked. What no pass changes any more stays so in later redactions.
        for _ in range(_MAX_PASSES):
            spans = find_secrets(text, self.names)
            if not spans:
                return text
            text = self._replace(place, text, spans)
        return text

    def replace_value(self, place: Place, value: AnyValue) -> str | None:
        """Return the mask of a value of any type whose name means a secret."""
        before = place.keys[-2] if len(place.keys) > 1 else ""
        rule = self.names.rule_of(_without_masks(place.keys[-1]), _without_masks(before))
        if rule is None or not _hides_something(value):
            return None
        return self._mask(place, rule, _secret_bytes(value))

    def _replace(self, place: Place, text: str, spans: Iterable[Span]) -> str:
        pieces: list[str] = []
        position = 0
        for span in spans:
            secret = text[span.start : span.end].encode("utf-8", "surrogateescape")
            pieces.append(text[position : span.start])
            pieces.append(f"{span.quote}{self._mask(place, span.rule, secret)}{span.quote}")
            position = span.end
        pieces.append(text[position:])
        return "".join(pieces)

    def _mask(self, place: Place, rule: str, secret: bytes) -> str:
        # Two metric series must stay two, and so must two keys of one map.
        keeps_apart = place.field.is_identity or place.role is Role.KEY
        action = Action.HMAC if keeps_apart else Action.MASK
        self.hits[Hit(rule, place.field.field_class, action)] += 1
        return mask(rule, token(self.hmac_key, secret) if keeps_apart else "")


def find_secrets(text: str, names: KeyNames) -> list[Span]:
    """Return the secrets in a text, in order, without overlap, and none that is masked already."""
    masks = [match.span() for match in _MASK.finditer(text)] if "[REDACTED:" in text else []
    lowered = text.lower()
    spans = list(find_by_value(text, lowered))
    if any(mark in text for mark in PAIR_MARKS) and names.may_occur_in(lowered):
        spans.extend(find_pairs(text, names, masks))
    return merge(span for span in spans if span.end > end_of_mask(masks, span.start))


def _without_masks(name: str) -> str:
    """Return a key's name without masks: the rule's name in one is not the key's."""
    return _MASK.sub(" ", name) if "[REDACTED:" in name else name


def _hides_something(value: AnyValue) -> bool:
    """Say whether there is something in a value, and something else than a mask."""
    match value.WhichOneof("value"):
        case None:
            return False
        case "string_value":
            text = value.string_value
            return bool(text.strip()) and _MASK.fullmatch(text) is None
        case "bytes_value":
            return bool(value.bytes_value)
        case "array_value":
            return bool(value.array_value.values)
        case "kvlist_value":
            return bool(value.kvlist_value.values)
        case _:
            return True


def _secret_bytes(value: AnyValue) -> bytes:
    """Return what a token is made of: a string's own text, so that it equals that text elsewhere.

    Other types are told apart from strings by a zero byte in front, and from each other by their
    field number.
    """
    if value.WhichOneof("value") == "string_value":
        return value.string_value.encode()
    return b"\0" + value.SerializeToString(deterministic=True)
