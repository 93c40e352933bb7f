"""Each own metric of the limits moves: none is declared that nothing can raise."""

import math
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint
from prometheus_client import CollectorRegistry

from cardinality_steps import counts, fills, limits, run
from metric_requests import Series, at, batch_of, counted
from otlp_client import Span, logs, traces
from tapeline.cardinality import sources
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.keeper import Keeper
from tapeline.cardinality.metrics import metrics_on
from tapeline.cardinality.processor import Limits
from tapeline.cardinality.snapshot import SnapshotFile
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import encode_varint
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.registry import ProcessorContext

HOUR_S = 3600
RESOURCE = {"service.name": "a"}
# A guard of the folder's own: here a point comes to outputs of its own kind alone.
GUARDS = {("refused_points_total", str(FoldOutcome.CONFLICTING_KIND))}


def field(number: int, content: bytes) -> bytes:
    """Return an encoded field."""
    return encode_varint(number << 3 | 2) + encode_varint(len(content)) + content


def metric_batch(metric: bytes) -> Batch:
    """Return a batch of one encoded metric."""
    return Batch(Signal.METRICS, field(1, field(2, field(2, metric))))


def fates(registry: CollectorRegistry) -> None:
    """Send what is admitted, folded in each way, dropped, and passed."""
    step = limits(
        {
            "metrics": [
                {"match": "dropped", "limit": 0, "policy": "drop_series"},
                {"match": "fills", "limit": 1},
            ],
            "protect": {"metrics": "heartbeats"},
            "global_limit": 100_000,
        },
        registry,
    )
    run(step, fills({"a": 1, "b": 5, "c": 7}, time=10, start=-5), 10)
    run(step, fills({"b": 7, "c": 1}, time=20, start=-5), 20)
    run(step, fills({"b": 7, "new": 3}, time=20, start=15), 20)
    step.process(batch_of(Series("dropped", [counted({}, 1, 20)])), at(20))
    ended = [({"id": "b"}, {"time_unix_nano": at(21), "flags": 1})]
    step.process(batch_of(Series("fills", ended)), at(21))
    step.close(at(21))

    crowded = limits({"global_limit": 1, "protect": {"metrics": "heartbeats"}}, registry)
    crowded.process(batch_of(Series("fills", [counted({}, 1)])), at(1))
    crowded.process(batch_of(Series("heartbeats", [counted({}, 1)])), at(1))


def forgotten_streams(registry: CollectorRegistry) -> None:
    """Let the table of folded streams be full, and what it forgot come back."""
    step = limits({"default_limit": 0, "max_folded_streams": 1}, registry)
    for name, time in (("a", 10), ("b", 20), ("a", 5)):
        delta = Series("deltas", [counted({"id": name}, 1, time, time - 1)], temporality=1)
        step.process(batch_of(delta), at(time))
    step.close(at(20))

    ttl = limits({"default_limit": 1, "max_folded_streams": 1, "idle_ttl": "60s"}, registry)
    run(ttl, fills({"a": 1}, 0, -1), 0)
    run(ttl, fills({"b": 1, "c": 1}, 1, -1), 1)
    run(ttl, fills({"b": 2}, HOUR_S, -1), HOUR_S)
    run(ttl, fills({"b": 3}, HOUR_S + 1, -1), HOUR_S + 1)
    run(ttl, fills({"d": 3}, HOUR_S + 2, -1), HOUR_S + 2)


def bad_points(registry: CollectorRegistry) -> None:
    """Send one point of each kind that can't be folded."""
    step = limits({"default_limit": 0, "future_tolerance": "0s"}, registry)
    times: dict[str, Any] = {"start_time_unix_nano": at(-1), "time_unix_nano": at(1)}
    histogram = {**times, "count": 3, "explicit_bounds": [1.0], "bucket_counts": [1, 2]}
    exponential: dict[str, Any] = {**times, "count": 1, "positive": {"bucket_counts": [1]}}
    far = {"offset": 2**30, "bucket_counts": [1]}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("sum", times),
        ("sum", {**times, "as_double": math.nan}),
        ("sum", {**times, "as_double": math.inf}),
        ("sum", {**times, "as_int": -1}),
        ("sum", {"as_int": 1}),
        ("sum", {"as_int": 1, "time_unix_nano": at(1), "start_time_unix_nano": at(2)}),
        ("sum", {"as_int": 1, "time_unix_nano": at(HOUR_S)}),
        ("histogram", {**histogram, "bucket_counts": [1, 2, 3]}),
        ("histogram", {**histogram, "explicit_bounds": [1.0, 1.0], "bucket_counts": [1, 1, 1]}),
        ("exponential_histogram", {**exponential, "scale": 30}),
        ("exponential_histogram", {**exponential, "positive": far}),
    ]
    for kind, fields in cases:
        step.process(batch_of(Series(kind, [({"id": "x"}, fields)], kind=kind)), at(1))
    large = {"start_time_unix_nano": at(2), "time_unix_nano": at(3), "as_double": 1e301}
    step.process(batch_of(Series("sum", [({"id": "y"}, large)])), at(3))
    plain = [({"id": "x"}, {**times, "as_int": 1})]
    step.process(batch_of(Series("unspecified", plain, temporality=0)), at(1))

    name = field(1, b"odd")
    # An exemplar of one byte that is no field.
    broken = NumberDataPoint(**times, as_int=1).SerializeToString() + field(5, b"\xff")
    data = b"\x10\x02\x18\x01" + field(1, broken)
    step.process(metric_batch(name + field(7, data)), at(1))
    point = field(1, NumberDataPoint(as_int=1).SerializeToString())
    two_kinds = field(7, point) + field(9, point)
    step.process(metric_batch(name + two_kinds), at(1))


