"""Lengths below the records that say too much or too little: refused or redacted, and at once."""

import contextlib

import pytest
from google.protobuf.message import DecodeError

from fake_secrets import seeded
from otlp_client import key_values
from planting import request_of
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.redaction.core import Redactor
from tapeline.redaction.fast import FastRedactor, fast_redactor
from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import load_pack

SECRET = "hunter2-Zq7"
PASSWORD = f"pass{'word'}={SECRET}"


@pytest.fixture(name="fast", scope="module")
def _fast() -> FastRedactor:
    return fast_redactor(Redactor(Judge(load_pack()), b"k" * 32))


def _payload(signal: Signal) -> bytes:
    """Return a request with the secret in attributes, and in the body or the name."""
    request = request_of(signal)
    attributes = key_values({"note": f"login {PASSWORD} ok", "plain": "x" * 200})
    if signal is Signal.LOGS:
        records = request.resource_logs.add().scope_logs.add().log_records
        for _ in range(2):
            records.add(attributes=attributes).body.string_value = f"login {PASSWORD} ok"
    else:
        spans = request.resource_spans.add().scope_spans.add().spans
        for _ in range(2):
            spans.add(attributes=attributes, name=f"login {PASSWORD} ok")
    return bytes(request.SerializeToString())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("signal", [Signal.LOGS, Signal.TRACES])
def test_any_byte_may_be_wrong(fast: FastRedactor, signal: Signal) -> None:
    """Each byte in turn becomes others, lengths among them: an answer, and what goes on parses.

    A length beyond its record once made the search for the field's end go on for ever.
    """
    whole, random, refused = _payload(signal), seeded(31), 0
    for at in range(len(whole)):
        for value in {0, 0x7F, 0xFF, whole[at] ^ 1, random.randrange(256)}:
            changed = bytes((*whole[:at], value, *whole[at + 1 :]))
            with contextlib.suppress(DecodeError):
                try:
                    redacted = fast.redact(Batch(signal, changed))
                except MalformedRequestError:
                    refused += 1
                    continue
                type(request_of(signal)).FromString(redacted.batch.payload)

    assert refused > 0
    assert SECRET.encode() not in fast.redact(Batch(signal, whole)).batch.payload
