"""No input makes the search take more than linear time."""

import time
from collections.abc import Callable

import pytest

from redaction_pack import full_judge
from tapeline.redaction.key_words import words_of

# Each unit, repeated, is the worst case of a pattern: prefixes without the rest, openings without
# their end, runs that fail at their last character, and separators without names.
UNITS = [
    "a", "A", "aA", "1", " ", "-", ".", "_", ":", "=", "/", "@", "\\", '"', "'", "{", "[", "}",
    "a.", "a-", "a:", "a=", "a b ", "--a ", "--password ", "?&", ";", "\n", "é", "\udcff",
    "://", "://a:", "://a@", "://a:b/", "a://b:c@", "eyJ", "eyJa.", ".eyJ", "eyJ-", "AKIA", "ASIA0",
    "bearer ", "Bearer a", "basic ", "Basic aaaaaaaa", "basic dXNlcjpwYXNz ", "ghp_", "gh", "xoxb-",
    "xapp-1-", "sk-", "sk-a", "sk-a-", "SG.", "SG.aaaaaaaaaaaaaaaa.", "npm_", "glpat-", "AIza",
    "hooks.slack.com/services/", "sk_live_", "whsec_", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN RSA ", "-----END ", "PRIVATE KEY", "password", "password=", "password=a ",
    "password={", "password=[", 'password="', "password='", 'password=\\"', '"password":',
    '"password":"', '"password": {"', '\\"', '"\\', "authorization: ", "authorization=digest ",
    "cookie=a; ", "cookie: ;", "passphrase: a ", "connection_string=a", "sig=", "signature=a&",
    "key=", "api key=", "token: null ", "[REDACTED:", "[REDACTED:password]",
    "password=[REDACTED:password]", "[REDACTED:password]=", "token=[REDACTED:token]a ",
]  # fmt: skip

SIZE = 20_000
FACTOR = 4


def _seconds(work: Callable[[str], object], text: str) -> float:
    """Return the least CPU time of several runs: noise only ever adds to it."""
    durations = []
    for _ in range(3):
        start = time.process_time()
        work(text)
        durations.append(time.process_time() - start)
    return min(durations)


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    """Four times the text takes about four times the time; quadratic search would take sixteen."""
    search = full_judge().judge
    short = (unit * SIZE)[:SIZE]
    long = (unit * SIZE)[: SIZE * FACTOR]

    # What takes less than the clock's noise is linear enough.
    assert _seconds(search, long) < 2.5 * FACTOR * max(_seconds(search, short), 0.002)


@pytest.mark.parametrize("unit", ["a", "A", "aA", "Aa", "a1", "_", "é", "ABa"])
def test_the_words_of_a_name_take_linear_time(unit: str) -> None:
    """Taking a name apart reads each character once."""
    short, long = unit * SIZE, unit * SIZE * FACTOR

    assert _seconds(words_of, long) < 2.5 * FACTOR * max(_seconds(words_of, short), 0.002)
