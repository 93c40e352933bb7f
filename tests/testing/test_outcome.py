"""What a replay gives, and what one may ask of it."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from fake_secrets import secret_text, seeded
from sdk_requests import sdk_request
from tapeline.otlp.json_lines import request_from_json, request_to_json
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.processor import Result
from tapeline.recording.command import process_command
from tapeline.testing import session as session_module
from tapeline.testing.audit import audit_of
from tapeline.testing.given import DEFAULT_START_UNIX_NANO, batch_of
from tapeline.testing.inputs import batches_of
from tapeline.testing.outcome import GoldenOptions, Outcome, golden_of
from tapeline.testing.replays import Replays
from tapeline.testing.session import GateSession

ROOT = Path(__file__).parents[2]
GATE = ROOT / "config" / "gate.yaml"
NO_CHAIN: dict[str, Any] = {"chain": {"logs": [], "traces": [], "metrics": []}}
REPLAYS = Replays(ROOT, None)
SECRET = secret_text(seeded(7))


def _given(*items: dict[str, Any]) -> Outcome:
    return REPLAYS.replay(items, NO_CHAIN)


def _sdk_batches() -> list[Batch]:
    return [Batch(signal, sdk_request(signal).SerializeToString()) for signal in Signal]


@dataclass
class Deriver:
    """Consumes logs that say so, derives a metric of each batch, and notes its clock."""

    name: str = "deriver"
    ticked: list[int] = field(default_factory=list)

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        derived = batch_of({"metric": {"name": "batches", "value": 1, "time": now_unix_nano}})
        return Result(None if b"consume" in batch.payload else batch, (derived,))

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        self.ticked.append(now_unix_nano)
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        return [batch_of({"metric": {"name": "last", "value": 1, "time": now_unix_nano}})]


@dataclass
class Rebuilder:
    """Makes a new batch of each, as a processor may that knows nothing of metadata."""

    name: str = "rebuilder"

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        del now_unix_nano
        return Result(Batch(batch.signal, bytes(batch.payload)))

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        del now_unix_nano
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        del now_unix_nano
        return ()


@pytest.fixture
def derived_session(monkeypatch: pytest.MonkeyPatch) -> tuple[GateSession, Deriver]:
    """A session whose logs meet a Deriver, and everything after it a Rebuilder."""
    deriver, rebuilder = Deriver(), Rebuilder()
    chain = Chain(
        {Signal.LOGS: [deriver, rebuilder], Signal.TRACES: [rebuilder], Signal.METRICS: [rebuilder]}
    )
    monkeypatch.setattr(session_module, "build_chain", lambda *_, **__: chain)
    listed = {"logs": ["deriver", "rebuilder"], "traces": ["rebuilder"], "metrics": ["rebuilder"]}
    monkeypatch.setattr(session_module, "_names", lambda _, signal: listed[signal.value])
    return GateSession(NO_CHAIN), deriver


def test_what_processors_derive_is_told_from_what_comes_out(
    derived_session: tuple[GateSession, Deriver],
) -> None:
    """Also behind a processor that makes its batches anew; no mark is left on any."""
    session, _ = derived_session
    session.feed(batch_of({"log": {"body": body}}) for body in ("stay", "consume"))
    session.feed([batch_of({"metric": {"name": "own", "value": 1}})])
    session.close()

    def names(batches: Sequence[Batch]) -> list[str]:
        outcome = Outcome(batches, (), (), None)  # type: ignore[arg-type]
        return sorted(record.name or str(record.body) for record in outcome.all_records)

    assert names(session.outputs) == ["own", "stay"]
    assert names(session.derived) == ["batches", "batches", "last"]
    assert {batch.metadata for batch in session.outputs + session.derived} == {()}


def test_the_clock_is_the_datas_own_until_a_test_moves_it(
    derived_session: tuple[GateSession, Deriver],
) -> None:
    """Data moves it forward only; time that passes without any ticks once a second."""
    session, deriver = derived_session
    start = DEFAULT_START_UNIX_NANO
    session.feed([batch_of({"log": {"at": "5s"}}), batch_of({"log": {"at": "2s"}})])
    assert session.now_unix_nano == start + 5_000_000_000
    session.advance(2.5)
    session.feed([batch_of({"log": {"at": "6s"}})])

    assert session.now_unix_nano == start + 7_500_000_000
    assert [moment - start for moment in deriver.ticked] == [
        5_000_000_000, 6_250_000_000, 7_500_000_000,
    ]  # fmt: skip


def test_a_closed_session_takes_nothing_more() -> None:
    """Its outcome was told."""
    session = GateSession(NO_CHAIN)
    session.close()
    session.close()

    with pytest.raises(RuntimeError, match="closed"):
        session.feed([batch_of({"log": {}})])
    with pytest.raises(RuntimeError, match="closed"):
        session.advance(1)


@pytest.mark.parametrize(("seconds", "step_s"), [(-1, 1), (1, 0), (1e9, 1)])
def test_time_goes_forward_and_not_without_end(seconds: float, step_s: float) -> None:
    """A slip of a unit must not tick for hours."""
    with pytest.raises(ValueError, match=r"forward only|at most 100000"):
        GateSession(NO_CHAIN).advance(seconds, step_s)


def test_a_replay_gives_what_process_writes(tmp_path: Path) -> None:
    """With the gate's own configuration, for all three signals."""
    recording, output = tmp_path / "in.otlp.jsonl", tmp_path / "out.otlp.jsonl"
    lines = [request_to_json(batch.signal, batch.payload) for batch in _sdk_batches()]
    recording.write_bytes(b"\n".join(lines))
    assert process_command(GATE, str(recording), str(output)) == 0

    outcome = REPLAYS.replay(recording, GATE)

    written = [request_from_json(line) for line in output.read_bytes().splitlines()]
    assert [(batch.signal, batch.payload) for batch in outcome.batches] == written
    outcome.assert_same_as([Batch(signal, payload) for signal, payload in written])


