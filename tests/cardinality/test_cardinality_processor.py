"""The limits as a step of the chain: over restarts, reloads and crashes, with real state files."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cardinality_steps import counts, fills, limits, run, totals
from metric_requests import Series, at, batch_of, counted, points_by_labels
from otlp_client import Span, logs, traces
from tapeline.cardinality.keeper import STATE_VERSION
from tapeline.cardinality.snapshot_format import decode
from tapeline.otlp.json_lines import request_from_json, request_to_json
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.processor import Processor
from tapeline.transport.gate import ChainSlot
from tapeline.transport.metrics import TransportMetrics

NAME = "cardinality"


class Gates:
    """Gates that follow each other on one state file, each with its own metrics."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "limits.0"
        self.mark = folder / "limits.0.clean"
        self.registry = CollectorRegistry()
        self._state = str(folder / "limits")

    def step(self, **config: Any) -> Processor:
        """Build the step of a gate: one series of each metric, then the overflow."""
        section: Mapping[str, Any] = {"default_limit": 1, "state": self._state, **config}
        return limits(section, self.registry)

    def start(self, **config: Any) -> Processor:
        """Begin as a new process does, with metrics at 0."""
        self.registry = CollectorRegistry()
        return self.step(**config)

    def reads(self) -> dict[str, float]:
        """Return what became of readings of the state, where there were any."""
        found = counts(self.registry)
        return {
            labels[1]: value
            for labels, value in found.items()
            if labels[0] == "snapshot_reads_total" and value
        }


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    """Return gates on one file, that isn't there yet."""
    return Gates(tmp_path)


def crash(step: Processor) -> None:
    """Let go of the file as the end of a process does, and write nothing."""
    step._keeper._file.close()  # type: ignore[attr-defined]


def start_of(batch: Batch) -> int:
    """Return the start of the one overflow point."""
    (start,) = {
        point.start_time_unix_nano
        for (_, labels), point in points_by_labels(batch).items()
        if ("otel.metric.overflow", "true") in labels
    }
    return int(start)


def test_a_clean_restart_goes_on_with_the_same_totals(gates: Gates) -> None:
    """The admitted series stays, and the overflow is the same series: its start and its total."""
    before = gates.start()
    run(before, fills({"a": 1, "b": 10}, 1), 1)
    run(before, fills({"new": 3}, 8, 5), 8)
    first = run(before, fills({"b": 15}, 9), 9)
    before.close(at(9))
    assert gates.mark.exists()

    after = gates.start()
    run(after, fills({"c": 1}, 19, 15), 19)
    second = run(after, fills({"a": 2, "b": 17}, 20), 20)

    assert gates.reads() == {"clean": 1}
    assert totals(first) == {"+": 5 + 3}
    assert totals(second) == {"a": 2, "+": 5 + 3 + 2 + 1}
    assert start_of(first) == start_of(second)
    assert not gates.mark.exists()


def test_a_crash_begins_a_new_epoch_and_counts_nothing_twice(gates: Gates) -> None:
    """Admitted series stay so; of the others only what comes after the new epoch counts."""
    before = gates.start(snapshot_period="1s")
    first = run(before, fills({"a": 1, "b": 10}, 5, 3), 4)
    for period in (5, 7):
        before.tick(at(period))
    lost = run(before, fills({"b": 20}, 8, 3), 8)
    crash(before)

    after = gates.start()
    second = run(after, fills({"a": 2, "b": 23, "c": 7}, 20, 3), 20)
    run(after, fills({"d": 2}, 21.5, 21), 22)
    third = run(after, fills({"b": 24, "c": 9}, 22, 3), 22)

    assert gates.reads() == {"unclean": 1}
    assert totals(first)["a"] == 1
    assert totals(lost) == {"+": 10}
    assert totals(second) == {"a": 2, "+": 0}
    assert totals(third) == {"+": 1 + 2 + 2}
    assert start_of(second) == at(20)


