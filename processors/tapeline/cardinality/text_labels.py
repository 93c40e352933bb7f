"""Limits on texts that become labels elsewhere: Loki's index labels, and span metrics' dimensions.

Of logs these are resource attributes, of traces span names and attributes of spans or, as span
metrics take them, of their resources. Values beyond
a limit become `__other__`; what is to be normalised is so before it is counted. A request that
needs no change is not touched, and of one that does only those resources and spans that do.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tapeline.cardinality.config import SPAN_NAME, CardinalityConfig, Mode
from tapeline.cardinality.report import TextState
from tapeline.cardinality.route import Reason
from tapeline.cardinality.text_rules import (
    TextRule,
    TextValues,
    Verdict,
    log_rules,
    span_name_rule,
    span_rules,
    text_of,
)
from tapeline.cardinality.text_views import LOGS_VIEW, RESOURCE_VIEW, SPAN_NAMES_VIEW, SPANS_VIEW
from tapeline.otlp.layout import SliceKind
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch

__all__ = ["LOG_LABEL", "SPAN_ATTRIBUTE", "SPAN_NAME_KIND", "LimitedTexts", "TextLabels"]

GENERATIONS_PER_TTL: Final = 4
MAX_CACHED_RESOURCES: Final = 4096
MAX_CACHED_BYTES: Final = 4096
MAX_KNOWN: Final = 100_000
MAX_KNOWN_BYTES: Final = 256
_NANO: Final = 1_000_000_000
_SERVICE_NAME: Final = b"service.name"

LOG_LABEL: Final = "log_label"
SPAN_NAME_KIND: Final = "span_name"
SPAN_ATTRIBUTE: Final = "span_attribute"


class LimitedTexts(NamedTuple):
    """A batch within the limits: the same object where nothing had to change, or in `observe`.

    `read` counts the texts with a limit by their kind: those of resources and of spans. `rewritten`
    counts those that were not left as they are by label and reason; in `observe`, those that would
    not have been.
    """

    batch: Batch
    rewritten: Mapping[tuple[str, str], int]
    read: Mapping[str, int]


class _Resource(NamedTuple):
    """What a resource becomes (None: it stays), the labels and reasons for that, and what was read.

    `read` is how many of its texts have a limit.
    """

    content: bytes | None
    causes: tuple[tuple[str, str], ...]
    read: int


@dataclass(slots=True)
class _Work:
    """What was done to a request: new contents of resources and spans, by their place in it.

    `first_span` is the place of the first span of the scope in hand.
    """

    resource_count: int = 0
    first_span: int = 0
    resources: dict[int, bytes] = field(default_factory=dict)
    spans: dict[int, bytes | None] = field(default_factory=dict)
    rewritten: Counter[tuple[str, str]] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)

    def note(self, number: int, span: Any, rule: TextRule, verdict: Verdict) -> None:
        """Keep a span of the scope as it is now."""
        self.spans[self.first_span + number] = span.SerializeToString()
        self.rewritten[rule.name, verdict.reason] += 1


class TextLabels:
    """Limits the texts of logs and traces, and holds those that are admitted.

    Texts of metrics' labels are counted elsewhere, so a metrics batch passes as it is.
    """

    def __init__(self, config: CardinalityConfig) -> None:
        self._observes = config.mode is Mode.OBSERVE
        self._generation_nano = max(1, int(config.idle_ttl * _NANO) // GENERATIONS_PER_TTL)
        self._generation = 0
        self._log_rules = log_rules(config)
        self._span_name = span_name_rule(config)
        self._span_rules = span_rules(config)
        # What span metrics don't find with the span they take from its resource.
        self._resource_rules = {Signal.LOGS: self._log_rules, Signal.TRACES: self._span_rules}
        self._values = TextValues(config.max_label_values)
        self._resources: dict[tuple[Signal, bytes], _Resource] = {}
        self._services: dict[bytes, str] = {}
        self._passing: dict[tuple[str, str], set[bytes]] = {}
        self._passing_count = 0
        self._replaced: Counter[tuple[Signal, str]] = Counter()

    @property
    def evicted(self) -> int:
        """Values that went because they were idle, so far."""
        return self._values.evicted

    @property
    def bound_hits(self) -> int:
        """Times that a text below its own limit found no room among all values."""
        return self._values.bound_hits

    @property
    def free_values(self) -> int:
        """How many more values there is room for, over all labels."""
        return self._values.free

    def states(self) -> list[TextState]:
        """Return each limited text: of spans, the admitted values of the service with most."""
        fullest: Counter[tuple[Signal, str]] = Counter()
        for (signal, label, _), values in self._values.items():
            fullest[signal, label] = max(fullest[signal, label], len(values))
        rows = [(LOG_LABEL, Signal.LOGS, rule) for rule in self._log_rules.values()]
        if self._span_name is not None:
            rows.append((SPAN_NAME_KIND, Signal.TRACES, self._span_name))
        rows += [(SPAN_ATTRIBUTE, Signal.TRACES, rule) for rule in self._span_rules.values()]
        return [
            TextState(
                kind,
                rule.name,
                rule.limit,
                admitted=fullest[signal, rule.name],
                replaced=self._replaced[signal, rule.name],
            )
            for kind, signal, rule in rows
        ]

    def process(self, batch: Batch, now_unix_nano: int) -> LimitedTexts:
        """Return the batch within the limits. `now_unix_nano` may go back, time doesn't.

        Raises MalformedRequestError where what has to be read does not parse.
        """
        generation = now_unix_nano // self._generation_nano
        if generation > self._generation:
            self._generation = generation
            self._resources.clear()
            self._forget()
            self._values.begin(generation)
        self._values.rotate_one()
        limited = LimitedTexts(batch, {}, {})
        try:
            if batch.signal is Signal.LOGS and self._log_rules:
                limited = self._logs(batch)
            if batch.signal is Signal.TRACES and (self._span_name or self._span_rules):
                limited = self._traces(batch)
        except DecodeError as error:
            raise MalformedRequestError(
                f"a resource or span of the {batch.signal} request does not parse: {error}"
            ) from error
        for (label, reason), count in limited.rewritten.items():
            if reason == Reason.LABEL_LIMIT:
                self._replaced[batch.signal, label] += count
        return limited

    def dump(self) -> list[Any]:
        """Return what a snapshot keeps: lists, texts, numbers and bytes."""
        return self._values.dump()

    def load(self, dumped: Iterable[Sequence[Any]]) -> None:
        """Take a dump into a new object, as far as its labels still have limits."""
        limits = {(Signal.LOGS, rule.name): rule.limit for rule in self._log_rules.values()}
        limits |= {(Signal.TRACES, rule.name): rule.limit for rule in self._span_rules.values()}
        if self._span_name is not None:
            limits[Signal.TRACES, SPAN_NAME] = self._span_name.limit
        self._values.load(dumped, limits)

    def _logs(self, batch: Batch) -> LimitedTexts:
        work = _Work()
        for container in LOGS_VIEW.FromString(batch.payload).containers:
            self._limit_resources(batch.signal, container.resources, work)
        return self._limited(batch, work)

    def _traces(self, batch: Batch) -> LimitedTexts:
        work = _Work()
        # Most requests have no span with such an attribute.
        with_attributes = any(key in batch.payload for key in self._span_rules)
        view = SPANS_VIEW if with_attributes else SPAN_NAMES_VIEW
        for container in view.FromString(batch.payload).containers:
            service = self._service(b"".join(container.resources))
            self._limit_resources(batch.signal, container.resources, work)
            for scope in container.scopes:
                if self._span_name is not None:
                    self._limit_names(self._span_name, service, scope.spans, work)
                if with_attributes:
                    self._limit_attributes(service, scope.spans, work)
                work.first_span += len(scope.spans)
        return self._limited(batch, work)

    def _limited(self, batch: Batch, work: _Work) -> LimitedTexts:
        if self._observes or not (work.spans or work.resources):
            return LimitedTexts(batch, work.rewritten, work.read)
        index = batch.index
        headers: dict[int, bytes | None] = {}
        if work.resources:
            kinds = enumerate(header.kind for header in index.headers)
            numbers = [number for number, kind in kinds if kind is SliceKind.RESOURCE]
            headers = {numbers[place]: content for place, content in work.resources.items()}
        payload = splice(batch.payload, index, records=work.spans, headers=headers)
        return LimitedTexts(batch.with_payload(payload), work.rewritten, work.read)

    def _limit_resources(self, signal: Signal, contents: Sequence[bytes], work: _Work) -> None:
        rules = self._resource_rules[signal]
        if not rules:
            return
        kind = LOG_LABEL if signal is Signal.LOGS else SPAN_ATTRIBUTE
        for content in contents:
            judged = self._resources.get((signal, content))
            if judged is None:
                judged = self._judge_resource(signal, rules, content)
            work.read[kind] += judged.read
            if judged.content is not None:
                work.rewritten.update(judged.causes)
                work.resources[work.resource_count] = judged.content
            work.resource_count += 1

    def _judge_resource(
        self, signal: Signal, rules: Mapping[bytes, TextRule], content: bytes
    ) -> _Resource:
        """Judge a resource for a whole generation, since values go only between two."""
        resource = RESOURCE_VIEW.FromString(content)
        causes = []
        read = 0
        for attribute in resource.attributes:
            rule = rules.get(attribute.key)
            if rule is None:
                continue
            read += 1
            values = self._values.of(signal, rule, None)
            verdict = rule.judge(b"".join(attribute.values), values, self._generation)
            if verdict is not None:
                attribute.values[:] = [_string(verdict.text)]
                causes.append((rule.name, verdict.reason))
        changed = resource.SerializeToString() if causes else None
        judged = _Resource(changed, tuple(causes), read)
        if len(content) <= MAX_CACHED_BYTES:
            if len(self._resources) >= MAX_CACHED_RESOURCES:
                self._resources.clear()
            self._resources[signal, content] = judged
        return judged

    def _limit_names(self, rule: TextRule, service: str, spans: Sequence[Any], work: _Work) -> None:
        work.read[SPAN_NAME_KIND] += len(spans)
        known = self._known(service, rule)
        names: list[bytes] = [span.name for span in spans]
        if known.issuperset(names):
            return
        values = self._values.of(Signal.TRACES, rule, service)
        for number, name in enumerate(names):
            if name in known:
                continue
            text = name.decode("utf-8", "surrogateescape")
            verdict = rule.judge_text(text, values, self._generation)
            if verdict is None:
                self._know(known, name)
            else:
                spans[number].name = verdict.text.encode("utf-8", "surrogateescape")
                work.note(number, spans[number], rule, verdict)

    def _limit_attributes(self, service: str, spans: Sequence[Any], work: _Work) -> None:
        rules = self._span_rules
        for number, span in enumerate(spans):
            for attribute in span.attributes:
                rule = rules.get(attribute.key)
                if rule is None:
                    continue
                work.read[SPAN_ATTRIBUTE] += 1
                value, known = b"".join(attribute.values), self._known(service, rule)
                if value in known:
                    continue
                values = self._values.of(Signal.TRACES, rule, service)
                verdict = rule.judge(value, values, self._generation)
                if verdict is None:
                    self._know(known, value)
                else:
                    attribute.values[:] = [_string(verdict.text)]
                    work.note(number, span, rule, verdict)

    def _service(self, resource: bytes) -> str:
        service = self._services.get(resource)
        if service is None:
            service = ""
            for attribute in RESOURCE_VIEW.FromString(resource).attributes:
                if attribute.key == _SERVICE_NAME:
                    service = _bounded(text_of(b"".join(attribute.values)) or "")
            if len(resource) <= MAX_CACHED_BYTES:
                if len(self._services) >= MAX_CACHED_RESOURCES:
                    self._services.clear()
                self._services[resource] = service
        return service

    def _known(self, service: str, rule: TextRule) -> set[bytes]:
        """Return what was judged in this generation, and passes as it is."""
        known = self._passing.get((service, rule.name))
        if known is None:
            self._make_room()
            known = self._passing[service, rule.name] = set()
        return known

    def _know(self, known: set[bytes], value: bytes) -> None:
        if len(value) <= MAX_KNOWN_BYTES:
            self._make_room()
            known.add(value)

    def _make_room(self) -> None:
        if self._passing_count >= MAX_KNOWN:
            self._forget()
        self._passing_count += 1

    def _forget(self) -> None:
        self._passing.clear()
        self._passing_count = 0


def _bounded(service: str) -> str:
    """Return what a service is kept under: its name, or the digest of one that is long."""
    encoded = service.encode("utf-8", "surrogateescape")
    return service if len(encoded) <= MAX_KNOWN_BYTES else hashlib.sha256(encoded).hexdigest()


def _string(text: str) -> bytes:
    return AnyValue(string_value=text).SerializeToString()
