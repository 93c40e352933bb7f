"""Holds every rule to its own examples: what `tapeline check` runs, and the tests."""

from tapeline.redaction.judge import Judge

__all__ = ["failed_examples"]


def failed_examples(judge: Judge, seed: str = "") -> list[str]:
    """Return one line for each example that its rule does not keep to, by the example's number.

    `seed` makes up other characters for the examples' templates.
    """
    problems: list[str] = []
    for rule in (*judge.pack.value_rules, *judge.pack.name_rules):
        finds, leaves = rule.samples(seed)
        for wanted, texts in ((True, finds), (False, leaves)):
            for number, text in enumerate(texts, start=1):
                by_rule = [item for item in judge.explain(text) if item.rule == rule.id]
                if any(item.is_secret for item in by_rule) is wanted:
                    continue
                why = "; ".join(sorted({item.reason for item in by_rule if item.reason}))
                problems.append(
                    f"rule {rule.id!r}: finds no secret in example {number} of `finds`"
                    f" ({why or 'nothing matches'})"
                    if wanted
                    else f"rule {rule.id!r}: finds a secret in example {number} of `leaves`"
                )
    return problems
