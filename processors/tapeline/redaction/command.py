"""`tapeline explain`, and what `tapeline check` says about the rules."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tapeline.redaction.config import RedactionConfig
from tapeline.redaction.core import TRADING_IDENTIFIERS
from tapeline.redaction.examples import failed_examples
from tapeline.redaction.judge import Explanation, Judge
from tapeline.redaction.policy import judge_of, judge_of_all_rules

__all__ = ["RulesReport", "check_rules", "explain_command"]

EXIT_OK: Final = 0
EXIT_FOUND: Final = 1
EXIT_CONFIG: Final = 2
MAX_TEXT_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RulesReport:
    """The rules in force, and the examples of all rules that they don't keep to."""

    rules: tuple[str, ...]
    examples: int
    failures: tuple[str, ...]
    fingerprint: str


def check_rules(config: RedactionConfig) -> RulesReport:
    """Run each rule's own examples, also those of rules that are optional or switched off.

    Such a rule may be switched on by a signal or a service, or tomorrow.
    """
    everything = judge_of_all_rules(config)
    rules = (*everything.pack.value_rules, *everything.pack.name_rules)
    in_force = judge_of(config).pack
    return RulesReport(
        rules=in_force.ids,
        examples=sum(len(rule.finds) + len(rule.leaves) for rule in rules),
        failures=tuple(failed_examples(everything)),
        fingerprint=in_force.fingerprint,
    )


def explain_command(config: RedactionConfig, text: str, key: str | None, *, as_json: bool) -> int:
    """Say which rules find what in a text, and which filter lets what pass.

    `-` reads the text from standard input. Returns 0 where there is no secret, 1 where there is
    one, 2 where the input is too long.
    """
    judge = judge_of(config)
    try:
        judged = _read() if text == "-" else text
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    # The gate leaves them alone, whatever is in them.
    is_judged = key not in TRADING_IDENTIFIERS
    explanations = judge.explain(judged, key) if is_judged else ()
    redacted = judge.redact(judged, key) if is_judged else judged
    if as_json:
        _print_json(judged, explanations, redacted)
    else:
        _print(judged, explanations, redacted, _name_note(judge, key))
    return EXIT_FOUND if redacted != judged else EXIT_OK


def _read() -> str:
    data = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(
            f"standard input has more than {MAX_TEXT_BYTES} bytes; give the line in question alone"
        )
    return data.decode("utf-8", "surrogateescape")


def _name_note(judge: Judge, key: str | None) -> str:
    if key is None:
        return ""
    if key in TRADING_IDENTIFIERS:
        return f"the name {key!r} tells trading events apart: what is under it is never judged"
    finding = judge.finding_of(key)
    if finding is None:
        return f"the name {key!r} means no secret"
    how = {
        "any": "any value under it is one",
        "credential": "a value under it is one unless it stands in for one",
        "opaque": "a value under it is one if no person would write it as a word",
    }[finding.strength]
    return f"the name {key!r} means a secret by the rule {finding.rule}: {how}"


def _print_json(text: str, explanations: Sequence[Explanation], redacted: str) -> None:
    found = [
        {
            "rule": item.rule,
            "start": item.start,
            "end": item.end,
            "text": _printable(text[item.start : item.end]),
            "secret": item.is_secret,
            "reason": item.reason,
            "through": list(item.through),
        }
        for item in explanations
    ]
    answer = {"explanations": found, "redacted": _printable(redacted)}
    print(json.dumps(answer, indent=2, sort_keys=True))


def _print(text: str, explanations: Sequence[Explanation], redacted: str, note: str) -> None:
    if note:
        print(note)
    for item in explanations:
        through = f", through {' and '.join(item.through)}" if item.through else ""
        verdict = "secret" if item.is_secret else f"passes: {item.reason}"
        piece = _printable(text[item.start : item.end])
        print(f"{item.rule} at {item.start}-{item.end}{through}: {piece!r}: {verdict}")
    if not explanations:
        print("no rule finds anything in it")
    print(_printable(redacted))


def _printable(text: str) -> str:
    """Return a text without lone surrogates: what stood for bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
