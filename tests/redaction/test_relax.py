"""Patterns for the wire find at least what the exact ones find, whatever stands beside the text."""

import re

import hyperscan
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.redaction.pack import compile_pattern
from tapeline.redaction.relax import may_hold, relax, shortest

PATTERNS = (
    r"\bAKIA[A-Z0-9]{4}\b",
    r"(?i)\bbearer[ \t]{1,4}(?P<secret>[a-z0-9._~+/=-]{6,40})",
    r"(?:^|[^a-z])(?P<secret>[a-z]{3}[0-9]q~[a-z]{4,6})(?:$|[^a-z])",
    r"^key=(?:a|bc|)(?:d{2,3}|e?)$",
    r"[?&](?:amp;)?sig=([^&\s\"'<>;|]{8,30})",
    r"-----BEGIN (?:RSA |EC )?KEY-----[\s\S]{0,40}?(?:-----END|\Z)",
    r"(?i)pass(?:word|wd)?\W{1,3}(?:\w{4}|\d+)",
    r"x(?:[^a]b){2,3}y?",
    r"ops_[A-Z]{2}(?i:abc)[A-Z]*",
    r"token(?i)=[a-f]{4}",
)


def _hits(pattern: str, data: bytes) -> bool:
    database = hyperscan.Database()
    database.compile(
        expressions=[relax(pattern).encode()],
        ids=[0],
        elements=1,
        flags=hyperscan.HS_FLAG_ALLOWEMPTY,
    )
    found: list[int] = []
    database.scan(data, match_event_handler=lambda *hit: found.append(hit[2]))
    return bool(found)


def _scoped(pattern: str) -> str:
    """Write RE2's flags in mid-pattern as Python's `re` has them."""
    head, flag, tail = pattern.partition("(?i)")
    return f"{head}(?i:{tail})" if flag and head else pattern


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
def test_what_an_exact_pattern_matches_a_relaxed_one_matches_between_any_bytes(
    pattern: str, data: st.DataObject
) -> None:
    """Neighbours that are letters, digits or quotes hide nothing, and neither do odd characters."""
    text = data.draw(st.from_regex(re.compile(_scoped(pattern), re.ASCII)))
    before, after = data.draw(st.binary(max_size=3)), data.draw(st.binary(max_size=3))

    assert re.search(_scoped(pattern), text, re.ASCII)
    assert _hits(pattern, before + text.encode("utf-8", "surrogatepass") + after)


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
def test_what_is_said_of_a_pattern_holds_for_all_that_it_matches(
    pattern: str, data: st.DataObject
) -> None:
    """Its shortest match, and whether brackets can be in one."""
    match = data.draw(st.from_regex(re.compile(_scoped(pattern), re.ASCII), fullmatch=True))

    assert len(match) >= shortest(pattern)
    assert may_hold(pattern, "[]") or not {"[", "]"} & set(match)


def test_brackets_are_found_wherever_a_pattern_allows_them() -> None:
    """In a class, in what a class leaves out, in a dot, and written out."""
    assert all(
        may_hold(f"a(?:b|(?:{x}){{2}})", "[]") for x in (r"\[", r"[^a]", r"\W", ".", r"[\]]")
    )
    assert not any(may_hold(f"a{x}", "[]") for x in (r"\w+", r"[A-Z/=]", r"\s", r"\b$"))


@pytest.mark.parametrize(
    ("pattern", "relaxed"),
    [
        (r"\bab{2,5}$", "ab{2}"),
        (r"^a+(?:\b|c)$", "a"),
        (r"(?i)a[b-d]*", "(?i:a)"),
    ],
)
def test_anchors_go_and_an_open_end_is_cut(pattern: str, relaxed: str) -> None:
    """One secret is reported once, and not once for each of its last characters."""
    assert relax(pattern).replace("(?:", "").replace(")", "") == relaxed.replace(")", "")


@pytest.mark.parametrize("pattern", [r"(a)\1", r"(?=a)b", "é", "("])
def test_what_has_no_form_for_the_wire_is_refused(pattern: str) -> None:
    """The rule's author hears of it when the rules are loaded."""
    with pytest.raises(ValueError, match="pattern"):
        relax(pattern)


@pytest.mark.parametrize("pattern", [r"key=[^\s&]{4}", r"key=[\S]{4}", r"key=[^\S]?abcd?"])
def test_a_vertical_tab_is_what_re2_takes_it_for(pattern: str) -> None:
    """It is no space there, so it may stand in the middle of a secret."""
    text = b"key=ab\x0bc" if "a" not in pattern else b"key= abc"

    assert compile_pattern(pattern).search(text)
    assert _hits(pattern, text)