def test_a_crash_before_the_first_period_is_seen_as_one(gates: Gates) -> None:
    """A file without a mark is there from the first batch on."""
    before = gates.start()
    run(before, fills({"a": 1}, 1), 1)
    crash(before)

    run(gates.start(), fills({"a": 1}, 2), 2)

    assert gates.reads() == {"unclean": 1}


def test_deltas_from_before_a_crash_are_not_counted_again(gates: Gates) -> None:
    """What is sent again after it may have been counted before it."""
    delta = batch_of(Series("fills", [counted({"id": "b"}, 5, 3, 2)], temporality=1))
    before = gates.start(default_limit=0)
    assert totals(run(before, delta, 4)) == {"+": 5}
    crash(before)

    after = gates.start(default_limit=0)
    again = run(after, delta, 6)
    later = batch_of(Series("fills", [counted({"id": "b"}, 2, 7, 6)], temporality=1))

    assert totals(again) == {"+": 0}
    assert totals(run(after, later, 7)) == {"+": 2}
    assert counts(gates.registry)["points_total", "below_floor"] == 1


def test_without_a_file_nothing_is_kept(gates: Gates) -> None:
    """Nor is one written."""
    before = gates.start(state=None)
    run(before, fills({"a": 1, "b": 1}, 1), 1)
    before.tick(at(2))
    before.close(at(3))

    assert totals(run(gates.start(state=None), fills({"b": 5}, 5), 5)) == {"b": 5}
    assert list(gates.file.parent.iterdir()) == []


