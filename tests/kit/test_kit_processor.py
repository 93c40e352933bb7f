"""A processor of the kit in a chain: failure policies, what it counts, what it derives."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client import CollectorRegistry

import tapeline.kit
from kit_records import NOW_UNIX_NANO, built, built_on, logs, points_of_all_kinds, records_of
from tapeline.kit import Derive, LogRecord, processor
from tapeline.kit.core import ProcessorFailedError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.processor import Heir, Processor, Result

METADATA: dict[str, Any] = yaml.safe_load(
    Path(tapeline.kit.__file__).with_name("metadata.yaml").read_text(encoding="utf-8")
)
SECRET = "hunter" + "2"


@processor(name="picky")
def picky(record: LogRecord) -> None:
    """Mark each record, count it, and fail on one."""
    record.attributes["looked_at"] = True
    record.derive.count("looked_at", 1, {"venue": record.attributes.text("venue")})
    if record.body_text == SECRET:
        raise ValueError(f"can't read {SECRET}")


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """Return what was counted, by name, and `on_failure` where there is one."""
    return {
        f"{sample.name.removeprefix('tapeline_kit_')}{sample.labels.get('on_failure', '')}": (
            sample.value
        )
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def points(*batches: Batch) -> list[tuple[str, dict[str, Any], float, int]]:
    """Return name, attributes, value and start of each derived point."""
    found = []
    for batch in batches:
        assert batch.signal is Signal.METRICS
        request = ExportMetricsServiceRequest.FromString(batch.payload)
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            data: Any = metric.sum if metric.WhichOneof("data") == "sum" else metric.gauge
            for point in data.data_points:
                labels = {
                    pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "")
                    for pair in point.attributes
                }
                value = getattr(point, point.WhichOneof("value"))
                found.append((metric.name, labels, value, point.start_time_unix_nano))
    return found


def test_a_failure_refuses_the_request_by_default() -> None:
    """Nothing of it passes, and what is raised says where, and nothing of the data."""
    step = built(picky)

    with pytest.raises(ProcessorFailedError) as caught:
        step.process(logs("a", SECRET), 1)

    line = picky.__code__.co_firstlineno + 6
    assert str(caught.value) == f"picky failed with ValueError, {__file__}:{line}"
    chained: BaseException | None = caught.value
    while chained is not None:
        assert SECRET not in str(chained)
        chained = chained.__cause__ or chained.__context__


@pytest.mark.parametrize(("policy", "bodies"), [("drop", ["a"]), ("pass", ["a", SECRET])])
def test_a_record_that_failed_is_dropped_or_passes_as_it_came(
    policy: str, bodies: list[str]
) -> None:
    """What was changed of it until then is undone, and what it derived is forgotten."""
    result = built(picky, on_failure=policy).process(logs("a", SECRET, venue="XNAS"), 1)

    assert result.batch is not None
    records = records_of(result.batch)
    assert [record.body.string_value for record in records] == bodies
    marked = [any(pair.key == "looked_at" for pair in record.attributes) for record in records]
    assert marked == [body != SECRET for body in bodies]
    assert [point[2] for point in points(*result.derived)] == [1]


@pytest.mark.parametrize(
    "failure", [SystemExit, RecursionError, MemoryError, StopIteration, AssertionError]
)
def test_whatever_a_function_raises_is_a_failure(failure: type[BaseException]) -> None:
    """Also what would end the thread of a request: its sender would drop the data."""

    @processor(name="rude")
    def rude(record: LogRecord) -> None:
        del record
        raise failure

    with pytest.raises(ProcessorFailedError, match=failure.__name__):
        built(rude).process(logs("a"), 1)


def test_a_failure_is_logged_once_with_its_place_and_without_the_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The type, the file and the line; the counters have the rest."""
    step = built(picky, on_failure="drop")

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            step.process(logs(SECRET, SECRET), 1)

    (line,) = caplog.messages
    assert f"failed with ValueError at {__file__}:{picky.__code__.co_firstlineno + 6}" in line
    assert SECRET not in caplog.text


