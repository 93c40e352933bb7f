"""The redaction as a step of the chain: what it returns, counts, refuses and reads."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

import tapeline.redaction
from fake_secrets import SHAPES, seeded
from planting import batch_of, nested_lists, only_field, plant_attribute, plant_text, request_of
from strategies import disguise, payloads, requests
from tapeline.otlp.fields import FIELDS, MAX_ANY_VALUE_DEPTH, FieldClass
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.registry import ProcessorContext
from tapeline.redaction.config import Mode, RedactionConfig
from tapeline.redaction.pack import load_pack
from tapeline.redaction.processor import FACTORY, RedactionProcessor, build

FOLDER = Path(tapeline.redaction.__file__).parent
METADATA: dict[str, Any] = yaml.safe_load((FOLDER / "metadata.yaml").read_text())
BODY = only_field(Signal.LOGS, FieldClass.LOG_BODY)
LABEL = only_field(Signal.METRICS, FieldClass.DATA_POINT_ATTRIBUTE)
SECRET = "Zq7hunter2x8Kd0wLmV4tR1s"


def _processor(
    registry: CollectorRegistry | None = None, *, live: bool = True, **config: Any
) -> RedactionProcessor:
    context = ProcessorContext(registry or CollectorRegistry(), live=live)
    processor = build(RedactionConfig(**config), context)
    assert isinstance(processor, RedactionProcessor)
    return processor


def _redacted(processor: RedactionProcessor, batch: Batch) -> Batch:
    result = processor.process(batch, 0)
    assert result.derived == ()
    assert result.batch is not None
    return result.batch


PROCESSOR = _processor()


def _body(text: str) -> Batch:
    request = request_of(Signal.LOGS)
    plant_text(request, BODY, text)
    return batch_of(Signal.LOGS, request)


def _attribute() -> Batch:
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "password", AnyValue(string_value=SECRET))
    return batch_of(Signal.LOGS, request)


def _label(name: str, secret: str) -> Batch:
    request = request_of(Signal.METRICS)
    plant_attribute(request, LABEL, name, AnyValue(string_value=secret))
    return batch_of(Signal.METRICS, request)


def test_a_secret_is_gone_and_the_rest_is_there() -> None:
    """The batch that goes on holds the text around the secret, and the batch's metadata."""
    batch = Batch(Signal.LOGS, _body(f"user=joe password={SECRET} ok").payload, (("t", "1"),))

    redacted = _redacted(_processor(), batch)

    body = redacted.request.resource_logs[0].scope_logs[0].log_records[0].body  # type: ignore[attr-defined]
    assert body.string_value == "user=joe password=[REDACTED:password] ok"
    assert redacted.metadata == (("t", "1"),)


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_a_batch_without_secrets_is_the_same_object(signal: Signal, data: st.DataObject) -> None:
    """Nothing is rebuilt for nothing."""
    batch = batch_of(signal, data.draw(requests(signal)))
    clean = _redacted(PROCESSOR, batch)

    assert _redacted(PROCESSOR, clean) is clean


def test_the_batch_that_came_in_is_left_alone() -> None:
    """The original's parsed view is shared, so the redaction works on a copy."""
    batch = _body(f"password={SECRET}")

    _redacted(_processor(), batch)

    assert SECRET in str(batch.request)


def test_observing_counts_and_changes_nothing() -> None:
    """In `observe` the secret goes on, and is counted as one."""
    registry = CollectorRegistry()
    batch = _body(f"password={SECRET}")

    assert _redacted(_processor(registry, mode="observe"), batch) is batch
    counted = registry.get_sample_value(
        "tapeline_redaction_hits_total",
        {"rule": "password", "field_class": "log_body", "signal": "logs", "action": "observe"},
    )
    assert counted == 1


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_redacting_twice_is_redacting_once(signal: Signal, data: st.DataObject) -> None:
    """Whatever the bytes: a second gate in the way finds nothing more to do."""
    redacted = _redacted(PROCESSOR, Batch(signal, data.draw(payloads(signal))))

    assert _redacted(PROCESSOR, redacted) is redacted


def test_a_secret_in_an_unknown_field_does_not_go_on() -> None:
    """A field that this version of OTLP does not know may hold anything."""
    text = f"password={SECRET}".encode()
    unknown = b"\xfa\x3f" + bytes([len(text)]) + text

    redacted = _redacted(_processor(), Batch(Signal.LOGS, unknown + _body("x").payload))

    assert redacted.payload == _body("x").payload