def test_a_damaged_state_is_set_aside_with_an_error(
    gates: Gates, caplog: pytest.LogCaptureFixture
) -> None:
    """The limits hold all the same, from a new epoch."""
    before = gates.start()
    run(before, fills({"a": 1, "b": 1}, 1), 1)
    before.close(at(2))
    content = bytearray(gates.file.read_bytes())
    content[len(content) // 2] ^= 1
    gates.file.write_bytes(content)

    after = run(gates.start(), fills({"a": 1, "b": 5}, 5), 5)

    assert gates.reads() == {"damaged": 1}
    assert gates.file.with_name("limits.0.damaged-1").read_bytes() == bytes(content)
    assert totals(after) == {"a": 1, "+": 0}
    assert "is not restored" in caplog.text


@pytest.mark.pure
def test_a_whole_state_that_makes_no_sense_is_refused(
    gates: Gates, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is in it: the limits hold, and begin anew."""
    before = gates.start()
    run(before, fills({"a": 1, "b": 1}, 1), 1)
    odd = before._limits.metrics  # type: ignore[attr-defined]
    monkeypatch.setattr(odd, "dump", lambda **_: {"seed": 1})
    before.close(at(2))

    after = run(gates.start(), fills({"a": 1, "b": 5}, 5), 5)

    assert totals(after) == {"a": 1, "+": 0}
    assert "the state of the limits can't be used (KeyError)" in caplog.text


def slot_of(registry: CollectorRegistry, step: Processor) -> tuple[ChainSlot, Chain]:
    """Return the place of a running chain, and a chain in it."""
    slot = ChainSlot(TransportMetrics(registry))
    chain = Chain({Signal.METRICS: [step]})
    slot.swap(chain, at(0))
    return slot, chain


def test_a_reload_goes_on_with_totals_and_leaves_no_mark(gates: Gates) -> None:
    """The old chain's close wrote one; believed after a later crash it would count twice."""
    slot, _ = slot_of(CollectorRegistry(), gates.start())
    slot.process(fills({"a": 1, "b": 10}, 1), at(1))
    (first,) = slot.process(fills({"b": 15}, 5), at(5))

    slot.swap(Chain({Signal.METRICS: [gates.step()]}), at(6))
    assert not gates.mark.exists()
    slot.process(fills({"c": 2}, 8, 7), at(8))
    (second,) = slot.process(fills({"b": 18}, 9), at(9))
    slot.swap(None, at(10))

    assert (totals(first), totals(second)) == ({"+": 5}, {"+": 5 + 3 + 2})
    assert start_of(first) == start_of(second)
    assert gates.mark.exists()
    assert gates.reads() == {"absent": 1}


def test_a_reload_before_the_first_batch_reads_the_file(gates: Gates) -> None:
    """There is nothing to take over yet, so the successor restores what is on disk."""
    before = gates.start()
    run(before, fills({"a": 1, "b": 10}, 1), 1)
    before.close(at(2))
    slot, _ = slot_of(CollectorRegistry(), gates.start())

    slot.swap(Chain({Signal.METRICS: [gates.step()]}), at(3))
    (batch,) = slot.process(fills({"b": 13}, 5), at(5))

    assert gates.reads() == {"clean": 1}
    assert totals(batch) == {"+": 3}


def test_what_was_counted_before_a_reload_is_not_counted_again() -> None:
    """Own counters go on: they are the process's."""
    registry = CollectorRegistry()
    config = {"default_limit": 0, "max_folded_streams": 1}
    slot, _ = slot_of(CollectorRegistry(), limits(config, registry))
    for time, stream in enumerate("abc"):
        slot.process(fills({stream: 1}, time), at(time))
    slot.swap(Chain({Signal.METRICS: [limits(config, registry)]}), at(2))
    before = counts(registry)

    slot.process(fills({"c": 1}, 3), at(3))
    slot.tick(at(10))

    after = counts(registry)
    assert before["evictions_total", "folded_stream"] == 2
    for name in (("evictions_total", "folded_stream"), ("bound_hits_total", "folded_streams")):
        assert after[name] == before[name] == 2


def test_a_reload_from_observe_to_enforce_begins_a_new_epoch(gates: Gates) -> None:
    """What was folded only to be counted has passed as it was."""
    slot, _ = slot_of(CollectorRegistry(), gates.start(mode="observe"))
    batch = fills({"a": 1, "b": 10}, 1)
    assert slot.process(batch, at(1)) == (batch,)

    slot.swap(Chain({Signal.METRICS: [gates.step()]}), at(2))
    (after,) = slot.process(fills({"a": 2, "b": 15}, 5), at(5))
    (later,) = slot.process(fills({"b": 17}, 6), at(6))

    assert (totals(after), totals(later)) == ({"a": 2, "+": 0}, {"+": 2})


def test_observe_counts_as_enforce_does_and_changes_nothing() -> None:
    """So that limits can be tried first; the report says what would be folded."""
    seen = {}
    for mode in ("observe", "enforce"):
        registry = CollectorRegistry()
        step = limits({"mode": mode, "default_limit": 1}, registry)
        batches = [fills({"a": 1, "b": 10, "c": 4}, time, 0) for time in (1, 2, 3)]
        left = [run(step, batch, 3) for batch in batches]
        step.tick(at(4))
        assert all(map(lambda a, b: (a is b) == (mode == "observe"), left, batches))
        seen[mode] = counts(registry)
    del seen["observe"]["state_bytes",], seen["enforce"]["state_bytes",]

    assert seen["observe"] == seen["enforce"]
    assert seen["observe"]["overflowed_streams", "fills"] == 2


def test_points_that_can_not_be_folded_are_refused_and_counted_by_reason() -> None:
    """The others of their batch are folded, and no exception comes of any."""
    registry = CollectorRegistry()
    step = limits({"default_limit": 0}, registry)
    points = [
        counted({"id": "good"}, 5, 3, 2),
        counted({"id": "future"}, 5, 3600, 2),
        ({"id": "nan"}, {"as_double": float("nan"), "time_unix_nano": at(3)}),
        counted({"id": "late start"}, 5, 3, 4),
    ]

    after = run(step, batch_of(Series("fills", points)), 1)

    assert totals(after) == {"+": 5}
    shown = counts(registry)
    assert shown["points_total", "refused"] == 3
    for reason in ("time_in_future", "not_a_number", "start_after_time"):
        assert shown["refused_points_total", reason] == 1


def test_the_state_is_written_on_a_period(gates: Gates) -> None:
    """At the first batch, then as often as asked."""
    step = gates.start(snapshot_period="60s")
    step.tick(at(0))
    assert not gates.file.exists()
    run(step, fills({"a": 1}, 1), 1)
    for second in range(1, 125):
        step.tick(at(second))

    assert counts(gates.registry)["snapshot_writes_total", "written"] == 1 + 2


def test_two_gates_do_not_share_a_file(gates: Gates, caplog: pytest.LogCaptureFixture) -> None:
    """The second works without its state, and leaves that of the first alone."""
    first = gates.start()
    run(first, fills({"a": 1}, 1), 1)
    second = gates.start()

    run(second, fills({"a": 1}, 1), 1)
    second.close(at(2))

    assert gates.reads() == {"in_use": 1}
    assert not gates.mark.exists()
    assert "is in use by another process" in caplog.text


def recording(path: Path) -> None:
    """Write a recording of a flood: out of order, with resets and two kinds of metrics."""
    lines = []
    for second in (5, 6, 3, 8, 9):
        ids = [f"{number:x}" for number in range(second, second + 40)]
        points = [counted({"id": name, "path": f"/o/{name}"}, second, second, 0) for name in ids]
        gauge = [counted({"id": name}, second, second) for name in ids]
        batch = batch_of(Series("fills", points), Series("level", gauge, kind="gauge"))
        lines.append(request_to_json(Signal.METRICS, batch.payload))
    path.write_bytes(b"\n".join(lines) + b"\n")


def test_offline_the_same_recording_gives_the_same_bytes(tmp_path: Path) -> None:
    """In every process, whatever the hash seed; neither clock nor a state file has a say."""
    source, config = tmp_path / "in.jsonl", tmp_path / "gate.yaml"
    recording(source)
    section = {
        "default_limit": 3,
        "state": str(tmp_path / "state"),
        "metrics": [
            {
                "match": "fills",
                "limit": 5,
                "labels": {"id": {"limit": 4, "policy": "replace_value"}},
                "normalize": {"path": ["hex", "number"]},
            }
        ],
    }
    chain = {"metrics": ["redaction", NAME], "logs": [], "traces": []}
    config.write_text(json.dumps({"chain": chain, NAME: section}), encoding="utf-8")

    outputs = {
        subprocess.run(
            [sys.executable, "-m", "tapeline.cli", "process", "--config", config, source],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }

    assert len(outputs) == 1
    lines = outputs.pop().splitlines()
    assert len(lines) == 5
    first = Batch(*request_from_json(lines[0]))
    starts = {
        point.start_time_unix_nano
        for (name, labels), point in points_by_labels(first).items()
        if name == "fills" and ("otel.metric.overflow", "true") in labels
    }
    assert starts == {at(5)}
    assert not list(tmp_path.glob("state*"))


def test_offline_now_is_the_largest_time_so_far() -> None:
    """A point hours after the last is not in the future; an old one doesn't turn time back."""
    step = limits({"default_limit": 0}, live=False)
    hours = 36_000

    run(step, fills({"a": 1}, 1), 1)
    late = run(step, fills({"b": 2}, hours, hours - 10), hours)
    old = run(step, fills({"b": 5}, hours + 1, hours - 10), hours)

    assert totals(late) == {"+": 2}
    assert totals(old) == {"+": 5}


def test_what_is_written_on_a_period_has_no_totals(gates: Gates) -> None:
    """It would never be restored from, and takes long with many producers: batches wait for it."""
    step = gates.start(snapshot_period="1s")
    sent = [Series(f"m{number}", [counted({"id": "a"}, 1, 1, 0)]) for number in range(300)]
    run(step, batch_of(*sent), 1)
    for second in (2, 4):
        step.tick(at(second))
    periodic: Any = decode(gates.file.read_bytes(), STATE_VERSION)
    step.close(at(5))
    last: Any = decode(gates.file.read_bytes(), STATE_VERSION)

    assert (periodic["metrics"]["folder"], periodic["metrics"]["sources"]["sources"]) == (None, [])
    assert len(periodic["metrics"]["sources"]["groups"]) == 300
    assert len(last["metrics"]["sources"]["sources"]) == 300


def test_a_gate_that_saw_no_metrics_has_lost_none(gates: Gates) -> None:
    """Deltas from before its successor's first batch count: nobody has counted them."""
    log = Batch(Signal.LOGS, logs(["x"]).SerializeToString())
    before = gates.start(default_limit=0)
    run(before, log, 1)
    before.close(at(2))
    again = gates.start(default_limit=0)
    run(again, log, 3)
    again.close(at(4))

    delta = batch_of(Series("fills", [counted({"id": "b"}, 5, 4.5, 3.5)], temporality=1))

    assert totals(run(gates.start(default_limit=0), delta, 5)) == {"+": 5}
    assert gates.reads() == {"clean": 1}


def test_a_loss_is_not_forgotten_by_a_gate_that_saw_no_metrics(gates: Gates) -> None:
    """Deltas that the crashed one may have counted still don't count."""
    before = gates.start(default_limit=0)
    delta = batch_of(Series("fills", [counted({"id": "b"}, 5, 4, 3)], temporality=1))
    run(before, delta, 4)
    crash(before)
    silent = gates.start(default_limit=0)
    run(silent, Batch(Signal.LOGS, logs(["x"]).SerializeToString()), 5)
    silent.close(at(6))

    assert totals(run(gates.start(default_limit=0), delta, 7)) == {"+": 0}


@pytest.mark.parametrize(("before_s", "after_s"), [(3600, 7200), (7200, 600)])
def test_another_idle_ttl_holds_from_the_restart_on(
    gates: Gates, before_s: int, after_s: int
) -> None:
    """What was just seen stays, and what is idle for that long goes."""
    logs_limit = {"labels": {"service.name": {"limit": 1}}}
    before = gates.start(idle_ttl=f"{before_s}s", logs=logs_limit)
    run(before, fills({"a": 1}, 1), 1)
    run(before, Batch(Signal.LOGS, logs(["x"], {"service.name": "a"}).SerializeToString()), 1)
    before.close(at(2))

    after = gates.start(idle_ttl=f"{after_s}s", logs=logs_limit)

    assert totals(run(after, fills({"b": 1}, 60), 60)) == {"+": 0}
    assert totals(run(after, fills({"a": 2}, 61), 61)) == {"a": 2}
    for second in range(61, 61 + 2 * after_s, after_s // 8):
        run(after, batch_of(Series("other", [counted({}, 1, second)])), second)
        run(after, Batch(Signal.LOGS, logs(["x"], {"service.name": "a"}).SerializeToString()), 1)
    end = 61 + 2 * after_s
    assert totals(run(after, fills({"c": 1}, end), end)) == {"c": 1}
    named = Batch(Signal.LOGS, logs(["x"], {"service.name": "b"}).SerializeToString())
    run(after, named, end + 2 * after_s)
    assert run(after, named, end + 4 * after_s) is named


def test_texts_are_counted_by_kind_as_they_are_read_and_replaced() -> None:
    """A text that is only rewritten is not one beyond a limit."""
    registry = CollectorRegistry()
    config = {
        "logs": {"labels": {"service.name": {"limit": 1}, "job": {"limit": 9}}},
        "traces": {
            "span_names": {"limit": 2, "normalize": ["number"]},
            "attributes": {"route": {"limit": 1}},
        },
    }
    step = limits(config, registry)
    for name in ("a", "b"):
        about = {"service.name": name, "job": "x", "other": "y"}
        run(step, Batch(Signal.LOGS, logs(["x", "y"], about).SerializeToString()), 1)
    names = ("GET /1", "GET /2", "put", "post", "post")
    spans = [Span(b"\1" * 16, name=name, attributes={"route": name[:3]}) for name in names]
    run(step, Batch(Signal.TRACES, traces(spans).SerializeToString()), 1)

    shown = counts(registry)
    found = {labels: value for labels, value in shown.items() if labels[0].endswith("texts_total")}
    assert found == {
        ("texts_total", "log_label"): 4,
        ("texts_total", "span_name"): 5,
        ("texts_total", "span_attribute"): 5,
        ("replaced_texts_total", "log_label"): 1,
        ("replaced_texts_total", "span_name"): 2,
        ("replaced_texts_total", "span_attribute"): 3,
    }
