"""The loads with secrets are what the figures say, and the sink sees every secret that is left."""

import json

import pytest
import re2
from bench.payloads import BATCH_RECORDS, LOG_RECORD_BYTES
from bench.planted import (
    KINDS,
    MESSAGE,
    Share,
    as_collector,
    leaks_in,
    masks_in,
    planted_load,
)
from bench.sink import Sink
from bench.stock_rules import STOCK_KEYS, stock_values
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backward_encoding import backwards
from fake_secrets import seeded
from redaction_pack import default_judge
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import REQUEST_TYPES
from tapeline.redaction.pack import load_pack

SIGNALS = (Signal.LOGS, Signal.TRACES)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("share", list(Share))
def test_a_load_has_as_many_secrets_as_it_says(signal: Signal, share: Share) -> None:
    """None, ten or a thousand a batch, each of them seen; a second run is the same."""
    load = planted_load(signal, share, batches=2)

    expected = {Share.NONE: 0, Share.ONE_PERCENT: 10, Share.ALL: BATCH_RECORDS}[share]
    assert load.planted == expected
    assert load.records == BATCH_RECORDS
    assert [sum(leaks_in(batch).values()) for batch in load.batches] == [expected] * 2
    assert [masks_in(batch) for batch in load.batches] == [0, 0]
    assert len(set(load.batches)) == 2
    assert planted_load(signal, share, batches=2) == load


def test_log_records_with_a_secret_are_273_bytes_long() -> None:
    """A secret takes the place of other text, so the figures are of one size of record."""
    (batch,) = planted_load(Signal.LOGS, Share.ALL, batches=1).batches
    request = ExportLogsServiceRequest.FromString(batch)
    records = request.resource_logs[0].scope_logs[0].log_records

    assert {record.ByteSize() for record in records} == {LOG_RECORD_BYTES}


def test_spans_with_a_secret_have_ten_attributes() -> None:
    """The attribute with the secret stands in for another; each kind is there."""
    (batch,) = planted_load(Signal.TRACES, Share.ALL, batches=1).batches
    spans = ExportTraceServiceRequest.FromString(batch).resource_spans[0].scope_spans[0].spans

    assert {len(span.attributes) for span in spans} == {10}
    keys = {attribute.key for span in spans for attribute in span.attributes}
    assert {kind.key or MESSAGE for kind in KINDS.values()} <= keys


def test_secrets_differ_from_each_other() -> None:
    """No cache of values can answer for the work."""
    generator = seeded(3)

    for kind in KINDS.values():
        assert len({kind.secret(generator) for _ in range(500)}) == 500


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_is_one_that_the_gate_finds(name: str) -> None:
    """What is planted is a secret by the default rules, markers and all."""
    kind, generator = KINDS[name], seeded(5)

    for _ in range(200):
        left = default_judge().redact(kind.secret(generator), kind.key or None)
        assert leaks_in(left.encode()) == {}
        assert masks_in(left.encode()) == 1


@pytest.mark.parametrize("name", sorted(KINDS))
def test_half_a_secret_is_seen(name: str) -> None:
    """A mask that ends too early, or begins too late, leaves a marker for the sink to find."""
    kind = KINDS[name]
    secret = kind.secret(seeded(7))

    assert leaks_in(secret.replace(kind.head, "****").encode()) == {name: 1}
    assert leaks_in(secret.replace(kind.tail, "****").encode()) == {name: 1}
    assert leaks_in(secret.encode() * 3) == {name: 3}


def test_the_sink_tells_what_came_through() -> None:
    """Leaks and masks add up over requests, known ones too, and a reset forgets them."""
    (batch,) = planted_load(Signal.LOGS, Share.ONE_PERCENT, batches=1).batches
    masked = batch.replace(b"order acknowledged", b"[REDACTED:password]")
    sink = Sink()
    for payload in (batch, batch):
        sink.take(Signal.LOGS, payload)
    state = json.loads(sink.state())
    assert sum(state["leaks"].values()) == 20
    assert state["masks"] == 0
    assert masks_in(masked) > 900

    sink.reset()
    assert json.loads(sink.state())["leaks"] == {}


def test_the_stock_processor_gets_one_pattern_a_rule() -> None:
    """As many as the default pack has in force, each in a syntax that it takes."""
    pack = load_pack()
    values = stock_values(pack)

    assert len(values) == len(pack.ids) == len(set(values))
    assert [re2.compile(value) is not None for value in (*values, *STOCK_KEYS)]
    text = "login pass" + "word=hunter2-of-the-desk ok"
    assert [value for value in values if re2.search(value, text)]


@pytest.mark.parametrize("signal", [Signal.LOGS, Signal.TRACES])
def test_the_collectors_writing_is_the_same_request_backwards(signal: Signal) -> None:
    """As the tests of the redaction write it."""
    load = planted_load(signal, Share.ALL, batches=1)
    (batch,) = as_collector(load).batches
    request = REQUEST_TYPES[signal].FromString(load.batches[0])

    assert batch == backwards(request)
    assert batch != load.batches[0]
