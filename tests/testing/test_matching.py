"""Partial matches: what is expected must be there, what else is there is left open."""

import math
import re
from typing import Any

import pytest

from tapeline.testing.matching import (
    OPERATORS,
    BadExpectationError,
    Mismatch,
    check_expectation,
    mismatches,
)
from tapeline.testing.views import Moment

RECORD: dict[str, Any] = {
    "time": Moment("2026-01-01T00:00:00.000000000Z"),
    "body": "login of x: password=[REDACTED:password]",
    "attributes": {"http.route": "/a", "count": 3, "share": 0.5, "raw": b"\x00\xff", "none": None},
    "events": ({"name": "one"}, {"name": "two"}),
}

HOLDING: list[Any] = [
    {},
    {"body": "login of x: password=[REDACTED:password]"},
    {"time": "2026-01-01T00:00:00.000000000Z"},
    {"attributes": {"count": 3}},
    {"attributes": {"none": None}},
    {"attributes": {"gone": "$absent", "count": "$any"}},
    {"gone": {"deeper": "$absent"}},
    {"body": {"$regex": r"password=\[REDACTED"}},
    {"body": re.compile("^login")},
    {"body": {"$contains": "REDACTED"}},
    {"body": {"$not": {"$contains": "hunter2"}}},
    {"attributes": {"count": {"$one_of": [1, 3]}}},
    {"attributes": {"count": {"$all": [{"$gt": 2}, {"$lt": 4}]}}},
    {"attributes": {"count": {"$ge": 3}, "share": {"$le": 0.5}}},
    {"attributes": {"share": {"$near": [0.51, 0.02]}}},
    {"attributes": {"share": lambda share: share < 1}},
    {"attributes": {"raw": {"$hex": "00FF"}}},
    {"attributes": {"raw": b"\x00\xff"}},
    {"events": [{"name": "one"}, {}]},
    {"events": {"$contains": {"name": "two"}}},
    {"attributes": {"$equals": RECORD["attributes"]}},
]
FAILING: list[Any] = [
    {"body": "login"},
    {"attributes": {"count": 3.0}},
    {"attributes": {"count": True}},
    {"attributes": {"share": "0.5"}},
    {"attributes": {"gone": "$any"}},
    {"attributes": {"gone": None}},
    {"attributes": {"gone": {"$not": "x"}}},
    {"attributes": {"count": "$absent"}},
    {"attributes": {"count": {"deeper": 1}}},
    {"gone": {"deeper": 1}},
    {"body": {"$regex": "hunter2"}},
    {"body": re.compile("hunter2")},
    {"attributes": {"count": re.compile("3")}},
    {"body": {"$contains": "hunter2"}},
    {"attributes": {"count": {"$contains": "3"}}},
    {"attributes": {"count": {"$one_of": [1, 2]}}},
    {"attributes": {"count": {"$all": [{"$gt": 2}, {"$lt": 3}]}}},
    {"attributes": {"count": {"$gt": 3}}},
    {"attributes": {"count": {"$ge": 4}}},
    {"attributes": {"count": {"$lt": 3}}},
    {"attributes": {"count": {"$le": 2}}},
    {"body": {"$gt": 3}},
    {"attributes": {"share": {"$near": [0.6, 0.02]}}},
    {"attributes": {"share": lambda share: share > 1}},
    {"attributes": {"raw": {"$hex": "00"}}},
    {"attributes": {"raw": "00ff"}},
    {"events": [{"name": "one"}]},
    {"events": [{"name": "two"}, {"name": "one"}]},
    {"events": {"$contains": {"name": "three"}}},
    {"attributes": {"$equals": {"count": 3}}},
]


@pytest.mark.parametrize("expected", HOLDING, ids=repr)
def test_what_is_so_matches(expected: Any) -> None:
    """Fields that are not named may say anything."""
    check_expectation(expected)

    assert mismatches(expected, RECORD) == []


@pytest.mark.parametrize("expected", FAILING, ids=repr)
def test_what_is_not_so_does_not_match(expected: Any) -> None:
    """And is no mistake in what is expected."""
    check_expectation(expected)

    assert mismatches(expected, RECORD) != []


def test_each_operator_is_tried_both_ways() -> None:
    """Those of this file: none is untested."""

    def named(expected: Any) -> set[str]:
        if isinstance(expected, dict):
            inner = {name for value in expected.values() for name in named(value)}
            return inner | (expected.keys() & OPERATORS.keys())
        return (
            {name for item in expected for name in named(item)}
            if isinstance(expected, list)
            else set()
        )

    assert named(HOLDING) == set(OPERATORS)
    assert named(FAILING) == set(OPERATORS)


def test_a_mismatch_names_its_place_and_both_sides() -> None:
    """With a word on the types where only those differ."""
    expected = {"attributes": {"count": 3.0, "gone": 1}, "events": [{"name": "one"}, {"name": "x"}]}

    assert mismatches(expected, RECORD) == [
        Mismatch("attributes.count", "3.0", "3, an integer"),
        Mismatch("attributes.gone", "1", "(absent)"),
        Mismatch("events[1].name", '"x"', '"two"'),
    ]


def test_nan_is_nan() -> None:
    """A test can expect it."""
    assert mismatches({"value": math.nan}, {"value": math.nan}) == []


@pytest.mark.parametrize(
    ("expected", "path", "problem"),
    [
        ({"body": {"$regx": "a"}}, ("body", "$regx"), "no operator $regx; there are"),
        ({"body": {"$regex": "("}}, ("body", "$regex"), "not a regular expression"),
        ({"body": {"$regex": 5}}, ("body", "$regex"), "not a regular expression"),
        ({"body": {"$regex": "a", "x": 1}}, ("body", "$regex"), "must stand alone"),
        ({"body": "$absnt"}, ("body",), "no operator '$absnt'; for that text itself"),
        ({"a": {"$hex": "xy"}}, ("a", "$hex"), "hexadecimal digits"),
        ({"a": {"$near": 5}}, ("a", "$near"), "[value, how far from it]"),
        ({"a": {"$gt": "5"}}, ("a", "$gt"), "must be a number"),
        ({"a": {"$one_of": []}}, ("a", "$one_of"), "must be a list of some"),
        ({"a": {"$one_of": [1, {"$x": 1}]}}, ("a", "$one_of", 1, "$x"), "no operator"),
        ({"a": {"$not": "$x"}}, ("a", "$not"), "no operator"),
        ({"events": [{"a": "$x"}]}, ("events", 0, "a"), "no operator"),
    ],
)
def test_an_expectation_that_makes_no_sense_is_named(
    expected: Any, path: tuple[str | int, ...], problem: str
) -> None:
    """By its keys, so that a test file's line can be told."""
    with pytest.raises(BadExpectationError) as caught:
        check_expectation(expected)

    assert caught.value.path == path
    assert problem in str(caught.value)


def test_a_dollar_text_can_be_expected_all_the_same() -> None:
    """By saying that it is a text."""
    expected = {"body": {"$equals": "$any"}}
    check_expectation(expected)

    assert mismatches(expected, {"body": "$any"}) == []
    assert mismatches(expected, {"body": "x"}) != []
