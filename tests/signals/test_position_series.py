"""The gauges of positions, which are sent packed, against the plain emitter that has each alone."""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from plain_emission import Key, PlainEmitter
from signal_events import SETTINGS, random_events
from tapeline.signals.emission import Emitter
from tapeline.signals.engine import Engine
from tapeline.signals.metric_wire import gauge_head, position_head
from tapeline.signals.points import PositionPoint, attributes_of
from tapeline.signals.position_series import STEP_NS, gauges_of
from tapeline.signals.series import SeriesSet

SECOND_NS = 10**9
START_NS = 1_600_000_000 * SECOND_NS
NOW_NS = 1_700_000_000 * SECOND_NS
RESOURCE = {"service.name": "tapeline"}
KEYS = st.tuples(
    st.sampled_from(["a", "b", "ä"]), st.sampled_from(["default", "s"]), st.sampled_from(["X", "Y"])
)
VALUES = st.sampled_from([None, 0.0, 1.5, -2.25, 1e300])
HELD = st.dictionaries(
    KEYS, st.tuples(st.sampled_from(["mark", "last"]), st.tuples(*[VALUES] * 6)), max_size=5
)
PAUSES_NS = st.sampled_from([1, 5 * SECOND_NS, 30 * SECOND_NS, 60 * SECOND_NS, 61 * SECOND_NS])

Held = Mapping[tuple[str, str, str], tuple[str, tuple[float | None, ...]]]


def points_of(held: Held) -> list[PositionPoint]:
    """Return positions as the engine gives them: two accounts have another base currency."""
    return [
        PositionPoint(key, "USD", "USD" if key[0] == "a" else "EUR", source, values)
        for key, (source, values) in held.items()
    ]


def plain(held: Held) -> dict[Key, float]:
    """Return each gauge alone."""
    return {
        (each.name, each.attributes): each.value
        for point in points_of(held)
        for each in gauges_of(point)
    }


def read(requests: Iterable[bytes]) -> Any:
    """Return all requests as one."""
    return ExportMetricsServiceRequest.FromString(b"".join(requests))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(PAUSES_NS, HELD), max_size=8))
def test_positions_are_sent_as_the_plain_emitter_sends_each_gauge(
    steps: list[tuple[int, Held]],
) -> None:
    """Changes at once, repeats, ends (of a source, too), order, times: to the last field."""
    emitter, oracle = Emitter(START_NS, RESOURCE), PlainEmitter(START_NS, RESOURCE)
    times = accumulate((pause_ns for pause_ns, _ in steps), initial=NOW_NS)
    for now_ns, (_, held) in zip(times, steps, strict=False):
        emitted = emitter.emit(now_ns, SeriesSet(), points_of(held))

        assert read(emitted) == oracle.emit(now_ns, [], plain(held))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), HELD, st.booleans()), min_size=2, max_size=8))
def test_times_of_a_position_increase_whatever_the_clock(
    steps: list[tuple[int, Held, bool]],
) -> None:
    """Also over an end, a restart and with a clock that goes back; and what ended, ends once."""
    emitter, now_ns = Emitter(START_NS, RESOURCE), NOW_NS
    last: dict[tuple[str, str], int] = {}
    given: Held = {}
    for seconds, held, is_restarted in steps:
        now_ns += seconds * SECOND_NS
        if is_restarted:
            time_ns, emitter = emitter.time_ns, Emitter(START_NS, RESOURCE)
            emitter.resume(time_ns, points_of(given))
        sent = read(emitter.emit(now_ns, SeriesSet(), points_of(held)))
        ended = set()
        for around in sent.resource_metrics:
            for metric in around.scope_metrics[0].metrics:
                for point in metric.gauge.data_points:
                    key = (metric.name, str(point.attributes))
                    assert point.time_unix_nano >= now_ns
                    assert point.time_unix_nano >= last.get(key, 0) + STEP_NS * (key in last)
                    last[key] = point.time_unix_nano
                    ended |= {key} if point.flags else set()
        assert len(ended) == len(plain(given).keys() - plain(held).keys())
        given = held


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), PAUSES_NS)
def test_an_engine_is_sent_as_the_plain_emitter_sends_it(seed: int, pause_ns: int) -> None:
    """All gauges of an engine, twice, with the half of its events between."""
    engine, received = Engine(SETTINGS), random_events(Random(seed), 60)  # noqa: S311 - data, not a secret
    emitter, oracle = Emitter(START_NS, RESOURCE), PlainEmitter(START_NS, RESOURCE)
    half = len(received) // 2
    for number, part in enumerate((received[:half], received[half:])):
        engine.apply(part, max((each.time_ns for each in received), default=0))
        now_ns = NOW_NS + number * pause_ns
        gauges = {(each.name, each.attributes): each.value for each in engine.gauges()}

        emitted = emitter.emit(now_ns, SeriesSet(), engine.told_gauges())

        assert read(emitted) == oracle.emit(now_ns, [], gauges)


def test_a_head_is_that_of_its_attributes() -> None:
    """Empty texts are left off, long and odd ones are written alike."""
    for labels in (
        ("a", "USD", "X", "mark", "s"),
        ("", "", "X", "", "s"),
        ("ä" * 200, "USD", "\ud800", "", "default"),
    ):
        account, currency, instrument, source, strategy = labels
        attributes = attributes_of(
            account=account,
            currency=currency,
            instrument=instrument,
            price_source=source,
            strategy=strategy,
        )

        assert position_head(labels) == gauge_head(attributes)
