"""Events as bytes: what was written is read, to the last zero, and nothing else ever is."""

import zlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.codec import (
    CodecError,
    decode_events,
    encode_events,
    packed,
    unpacked,
)
from tapeline.signals.events import (
    NO_TRACE,
    ORDER_STATES,
    Cash,
    Event,
    Execution,
    Mark,
    Order,
    Quote,
    Trace,
)

# Surrogates, too: what is cut out of damaged text must not stop the log.
TEXTS = st.one_of(st.sampled_from(["", "a", "XNAS"]), st.text(max_size=8), st.text("\ud83d\ude00"))
TIMES = st.integers(min_value=0, max_value=2**64 - 1)
SEQUENCES = st.integers(min_value=-(2**63), max_value=2**63 - 1)
NUMBERS = st.one_of(
    st.sampled_from([Decimal(0), Decimal("1.10"), Decimal("1.1"), Decimal("1E+3")]),
    st.decimals(allow_nan=False, allow_infinity=False),
)
OPTIONAL = st.one_of(st.none(), NUMBERS)
SIDES = st.sampled_from([-1, 0, 1])
TRACES = st.one_of(
    st.just(NO_TRACE),
    st.builds(Trace, st.binary(max_size=16), st.binary(max_size=8)),
)
EXECUTIONS = st.builds(
    Execution,
    TIMES,
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.sampled_from(["trade", "correct", "bust"]),
    TEXTS,
    SIDES,
    OPTIONAL,
    OPTIONAL,
    TEXTS,
    OPTIONAL,
    TEXTS,
    TEXTS,
    TEXTS,
    SEQUENCES,
    TRACES,
)
ORDERS = st.builds(
    Order,
    TIMES,
    TEXTS,
    TEXTS,
    st.sampled_from(sorted(ORDER_STATES)),
    TEXTS,
    TEXTS,
    TEXTS,
    SIDES,
    OPTIONAL,
    OPTIONAL,
    OPTIONAL,
    OPTIONAL,
    TEXTS,
    TEXTS,
    SEQUENCES,
    TRACES,
)
QUOTES = st.builds(Quote, TIMES, TEXTS, TEXTS, NUMBERS, NUMBERS, SEQUENCES)
MARKS = st.builds(Mark, TIMES, TEXTS, TEXTS, NUMBERS, SEQUENCES)
CASHES = st.builds(Cash, TIMES, TEXTS, TEXTS, NUMBERS, TEXTS, TEXTS, SEQUENCES, TRACES)
EVENTS = st.one_of(EXECUTIONS, ORDERS, QUOTES, MARKS, CASHES)

EXECUTION = Execution(
    1_750_000_000_000_000_000,
    "main",
    "XNAS",
    "AAPL",
    "e1",
    side=1,
    quantity=Decimal("1.10"),
    price=Decimal(187),
    trace=Trace(b"\x01" * 16, b"\x02" * 8),
)


def exactly(event: Event) -> tuple[Any, ...]:
    """Return what tells 1.1 from 1.10, and one kind of event from another."""
    return (type(event), *((str(field), type(field)) for field in event))


@given(events=st.lists(EVENTS, max_size=12), compressed=st.booleans())
def test_events_come_back_as_they_were(events: list[Event], *, compressed: bool) -> None:
    """All fields, in the same order, in any mixture of kinds."""
    decoded = decode_events(encode_events(events, compressed=compressed))

    assert decoded == events
    assert list(map(exactly, decoded)) == list(map(exactly, events))


@given(events=st.lists(EXECUTIONS, min_size=1, max_size=5))
def test_events_of_one_kind_come_back(events: list[Event]) -> None:
    """They take a shorter way, and are as exact."""
    assert list(map(exactly, decode_events(encode_events(events)))) == list(map(exactly, events))


def test_equal_columns_are_written_once() -> None:
    """A batch of one account at one venue does not pay for them in each execution."""
    one = len(encode_events([EXECUTION]))
    many = len(encode_events([EXECUTION._replace(id=f"e{number:04}") for number in range(1000)]))

    assert (many - one) / 999 == pytest.approx(len('"e0001",x'), abs=0.5)


def test_texts_of_which_there_are_few_are_shared() -> None:
    """A replay of a hundred thousand executions does not hold as many names of venues."""
    events: list[Event] = [
        EXECUTION._replace(venue=venue, id=str(number))
        for number, venue in enumerate(["XNAS", "BATS"] * 3)
    ]

    decoded = decode_events(encode_events(events))

    assert len({id(event.venue) for event in decoded if isinstance(event, Execution)}) == 2


@given(events=st.lists(EVENTS, min_size=1, max_size=3), data=st.data())
def test_damage_is_an_error_or_other_events(events: list[Event], data: st.DataObject) -> None:
    """Nothing but CodecError ever leaves the decoder, whatever was flipped, cut or added."""
    body = bytearray(encode_events(events, compressed=data.draw(st.booleans())))
    at = data.draw(st.integers(0, len(body) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "add"])):
        case "flip":
            body[at] ^= data.draw(st.integers(1, 255))
        case "cut":
            del body[at:]
        case _:
            body[at:at] = data.draw(st.binary(min_size=1, max_size=4))
    try:
        decoded = decode_events(bytes(body))
    except CodecError:
        return
    assert all(isinstance(event, Execution | Order | Quote | Mark | Cash) for event in decoded)


@given(st.binary(max_size=64))
def test_noise_is_an_error(noise: bytes) -> None:
    """Bytes that were never events are not taken for some."""
    with pytest.raises(CodecError):
        decode_events(noise)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '["x",{}]',
        '["",{"x":[]}]',
        '["x",{"q":[1]}]',
        '["xx",{"x":[1,"a","v","i",["only one"],"trade","",1,"1","1","",null,"","","",0]}]',
        '["x",{"x":[1,"a","v","i","e","trade","",1,"x","1","",null,"","","",0]}]',
        '["x",{"x":[1,["a","b"],"v","i","e","trade","",1,"1","1","",null,"","","",0]}]',
        "[" * 100_000,
    ],
)
def test_json_that_is_no_batch_is_an_error(text: str) -> None:
    """A header alone makes nothing an event."""
    with pytest.raises(CodecError):
        decode_events(packed(b"E", 1, text, compressed=False))


def test_a_later_version_is_named() -> None:
    """The message says that the build is too old, not that data is lost."""
    body = packed(b"E", 2, "[]", compressed=False)

    with pytest.raises(CodecError, match="version 2, and this build knows 1"):
        decode_events(body)


@pytest.mark.pure
def test_what_inflates_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece has a size that it can have at most; a bomb is not unpacked to find out."""
    monkeypatch.setattr("tapeline.signals.codec.MAX_DECODED_BYTES", 1000)
    body = packed(b"E", 1, " " * 1001, compressed=True)

    with pytest.raises(CodecError, match="too large"):
        unpacked(b"E", 1, body)


def test_what_follows_the_compressed_part_is_refused() -> None:
    """Two pieces that ran into each other are no piece."""
    with pytest.raises(CodecError):
        decode_events(encode_events([EXECUTION], compressed=True) + zlib.compress(b"x"))
