"""Rules from files and from a configuration: what is refused, and how that is said."""

from collections.abc import Collection, Iterable
from pathlib import Path

import pytest

from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import Pack, PackError, RuleSource, load_pack

GOOD = """\
- id: desk-code
  description: Codes of the desk
  pattern: '\\bdesk-[0-9]{6}\\b'
  keywords: [desk-]
  finds: ['desk-{digits:6}', 'x desk-{digits:6}']
  leaves: ['desk-1', 'desk']
"""


def _load(
    folder: Path,
    text: str,
    overrides: Iterable[RuleSource] = (),
    disable: Collection[str] = (),
    enable: Collection[str] = (),
) -> Pack:
    (folder / "family.yaml").write_text(text)
    return load_pack(folder, overrides, disable, enable)


def _problems(
    folder: Path,
    text: str,
    overrides: Iterable[RuleSource] = (),
    disable: Collection[str] = (),
    enable: Collection[str] = (),
) -> tuple[str, ...]:
    with pytest.raises(PackError) as error:
        _load(folder, text, overrides, disable, enable)
    return error.value.problems


def test_a_rule_from_a_file_finds_its_secret(tmp_path: Path) -> None:
    """A file with one rule is a whole pack."""
    judge = Judge(_load(tmp_path, GOOD))
    assert judge.redact("code desk-123456 used") == "code [REDACTED:desk-code] used"


@pytest.mark.parametrize(
    ("find", "put", "problem"),
    [
        ("desk-[0-9]", "desk-(?=[0-9])", "family.yaml:3: rule 'desk-code': pattern"),
        ("desk-[0-9]", "(desk-[0-9]", "family.yaml:3: rule 'desk-code': pattern"),
        ("\\b'", "{2000}'", "family.yaml:3: rule 'desk-code': pattern"),
        ("[desk-]", "[Desk-]", "family.yaml:4: rule 'desk-code': keywords.0"),
        ("keywords: [desk-]", "keywords: []", "family.yaml:4: rule 'desk-code': keywords"),
        ("id: desk-code", "id: Desk_Code", "family.yaml:1: rule 'Desk_Code': id"),
        ("  leaves", "  action: shout\n  leaves", "family.yaml:6: rule 'desk-code': action"),
        ("  leaves", "  entropie: 3\n  leaves", "family.yaml:6: rule 'desk-code': entropie"),
        ("['desk-1', 'desk']", "['desk-1']", "family.yaml:6: rule 'desk-code': leaves"),
        ("{digits:6}', 'x", "{digitz:6}', 'x", "unknown alphabet in '{digitz:6}'"),
        ("  keywords: [desk-]\n", "", "family.yaml:1: rule 'desk-code': keywords"),
        ("  pattern:", "  description:", "family.yaml:3: 'description' is already given at"),
        ("- id", "id", "not valid YAML"),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(
    tmp_path: Path, find: str, put: str, problem: str
) -> None:
    """The message names the file, the line and the rule."""
    assert find in GOOD
    problems = _problems(tmp_path, GOOD.replace(find, put, 1))
    assert any(problem in line for line in problems), problems


def test_a_doubled_id_is_refused_with_both_places(tmp_path: Path) -> None:
    """Neither of two rules of one id silently wins."""
    (tmp_path / "another.yaml").write_text(GOOD)
    (problem,) = _problems(tmp_path, GOOD)
    assert problem.startswith(
        "family.yaml:1: rule 'desk-code' is already defined at another.yaml:1"
    )


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """Who repairs a file does not have to start it once for each mistake."""
    second = GOOD.replace("desk-code", "other-code").replace("[desk-]", "[DESK]")
    problems = _problems(tmp_path, GOOD.replace("(", "((").replace("[0-9]", "(") + second)
    assert {"desk-code", "other-code"} <= {line.split("'")[1] for line in problems}


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    """A mapping at the top is told from a list of rules."""
    assert _problems(tmp_path, "rules: 1\n") == ("family.yaml:1: expected a list of rules",)
    assert _problems(tmp_path, "- 1\n")[0].startswith("family.yaml:1: expected a rule")
    (tmp_path / "family.yaml").write_bytes(b"\xff")
    with pytest.raises(PackError, match="is not UTF-8"):
        load_pack(tmp_path)


def test_an_override_replaces_fields_of_a_known_rule(tmp_path: Path) -> None:
    """The rest of the rule stays, and a new id is a new rule."""
    change = RuleSource({"id": "desk-code", "action": "hmac"}, "gate.yaml:7")
    new = RuleSource(
        {
            "id": "pin-word",
            "description": "PIN words",
            "names": ["pin word"],
            "finds": ["pin_word=abcd9", "pinWord: abcd9"],
            "leaves": ["pin=1", "word=2"],
        },
        "gate.yaml:9",
    )
    pack = _load(tmp_path, GOOD, overrides=[change, new])
    assert pack.ids == ("desk-code", "pin-word")
    assert pack.value_rules[0].action == "hmac"
    assert Judge(pack).redact("pin_word=zebra7") == "pin_word=[REDACTED:pin-word]"


def test_a_bad_override_is_refused_with_its_own_place(tmp_path: Path) -> None:
    """The place is that of the configuration, not that of the built-in file."""
    change = RuleSource(
        {"id": "desk-code", "action": "shout"}, "gate.yaml:7", {"action": "gate.yaml:8"}
    )
    assert _problems(tmp_path, GOOD, overrides=[change])[0].startswith("gate.yaml:8: rule")
    again = RuleSource({"id": "desk-code"}, "gate.yaml:7")
    twice = RuleSource({"id": "desk-code"}, "gate.yaml:9")
    problems = _problems(tmp_path, GOOD, overrides=[again, twice])
    assert problems == ("gate.yaml:9: rule 'desk-code' is already given at gate.yaml:7",)


def test_a_rule_can_be_disabled_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    """A typing mistake in `disable` does not leave a rule on unnoticed."""
    assert _load(tmp_path, GOOD, disable={"desk-code"}).ids == ()
    assert "'desk-kode'" in _problems(tmp_path, GOOD, disable={"desk-kode"})[0]
    assert "'card'" in _problems(tmp_path, GOOD, enable={"card"})[0]


def test_the_fingerprint_names_the_content(tmp_path: Path) -> None:
    """The same rules have the same fingerprint, and any change gives another."""
    first = _load(tmp_path, GOOD).fingerprint
    assert _load(tmp_path, GOOD).fingerprint == first
    assert _load(tmp_path, GOOD.replace("{6}", "{7}")).fingerprint != first
