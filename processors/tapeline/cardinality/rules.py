"""What the configuration says of one metric, compiled: found once for each name."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tapeline.cardinality.config import (
    CardinalityConfig,
    GaugePolicy,
    LabelConfig,
    LabelPolicy,
    Patterns,
    RuleConfig,
    SeriesPolicy,
    SummaryPolicy,
    normaliser_of,
)
from tapeline.cardinality.globs import compile_globs
from tapeline.cardinality.key_values import key_prefix, values_written_as
from tapeline.cardinality.normalise import Normaliser

__all__ = ["NO_RULE", "LabelRule", "MetricRule", "Rules"]

MAX_NAMES: Final = 10_000
"""Metric names whose rule is kept; of further ones it is looked for again and again."""
MAX_CACHED_NAME_CHARACTERS: Final = 256
"""Longer names are not kept either: what they take would have no bound."""

NO_RULE: Final = -1
"""The number of what holds for metrics that no rule matches."""


@dataclass(frozen=True, slots=True)
class LabelRule:
    """What holds for one label. `prefix` is its attribute's key field.

    `limit` is None where only `normaliser` or `protected` (value fields) matter.
    """

    name: str
    prefix: bytes
    limit: int | None
    policy: LabelPolicy
    normaliser: Normaliser | None
    protected: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class MetricRule:
    """What holds for a metric. Labels are by the UTF-8 of their names.

    `limit` is in series, of each metric. `is_plain` says that attributes need no look, and
    `limits_labels` that some value is counted.
    """

    number: int
    limit: int
    policy: SeriesPolicy
    gauge: GaugePolicy
    summary: SummaryPolicy
    is_protected: bool
    labels: Mapping[bytes, LabelRule]
    resource_labels: Mapping[bytes, LabelRule]
    droppable: frozenset[bytes]
    resource_droppable: frozenset[bytes]
    protects_values: bool
    limits_labels: bool
    is_plain: bool


class Rules:
    """The rules of a configuration."""

    def __init__(self, config: CardinalityConfig) -> None:
        self._tenant_limits = dict(config.tenants.limits)
        self._tenant_default = config.tenants.default_limit
        protect = config.protect
        everything = RuleConfig(match=("*",))
        self._rules = [
            (compile_globs(rule.match), _both(config, number, rule))
            for number, rule in enumerate(config.metrics)
        ]
        self._otherwise = _both(config, NO_RULE, everything)
        self._protected = compile_globs(protect.metrics) if protect.metrics else None
        self._by_name: dict[str, MetricRule] = {}

    def for_metric(self, name: str) -> MetricRule:
        """Return what holds for the metric of that name; the same rule is the same object."""
        rule = self._by_name.get(name)
        if rule is None:
            rule = self._find(name)
            if len(self._by_name) < MAX_NAMES and len(name) <= MAX_CACHED_NAME_CHARACTERS:
                self._by_name[name] = rule
        return rule

    def tenant_limit(self, tenant: str) -> int | None:
        """Return how many series a tenant may have; None: as many as there is room for."""
        return self._tenant_limits.get(tenant, self._tenant_default)

    def _find(self, name: str) -> MetricRule:
        is_protected = self._protected is not None and bool(self._protected.match(name))
        found = (rules for matcher, rules in self._rules if matcher.match(name))
        return next(found, self._otherwise)[is_protected]


def _both(
    config: CardinalityConfig, number: int, rule: RuleConfig
) -> tuple[MetricRule, MetricRule]:
    """Compile a rule as it is, and as it is for metrics that are protected."""
    bare = rule.model_copy(
        update={
            "labels": {},
            "resource": rule.resource.model_copy(update={"labels": {}}),
        }
    )
    return (
        _metric_rule(config, number, rule, is_protected=False),
        _metric_rule(config, number, bare, is_protected=True),
    )


def _metric_rule(
    config: CardinalityConfig, number: int, rule: RuleConfig, *, is_protected: bool
) -> MetricRule:
    protected = {} if is_protected else config.protect.labels
    resource = rule.resource
    labels = _label_rules({*protected}, rule.labels, rule.normalize, protected)
    resource_labels = _label_rules(set(), resource.labels, resource.normalize, protected)
    every = (*labels.values(), *resource_labels.values())
    return MetricRule(
        number=number,
        limit=config.default_limit if rule.limit is None else rule.limit,
        policy=rule.policy,
        gauge=rule.gauge,
        summary=rule.summary,
        is_protected=is_protected,
        labels=labels,
        resource_labels=resource_labels,
        droppable=_droppable(labels),
        resource_droppable=_droppable(resource_labels),
        protects_values=any(label.protected for label in every),
        limits_labels=any(label.limit is not None for label in every),
        is_plain=not every,
    )


def _label_rules(
    further: set[str],
    limits: Mapping[str, LabelConfig],
    patterns: Mapping[str, Patterns],
    protected: Mapping[str, tuple[str, ...]],
) -> Mapping[bytes, LabelRule]:
    rules = {}
    for name in sorted({*limits, *patterns, *further}):
        limit = limits.get(name)
        values = protected.get(name, ())
        rules[name.encode()] = LabelRule(
            name=name,
            prefix=key_prefix(name),
            limit=None if limit is None else limit.limit,
            policy=LabelPolicy.OVERFLOW if limit is None else limit.policy,
            normaliser=normaliser_of(patterns.get(name, ())),
            protected=frozenset().union(*map(values_written_as, values)),
        )
    return MappingProxyType(rules)


def _droppable(labels: Mapping[bytes, LabelRule]) -> frozenset[bytes]:
    return frozenset(
        key
        for key, label in labels.items()
        if label.limit is not None and label.policy is LabelPolicy.DROP_LABEL
    )
