"""The section of the configuration: what it takes, and what it refuses with its place."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tapeline.pipeline.loader import ConfigError
from tapeline.redaction.config import Mode, RedactionConfig
from tapeline.settings import load_settings

RULE = {
    "id": "desk-code",
    "description": "Codes of the desk",
    "pattern": "DESK-[0-9]{6}",
    "keywords": ["desk-"],
    "finds": ["DESK-123456", "x DESK-000001"],
    "leaves": ["DESK-1", "desk"],
}


@pytest.mark.parametrize(
    "section",
    [
        {"mode": "off"},
        {"modes": "enforce"},
        {"allow": {"keys": ["..."]}},
        {"deny": {"keys": [""]}},
        {"deny": {"keys": ["x" * 300]}},
        {"deny": {"values": ["abc"]}},
        {"allow": {"keys": ["apiKey"]}, "deny": {"keys": ["api_key"]}},
        {"allow": {"keys": ["x"] * 1001}},
        {"allow": {"values": ["("]}},
        {"allow": {"values": [r"(a)\1"]}},
        {"allow": {"services": ["a"]}, "services": {"a": {"mode": "observe"}}},
        {"depth": -1},
        {"depth": 99},
        {"disable": ["no-such-rule"]},
        {"enable": ["no-such-rule"]},
        {"actions": {"no-such-rule": "mask"}},
        {"actions": {"jwt": "delete"}},
        {"signals": {"profiles": {}}},
        {"signals": {"logs": {"disable": ["no-such-rule"]}}},
        {"services": {"a": {"actions": {"no-such-rule": "mask"}}}},
        {"services": {str(number): {} for number in range(33)}},
        {"rules": [RULE, RULE]},
        {"rules": [{"pattern": "x"}]},
        {"rules": [RULE | {"pattern": "("}]},
        {"rules": [RULE | {"pattern": r"(a)\1"}]},
        {"rules": [RULE | {"pattern": "(?=a)b"}]},
        {"rules": [RULE | {"action": "delete"}]},
        {"rules": [RULE | {"finds": ["DESK-123456"]}]},
        {"rules": [{"id": "jwt", "color": "red"}]},
        {"audit_lines_per_minute": -1},
    ],
)
def test_a_wrong_config_is_refused(section: dict[str, Any]) -> None:
    """What is misspelt, unknown, contradictory or not linear does not start."""
    with pytest.raises(ValidationError):
        RedactionConfig.model_validate(section)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "redaction:\n  rules:\n    - id: jwt\n      action: delete\n",
            "gate.yaml:3: redaction.rules[0]: rule 'jwt': action: Input should be 'mask'",
        ),
        (
            "redaction:\n  rules:\n    - id: jwt\n    - id: jwt\n      pattern: '(?=a)'\n",
            "gate.yaml:4: redaction.rules[1]: rule 'jwt': pattern '(?=a)' is refused",
        ),
        (
            "redaction:\n  disable:\n    - jwt\n    - jwtt\n",
            "gate.yaml:4: redaction.disable[1]: there is no rule 'jwtt'",
        ),
        (
            "redaction:\n  allow:\n    values: ['(']\n",
            "gate.yaml:3: redaction.allow.values[0]: pattern '(' is refused",
        ),
        ("redaction:\n  actions:\n    jwt: delete\n", "gate.yaml:3: redaction.actions.jwt: "),
    ],
)
def test_an_error_names_the_file_and_the_line(tmp_path: Path, text: str, problem: str) -> None:
    """So that it is found in a file with hundreds of rules."""
    path = tmp_path / "gate.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    assert problem in str(caught.value)


def test_rules_may_be_named_that_the_section_itself_defines() -> None:
    """An optional rule of one's own is switched on, and has its action set, as any other."""
    config = RedactionConfig.model_validate(
        {
            "rules": [RULE | {"optional": True}],
            "enable": ["desk-code"],
            "actions": {"desk-code": "hmac"},
            "signals": {"traces": {"disable": ["desk-code"]}},
        }
    )

    assert config.enable == ("desk-code",)


def test_the_defaults_protect() -> None:
    """An empty section masks, and allows nothing."""
    config = RedactionConfig()

    assert config.mode is Mode.ENFORCE
    assert config.allow.keys == config.allow.values == config.allow.services == ()
    assert config.disable == ()
    assert not config.signals
    assert not config.services
