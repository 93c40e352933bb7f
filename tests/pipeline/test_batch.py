"""A batch knows its framing, and a changed one never keeps that of the bytes before."""

import pytest

from tapeline.otlp.framing import Framing
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch

ONE_RECORD = bytes.fromhex("0a06120412020801")


def test_the_framing_is_found_out_when_asked_for() -> None:
    """Nobody need know it."""
    assert Batch(Signal.LOGS, ONE_RECORD).framing == Framing(1, 2)


def test_a_framing_that_is_known_is_not_found_out_again() -> None:
    """Who made the bytes may know it: here it is another, to tell them apart."""
    batch = Batch(Signal.LOGS, b"").with_payload(ONE_RECORD, Framing(1, 9))

    assert batch.framing == Framing(1, 9)


def test_other_bytes_have_another_framing() -> None:
    """What was known or found out of the bytes before says nothing of these."""
    known = Batch(Signal.LOGS, b"").with_payload(ONE_RECORD, Framing(1, 9))

    assert known.with_payload(b"").framing == Framing(0, 0)
    with pytest.raises(MalformedRequestError):
        _ = known.with_payload(b"\xff").framing


def test_what_is_known_makes_no_other_batch_of_it() -> None:
    """Two batches of the same bytes are equal, whoever made them."""
    batch = Batch(Signal.LOGS, ONE_RECORD)

    assert batch == batch.with_payload(ONE_RECORD, Framing(1, 9))


def test_each_view_is_made_once() -> None:
    """Every step of the chain asks for them, so that making one anew would cost each of them."""
    batch = Batch(Signal.LOGS, ONE_RECORD)

    assert batch.framing is batch.framing
    assert batch.index is batch.index
    assert batch.request is batch.request