def test_the_golden_does_not_depend_on_how_the_recording_is_batched() -> None:
    """Under the gate's own configuration, with what its processors counted."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number in range(20):
        record = scope.log_records.add(time_unix_nano=1 + number // 3)
        record.body.string_value = f"login {number % 7} password={SECRET}{number % 5}"
    whole = Batch(Signal.LOGS, request.SerializeToString())
    parts = []
    for record in scope.log_records:
        single = ExportLogsServiceRequest()
        single.resource_logs.add().scope_logs.add().log_records.add().CopyFrom(record)
        parts.append(Batch(Signal.LOGS, single.SerializeToString()))
    options = GoldenOptions(audit=["tapeline_redaction_hits_total"])

    one = golden_of(REPLAYS.replay(whole, GATE), options)
    other = golden_of(REPLAYS.replay(parts, GATE), options)

    assert one == other
    assert SECRET not in one
    assert 'rule="password",signal="logs"}: 20' in one


def _one_by_one(batch: Batch) -> list[Batch]:
    """Return the batch's records, each in a batch of its own."""
    outer, middle, inner = {
        Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
        Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    }[batch.signal]
    request: Any = batch.request
    parts = []
    for resource in getattr(request, outer):
        for scope in getattr(resource, middle):
            for record in getattr(scope, inner):
                part: Any = type(request)()
                new_resource = getattr(part, outer).add()
                new_resource.resource.CopyFrom(resource.resource)
                new_scope = getattr(new_resource, middle).add()
                new_scope.scope.CopyFrom(scope.scope)
                getattr(new_scope, inner).add().CopyFrom(record)
                parts.append(Batch(batch.signal, part.SerializeToString()))
    return parts


@pytest.mark.parametrize("system", ["b25", "veloz-logs"])
def test_the_golden_of_derived_metrics_does_not_depend_on_the_batches(system: str) -> None:
    """They stand in a section of their own, as the values that their series have in the end."""
    config = {
        "chain": {"logs": ["signals"], "traces": [], "metrics": []},
        "signals": {"mapping_files": [str(ROOT / "config" / "mappings" / f"{system}.yaml")]},
    }
    source = ROOT / "processors" / "tapeline" / "signals" / "testdata" / f"{system}.jsonl"
    batches = list(batches_of(source, ROOT))
    parts = [part for batch in batches for part in _one_by_one(batch)]

    one, other = (
        golden_of(REPLAYS.replay(feed, config), GoldenOptions()) for feed in (batches, parts)
    )

    assert len(parts) > len(batches)
    assert one == other
    assert one.splitlines()[2] == "derived:"
    assert "value:" in one


def test_what_the_chain_refuses_fails_the_replay_unless_that_is_allowed() -> None:
    """The reason is told, and stands in the golden."""
    bad = Batch(Signal.LOGS, b"\x0a\x05")
    good = batch_of({"log": {"body": "x"}})

    with pytest.raises(AssertionError, match=r"refused 1 batches:\n  batch 2: .*\n.*allow_refused"):
        REPLAYS.replay([good, bad], NO_CHAIN)
    outcome = REPLAYS.replay([good, bad, good], NO_CHAIN, allow_refused=True)

    assert ([one.number for one in outcome.refused], len(outcome.logs)) == ([2], 2)
    assert repr(outcome) == "<Outcome: 2 logs, 0 spans, 0 points, 1 batches refused>"
    assert "\nrefused:\n" in golden_of(outcome, GoldenOptions())


