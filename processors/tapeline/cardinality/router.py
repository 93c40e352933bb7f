"""Where a new stream goes: on as it is, into an output of Tapeline's own, or nowhere.

Normalises, honours what is protected, and applies the limits on labels' values; limits on series
are not its business.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tapeline.cardinality.config import OTHER, LabelPolicy
from tapeline.cardinality.key_values import EMPTY_VALUES, key_of, string_value, text_of, value_of
from tapeline.cardinality.label_values import LabelValues, ValueBudget
from tapeline.cardinality.normalise import Normaliser
from tapeline.cardinality.route import (
    OVERFLOW_PAIRS,
    Action,
    Judged,
    Reason,
    ResourceView,
    Route,
    is_overflow,
    merged,
    refused,
)
from tapeline.cardinality.rules import LabelRule, MetricRule, Rules

__all__ = ["Action", "Reason", "ResourceView", "Route", "Router"]

MAX_METRICS: Final = 10_000
"""Metrics whose values are counted apart. Those of further ones are counted together, by rule."""

_OTHER_VALUE: Final = string_value(OTHER)
_new: Final = tuple.__new__


_Sets = dict[tuple[str, bool], LabelValues]


class Router:
    """Routes streams, and holds the admitted values of the labels that have a limit.

    A stream's values live as long as somebody says that they were seen: call `touch` for a stream
    that goes on without being routed anew, once a generation.
    """

    def __init__(self, rules: Rules, max_label_values: int) -> None:
        self._rules = rules
        self._budget = ValueBudget(max_label_values)
        self._sets: dict[str | int, _Sets] = {}
        self._generation = 0
        self._to_rotate: deque[str | int] = deque()
        self._admitted: list[tuple[LabelValues, bytes]] = []

    @property
    def value_count(self) -> int:
        """Admitted values of all labels."""
        return sum(len(values) for sets in self._sets.values() for values in sets.values())

    @property
    def evicted(self) -> int:
        """Values that went because they were idle, so far."""
        return self._budget.evicted

    @property
    def bound_hits(self) -> int:
        """Times that a label below its own limit found no room among all values."""
        return self._budget.hits

    @property
    def free_values(self) -> int:
        """How many more values there is room for, over all labels."""
        return self._budget.free

    def counts(self, metric_name: str) -> Mapping[tuple[str, bool], tuple[int, int]]:
        """Return admitted values and the limit of a metric's labels, by name and is-of-resource."""
        sets = self._sets.get(metric_name, {})
        return {key: (len(values), values.limit) for key, values in sets.items()}

    def route(
        self,
        metric_name: str,
        resource: ResourceView,
        pairs: tuple[bytes, ...],
        generation: int,
    ) -> Route:
        """Decide on a new stream. `pairs` are its attributes, minimally encoded.

        Values that have room are admitted by that; see `undo`.
        """
        rule = self._rules.for_metric(metric_name)
        if rule.is_plain:
            # A metric that is protected whole has no outputs of Tapeline's own.
            if is_overflow(pairs) and not rule.is_protected:
                return Route(Action.FOLD, OVERFLOW_PAIRS, reason=Reason.IDENTITY)
            return _new(Route, (Action.PASS, pairs, (), None, "", "", rule.is_protected))
        if generation > self._generation:
            self._begin(generation)
        if self._to_rotate:
            self._rotate_one()
        return self._route(rule, metric_name, resource, pairs)

    def undo(self) -> None:
        """Take back the values that the last `route` admitted: its series found no room."""
        for values, value in self._admitted:
            values.forget(value)
        self._admitted.clear()

    def touch(
        self,
        metric_name: str,
        resource: ResourceView,
        pairs: tuple[bytes, ...],
        generation: int,
    ) -> None:
        """Note that a stream which was routed before is still there; admits nothing."""
        rule = self._rules.for_metric(metric_name)
        sets = self._sets.get(metric_name) or self._sets.get(rule.number)
        if not rule.limits_labels or not sets:
            return
        sides = ((False, rule.labels, pairs), (True, rule.resource_labels, resource.pairs))
        for is_resource, labels, side_pairs in sides:
            if not labels:
                continue
            for pair in side_pairs:
                label = labels.get(key_of(pair))
                values = None if label is None else sets.get((label.name, is_resource))
                if label is not None and values is not None:
                    values.touch(_normalised(label, value_of(pair, label.prefix)), generation)

    def dump(self) -> list[Any]:
        """Return what a snapshot keeps, as plain data: metric, label, is of resource, values, ages.

        Values of metrics that are counted together are left out.
        """
        return [
            [metric, label, is_resource, *values.dump()]
            for metric, sets in self._sets.items()
            if isinstance(metric, str)
            for (label, is_resource), values in sets.items()
        ]

    def load(self, dumped: Iterable[Sequence[Any]]) -> None:
        """Take a dump into a new router, as far as its rules still limit those labels."""
        for metric, name, is_resource, values, ages in dumped:
            rule = self._rules.for_metric(metric)
            label = (rule.resource_labels if is_resource else rule.labels).get(name.encode())
            if label is not None and label.limit is not None:
                sets = self._sets_of(rule, metric)
                self._values(sets, label, is_resource=is_resource).load(values, ages)

    def _route(
        self,
        rule: MetricRule,
        metric_name: str,
        resource: ResourceView,
        pairs: tuple[bytes, ...],
    ) -> Route:
        self._admitted.clear()
        is_protected = rule.is_protected or (
            rule.protects_values
            and (
                _has_protected(rule.labels, pairs)
                or _has_protected(rule.resource_labels, resource.pairs)
            )
        )
        sets = self._sets_of(rule, metric_name) if rule.limits_labels and not is_protected else None
        point = self._judge(rule, pairs, sets, is_resource=False)
        around = None
        if rule.resource_labels:
            around = self._judge(rule, resource.pairs, sets, is_resource=True)
        if point.verdict is not None or (around is not None and around.verdict is not None):
            self.undo()
            return refused(point, around, resource, pairs)
        return merged(point, around, resource, pairs, is_protected=is_protected)

    def _judge(
        self,
        rule: MetricRule,
        pairs: tuple[bytes, ...],
        sets: _Sets | None,
        *,
        is_resource: bool,
    ) -> Judged:
        """Look at the attributes of a point or a resource. `sets` None: no limit holds."""
        labels = rule.resource_labels if is_resource else rule.labels
        droppable = rule.resource_droppable if is_resource else rule.droppable
        judged = Judged()
        missing = set(droppable)
        for number, pair in enumerate(pairs):
            key = key_of(pair)
            label = labels.get(key)
            if label is None:
                continue
            value = value_of(pair, label.prefix)
            if value in EMPTY_VALUES:
                continue
            missing.discard(key)
            if label.normaliser is not None:
                value = _normalise(judged, label, label.normaliser, pairs, number)
            if label.limit is None:
                continue
            if value == _OTHER_VALUE:
                if label.policy is LabelPolicy.REPLACE_VALUE:
                    judged.note(Reason.IDENTITY, label.name)
            elif sets is not None and not self._admit(
                self._values(sets, label, is_resource=is_resource), value
            ):
                _refuse_value(judged, label, pairs, number)
        if missing:
            judged.note(Reason.IDENTITY, labels[min(missing)].name)
        return judged

    def _admit(self, values: LabelValues, value: bytes) -> bool:
        if values.holds(value):
            return values.admit(value, self._generation)
        admitted = values.admit(value, self._generation)
        if admitted:
            self._admitted.append((values, value))
        return admitted

    def _sets_of(self, rule: MetricRule, metric_name: str) -> _Sets:
        sets = self._sets.get(metric_name)
        if sets is None:
            own = len(self._sets) < MAX_METRICS
            sets = self._sets.setdefault(metric_name if own else rule.number, {})
        return sets

    def _values(self, sets: _Sets, label: LabelRule, *, is_resource: bool) -> LabelValues:
        key = (label.name, is_resource)
        values = sets.get(key)
        if values is None:
            values = sets[key] = LabelValues(label.limit or 0, self._budget)
        return values

    def _begin(self, generation: int) -> None:
        self._generation = generation
        self._to_rotate.extend(self._sets.keys() - set(self._to_rotate))

    def _rotate_one(self) -> None:
        """Let idle values of one metric go: a batch must not wait for those of all of them."""
        name = self._to_rotate.popleft()
        sets = self._sets.get(name)
        if sets is None:
            return
        for values in sets.values():
            values.rotate(self._generation)
        if not any(sets.values()):
            del self._sets[name]


