"""Time grows in proportion to the text, whatever the text is made of."""

import time

import pytest

from redaction_pack import full_judge, full_pack
from tapeline.redaction.judge import Judge

SHORT = 8_000
FACTOR = 8
MAX_GROWTH = 4 * FACTOR
"""Quadratic time would grow by the factor squared, 64; a busy machine doubles a measurement."""

FLOOR_S = 0.002
"""Below this the clock and the machine say more than the text does."""

# What openings without an end, doubled openings and long runs look like.
HOSTILE = [
    'password="',
    '{"password":{"a":[',
    "<password>",
    "<password ",
    "\\u0070",
    "%70%61%73%73",
    '\\\\\\\\"',
    "eyJhbGciOi.",
    "-----BEGIN PRIVATE KEY-----",
    "://a:",
    "://a:b@",
    "password=[",
    "Cookie: a=b; ",
    "Authorization: Bearer ",
    "curl -u ",
    "name=password,value=",
    "key: token\nvalue: ",
    "--password ",
    "YWJj" * 40 + " ",
    "70617373" * 8 + " ",
    "aA1_-./+=",
    "DD_API_KEY=0123456789abcdef0123456789abcdef ",
    "Authorization: Bearer Zm9vYmFyYmF6cXV4Zm9vYmFy\n",
    "token",
    "[REDACTED:jwt]",
    "[REDACTED:",
    "\u200bpassword\uff1dx",
    "554=|",
]


def _seconds(judge: Judge, text: str) -> float:
    """Return the least CPU time of three runs: noise only ever adds to it."""
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        judge.judge(text, "message")
        best = min(best, time.process_time() - begin)
    return best


def _assert_linear(unit: str) -> None:
    judge = full_judge()
    short = _seconds(judge, unit * (SHORT // len(unit)))
    long = _seconds(judge, unit * (SHORT * FACTOR // len(unit)))
    assert long <= MAX_GROWTH * max(short, FLOOR_S), f"{unit!r}: {short:.4f} s, {long:.4f} s"


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_repetition_takes_linear_time(unit: str) -> None:
    """A text that repeats what a search begins with, without ever ending it."""
    _assert_linear(unit)


@pytest.mark.parametrize("rule", full_pack().value_rules, ids=lambda rule: rule.id)
def test_each_rule_takes_linear_time(rule: object) -> None:
    """Its keyword, its example and the first half of that, over and over."""
    assert hasattr(rule, "keywords")
    assert hasattr(rule, "samples")
    example = rule.samples()[0][0]
    for unit in (f"{rule.keywords[0]} ", example[: len(example) // 2 + 1], f"{example} "):
        _assert_linear(unit)


def test_a_text_of_sixty_megabytes_is_bounded() -> None:
    """What lies beyond the longest text that is read costs nothing but its mask."""
    judge = full_judge()
    text = "password=hunter2 &quot; eyJ " * 2_200_000
    redacted = judge.redact(text)
    assert len(text) > 60_000_000
    assert redacted.endswith("[REDACTED:oversize]")
    assert "hunter2" not in redacted
