"""The check of every rule's own examples."""

from pathlib import Path

import yaml

from redaction_pack import full_judge, full_pack
from tapeline.redaction.command import check_rules
from tapeline.redaction.config import RedactionConfig
from tapeline.redaction.examples import failed_examples
from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import load_pack

BROKEN = """\
- id: desk-code
  description: Codes of the desk
  pattern: 'desk-[0-9]{6}'
  keywords: [desk-]
  entropy: 3
  finds: ['desk-111111', 'desk']
  leaves: ['desk-123456', 'desk-1']
"""


def test_the_built_in_rules_keep_to_their_examples() -> None:
    """Whatever characters are made up for them."""
    for seed in ("", "a", "b", "c"):
        assert failed_examples(full_judge(), seed) == []


def test_each_example_that_fails_is_named_with_the_reason(tmp_path: Path) -> None:
    """A rule of the user's own is told what is wrong with it, by the example's number."""
    (tmp_path / "own.yaml").write_text(BROKEN.replace("entropy: 3", "entropy: 2.5"))
    assert failed_examples(Judge(load_pack(tmp_path))) == [
        "rule 'desk-code': finds no secret in example 1 of `finds` (has too little entropy)",
        "rule 'desk-code': finds no secret in example 2 of `finds` (nothing matches)",
        "rule 'desk-code': finds a secret in example 1 of `leaves`",
    ]


def test_rules_that_are_off_are_checked_too() -> None:
    """A signal or a service may switch them on: what fails then has to be known before."""
    broken = yaml.safe_load(BROKEN)[0]
    off = {**broken, "optional": True}
    for section in ({"rules": [broken], "disable": ["desk-code"]}, {"rules": [off]}):
        report = check_rules(RedactionConfig.model_validate(section))
        assert "desk-code" not in report.rules
        assert [line for line in report.failures if "'desk-code'" in line]


def test_what_is_allowed_fails_no_example() -> None:
    """The examples are the rules' own, so the configuration's exceptions are none of theirs."""
    section = {"allow": {"values": [".*"], "keys": ["password"]}, "disable": ["jwt"]}
    report = check_rules(RedactionConfig.model_validate(section))
    assert report.failures == ()
    assert "jwt" not in report.rules
    pack = full_pack()
    rules = (*pack.value_rules, *pack.name_rules)
    assert report.examples == sum(len(rule.finds) + len(rule.leaves) for rule in rules)