def _normalise(
    judged: Judged,
    label: LabelRule,
    normaliser: Normaliser,
    pairs: tuple[bytes, ...],
    number: int,
) -> bytes:
    """Return the value field as it is rewritten, and note what that means."""
    value = value_of(pairs[number], label.prefix)
    text = text_of(value)
    if text is None:
        return value
    rewritten = normaliser.rewrite(text)
    if rewritten is not text:
        value = string_value(rewritten)
        judged.change(pairs, number, label.prefix + value)
        judged.note(Reason.NORMALIZED, label.name)
    elif normaliser.may_be_result(text):
        judged.note(Reason.IDENTITY, label.name)
    return value


def _refuse_value(judged: Judged, label: LabelRule, pairs: tuple[bytes, ...], number: int) -> None:
    judged.note(Reason.LABEL_LIMIT, label.name)
    if label.policy is LabelPolicy.REPLACE_VALUE:
        judged.change(pairs, number, label.prefix + _OTHER_VALUE)
    elif label.policy is LabelPolicy.DROP_LABEL:
        judged.change(pairs, number, b"")
    elif judged.verdict is not LabelPolicy.DROP_SERIES:
        # The weightier one decides, in whatever order the attributes stand.
        judged.verdict = label.policy


def _normalised(label: LabelRule, value: bytes) -> bytes:
    text = None if label.normaliser is None else text_of(value)
    if label.normaliser is None or text is None:
        return value
    rewritten = label.normaliser.rewrite(text)
    return value if rewritten is text else string_value(rewritten)


def _has_protected(labels: Mapping[bytes, LabelRule], pairs: tuple[bytes, ...]) -> bool:
    for pair in pairs:
        label = labels.get(key_of(pair))
        if label is not None and label.protected:
            value = _normalised(label, value_of(pair, label.prefix))
            if value in label.protected:
                return True
    return False