def test_every_metric_of_the_kit_is_in_its_list_and_moves() -> None:
    """Seen, changed, dropped, failed, time, ticks and derived values; all begin at 0."""

    @processor(name="busy")
    class Busy:
        def process(self, record: LogRecord) -> None:
            record.derive.count("one")
            record.derive.count("two")
            if record.body_text == "drop":
                record.drop()
            elif record.body_text == "change":
                record.body = "changed"
            elif record.body_text == "fail":
                raise ValueError

        def tick(self, now_unix_nano: int, derive: Derive) -> None:
            del derive
            if now_unix_nano == 2:
                raise ValueError

    registry = CollectorRegistry()
    step = built_on(registry, Busy, on_failure="pass", max_series=1)
    before = samples(registry)
    assert set(before.values()) == {0}

    step.process(logs("drop", "change", "fail", "keep"), 1)
    step.tick(1)
    step.tick(2)

    after = samples(registry)
    assert after.pop("seconds_total") > 0
    assert after == {
        "records_seen_total": 4, "records_changed_total": 1, "records_dropped_total": 1,
        "records_failed_totalpass": 1, "records_failed_totaldrop": 0,
        "records_failed_totalrefuse": 0, "ticks_total": 2, "ticks_failed_total": 1,
        "derived_total": 6, "derived_left_out_total": 3,
    }  # fmt: skip
    listed = {name.removeprefix("tapeline_kit_") for name in METADATA["metrics"]}
    assert listed == {name.partition("_total")[0] + "_total" for name in before}
    families = {f"{family.name}_total": family for family in registry.collect()}
    for name, described in METADATA["metrics"].items():
        assert families[name].documentation == described["description"]
        labels = set(families[name].samples[0].labels)
        assert labels == set(described["attributes"])


def test_processors_share_a_registry() -> None:
    """Each has its own label."""

    @processor(name="other")
    def other(record: LogRecord) -> None:
        del record

    registry = CollectorRegistry()
    first, second = built_on(registry, picky), built_on(registry, other)
    first.process(logs("a"), 1)
    second.process(logs("a", "b"), 1)

    seen = "tapeline_kit_records_seen_total"
    assert registry.get_sample_value(seen, {"processor": "picky"}) == 1
    assert registry.get_sample_value(seen, {"processor": "other"}) == 2


def test_another_signal_passes_unseen() -> None:
    """As a chain may be of several signals."""
    batch = points_of_all_kinds()

    assert built(picky).process(batch, 1).batch is batch


def test_a_request_without_any_record_left_ends_there() -> None:
    """No empty request is sent on."""

    @processor(name="all")
    def drop_all(record: LogRecord) -> None:
        record.drop()

    assert built(drop_all).process(logs("a", "b"), 1).batch is None


def test_counts_are_cumulative_by_their_attributes() -> None:
    """Since the first one of each series; an attribute of None is left out."""

    @processor(name="rejections")
    def rejections(record: LogRecord) -> None:
        a = record.attributes
        record.derive.count("rejections", a.number("n") or 0, {"venue": a.text("venue")}, unit="1")

    step = built(rejections)
    derived = [
        batch
        for time, batch in enumerate([
            logs("a", "b", venue="XNAS", n=2), logs("c", venue="XLON", n=0.5), logs("d", n=1),
            logs("e", venue="XNAS", n=1),
        ], start=5)
        for batch in step.process(batch, time).derived
    ]  # fmt: skip

    assert points(*derived) == [
        ("rejections", {"venue": "XNAS"}, 4, 5),
        ("rejections", {"venue": "XLON"}, 0.5, 6),
        ("rejections", {}, 1, 7),
        ("rejections", {"venue": "XNAS"}, 5, 5),
    ]
    request = ExportMetricsServiceRequest.FromString(derived[0].payload)
    resource = request.resource_metrics[0]
    assert [(p.key, p.value.string_value) for p in resource.resource.attributes] == [
        ("service.name", "tapeline"),
        ("service.instance.id", "0"),
    ]
    assert resource.scope_metrics[0].scope.name == "tapeline.kit.rejections"
    assert resource.scope_metrics[0].metrics[0].sum.is_monotonic


def test_a_request_that_comes_again_counts_once() -> None:
    """What was not acknowledged is sent again; offline each line counts, as it should."""

    @processor(name="counting")
    def counting(record: LogRecord) -> None:
        record.derive.count("records")

    for live, last in ((True, 4), (False, 6)):
        step = built(counting, live=live)
        shown = [points(*step.process(logs(*bodies), 1).derived) for bodies in ("ab", "ab", "cd")]
        assert [value for ((_, _, value, _),) in shown] == [2, 2 if live else 4, last]


def test_the_last_value_of_a_gauge_stands() -> None:
    """A gauge may be anything that a double is."""

    @processor(name="gauge")
    def gauge(record: LogRecord) -> None:
        record.derive.gauge("price", record.attributes.number("n") or 0)

    step = built(gauge)
    step.process(logs("a", n=2), 1)
    (batch,) = step.process(logs("b", n=-0.5), 2).derived
    assert [point[2] for point in points(batch)] == [-0.5]


