"""One identity, one key: however its attributes are ordered and spelled."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from backward_encoding import backwards
from metric_requests import attribute
from strategies import disguise, messages
from tapeline.cardinality.series_keys import (
    MAX_KEY_ORDERS,
    MAX_SPELLINGS,
    KeyOrder,
    KeyOrders,
    Spellings,
    attribute_bytes,
    series_key,
)
from tapeline.otlp.wire import MalformedRequestError, encode_varint

_PAIRS = st.lists(
    st.builds(
        attribute,
        st.sampled_from(["", "a", "b", "é", "k" * 130]),
        st.one_of(
            st.sampled_from(["", "x", "y", "é", "v" * 125, "v" * 200]),
            st.booleans(),
            st.integers(-2, 2),
            messages(AnyValue),
        ),
    ),
    max_size=4,
)


def _arranged(orders: KeyOrders, spellings: Spellings, contents: list[bytes]) -> tuple[bytes, ...]:
    return orders.arrange(tuple(contents), [spellings[content] for content in contents])


def _identity(pairs: list[KeyValue]) -> frozenset[bytes]:
    return frozenset(pair.SerializeToString(deterministic=True) for pair in pairs)


def _written(pair: KeyValue, generator: Random) -> bytes:
    form = generator.randrange(5)
    if form >= 3:
        # A field that nobody knows, of ASCII bytes as a plain text has them.
        value = pair.value.SerializeToString()
        unknown = b"\x78" + bytes((len(value) % 128,))
        value = unknown + value if form == 3 else value + unknown
        key_field = KeyValue(key=pair.key).SerializeToString()
        return key_field + b"\x12" + encode_varint(len(value)) + value
    if form == 0:
        return pair.SerializeToString(deterministic=True)
    return backwards(pair) if form == 1 else disguise(pair, generator)


@settings(max_examples=200, deadline=None)
@given(st.lists(_PAIRS, min_size=1, max_size=4), st.integers(0, 2**32))
def test_keys_are_equal_exactly_where_attributes_are(
    drawn: list[list[KeyValue]], seed: int
) -> None:
    """In any order of attributes and fields, with repetitions and unknown fields."""
    generator = Random(seed)  # noqa: S311 - a test's choices
    orders, spellings = KeyOrders(), Spellings()
    keys: dict[frozenset[bytes], int] = {}
    for pairs in drawn * 3:
        contents = [_written(pair, generator) for pair in pairs]
        if contents and generator.random() < 0.3:
            contents.append(generator.choice(contents))
        generator.shuffle(contents)

        arranged = _arranged(orders, spellings, contents)

        key = series_key(0x3A, arranged, 9)
        assert keys.setdefault(_identity(pairs), key) == key
        if orders.canonical_test(spellings)(tuple(contents)):
            assert arranged == tuple(contents)
    assert len(set(keys.values())) == len(keys)


@pytest.mark.parametrize("write", [KeyValue.SerializeToString, backwards])
def test_a_series_is_canonical_as_its_metric_s_first_point_stands(write: Any) -> None:
    """So neither SDKs' points nor the collector's are ever rearranged."""
    orders, spellings = KeyOrders(), Spellings()
    first = tuple(write(attribute(key, "1")) for key in ("venue", "id"))
    later = tuple(write(attribute(key, "2")) for key in ("venue", "id"))

    assert not orders.canonical_test(spellings)(first)
    assert _arranged(orders, spellings, list(first)) == first

    assert orders.canonical_test(spellings)(later)
    assert not orders.canonical_test(spellings)(later[::-1])
    assert _arranged(orders, spellings, list(later[::-1])) == later


def test_key_sets_beyond_the_bound_are_sorted_for_ever() -> None:
    """A flood of label names takes no memory, and changes no key."""
    orders, spellings = KeyOrders(), Spellings()
    for number in range(MAX_KEY_ORDERS):
        _arranged(orders, spellings, [attribute(f"k{number}", "").SerializeToString()])
    late = [attribute(key, "x").SerializeToString() for key in ("b", "a")]

    assert _arranged(orders, spellings, late) == tuple(late[::-1])
    assert _arranged(orders, spellings, late[::-1]) == tuple(late[::-1])
    assert len(orders.dump()) == MAX_KEY_ORDERS


def test_orders_survive_a_dump() -> None:
    """Otherwise a stream would have another key after a restart, and count twice."""
    orders, spellings = KeyOrders(), Spellings()
    contents = [backwards(attribute(key, "x")) for key in ("b", "a")]
    _arranged(orders, spellings, contents)

    loaded = KeyOrders(orders.dump())

    assert loaded.dump() == [KeyOrder((b"b", b"a"), value_first=True)]
    assert _arranged(loaded, spellings, contents[::-1]) == tuple(contents)


def test_what_is_remembered_of_spellings_is_bounded() -> None:
    """However many values come, and however long they are."""
    spellings = Spellings()
    orders = KeyOrders()
    for number in range(MAX_SPELLINGS + 10):
        content = attribute("id", f"{number}").SerializeToString()
        assert spellings[content].key == b"id"
        orders.canonical_test(spellings)((content,))
    assert spellings[attribute("long", "x" * 9999).SerializeToString()].key == b"long"

    assert len(spellings) <= MAX_SPELLINGS
    assert len(spellings.key_first_keys) <= MAX_SPELLINGS
    assert max(map(len, spellings)) < 1000


@pytest.mark.parametrize(
    "content", [b"\x0a\x05a", b"\x0a\x01\xff", b"\x12\x03\x0a\x01\xff", b"\x0a"]
)
def test_what_is_no_attribute_is_refused(content: bytes) -> None:
    """Cut short, or no UTF-8: no parser behind the gate would take it."""
    with pytest.raises(MalformedRequestError):
        Spellings()[content]


def test_attributes_are_written_as_fields() -> None:
    """With lengths of one byte and of two."""
    assert attribute_bytes(0x3A, [b"ab", b"c" * 200]) == b"\x3a\x02ab\x3a\xc8\x01" + b"c" * 200


@pytest.mark.parametrize("is_backward", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        b"\x0a\x01x\x78\x03",  # an unknown field behind the text
        b"\x78\x03\x0a\x01x",  # and before it, as long as a text would be
        b"\x0a\x01y\x0a\x01x",  # the text twice: the last counts
    ],
)
def test_a_longer_spelling_is_no_other_series(value: bytes, is_backward: bool) -> None:  # noqa: FBT001 - a parameter
    """What a parser overlooks is no part of the identity, and never passes for canonical."""
    orders, spellings = KeyOrders(), Spellings()
    plain = attribute("a", "x")
    known = backwards(plain) if is_backward else plain.SerializeToString()
    assert _arranged(orders, spellings, [known]) == (known,)
    fields = [b"\x0a\x01a", b"\x12" + bytes((len(value),)) + value]
    odd = b"".join(reversed(fields) if is_backward else fields)
    assert KeyValue.FromString(odd).value.string_value == "x"

    assert not orders.canonical_test(spellings)((odd,))
    assert _arranged(orders, spellings, [odd]) == (known,)
