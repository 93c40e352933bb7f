"""Whether inhibition can do what it says: its alerts exist, and have the labels it compares. Pure.

Alertmanager takes two labels that are both missing for equal, so a label in `equal` which an alert
doesn't have makes the rule wider than it reads.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tapeline.alerting.alertmanager_lint import Problem, matcher_of

__all__ = ["AlertRule", "alert_rules", "lint_inhibition"]

# What the scrape configuration gives each series (tapeline.floor.collector); an expression that
# aggregates keeps only what it names.
_OF_TARGETS: Final = frozenset({"instance", "job", "service"})
_NAMED: Final = 5
_AGGREGATED: Final = re.compile(r"\bby\s*\(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One alerting rule: its name, its own labels, and its expression."""

    name: str
    labels: Mapping[str, str]
    expression: str

    def value_of(self, label: str) -> str | None:
        """Return a label's value where the rule itself says it."""
        return self.name if label == "alertname" else self.labels.get(label)

    def has(self, label: str) -> bool:
        """Tell whether its alerts can have the label."""
        if label == "alertname" or label in self.labels:
            return True
        aggregated = _AGGREGATED.findall(self.expression)
        named = {name.strip() for names in aggregated for name in names.split(",")}
        if aggregated:
            return label in named
        return label in _OF_TARGETS or re.search(rf"\b{label}\b", self.expression) is not None


def alert_rules(document: Any) -> Iterator[AlertRule]:
    """Give the alerting rules of a rule file's content; recording rules are none."""
    for group in (document or {}).get("groups") or ():
        for rule in group.get("rules") or ():
            if "alert" in rule:
                yield AlertRule(rule["alert"], rule.get("labels") or {}, str(rule.get("expr", "")))


def lint_inhibition(document: Mapping[str, Any], rules: Sequence[AlertRule]) -> tuple[Problem, ...]:
    """Return what is wrong with the inhibition rules, given every alerting rule that there is."""
    return tuple(
        problem
        for position, inhibition in enumerate(document.get("inhibit_rules") or ())
        for problem in _one(inhibition, f"inhibit_rules[{position}]", rules)
    )


def _one(
    inhibition: Mapping[str, Any], where: str, rules: Sequence[AlertRule]
) -> Iterator[Problem]:
    equal = inhibition.get("equal") or ()
    sides: dict[str, list[AlertRule]] = {}
    for side in ("source_matchers", "target_matchers"):
        matchers = [found for text in inhibition.get(side) or () if (found := matcher_of(text))]
        sides[side] = [rule for rule in rules if all(_may_match(rule, each) for each in matchers)]
        if not matchers:
            yield Problem(f"{where}.{side}", "has no matcher: it means every alert", "narrow it")
        elif not sides[side]:
            told = ", ".join(f'{name}{operator}"{value}"' for name, operator, value in matchers)
            what = f"no alerting rule can have {told}"
            yield Problem(f"{where}.{side}", what, "correct the name, or add the rule")
    names = [{rule.name for rule in matched} for matched in sides.values()]
    for side, matched in sides.items():
        # Where names must be equal, an alert of one side only is never compared.
        compared = [
            rule for rule in matched if "alertname" not in equal or rule.name in names[0] & names[1]
        ]
        for label in equal:
            without = sorted({rule.name for rule in compared if not rule.has(label)})
            if without:
                yield _not_there(f"{where}.equal", label, side, without)


def _not_there(where: str, label: str, side: str, without: Sequence[str]) -> Problem:
    more = f" and {len(without) - _NAMED} more" if len(without) > _NAMED else ""
    return Problem(
        where,
        f"the label {label!r} is not on {', '.join(without[:_NAMED])}{more} ({side}), and two that"
        " lack it count as equal",
        "give the rules the label, or compare another",
    )


def _may_match(rule: AlertRule, matcher: tuple[str, str, str]) -> bool:
    """Tell whether an alert of this rule can match; a label that the series bring may be any."""
    label, operator, value = matcher
    own = rule.value_of(label)
    if own is None or "{{" in own:
        return rule.has(label)
    if operator in {"=", "!="}:
        return (own == value) is (operator == "=")
    return (re.fullmatch(value, own) is not None) is (operator == "=~")
