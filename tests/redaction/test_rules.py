"""Every rule's own examples, with characters made up anew."""

import re

import pytest

from redaction_pack import OPTIONAL_RULES, full_judge, full_pack
from tapeline.redaction.pack import BUILT_IN_RULES, load_pack
from tapeline.redaction.samples import ALPHABETS, expand

LINES = {
    "mail-login",
    "password-file",
    "private-key",
    "redis-command",
    "validation-error-value",
}
"""Rules of which an example stands alone in a line, or is cut off at its end."""
RULES = {rule.id: rule for rule in (*full_pack().value_rules, *full_pack().name_rules)}


@pytest.mark.parametrize("rule_id", RULES)
@pytest.mark.parametrize("seed", ["", "other", "third"])
def test_a_rule_finds_its_own_examples(rule_id: str, seed: str) -> None:
    """Each text that a rule should find a secret in holds one by that very rule."""
    finds, _ = RULES[rule_id].samples(seed)
    for text in finds:
        secrets = [item for item in full_judge().explain(text) if item.is_secret]
        assert rule_id in {item.rule for item in secrets}, text
        assert full_judge().redact(text) != text


@pytest.mark.parametrize("around", ["INFO oms: {}", "then {}", "{}."])
@pytest.mark.parametrize("rule_id", sorted(RULES.keys() - LINES))
def test_a_secret_is_found_in_the_middle_of_a_line_and_at_the_end_of_a_sentence(
    rule_id: str, around: str
) -> None:
    """No other reading of the words before it, and no full stop, hides what was found alone."""
    before = around.index("{}")
    for text in RULES[rule_id].samples()[0]:
        hits = full_judge().judge(around.format(text))
        covered = {at for hit in hits for at in range(hit.start, hit.end)}
        for alone in full_judge().judge(text):
            assert set(range(alone.start + before, alone.end + before)) <= covered, text


@pytest.mark.parametrize("rule_id", RULES)
def test_a_rule_leaves_its_own_counterexamples(rule_id: str) -> None:
    """A rule finds nothing in the texts that it should leave."""
    _, leaves = RULES[rule_id].samples()
    for text in leaves:
        by_rule = [item for item in full_judge().explain(text) if item.rule == rule_id]
        assert not any(item.is_secret for item in by_rule), text


def test_no_example_holds_a_token() -> None:
    """What stands in the files is templates: nothing in them has the length of a real token."""
    long_run = re.compile(r"[A-Za-z0-9]{40,}")
    for path in BUILT_IN_RULES.glob("*.yaml"):
        for line in path.read_text().splitlines():
            if line.startswith(("  finds:", "  - [")):
                for run in long_run.findall(line):
                    assert len(set(run)) < 20, f"{path.name}: {run}"


def test_optional_rules_are_off_by_default() -> None:
    """Personal data is looked for only where it was asked for."""
    assert {rule.id for rule in RULES.values() if rule.optional} == set(OPTIONAL_RULES)
    assert not set(OPTIONAL_RULES) & set(load_pack().ids)


@pytest.mark.parametrize("name", ALPHABETS)
def test_templates_make_up_characters(name: str) -> None:
    """A template gives so many characters of its alphabet, the same for the same seed."""
    made_up = expand(f"<{{{name}:40}}>", "seed")
    assert re.fullmatch(r"<.{40}>", made_up)
    assert set(made_up[1:-1]) <= set(ALPHABETS[name])
    assert made_up == expand(f"<{{{name}:40}}>", "seed")
    assert made_up != expand(f"<{{{name}:40}}>", "another")


def test_a_template_with_an_unknown_alphabet_is_refused() -> None:
    """A typing mistake in an example does not silently make it another text."""
    with pytest.raises(ValueError, match="unknown alphabet"):
        expand("{hexx:3}", "seed")
