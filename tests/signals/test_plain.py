"""State as bytes: what an engine dumps comes back as it was, and damage is an error."""

from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.codec import CodecError, packed
from tapeline.signals.plain import Plain, decode_state, encode_state

KEYS = st.one_of(st.text(max_size=5), st.text("~sib5", max_size=4), st.integers(), st.binary())
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.text('\ud83d\ude00\x00~"\\', max_size=4),
    st.binary(max_size=8),
)
STATES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


class Pair(NamedTuple):
    """A state of two fields."""

    first: int
    second: Decimal


def exactly(value: Any) -> Any:
    """Return what tells 1.1 from 1.10, 1 from True and 0.0 from -0.0."""
    if isinstance(value, list):
        return [exactly(item) for item in value]
    if isinstance(value, dict):
        return [(exactly(key), exactly(item)) for key, item in value.items()]
    return (type(value), repr(value))


@given(state=STATES, compressed=st.booleans())
def test_state_comes_back_as_it_was(state: Plain, *, compressed: bool) -> None:
    """All kinds of values, keys and their order."""
    assert exactly(decode_state(encode_state(state, compressed=compressed))) == exactly(state)


@pytest.mark.parametrize("text", ["0", "-0", "5", "1.10", "1E+3", "0E-30", "1E-40", "9" * 60])
def test_a_decimal_keeps_its_form(text: str) -> None:
    """Also one that looks like an integer, and one with more digits than a context has."""
    decoded = decode_state(encode_state([Decimal(text)]))

    assert (type(decoded[0]), str(decoded[0])) == (Decimal, text)


def test_tuples_come_back_as_lists() -> None:
    """Named ones, too; dictionaries of any class come back as plain ones."""
    state: Any = {
        "pair": Pair(1, Decimal(2)),
        "pairs": [Pair(3, Decimal(4)), 5],
        "by": defaultdict(int),
    }

    assert decode_state(encode_state(state)) == {
        "pair": [1, Decimal(2)],
        "pairs": [[3, Decimal(4)], 5],
        "by": {},
    }


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (object(), TypeError),
        ([{1, 2}], TypeError),
        ({1.5: 1}, TypeError),
        ({True: 1}, TypeError),
        (Decimal("NaN"), ValueError),
        ([Decimal("Infinity")], ValueError),
    ],
)
def test_what_is_not_plain_is_a_bug(state: Any, error: type[Exception]) -> None:
    """It is said when it is written, not when it is needed."""
    with pytest.raises(error):
        encode_state(state)


def test_what_nests_too_deep_is_a_bug() -> None:
    """What could not be read again is not written."""
    state: Any = []
    for _ in range(5_000):
        state = [state]

    with pytest.raises(ValueError, match="too deep"):
        encode_state(state)


@given(state=STATES, data=st.data())
def test_damage_is_an_error_or_another_state(state: Plain, data: st.DataObject) -> None:
    """Nothing but CodecError ever leaves the decoder."""
    body = bytearray(encode_state(state, compressed=data.draw(st.booleans())))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    try:
        encode_state(decode_state(bytes(body)))
    except CodecError:
        return


@pytest.mark.parametrize("text", ["", "NaN", "[Infinity]", '{"~f":"x"}', '{"~":"0"}', '{"~ix":1}'])
def test_json_that_is_no_state_is_an_error(text: str) -> None:
    """A header alone makes nothing a state."""
    with pytest.raises(CodecError):
        decode_state(packed(b"S", 1, text, compressed=False))


def test_events_are_not_taken_for_state() -> None:
    """The header tells them apart."""
    with pytest.raises(CodecError, match="do not begin"):
        decode_state(packed(b"E", 1, "[]", compressed=False))
