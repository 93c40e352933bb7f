"""What holds for one text of logs or traces, and the values of all of them."""

from collections import deque
from collections.abc import ItemsView, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tapeline.cardinality.config import (
    OTHER,
    SPAN_NAME,
    CardinalityConfig,
    SpanLabelConfig,
    normaliser_of,
)
from tapeline.cardinality.label_values import LabelValues, ValueBudget
from tapeline.cardinality.normalise import Normaliser
from tapeline.cardinality.route import Reason
from tapeline.otlp.signals import Signal

__all__ = [
    "TextRule",
    "TextValues",
    "Verdict",
    "log_rules",
    "span_name_rule",
    "span_rules",
    "text_of",
]

MAX_SETS: Final = 10_000
"""Labels times services whose values are counted apart. Further services are counted together."""

# No text begins with it.
_NO_TEXT: Final = b"\xfe"


class Verdict(NamedTuple):
    """The text that shall stand there instead, and why."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class TextRule:
    """The limit on one text. `protected` values pass, whatever the limit."""

    name: str
    limit: int
    normaliser: Normaliser | None
    protected: frozenset[str]

    def judge(self, value: bytes, values: LabelValues, generation: int) -> Verdict | None:
        """Judge the content of an AnyValue; None lets it pass."""
        text = text_of(value)
        if text is None:
            if values.admit(_NO_TEXT + value, generation):
                return None
            return Verdict(OTHER, Reason.LABEL_LIMIT)
        return self.judge_text(text, values, generation)

    def judge_text(self, text: str, values: LabelValues, generation: int) -> Verdict | None:
        """Judge a text; None lets it pass. The empty one is no value, as in backends."""
        rewritten = text if self.normaliser is None else self.normaliser.rewrite(text)
        if rewritten not in ("", OTHER) and rewritten not in self.protected:
            encoded = rewritten.encode("utf-8", "surrogateescape")
            if not values.admit(encoded, generation):
                return Verdict(OTHER, Reason.LABEL_LIMIT)
        return None if rewritten == text else Verdict(rewritten, Reason.NORMALIZED)


_Key = tuple[Signal, str, str | None]


class TextValues:
    """The admitted values of each label of each service, within one budget."""

    def __init__(self, max_values: int) -> None:
        self._budget = ValueBudget(max_values)
        self._sets: dict[_Key, LabelValues] = {}
        self._to_rotate: deque[_Key] = deque()
        self._generation = 0

    @property
    def evicted(self) -> int:
        """Values that went because they were idle, so far."""
        return self._budget.evicted

    @property
    def bound_hits(self) -> int:
        """Times that a label below its own limit found no room among all values."""
        return self._budget.hits

    @property
    def free(self) -> int:
        """How many more values there is room for."""
        return self._budget.free

    def items(self) -> ItemsView[_Key, LabelValues]:
        """Return the values by signal, label and service; None is all services, or no matter."""
        return self._sets.items()

    def of(self, signal: Signal, rule: TextRule, service: str | None) -> LabelValues:
        """Return the values of a label of a service."""
        return self._set(signal, rule.name, service, rule.limit)

    def begin(self, generation: int) -> None:
        """Begin a generation: idle values shall go, little by little."""
        self._generation = generation
        self._to_rotate = deque(self._sets)

    def rotate_one(self) -> None:
        """Let the idle values of one set go: a batch must not wait for those of all of them."""
        if not self._to_rotate:
            return
        key = self._to_rotate.popleft()
        values = self._sets[key]
        values.rotate(self._generation)
        if not values:
            del self._sets[key]

    def dump(self) -> list[Any]:
        """Return what a snapshot keeps, as plain data: signal, label, service, values, ages."""
        return [
            [signal.value, label, service, *values.dump()]
            for (signal, label, service), values in self._sets.items()
        ]

    def load(
        self, dumped: Iterable[Sequence[Any]], limits: Mapping[tuple[Signal, str], int]
    ) -> None:
        """Take a dump, as far as its labels still have limits."""
        for signal, label, service, values, ages in dumped:
            limit = limits.get((Signal(signal), label))
            if limit is not None:
                self._set(Signal(signal), label, service, limit).load(values, ages)

    def _set(self, signal: Signal, label: str, service: str | None, limit: int) -> LabelValues:
        values = self._sets.get((signal, label, service))
        if values is None:
            if len(self._sets) >= MAX_SETS:
                service = None
            values = self._sets.setdefault(
                (signal, label, service), LabelValues(limit, self._budget)
            )
        return values


def log_rules(config: CardinalityConfig) -> Mapping[bytes, TextRule]:
    """Return what holds for resource attributes of logs, by the UTF-8 of their names."""
    return _rules(config, config.logs.labels)


def span_rules(config: CardinalityConfig) -> Mapping[bytes, TextRule]:
    """Return what holds for attributes of spans, by the UTF-8 of their names."""
    return _rules(config, config.traces.attributes)


def span_name_rule(config: CardinalityConfig) -> TextRule | None:
    """Return what holds for names of spans."""
    own = config.traces.span_names
    if own is None:
        return None
    return TextRule(SPAN_NAME, own.limit, normaliser_of(own.normalize), frozenset())


def _rules(
    config: CardinalityConfig, limits: Mapping[str, SpanLabelConfig]
) -> Mapping[bytes, TextRule]:
    protected = config.protect.labels
    return {
        name.encode(): TextRule(
            name, own.limit, normaliser_of(own.normalize), frozenset(protected.get(name, ()))
        )
        for name, own in limits.items()
    }


def text_of(content: bytes) -> str | None:
    """Return the text that an AnyValue is as a label; None of lists and the like."""
    try:
        value = AnyValue.FromString(content)
    except DecodeError:
        # Most likely a text that is no UTF-8. Whatever it is, it counts as what it is.
        return None
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return str(value.int_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case None:
            return ""
        case _:
            return None
