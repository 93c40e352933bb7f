"""What is asked of the word around a rule's literal alone is what the whole text would say."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.redaction.pack import compile_pattern, load_pack
from tapeline.redaction.relax import relax
from tapeline.redaction.rule import ValueRule
from tapeline.redaction.spans import Spans
from tapeline.redaction.value_matcher import Prefilter, ValueMatcher
from tapeline.redaction.within_words import first_letters, in_word, relaxed_from_mark

pytestmark = pytest.mark.pure
RULES = load_pack().value_rules
TIED = [number for number, rule in enumerate(RULES) if in_word(rule.pattern) is not None]
PIECES = [
    *("postgres", "redis+tls", "https", "://", "oms", ":", "@", "db/oms", " ", "  ", "\n", "/"),
    *("[REDACTED:url-userinfo]", "[REDACTED:password]", "Zq7pwXBV", "5432", "...", " (cut", "(cut"),
    *("hooks.slack.com/services/", "T02A7BQX9/", "-", "=", '"', "'", "?", "#", "aB3" * 20, "<"),
]
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.sampled_from([value for rule in RULES for value in rule.finds]),
        st.text(st.characters(max_codepoint=126), max_size=6),
    ),
    max_size=9,
).map("".join)


@pytest.fixture(scope="module")
def matcher() -> ValueMatcher:
    """Return the matcher of the whole pack, which remembers pieces over all examples."""
    return ValueMatcher(RULES)


@pytest.fixture(scope="module")
def plain() -> ValueMatcher:
    """Return one that reads whole texts for every rule."""
    matcher = ValueMatcher(RULES)
    matcher._compiled = tuple(replace(each, in_word=None) for each in matcher._compiled)
    return matcher


def masks_in(text: str) -> Spans:
    """Return where masks stand in a text."""
    begins = [place for place in range(len(text)) if text.startswith("[REDACTED:", place)]
    return Spans((begin, text.find("]", begin) + 1) for begin in begins if "]" in text[begin:])


@given(text=TEXTS, context=st.sampled_from(["", "url://", "db.dsn"]))
def test_a_piece_says_what_the_text_says(
    matcher: ValueMatcher, plain: ValueMatcher, text: str, context: str
) -> None:
    """Each rule finds something outside of the masks in both, or in neither."""
    text = text.encode("ascii", "replace").decode()
    for number in TIED:
        expected = plain.has_match_outside(text, context, [number], masks_in(text))
        assert matcher.has_match_outside(text, context, [number], masks_in(text)) == expected


def test_the_pieces_of_the_commonest_rules_are_known() -> None:
    """Passwords in URLs are tied to a word, or every masked one would be searched for anew."""
    tied = {RULES[number].id for number in TIED}
    assert {"url-userinfo", "url-userinfo-cut-off", "slack-webhook"} <= tied


@pytest.mark.parametrize(
    "pattern", ["[a-z]{3}", "a:", "abc|def", r"key [a-z]+://", r"://\s*[a-z]+ .*x", "(?:abc)+"]
)
def test_what_may_stand_anywhere_is_tied_to_no_word(pattern: str) -> None:
    """A pattern without a literal, or with room for blanks of any number, is searched for whole."""
    assert in_word(pattern) is None


@pytest.mark.parametrize("rule", [r for r in RULES if r.allow], ids=lambda rule: rule.id)
@given(data=st.data())
def test_what_begins_otherwise_is_not_allowed(rule: ValueRule, data: st.DataObject) -> None:
    """No pattern that lets values pass is found where none of its first letters stands."""
    letters = first_letters(rule.allow)
    if letters is None:
        return
    text = data.draw(st.text(st.characters(max_codepoint=126), min_size=1, max_size=12))
    if text[0] not in letters:
        assert not any(compile_pattern(each).search(text.encode()) for each in rule.allow)


def test_first_letters_of_patterns_that_may_begin_with_anything_are_unknown() -> None:
    """Without `^`, or where the rest may be nothing, nothing is said."""
    assert first_letters(["^a", "b"]) is None
    assert first_letters(["^a?"]) is None
    assert first_letters([r"(?m)^a"]) is None
    assert first_letters([r"^(?:a|\$?[0-1]x)", "^(?i)p"]) == frozenset("aA$01pP")


@given(text=TEXTS)
def test_without_its_beginning_a_pattern_is_found_no_less(text: str) -> None:
    """Wherever the relaxed pattern is, the one from its literal on is, too."""
    data = text.encode("ascii", "replace")
    assert WHOLE.rules_for(data) <= FROM_MARK.rules_for(data)


WHOLE = Prefilter([(n, relax(rule.pattern).encode(), False) for n, rule in enumerate(RULES)])
FROM_MARK = Prefilter(
    [(n, relaxed_from_mark(rule.pattern).encode(), False) for n, rule in enumerate(RULES)]
)