def test_records_are_found_by_signal_by_function_and_by_what_they_say() -> None:
    """The same words as in goldens and declarative tests."""
    outcome = _given(
        {"log": {"body": "one", "severity": "WARN", "resource": {"service.name": "a"}}},
        {"log": {"body": "two", "resource": {"service.name": "b"}}},
        {"span": {"name": "one"}},
    )

    assert [len(found) for found in (outcome.logs, outcome.spans, outcome.metrics)] == [2, 1, 0]
    assert len(outcome.records()) == 3
    assert [log.body for log in outcome.records(where={"severity": "WARN"})] == ["one"]
    assert [log.body for log in outcome.records({"body": re.compile("^t")})] == ["two"]
    assert [log.body for log in outcome.records({"resource": {"service.name": "b"}})] == ["two"]
    assert [span.name for span in outcome.records(lambda found: found.name == "one")] == ["one"]
    with pytest.raises(ValueError, match="no operator"):
        outcome.records({"body": {"$regx": "x"}})


def test_sums_are_totals_over_series() -> None:
    """Of sums alone; the last point of each cumulative series counts."""
    fills = {"name": "fills", "type": "sum", "monotonic": True}
    outcome = _given(
        {"metric": fills | {"value": 1, "attributes": {"venue": "X"}}},
        {"metric": fills | {"value": 3, "attributes": {"venue": "X"}, "at": "1s"}},
        {"metric": fills | {"value": 4, "attributes": {"venue": "Y"}}},
        {"metric": {"name": "price", "value": 9.5}},
    )

    assert outcome.sums() == {"fills": 7}
    assert outcome.sums({"attributes": {"venue": "Y"}}) == {"fills": 4}
    assert [series.value for series in outcome.series("fills")] == [3, 4]
    assert [series.name for series in outcome.series()] == ["fills", "fills", "price"]


def test_ended_series_are_left_out_until_they_are_asked_for() -> None:
    """Of `series` and of goldens: whether one was there for a while depends on the batches."""
    price: dict[str, Any] = {"name": "price", "type": "gauge"}
    outcome = _given(
        {"metric": price | {"value": 1.5, "attributes": {"at": "A"}}},
        {"metric": price | {"flags": 1, "attributes": {"at": "A"}, "at": "1s"}},
        {"metric": price | {"value": 2.5, "attributes": {"at": "B"}}},
    )
    never = _given({"metric": price | {"value": 2.5, "attributes": {"at": "B"}}})

    assert [series.value for series in outcome.series("price")] == [2.5]
    assert [series.value for series in outcome.series("price", ended=True)] == [None, 2.5]
    plain, shown = (golden_of(outcome, GoldenOptions(ended=ended)) for ended in (False, True))
    assert plain == golden_of(never, GoldenOptions()) == golden_of(never, GoldenOptions(ended=True))
    assert "flags" not in plain
    assert shown.count("flags: 1") == 1
    assert "flags: 1" in golden_of(outcome, GoldenOptions(every_point=True))


def test_where_everything_has_ended_nothing_is_left() -> None:
    """No heading without a series."""
    golden = golden_of(_given({"metric": {"name": "price", "flags": 1}}), GoldenOptions())

    assert "metrics" not in golden
    assert "price" not in golden


def test_the_audit_says_what_processors_counted() -> None:
    """By name and labels; a name that there is none of is told with the nearest that there are."""
    outcome = REPLAYS.replay([{"log": {"body": f"password={SECRET}"}}])

    total = outcome.audit.total
    assert total("tapeline_redaction_hits_total") == 1
    assert total("tapeline_redaction_hits_total", signal="logs", rule="password") == 1
    assert total("tapeline_redaction_hits_total", signal="traces") == 0
    with pytest.raises(KeyError, match=r"no metric 'hits'.*tapeline_redaction_hits_total"):
        total("hits")
    with pytest.raises(KeyError, match=r"nearest are tapeline_redaction_hits_total, "):
        total("tapeline_redacted_hits_total")


def test_what_was_never_counted_is_nothing() -> None:
    """A counter with labels that has counted nothing yet is one of the chain all the same."""
    total = REPLAYS.replay([{"log": {"body": "nothing to hide"}}]).audit.total

    assert total("tapeline_redaction_hits_total") == 0
    assert total("tapeline_redaction_hits_total", rule="password") == 0
    assert total("tapeline_cardinality_admitted_series") == 0
    with pytest.raises(KeyError, match="no metric 'tapeline_redaction_hits'"):
        total("tapeline_redaction_hits")


