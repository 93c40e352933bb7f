"""`tapeline explain`, and the rules in `tapeline check`: which rule, where, and why not."""

import io
import json
import sys
from pathlib import Path

import pytest

from tapeline.cli import main

SECRET = "Zq7hunter2x8Kd0wLmV4tR1s"


def test_it_names_the_rule_and_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    """And shows what would go on."""
    assert main(["explain", f"login password={SECRET} ok"]) == 1

    assert capsys.readouterr().out.splitlines() == [
        f"password at 15-39: '{SECRET}': secret",
        "login password=[REDACTED:password] ok",
    ]


def test_it_names_the_filter_that_let_something_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """What was looked at and left is as interesting as what was found."""
    assert main(["explain", "api_key=${KEY}"]) == 0

    assert "api-key at 8-14: '${KEY}': passes: is a placeholder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--key", "token", "BTC"], 0, "the name 'token' means a secret by the rule token: "),
        (["--key", "password", "BTC"], 1, "any value under it is one"),
        (["--key", "order_id", "BTC"], 0, "the name 'order_id' means no secret"),
        (["--key", "trading.order.id", f"password={SECRET}"], 0, "is never judged"),
        (["order 17 filled"], 0, "no rule finds anything in it"),
        (["x%20password%3Dhunter2"], 1, "password at 15-22, through escapes: 'hunter2': secret"),
    ],
)
def test_it_says_what_the_name_and_the_encoding_have_to_do_with_it(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code says whether there is a secret."""
    assert main(["explain", *arguments]) == code
    assert said in capsys.readouterr().out


def test_a_secret_need_not_stand_in_the_history_of_the_shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` reads standard input, whatever its bytes."""
    data = f"\xff password={SECRET}".encode("latin-1")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    assert main(["explain", "-", "--json"]) == 1

    answer = json.loads(capsys.readouterr().out)
    assert answer["redacted"] == "\\udcff password=[REDACTED:password]"
    assert answer["explanations"] == [
        {
            "rule": "password",
            "start": 11,
            "end": 35,
            "text": SECRET,
            "secret": True,
            "reason": "",
            "through": [],
        }
    ]


def test_too_long_an_input_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who pipes a whole log file in hears what to do instead."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x" * (4 * 1024 * 1024 + 1))))

    assert main(["explain", "-"]) == 2
    assert "give the line in question alone" in capsys.readouterr().err


def test_it_explains_by_the_rules_of_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Own rules, and what is allowed."""
    path = tmp_path / "gate.yaml"
    path.write_text("redaction: {deny: {keys: [desk_code]}}\n", encoding="utf-8")

    assert main(["explain", "--config", str(path), "deskCode=abc1"]) == 1
    assert "denied-name at 9-13" in capsys.readouterr().out

    path.write_text("redaction: {dney: {}}\n", encoding="utf-8")
    assert main(["explain", "--config", str(path), "x"]) == 2
    assert "did you mean 'deny'?" in capsys.readouterr().err


def test_check_runs_the_examples_of_every_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rule of one's own that does not do what it says it does makes the exit code 1."""
    path = tmp_path / "gate.yaml"
    rule = (
        "redaction:\n  rules:\n    - id: desk-code\n      description: Codes\n"
        "      pattern: 'DESK-[0-9]{6}'\n      keywords: [desk-]\n"
        "      finds: [DESK-123456, DESK-1]\n      leaves: [desk, x]\n"
    )
    path.write_text(rule, encoding="utf-8")

    assert main(["check", "--config", str(path), "--json"]) == 1
    rules = json.loads(capsys.readouterr().out)["rules"]
    assert rules["examples"] > 500
    assert "desk-code" in rules["rules"]
    (failure,) = rules["failures"]
    assert "rule 'desk-code': finds no secret in example 2 of `finds`" in failure

    path.write_text(rule.replace("DESK-1]", "DESK-000001]"), encoding="utf-8")
    assert main(["check", "--config", str(path)]) == 0
    assert " rules, " in capsys.readouterr().out


def test_check_reads_the_key_that_serve_would_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that is missing or too short is refused before the start, with file and line."""
    path = tmp_path / "gate.yaml"
    path.write_text(f"redaction:\n  hmac_key_file: {tmp_path}/key\n", encoding="utf-8")
    assert main(["check", "--config", str(path)]) == 2
    assert f"{path}:2: redaction: hmac_key_file: " in capsys.readouterr().err

    (tmp_path / "key").write_text("Zq7short\n", encoding="utf-8")
    assert main(["check", "--config", str(path)]) == 2
    complaint = capsys.readouterr().err
    assert "but holds 8" in complaint
    assert "Zq7" not in complaint

    (tmp_path / "key").write_text("k" * 32, encoding="utf-8")
    assert main(["check", "--config", str(path)]) == 0