def test_a_secret_that_a_later_value_replaces_does_not_go_on() -> None:
    """Of a field that occurs twice parsers keep the last; the first is still in the bytes."""
    twice = AnyValue(string_value=f"password={SECRET}").SerializeToString()
    twice += AnyValue(string_value="harmless").SerializeToString()
    record = b"\x2a" + bytes([len(twice)]) + twice
    scope = b"\x12" + bytes([len(record)]) + record
    resource = b"\x12" + bytes([len(scope)]) + scope
    batch = Batch(Signal.LOGS, b"\x0a" + bytes([len(resource)]) + resource)

    redacted = _redacted(_processor(), batch)

    assert b"harmless" in redacted.payload
    assert SECRET.encode() not in redacted.payload


@pytest.mark.parametrize("signal", Signal)
def test_a_secret_in_unusual_bytes_is_found(signal: Signal) -> None:
    """Fields out of order, padded lengths and split messages hide nothing."""
    template, make = SHAPES["bearer-token"]
    for seed in range(50):
        request = request_of(signal)
        secret = make(seeded(seed))
        for row in FIELDS:
            if row.signal is signal:
                plant_text(request, row, template.format(secret))

        redacted = _redacted(PROCESSOR, Batch(signal, disguise(request, seeded(seed))))

        assert secret.encode() not in redacted.payload


@pytest.mark.parametrize(
    "payload",
    [
        b"\x0a\x05ab",
        b"\x0a\x13\x12\x11\x12\x0f\x2a\x7fpassword=s3cr",
        b"\x0a\x15\x12\x13\x12\x11\x2a\x0f\x0a\x0dpassword=\xff\xfe12",
    ],
    ids=["truncated", "broken below the record", "invalid UTF-8"],
)
@pytest.mark.parametrize("mode", Mode)
def test_what_does_not_parse_is_refused_and_counted(payload: bytes, mode: Mode) -> None:
    """Nothing that may hold a secret is forwarded where it can't be looked at closely."""
    registry = CollectorRegistry()

    with pytest.raises(MalformedRequestError):
        _processor(registry, mode=mode).process(Batch(Signal.LOGS, payload), 0)
    assert _count(registry, Signal.LOGS, "refused") == 1


def test_too_deep_a_value_is_refused_and_counted() -> None:
    """The depth limit has a counter, as every limit does."""
    registry = CollectorRegistry()
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "x", nested_lists(AnyValue(), MAX_ANY_VALUE_DEPTH))

    with pytest.raises(MalformedRequestError, match="nested more than"):
        _processor(registry).process(batch_of(Signal.LOGS, request), 0)
    assert _count(registry, Signal.LOGS, "refused") == 1


def _count(registry: CollectorRegistry, signal: Signal, outcome: str) -> float | None:
    labels = {"signal": str(signal), "outcome": outcome}
    return registry.get_sample_value("tapeline_redaction_requests_total", labels)


def _exercise(registry: CollectorRegistry) -> None:
    """Bring about every outcome and action there is."""
    processor = _processor(registry)
    processor.process(_body("nothing"), 0)
    processor.process(_body(f"password={SECRET}"), 0)
    processor.process(_label("token", SECRET), 0)
    for action in ("partial", "drop_attribute", "drop_record"):
        _processor(registry, actions={"password": action}).process(_attribute(), 0)
    processor.process(Batch(Signal.LOGS, _body("x").payload + b"\xfa\x3f\x08password"), 0)
    _processor(registry, mode="observe").process(_body(f"password={SECRET}"), 0)
    with pytest.raises(MalformedRequestError):
        processor.process(Batch(Signal.LOGS, b"\x0a\x05"), 0)


def test_the_metadata_lists_what_is_emitted() -> None:
    """Names, types, descriptions, attributes and their values, no more and no less."""
    registry = CollectorRegistry()
    _exercise(registry)

    emitted: dict[str, dict[str, Any]] = {}
    values: dict[str, set[str]] = {}
    for family in registry.collect():
        labels = {
            label
            for sample in family.samples
            if sample.name.endswith("_total")
            for label in sample.labels
        }
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault(label, set()).add(value)
        emitted[f"{family.name}_total"] = {
            "description": family.documentation,
            "type": family.type,
            "attributes": labels,
        }

    listed = {
        name: {
            "description": metric["description"],
            "type": metric["type"],
            "attributes": set(metric["attributes"]),
        }
        for name, metric in METADATA["metrics"].items()
    }
    assert emitted == listed
    assert all(metric["unit"] for metric in METADATA["metrics"].values())
    attributes = METADATA["attributes"]
    assert set(attributes) == set(values)
    assert set(attributes["outcome"]["values"]) == values["outcome"]
    assert set(attributes["action"]["values"]) == values["action"]
    assert set(attributes["signal"]["values"]) == set(Signal)
    assert values["rule"] <= set(load_pack().ids)
    assert values["field_class"] <= set(FieldClass)


