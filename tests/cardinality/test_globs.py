"""Globs for metric names, and which of them leave nothing for another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.cardinality.globs import check_glob, compile_globs, covers

PATTERNS = st.lists(st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]"]), max_size=6).map("".join)
NAMES = st.text("abc", max_size=6)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("http.server.*", "http.server.duration", True),
        ("http.server.*", "httpXserver.duration", False),
        ("*", "", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("orders.[ab]", "orders.b", True),
        ("Orders", "orders", False),
        ("*\n", "a\n", True),
    ],
)
def test_a_glob_matches_whole_names(pattern: str, name: str, *, matches: bool) -> None:
    """Dots are dots, case counts, and both ends are fixed."""
    assert bool(compile_globs((pattern,)).match(name)) is matches


def test_one_of_several_is_enough() -> None:
    """A list of patterns matches what one of them does."""
    matcher = compile_globs(("a.*", "b"))

    assert [bool(matcher.match(name)) for name in ("a.x", "b", "bb")] == [True, True, False]


@given(PATTERNS, PATTERNS, NAMES)
def test_what_is_covered_matches_nothing_more(outer: str, inner: str, name: str) -> None:
    """Where one pattern covers another, whatever the other matches it matches too."""
    if covers(outer, inner) and compile_globs((inner,)).match(name):
        assert compile_globs((outer,)).match(name)


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("*", "http.*", True),
        ("http.*", "http.server.*", True),
        ("http.*", "http.*", True),
        ("http.*", "http", False),
        ("http.server.*", "http.*", False),
        ("*.duration", "http.*.duration", True),
        ("a?c", "a[bx]c", True),
        ("a?c", "a*c", False),
        ("a[bx]c", "abc", True),
        ("a[bx]c", "a[bx]c", True),
        ("a[!b]c", "abc", False),
        ("**", "*", True),
    ],
)
def test_covering_is_seen_where_people_write_it(outer: str, inner: str, *, expected: bool) -> None:
    """The cases of a configuration are told apart."""
    assert covers(outer, inner) is expected


def test_an_open_bracket_is_refused() -> None:
    """It would be taken for itself, silently."""
    with pytest.raises(ValueError, match=r"write \[\[\]"):
        check_glob("orders[ab")
    check_glob("orders[[]ab")