@pytest.mark.parametrize(
    "derive",
    [
        lambda derive: derive.count("c", -1),
        lambda derive: derive.count("c", math.nan),
        lambda derive: derive.count("c", math.inf),
        lambda derive: derive.count(""),
        lambda derive: derive.count("c", 1, {"a": ["list"]}),
        lambda derive: derive.gauge("c", "text"),
        lambda derive: derive.gauge(7, 1),
        lambda derive: derive.count("c", True),
        lambda derive: derive.count("c", 1 << 63),
        lambda derive: derive.count("c", 1, {"a": "\ud800"}),
        lambda derive: derive.count("c", 1, {"a": 1 << 63}),
        lambda derive: derive.count("\ud800"),
        lambda derive: derive.count("c", 1, {7: "a"}),
        lambda derive: derive.count("c", 1, unit=None),
    ],
)
def test_what_would_spoil_a_metric_is_a_failure(derive: Callable[[Any], None]) -> None:
    """Of the record that it came of, before anything is counted."""

    @processor(name="spoiling")
    def spoiling(record: LogRecord) -> None:
        derive(record.derive)

    result = built(spoiling, on_failure="drop").process(logs("a"), 1)
    assert (result.batch, result.derived) == (None, ())


def test_a_metric_keeps_its_kind_and_unit_and_series_their_limit() -> None:
    """What does not fit is left out, and what was there goes on."""

    @processor(name="mixed")
    def mixed(record: LogRecord) -> None:
        a = record.attributes
        if record.body_text == "gauge":
            record.derive.gauge("m", 1)
        else:
            record.derive.count("m", 1, {"n": a.number("n")}, unit=a.text("unit") or "1")

    step = built(mixed, max_series=2)
    for batch in (logs("a", n=1), logs("a", n=2), logs("a", n=3), logs("a", n=1, unit="s")):
        derived = step.process(batch, 1).derived
    assert derived == ()
    assert step.process(logs("gauge"), 1).derived == ()
    assert [p[2] for p in points(*step.process(logs("b", n=1), 1).derived)] == [2]


def test_a_class_derives_at_its_ticks_and_at_its_end() -> None:
    """`close` where it has one: what is left of the input is not lost."""

    @processor(name="window")
    class Window:
        def __init__(self) -> None:
            self.seen = 0

        def process(self, record: LogRecord) -> None:
            del record
            self.seen += 1

        def tick(self, now_unix_nano: int, derive: Derive) -> None:
            derive.gauge("window", self.seen)
            derive.gauge("now", now_unix_nano)

        def close(self, now_unix_nano: int, derive: Derive) -> None:
            self.tick(now_unix_nano, derive)

    step = built(Window)
    step.process(logs("a", "b"), 1)
    for emit in (step.tick, step.close):
        values = [point[2] for point in points(*emit(NOW_UNIX_NANO))]
        assert values == [2, NOW_UNIX_NANO]


def test_a_tick_that_fails_is_counted_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Other processors emit at the same tick."""

    @processor(name="late")
    class Late:
        def process(self, record: LogRecord) -> None:
            del record

        def tick(self, now_unix_nano: int, derive: Derive) -> None:
            del now_unix_nano, derive
            raise OSError(SECRET)

    assert built(Late).tick(1) == ()
    assert "failed with OSError" in caplog.text
    assert SECRET not in caplog.text


def test_derived_metrics_run_through_the_chain_of_metrics() -> None:
    """So the redaction sees what was derived in front of it."""
    seen: list[Batch] = []

    class Watching:
        name = "watching"

        def process(self, batch: Batch, now_unix_nano: int) -> Any:
            del now_unix_nano
            seen.append(batch)
            return Result(batch)

        def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
            del now_unix_nano
            return ()

        close = tick

    chain = Chain({Signal.LOGS: [built(picky)], Signal.METRICS: [Watching()]})
    out = chain.process(logs("a"), 1)

    assert [batch.signal for batch in out] == [Signal.LOGS, Signal.METRICS]
    assert seen == [out[1]]


def test_counts_go_on_after_a_reload() -> None:
    """And a class hands over its state where it has a method for that."""

    @processor(name="counting")
    class Counting:
        def __init__(self) -> None:
            self.total = 0

        def process(self, record: LogRecord) -> None:
            self.total += 1
            record.derive.count("records")
            record.derive.gauge("total", self.total)

        def take_over(self, predecessor: "Counting") -> None:
            self.total = predecessor.total

    old, new = built(Counting), built(Counting)
    old.process(logs("a", "b"), 1)
    assert isinstance(new, Heir)
    new.take_over(old)

    assert [point[2] for point in points(*new.process(logs("c"), 2).derived)] == [3, 3]


def test_a_predecessor_of_another_kind_or_that_fails_is_left_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A reload must not end with no chain at all."""

    @processor(name="counting")
    class Counting:
        def process(self, record: LogRecord) -> None:
            record.derive.count("records")

        def take_over(self, predecessor: object) -> None:
            raise ValueError(predecessor)

    old, new = built(Counting), built(Counting)
    new.take_over(old)
    stranger: Any = object()
    other: Processor = stranger
    new.take_over(other)

    assert "it begins without its state" in caplog.text
    assert [point[2] for point in points(*new.process(logs("c"), 2).derived)] == [1]
