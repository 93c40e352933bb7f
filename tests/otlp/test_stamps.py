"""Times and ids changed on the wire, against the same done to a parsed request."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from plain_requests import without_unknown
from sdk_requests import sdk_request
from strategies import REQUEST_TYPES, payloads
from tapeline.otlp.signals import Signal
from tapeline.otlp.stamps import replace_ids, shift_times
from tapeline.otlp.wire import MalformedRequestError

SIGNALS = st.sampled_from(Signal)
LATEST = (1 << 64) - 1


def renamed(old: bytes) -> bytes:
    """Return another id of the same length."""
    return hashlib.blake2b(old, digest_size=len(old)).digest()


def plainly_shifted(message: Any, by_nanoseconds: int) -> None:
    """Move every field of a parsed message whose name says that it is a time."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                plainly_shifted(inner, by_nanoseconds)
        elif field.name.endswith("time_unix_nano"):
            setattr(message, field.name, min(max(value + by_nanoseconds, 1), LATEST))


def plainly_renamed(message: Any) -> None:
    """Rename every id of a parsed message."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                plainly_renamed(inner)
        elif field.name in {"trace_id", "span_id", "parent_span_id"} and value.strip(b"\0"):
            setattr(message, field.name, renamed(value))


@given(SIGNALS, st.data(), st.integers(-(2**64), 2**64))
def test_all_times_move_and_nothing_else(
    signal: Signal, data: DataObject, by_nanoseconds: int
) -> None:
    """In any form of the wire: those of records, starts, events, exemplars."""
    payload = data.draw(payloads(signal))
    expected = REQUEST_TYPES[signal].FromString(payload)
    plainly_shifted(expected, by_nanoseconds)

    moved = shift_times(signal, payload, by_nanoseconds)

    assert without_unknown(REQUEST_TYPES[signal].FromString(moved)) == without_unknown(expected)
    assert len(moved) == len(payload)


@given(SIGNALS, st.data())
def test_all_ids_are_renamed_and_nothing_else(signal: Signal, data: DataObject) -> None:
    """Of spans, their parents and links, of logs and exemplars; an id that is not there stays."""
    payload = data.draw(payloads(signal))
    expected = REQUEST_TYPES[signal].FromString(payload)
    plainly_renamed(expected)

    replaced = replace_ids(signal, payload, renamed)

    assert without_unknown(REQUEST_TYPES[signal].FromString(replaced)) == without_unknown(expected)
    assert len(replaced) == len(payload)


@pytest.mark.parametrize("signal", Signal)
def test_broken_bytes_are_refused(signal: Signal) -> None:
    """Whatever is cut off: the places of what follows would be guesses."""
    payload = sdk_request(signal).SerializeToString()

    for stop in range(1, len(payload), 7):
        with pytest.raises(MalformedRequestError):
            shift_times(signal, payload[:stop], 1)
        with pytest.raises(MalformedRequestError):
            replace_ids(signal, payload[:stop], renamed)


def test_a_new_id_must_be_as_long_as_the_old_one() -> None:
    """Nothing around it may move."""
    payload = sdk_request(Signal.TRACES).SerializeToString()

    with pytest.raises(ValueError, match="of 16 bytes was renamed to one of 1"):
        replace_ids(Signal.TRACES, payload, lambda _: b"x")