def test_no_metric_holds_a_matched_text() -> None:
    """What the redaction writes about itself names rules and places, never a secret."""
    registry = CollectorRegistry()
    _exercise(registry)

    assert SECRET not in generate_latest(registry).decode()


def test_counters_go_on_over_a_reload() -> None:
    """A second processor on the same registry counts where the first one stopped."""
    registry = CollectorRegistry()
    for _ in range(2):
        _processor(registry).process(_body("x"), 0)

    assert _count(registry, Signal.LOGS, "unchanged") == 2
    records = registry.get_sample_value("tapeline_redaction_records_total", {"signal": "logs"})
    assert records == 2


def test_nothing_is_emitted_by_itself() -> None:
    """The redaction holds nothing back, so there is nothing to emit later."""
    processor = _processor()

    assert list(processor.tick(1)) == []
    assert list(processor.close(2)) == []


def test_the_key_file_makes_the_tokens(tmp_path: Path) -> None:
    """The same key gives the same tokens in every process, another key others."""
    keys = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    for path, key in zip(keys, ("a" * 64, "a" * 64 + "\n", "b" * 64), strict=True):
        path.write_text(key)

    first, second, third = (
        _redacted(_processor(hmac_key_file=path), _label("token", SECRET)).payload for path in keys
    )
    assert first == second != third


def test_without_a_key_file_all_workers_share_a_key_that_is_made_once(tmp_path: Path) -> None:
    """Two live processes agree, and so does the next start; two offline runs do in any case."""
    batch = _label("token", SECRET)
    path = tmp_path / "state" / "key"
    live = {_redacted(_processor(hmac_key_path=path), batch).payload for _ in range(2)}
    other = _redacted(_processor(hmac_key_path=tmp_path / "other"), batch).payload
    offline = {
        _redacted(_processor(live=False, hmac_key_file=path), batch).payload
        for path in (None, Path("/nowhere"))
    }

    assert len(live) == 1
    assert other not in live
    assert len(offline) == 1
    assert path.stat().st_mode & 0o077 == 0


def test_where_no_key_can_be_kept_the_gate_starts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only file system costs tokens that agree, and not the gate; the log says so."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("TAPELINE_STATE_DIR", str(tmp_path / "file"))

    live = {_redacted(_processor(), _label("token", SECRET)).payload for _ in range(2)}

    assert len(live) == 2
    assert "set redaction.hmac_key_file" in caplog.text


def test_a_path_that_was_asked_for_must_be_usable(tmp_path: Path) -> None:
    """Who names a place for the key relies on it."""
    (tmp_path / "file").touch()

    with pytest.raises(ValueError, match=r"hmac_key_path: .*can't be used"):
        _processor(hmac_key_path=tmp_path / "file" / "key")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"hmac_key_file: .*key can't be read: No such file"),
        (b"", "32 to 4096 bytes, but holds 0; make one with `openssl"),
        (b"Zq7short\n", "but holds 8"),
        (b"x" * 4097, "but holds more"),
    ],
    ids=["missing", "empty", "short", "long"],
)
def test_a_key_file_that_cant_be_used_stops_the_start(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    """The error names the field, the file and what to do, and nothing of the key."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ValueError, match=problem) as caught:
        _processor(hmac_key_file=path)
    assert "Zq7" not in str(caught.value)


def test_the_example_is_the_one_in_the_readme_and_works() -> None:
    """`testdata/gate.yaml` is what the README shows, and the model takes it."""
    text = (FOLDER / "testdata" / "gate.yaml").read_text()
    section = yaml.safe_load(text)["redaction"]
    processor = _processor(**section)

    assert text in (FOLDER / "README.md").read_text()
    assert SECRET.encode() not in _redacted(processor, _body(f"deskCode={SECRET}")).payload
    kept = _body(f"pageApiKey={SECRET}")
    assert _redacted(processor, kept) is kept


def test_the_factory_is_what_the_chain_looks_for() -> None:
    """The processor calls itself what the factory calls it."""
    assert FACTORY.name == RedactionProcessor.name == "redaction"
    assert FACTORY.config_model is RedactionConfig
