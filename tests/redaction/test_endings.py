"""What is said of the end of a rule's findings holds for whatever its pattern matches."""

import re
from collections.abc import Sequence

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from tapeline.redaction.endings import Ending, endings, lies_within
from tapeline.redaction.pack import compile_pattern, load_pack
from tapeline.redaction.relax import relax
from tapeline.redaction.spans import Spans
from tapeline.redaction.value_matcher import Prefilter

PATTERNS = (
    r"(?i)[?&]sig=(?P<secret>[a-z0-9+/%_-]{8,}={0,2}(?:%3D){0,2})",
    r"[?&]key=(?P<secret>[^\s&]{4,})|;key=(?P<other>[a-f]{4,9})",
    r"sign[:=](?P<secret>[0-9a-f]{6}(?:[0-9a-f]{2}){0,2}|[A-Z/]{5}=)(?:[^A-Za-z=]|$)",
    r"tx:[a-f]{4,}()|(?:sha=)?(?P<secret>[a-f]{6,8})(?: ok)?",
)
NOT_AT_THE_END = (
    r"://[^:]{0,9}:(?P<secret>[^@]{1,9})@",
    r"\bAKIA[A-Z]{4}\b",
    r"a(?P<secret>b{2,3})c(?P<other>d)",
    r"a(?P<secret>b?)",
    r"a(?:(?P<secret>b{2})|c{2})",
)
RULES = {rule.id: rule for rule in load_pack().value_rules if endings(rule.pattern) is not None}


def _found(match: re2._Match) -> tuple[int, int]:
    groups = [match.span(number) for number in range(1, match.re.groups + 1)]
    start, end = next((span for span in groups if span[0] >= 0), match.span())
    return start, end


def _has_form(form: Ending, found: str) -> bool:
    rest = found.lstrip("".join(form.first))
    return set(rest) <= form.rest or (set(found[1:]) <= form.rest and found[0] in form.first)


def _hold(pattern: str, text: str, forms: Sequence[Ending]) -> None:
    """Hold each match to the forms, and to where the relaxed pattern's matches end."""
    relaxed = re.compile(relax(pattern), re.ASCII)
    for match in compile_pattern(pattern).finditer(text.encode()):
        start, end = _found(match)
        if start < end:
            assert any(_has_form(form, text[start:end]) for form in forms)
            assert any(
                relaxed.fullmatch(text, match.start(), at) for at in range(start + 1, end + 1)
            )


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
def test_findings_have_the_forms_and_hold_the_end_of_a_relaxed_match(
    pattern: str, data: st.DataObject
) -> None:
    """So a finding can be known by where the scan's matches end, and by what it can't hold."""
    forms = endings(pattern)
    assert forms is not None
    around = st.text("ab&= %3D/@", max_size=4)
    text = data.draw(around) + data.draw(st.from_regex(re.compile(pattern, re.ASCII)))

    _hold(pattern, text.encode("ascii", "replace").decode() + data.draw(around), forms)


@pytest.mark.parametrize("name", RULES)
def test_findings_of_the_rules_have_the_forms(name: str) -> None:
    """The same for the built-in rules, in their own examples."""
    rule = RULES[name]
    forms = endings(rule.pattern)
    assert forms is not None

    for text in rule.samples()[0]:
        _hold(rule.pattern, text, forms)


@pytest.mark.parametrize("pattern", NOT_AT_THE_END)
def test_what_is_not_the_end_of_the_match_has_no_forms(pattern: str) -> None:
    """Nothing is said of a finding that something else must follow, or that may be missing."""
    assert endings(pattern) is None


def test_an_empty_group_finds_nothing() -> None:
    """A branch that ends with one is an exception of the rule."""
    assert endings("tx=[a-f]+()") == ()


@pytest.mark.parametrize(
    ("text", "is_within"),
    [
        ("sig=abcdefgh&x", True),
        ("sig=abcdefgh", True),
        ("sig=abcdefgh%", False),
        ("sig=abcdefgh=", False),
        ("sig+abcdefgh&x", False),
        ("sig=%bcdefgh&x", False),
    ],
)
def test_a_finding_goes_on_where_its_characters_do(text: str, *, is_within: bool) -> None:
    """Before and behind the span must stand what is no part of any finding there."""
    forms = endings(PATTERNS[0])
    assert forms is not None

    assert lies_within(forms, text, (4, 12), (12, 12)) is is_within
    assert not lies_within(forms, text, (4, 12), (12, 13))


@given(st.lists(st.text("ab[]@:1", max_size=12), min_size=1, max_size=5))
def test_one_pass_over_many_texts_says_what_one_over_each_does(texts: list[str]) -> None:
    """It may say more, of what stands where two texts meet, but never less."""
    expressions = [(0, rb"a[^1]", False), (1, rb"\[[^@]{2}", False), (2, rb"b", False)]
    many, single = Prefilter(expressions, many=True), Prefilter(expressions)

    for found, text in zip(many.rules_for_each([t.encode() for t in texts]), texts, strict=True):
        assert found >= single.rules_for(text.encode())


def test_too_many_matches_call_for_all_rules() -> None:
    """A flood of them costs no memory."""
    many = Prefilter([(0, rb"a", False), (7, rb"b", False)], many=True)

    assert many.rules_for_each([b"a" * 99, b""]) == [{0, 7}, {0, 7}]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=6), st.integers(1, 40))
def test_the_piece_around_a_place_holds_the_character_before_it(
    pieces: list[tuple[int, int]], end: int
) -> None:
    """None where no piece does."""
    spans = Spans((start, start + length) for start, length in pieces)
    piece = spans.around(end)

    if piece is None:
        assert not any(start < end <= stop for start, stop in spans)
    else:
        assert piece in list(spans)
        assert piece[0] < end <= piece[1]