def rewritten_streams(registry: CollectorRegistry) -> None:
    """Send what rules on labels do not let pass as it is."""
    rule = {
        "match": "*",
        "labels": {"id": {"limit": 1, "policy": "replace_value"}},
        "normalize": {"path": ["number"]},
    }
    step = limits({"metrics": [rule], "max_label_values": 2, "idle_ttl": "60s"}, registry)
    labels = ({"id": "a"}, {"id": "b"}, {"id": "__other__"}, {"path": "/1"})
    step.process(batch_of(Series("x", [counted(one, 1, 1) for one in labels])), at(1))
    for name in ("y", "z"):
        step.process(batch_of(Series(name, [counted({"id": "a"}, 1, 1)])), at(1))
    for time in (HOUR_S, HOUR_S + 100, 2 * HOUR_S, 2 * HOUR_S + 100):
        step.process(batch_of(Series("x", [counted({"id": str(time)}, 1, time)])), at(time))
    step.close(at(2 * HOUR_S))


def many_of_everything(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send more resources, producers, metrics and labels than are kept apart."""
    point = [counted({"id": "a"}, 1, 1)]
    step = limits({"max_resources": 1, "default_limit": 1, "idle_ttl": "60s"}, registry)
    for pod in ("1", "2"):
        resource = {**RESOURCE, "pod": pod}
        step.process(batch_of(Series("fills", point, resource=resource)), at(1))
    names = [Series(f"m{number}", [counted({"id": "a"}, 1)]) for number in range(1100)]
    step.process(batch_of(*names), at(1))
    wide = {f"l{number}": "x" for number in range(40)}
    step.process(batch_of(Series("m1", [counted(wide, 1, 1)])), at(1))
    for time in (HOUR_S, 2 * HOUR_S, 3 * HOUR_S):
        step.process(batch_of(Series("later", [counted({}, 1, time)])), at(time))
    step.close(at(3 * HOUR_S))

    with monkeypatch.context() as patched:
        patched.setattr(sources, "MAX_SOURCES", 1)
        step = limits({}, registry)
        step.process(batch_of(Series("a", point), Series("b", point)), at(1))
        step.close(at(1))

    step = limits({"default_limit": 0, "idle_ttl": "60s"}, registry)
    for pod in ("1", "2"):
        resource = {**RESOURCE, "pod": pod}
        step.process(batch_of(Series("up", point, kind="gauge", resource=resource)), at(1))
    for time in range(HOUR_S, HOUR_S + 200, 10):
        step.process(batch_of(Series("other", [counted({}, 1, time)])), at(time))
    step.close(at(HOUR_S))


def texts(registry: CollectorRegistry) -> None:
    """Send more service names, span names and span attributes than may be."""
    one = {"limit": 0}
    config = {
        "logs": {"labels": {"service.name": one}},
        "traces": {"span_names": one, "attributes": {"route": one}},
    }
    step = limits(config, registry)
    log = logs(["x"], {"service.name": "a"}).SerializeToString()
    spans = [Span(b"\x01" * 16, name="work", attributes={"route": "/a"})]
    step.process(Batch(Signal.LOGS, log), at(1))
    step.process(Batch(Signal.TRACES, traces(spans).SerializeToString()), at(1))


def state_files(registry: CollectorRegistry, folder: Path) -> None:
    """Start and end with a state file in each condition."""

    def go(path: Path, *, max_bytes: int = 1 << 20, clean: bool = True) -> None:
        context = ProcessorContext(registry)
        file = SnapshotFile(path, version=1, max_bytes=max_bytes)
        own = Limits(CardinalityConfig(), context)
        keeper = Keeper(own, file, metrics_on(registry), 1)
        keeper.begin()
        own.metrics.process(fills({"a": 1}, 1), at(1))
        if clean:
            keeper.close()
        file.close()

    path = folder / "state"
    go(path)
    go(path, clean=False)
    go(path)
    go(path, max_bytes=10)
    path.write_bytes(b"no snapshot")
    go(path)
    other = SnapshotFile(path, version=2)
    other.read()
    other.write({})
    go(path)
    other.close()
    go(path)
    (folder / "folder").mkdir()
    go(folder / "folder")

    own = Limits(CardinalityConfig(), ProcessorContext(registry))
    path = folder / "replaced"
    keeper = Keeper(own, SnapshotFile(path, version=1), metrics_on(registry), 1)
    keeper.begin()
    path.unlink()
    path.mkdir()
    keeper.close()


@pytest.mark.pure
def test_every_metric_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every value of every label, but for one guard that no request reaches."""
    registry = CollectorRegistry()
    limits({}, registry)
    still = {series for series, value in counts(registry).items() if value == 0}
    assert len(still) > 60

    fates(registry)
    forgotten_streams(registry)
    bad_points(registry)
    rewritten_streams(registry)
    many_of_everything(registry, monkeypatch)
    texts(registry)
    state_files(registry, tmp_path)

    after = counts(registry)
    gauges = {("global_limit_ratio",), ("state_bytes",)}
    assert {series for series in still if after[series] == 0} - gauges == GUARDS


def test_gauges_show_themselves_at_a_tick() -> None:
    """Of each metric by name, and of all together."""
    registry = CollectorRegistry()
    step = limits({"default_limit": 1, "global_limit": 10}, registry)
    run(step, fills({"a": 1, "b": 1}, 1), 1)

    step.tick(at(1))

    shown = counts(registry)
    assert shown["admitted_series", "fills"] == shown["series_limit", "fills"] == 1
    assert shown["overflowed_streams", "fills"] == 1
    assert shown["demand_series", "fills"] == shown["limit_ratio", "fills"] == 2
    assert shown["global_limit_ratio",] == 0.1
    assert shown["state_bytes",] > 0
