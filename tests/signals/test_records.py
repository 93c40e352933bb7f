"""Records are read from the wire as protobuf reads them, whatever form the bytes have."""

import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from strategies import disguise, messages
from tapeline.otlp.wire import MalformedRequestError
from tapeline.signals import reading
from tapeline.signals.records import (
    _MAX_CACHED,
    AMBIGUOUS,
    EVENT_ATTRIBUTES,
    NAME_ATTRIBUTE,
    NOTHING,
    PairReader,
    attributes_of,
    one_of_two,
)
from trading_requests import set_value

READING = Path(__file__).parents[2] / "processors" / "tapeline" / "signals" / "reading.py"
NAMES = st.sampled_from([*sorted(EVENT_ATTRIBUTES), NAME_ATTRIBUTE, "other", "", "x" * 130])
VALUES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["buy", "x" * 125, "x" * 126, "x" * 200, "é" * 70]),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 300),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=4),
    st.lists(st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(0, 5), max_size=2),
)


def pair_of(name: str, value: Any) -> KeyValue:
    """Return an attribute as protobuf has it."""
    pair = KeyValue(key=name)
    pair.value.SetInParent()
    set_value(pair.value, value)
    return pair


@given(NAMES, VALUES, st.integers(0, 2**32))
def test_attributes_are_those_that_protobuf_reads(name: str, value: Any, seed: int) -> None:
    """In the serialiser's form and in any other, the first time and from memory."""
    reader = PairReader()
    expected = NOTHING
    if (name in EVENT_ATTRIBUTES or name == NAME_ATTRIBUTE) and value is not None and value != "":
        expected = (name, value)
    plain = pair_of(name, value)
    for data in (plain.SerializeToString(), disguise(plain, Random(seed))):  # noqa: S311 - repeatable
        for _ in range(2):
            found = reader.known.get(data) or reader.read(data)
            assert repr(found) == repr(expected)
            assert type(found[1]) is type(expected[1])


@given(messages(KeyValue), st.binary(max_size=12))
def test_no_bytes_do_anything_but_parse_or_be_refused(pair: KeyValue, more: bytes) -> None:
    """What is cut off or garbled raises the error of malformed requests, nothing else."""
    data = pair.SerializeToString() + more
    for end in range(len(data) + 1):
        try:
            PairReader().read(data[:end])
        except MalformedRequestError:
            continue


def test_a_text_that_is_not_utf_8_is_malformed() -> None:
    """As for every parser."""
    data = pair_of("trading.side", "buy").SerializeToString().replace(b"buy", b"b\xffy")

    with pytest.raises(MalformedRequestError, match="does not parse"):
        PairReader().read(data)


def test_only_what_repeats_is_remembered_and_not_without_end() -> None:
    """An id is not worth a place; more venues than there is room for begin the memory anew."""
    reader = PairReader()
    for number in range(_MAX_CACHED + 5):
        reader.read(pair_of("trading.order.id", f"o{number}").SerializeToString())
        reader.read(pair_of("trading.venue", f"v{number}").SerializeToString())

    assert len(reader.known) == 5
    assert len(reader._heads) <= len(f"o{_MAX_CACHED}")


@pytest.mark.pure
def test_every_attribute_that_events_read_is_known() -> None:
    """The table here has what the reading of events looks up, no less and no more."""
    source = READING.read_text(encoding="utf-8")
    used = set(re.findall(r'"(trading\.[a-z_.]+)"', source)) - reading.EVENT_NAMES

    assert used == EVENT_ATTRIBUTES


def test_what_stands_twice_is_ambiguous_unless_it_is_the_same() -> None:
    """In any order; an empty text is not there at all, and 1 is not 1.0 or true."""
    assert one_of_two("a", "a") == "a"
    assert one_of_two(1, 1.0) is AMBIGUOUS
    assert one_of_two(1, other=True) is AMBIGUOUS
    pairs = [
        pair_of(name, value).SerializeToString()
        for name, value in [("k", "a"), ("k", "b"), ("k", "a"), ("e", ""), ("e", "x"), ("n", None)]
    ]
    for order in (pairs, pairs[::-1]):
        assert attributes_of(order) == {"k": AMBIGUOUS, "e": "x"}