def test_every_kind_of_metric_is_known_before_it_counts() -> None:
    """By the names that its numbers will have."""
    registry = CollectorRegistry()
    metrics = [
        kind(f"new_{kind.__name__.lower()}", "", ["label"], registry=registry)
        for kind in (Counter, Gauge, Histogram, Summary)
    ]
    fresh = audit_of(registry)
    for metric in metrics:
        metric.labels("x")
    counted = audit_of(registry)

    assert not fresh.counted
    assert {one.name for one in counted.counted} <= set(fresh.names)
    assert fresh.names == counted.names


SPELLINGS = {
    "plain": SECRET,
    "upper": SECRET.upper(),
    "hex": SECRET.encode().hex(),
    "url": quote(f"{SECRET}/+&", safe=""),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 behind one": base64.b64encode(b"x" + SECRET.encode()).decode(),
    "base64 behind two": base64.b64encode(b"xy" + SECRET.encode() + b"z").decode(),
    "url-safe": base64.urlsafe_b64encode(b"\xff\xfe" + SECRET.encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "item",
    [
        lambda text: {"log": {"body": {"deep": ["x", text]}}},
        lambda text: {"log": {"attributes": {text: 1}}},
        lambda text: {"span": {"events": [{"name": text}]}},
        lambda text: {"metric": {"name": "m", "value": 1, "resource": {"k": text}}},
        lambda text: {"log": {"attributes": {"raw": text.encode()}}},
    ],
)
def test_a_secret_is_found_wherever_it_stands_and_however_it_is_written(
    spelling: str, item: Any
) -> None:
    """The message names the place, and has the secret in no spelling."""
    outcome = _given(item(f"a {SPELLINGS[spelling]} b"))

    with pytest.raises(AssertionError, match=r"hold a secret:\n  secret 2 \(of ") as caught:
        outcome.assert_no_secret(
            "not there at all", f"{SECRET}/+&" if spelling == "url" else SECRET
        )

    assert not any(text.lower() in str(caught.value).lower() for text in SPELLINGS.values())


def test_a_secret_in_a_field_that_otlp_does_not_define_is_found() -> None:
    """The bytes are searched, not only what is known of them."""
    payload = batch_of({"log": {"body": "x"}}).payload
    unknown = b"\xfa\x06" + bytes([len(SECRET)]) + SECRET.encode()
    outcome = Outcome([Batch(Signal.LOGS, payload + unknown)], (), (), None)  # type: ignore[arg-type]

    with pytest.raises(AssertionError, match="a field that OTLP does not define"):
        outcome.assert_no_secret(SECRET)


def test_what_holds_no_secret_passes() -> None:
    """Given ones and the rules' own."""
    outcome = _given({"log": {"body": "an order was sent"}})

    outcome.assert_no_secret(SECRET)
    outcome.assert_no_secret()


def test_what_the_rules_find_is_a_secret_without_saying_which() -> None:
    """Of a chain that has no redaction; the message has the field, not the value."""
    outcome = _given({"log": {"body": f"password={SECRET}", "attributes": {"k": "fine"}}})

    with pytest.raises(AssertionError, match="looks like a secret in body of log") as caught:
        outcome.assert_no_secret()

    assert SECRET not in str(caught.value)


def test_a_secret_in_a_key_is_not_told_either() -> None:
    """The key is a part of the path, so that is left out."""
    outcome = _given({"log": {"attributes": {f"password={SECRET}": 1}}})

    with pytest.raises(AssertionError, match="looks like a secret in a key of log") as caught:
        outcome.assert_no_secret()

    assert SECRET not in str(caught.value)


def test_a_secret_of_few_signs_is_refused() -> None:
    """It would be found everywhere."""
    with pytest.raises(ValueError, match="at least 4"):
        _given({"log": {"body": "x"}}).assert_no_secret("abc")


def test_outcomes_compare_by_what_they_say() -> None:
    """In any order; the difference is told as `tapeline diff` does."""
    items = [{"log": {"body": f"{number}", "at": f"{number}s"}} for number in range(5)]
    shuffled = items.copy()
    Random(3).shuffle(shuffled)  # noqa: S311 - repeatable
    changed = [*items[:4], {"log": {"body": "other", "at": "4s"}}]

    _given(*items).assert_same_as(_given(*shuffled))
    _given(*items).assert_same_as(_given(*changed), ignore_fields=["body"])
    with pytest.raises(AssertionError, match=r'body\n +- "4"\n +\+ "other"'):
        _given(*items).assert_same_as(_given(*changed))


def test_goldens_need_the_fixture() -> None:
    """Which knows the test's folder."""
    with pytest.raises(RuntimeError, match="tapeline_replay"):
        _given().assert_golden("x")
