"""Goldens are texts that a person can read, and that lose nothing."""

import math
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk_requests import sdk_request
from strategies import requests
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recording.records import Marked, encoded, records_of
from tapeline.testing.golden_text import GoldenError, read_text, sections_of, write_text
from tapeline.testing.views import Moment

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec="utf-8")),
    st.binary(max_size=8),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
        st.lists(inner, max_size=3).map(lambda items: Marked("several", tuple(items))),
    ),
    max_leaves=8,
)
_LOOKALIKES = [
    "1", "1.0", "1e3", "true", "no", "null", "~", "", " x", "x ", "2026-11-21", "0x1f", "- a",
    "a: b",
    "2026-11-21T15:00:00.000000001Z", "a\nb", "a\nb\n", "\n", "\ta", "tab\there", "#no", "'", '"',
    "!hex", "&a", "*a", "012", "1_000", "é", "😀", "\u202e", "\ufeff", "\x00", "\x85", "\u2028",
    "=", "<<", "a\n\n  b", "  a\nb", "a \nb",
]  # fmt: skip


@settings(max_examples=200)
@given(_VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    """Each value keeps its type, and NaN is NaN."""
    sections = {"logs": value}

    read = read_text(write_text(sections), "x")

    assert encoded(read) == encoded(sections)


@pytest.mark.parametrize("text", _LOOKALIKES)
def test_a_text_that_looks_like_something_else_stays_a_text(text: str) -> None:
    """As a value and as a key; and its golden is one that other readers of YAML take."""
    written = write_text({"value": text, "map": {text: 1}})

    assert encoded(read_text(written, "x")) == encoded({"value": text, "map": {text: 1}})
    assert yaml.safe_load(written)["value"] == text


@pytest.mark.parametrize("text", ["\u202eevil", "a\x00b", "zero\u200bwidth", "a\u2028b"])
def test_what_can_not_be_seen_is_escaped(text: str) -> None:
    """A reviewer must not be shown another text than the one that is there."""
    written = write_text({"value": text})

    assert all(character.isprintable() or character == "\n" for character in written)


def test_times_bytes_and_numbers_can_be_told_from_texts() -> None:
    """By their form: quotes, a point, a mark."""
    moment = "2026-11-21T15:00:00.000000001Z"
    values = (Moment(moment), moment, 1, 1.0, "1", b"\x01", math.inf, "a\nb")

    written = write_text({"values": {str(place): value for place, value in enumerate(values)}})

    assert written.splitlines()[3:] == [
        f"  '0': {moment}",
        f"  '1': '{moment}'",
        "  '2': 1",
        "  '3': 1.0",
        "  '4': '1'",
        "  '5': !hex \"01\"",
        "  '6': .inf",
        "  '7': |-",
        "    a",
        "    b",
    ]


def _records(signal: Signal, batches: list[Any]) -> list[Any]:
    made = [Batch(signal, request.SerializeToString()) for request in batches]
    return [record for batch in made for record in records_of(batch)]


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=40)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_a_golden_does_not_depend_on_the_order_of_what_came_out(
    signal: Signal, data: st.DataObject, seed: int
) -> None:
    """Nor on its batches; and it is read again as it was."""
    records = _records(signal, data.draw(st.lists(requests(signal), max_size=3)))
    written = write_text(sections_of(records, exemplars=True))
    Random(seed).shuffle(records)  # noqa: S311 - repeatable

    assert write_text(sections_of(records, exemplars=True)) == written
    assert write_text(read_text(written, "x")) == written


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=40)
@given(data=st.data())
def test_what_differs_has_another_golden(signal: Signal, data: st.DataObject) -> None:
    """With each point and each exemplar shown, nothing that a record says is missing."""
    one, other = (_records(signal, [data.draw(requests(signal))]) for _ in range(2))

    texts = [
        write_text(sections_of(r, exemplars=True, starts=True, every_point=True))
        for r in (one, other)
    ]

    assert (texts[0] == texts[1]) == (
        sorted(r.digest for r in one) == sorted(r.digest for r in other)
    )


def test_exemplars_and_single_points_are_shown_on_request() -> None:
    """By default a series has what its points make, without the time of the last one."""
    request = sdk_request(Signal.METRICS)
    records = _records(Signal.METRICS, [request])

    plain = sections_of(records)["metrics"][0]["series"]
    full = sections_of(records, exemplars=True, starts=True, every_point=True)
    points = full["metrics"][0]["points"]

    left_out = {"exemplars", "start", "time"}
    assert all(left_out.isdisjoint(series) for series in plain)
    assert all("time" in point for point in points)
    assert any("exemplars" in point for point in points)
    assert any("start" in point for point in points)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("logs: [", "x:1: not valid YAML"),
        ("logs: []", "it must begin with tapeline_golden: 1"),
        ("tapeline_golden: 2\n", "not a golden of this version"),
        ("just text", "not a golden of this version"),
        ('tapeline_golden: 1\na: !hex "0"\n', "x: not a golden"),
    ],
)
def test_a_golden_that_can_not_be_read_is_told_where(text: str, problem: str) -> None:
    """With the file's name."""
    with pytest.raises(GoldenError) as caught:
        read_text(text, "x")

    assert problem in str(caught.value)
