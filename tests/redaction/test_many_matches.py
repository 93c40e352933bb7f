"""A request with more matches than may be kept is looked at whole, and no less closely."""

import tracemalloc

import pytest

from otlp_client import logs
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.redaction import scan
from tapeline.redaction.core import Redactor
from tapeline.redaction.fast import FastRedactor, fast_redactor
from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import load_pack

NAME = "pass" + "word"


@pytest.fixture(name="fast", scope="module")
def _fast() -> FastRedactor:
    return fast_redactor(Redactor(Judge(load_pack()), b"k" * 32))


def _batch() -> Batch:
    bodies = [f"login {NAME}=hunter{n} ok" if n % 3 else f"order {n} done" for n in range(60)]
    return Batch(Signal.LOGS, logs(bodies, {"service.name": "engine"}).SerializeToString())


def test_the_result_is_the_same_when_matches_are_not_kept(
    fast: FastRedactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes and the same hits: records without a secret stay as they were."""
    batch = _batch()
    usual = fast.redact(batch)
    monkeypatch.setattr(scan, "_UNCOUNTED_BYTES", 0)
    monkeypatch.setattr(scan, "_MATCHES", 5)
    monkeypatch.setattr(scan, "_BYTES_A_MATCH", 1 << 30)

    whole = fast.redact(batch)

    assert whole.batch.payload == usual.batch.payload
    assert whole.hits == usual.hits
    assert sum(whole.hits.values()) == 40
    assert b"hunter" not in whole.batch.payload


def test_a_text_that_matches_everywhere_takes_bounded_memory(fast: FastRedactor) -> None:
    """Six megabytes with two million matches: what is kept of them is a fraction of that."""
    text = "%41&amp;" * 750_000
    batch = Batch(Signal.LOGS, logs([text]).SerializeToString())
    kept_bytes = 1024 * 1024 * 40

    tracemalloc.start()
    try:
        fast.redact(batch)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 2 * kept_bytes
