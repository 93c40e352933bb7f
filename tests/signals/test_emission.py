"""What the emitter sends, and when, against one that looks through everything each time."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from plain_emission import Key, PlainEmitter, Sample
from tapeline.signals.emission import Emitter
from tapeline.signals.metric_table import METRICS, Kind
from tapeline.signals.points import Exemplar, GaugePoint, PositionPoint, attributes_of, values_of
from tapeline.signals.series import SeriesSet

SECOND_NS = 10**9
START_NS = 1_600_000_000 * SECOND_NS
NOW_NS = 1_700_000_000 * SECOND_NS
RESOURCE = {"service.name": "tapeline", "a": "first"}
NO_GAUGES: Mapping[Key, float] = {}
TEXTS = st.sampled_from(["", "a", "b", "ä\N{GRINNING FACE}", "x" * 200])
ATTRIBUTES = st.builds(
    lambda account, venue, side: attributes_of(account=account, venue=venue, side=side),
    TEXTS,
    TEXTS,
    st.sampled_from(["buy", "sell"]),
)
EXEMPLARS = st.builds(
    lambda number, span: Exemplar(
        (number, 4, "id"), number, Decimal(0), bytes([number + 1]) * 16, span
    ),
    st.integers(0, 9),
    st.sampled_from([b"", b"\x01" * 8]),
)
SAMPLES = st.lists(
    st.builds(
        Sample,
        st.sampled_from(["trading.fees", "trading.volume", "trading.markout_bps"])
        | st.sampled_from([each.name for each in METRICS.values() if each.kind is not Kind.GAUGE]),
        ATTRIBUTES,
        st.decimals(-200, 200, places=3),
        st.none() | EXEMPLARS,
    ),
    max_size=8,
)
GAUGES = st.dictionaries(
    st.tuples(
        st.sampled_from(["trading.pnl.net", "trading.fill_ratio", "trading.risk.var"]), ATTRIBUTES
    ),
    st.sampled_from([0.0, 1.5, -2.25, 1e300]),
    max_size=6,
)
PAUSES_NS = st.sampled_from([1, 5 * SECOND_NS, 30 * SECOND_NS, 60 * SECOND_NS, 61 * SECOND_NS])


def points_of(gauges: Mapping[Key, float]) -> list[GaugePoint]:
    """Return gauges as the engine gives them."""
    return [GaugePoint(name, attributes, value) for (name, attributes), value in gauges.items()]


def fill(series: SeriesSet, samples: Iterable[Sample]) -> None:
    """Add samples to the series of a set."""
    for name, attributes, value, exemplar in samples:
        if METRICS[name].kind is Kind.HISTOGRAM:
            series.observe(name, attributes, value, exemplar)
        else:
            series.add(name, attributes, value, exemplar)


def read(requests: Sequence[bytes]) -> Any:
    """Return the only request as protobuf reads it; an empty one where there is none."""
    (payload,) = requests or (b"",)
    return ExportMetricsServiceRequest.FromString(payload)


def told(requests: Iterable[bytes]) -> list[tuple[Key, Any]]:
    """Return all points of some requests in order, each with its series."""
    found: list[tuple[Key, Any]] = []
    for payload in requests:
        message: Any = ExportMetricsServiceRequest.FromString(payload)
        for around in message.resource_metrics:
            for metric in around.scope_metrics[0].metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                found += [((metric.name, labels_of(point)), point) for point in data.data_points]
    return found


def labels_of(point: Any) -> tuple[tuple[str, str], ...]:
    """Return a point's attributes."""
    return tuple((pair.key, pair.value.string_value) for pair in point.attributes)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(PAUSES_NS, SAMPLES, GAUGES), max_size=6))
def test_each_emission_is_that_of_the_plain_one(
    steps: list[tuple[int, list[Sample], dict[Key, float]]],
) -> None:
    """The same messages, to the last field: changes at once, repeats, ends, exemplars, order."""
    emitter, plain = Emitter(START_NS, RESOURCE), PlainEmitter(START_NS, RESOURCE)
    series = SeriesSet()
    times = accumulate((pause_ns for pause_ns, *_ in steps), initial=NOW_NS)
    for now_ns, (_, samples, gauges) in zip(times, steps, strict=False):
        fill(series, samples)
        emitted = emitter.emit(now_ns, series, points_of(gauges))

        assert read(emitted) == plain.emit(now_ns, samples, gauges)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), SAMPLES, GAUGES, st.booleans()), min_size=2, max_size=8)
)
def test_times_of_a_series_increase_whatever_the_clock(
    steps: list[tuple[int, list[Sample], dict[Key, float], bool]],
) -> None:
    """Also over an end, a restart and with a clock that goes back; never before the clock."""
    emitter = Emitter(START_NS, RESOURCE)
    series = SeriesSet()
    now_ns = NOW_NS
    last: dict[Key, int] = {}
    for seconds, samples, gauges, is_restarted in steps:
        now_ns += seconds * SECOND_NS
        if is_restarted:
            time_ns, kept = emitter.time_ns, series.dump()
            emitter, series = Emitter(START_NS, RESOURCE), SeriesSet()
            emitter.resume(time_ns, points_of(gauges))
            series.restore(kept)
        fill(series, samples)
        greatest_ns = max(last.values(), default=0)
        for key, point in told(emitter.emit(now_ns, series, points_of(gauges))):
            time_ns = point.time_unix_nano
            assert last.get(key, START_NS) < time_ns
            assert time_ns == now_ns or now_ns < time_ns <= greatest_ns + 1_000_000
            last[key] = time_ns


def test_a_clock_that_goes_back_silences_nothing() -> None:
    """The unchanged is repeated at once, and then a minute later again."""
    emitter, series = Emitter(START_NS, RESOURCE), SeriesSet()
    gauges = {("trading.pnl.net", attributes_of(account="a")): 1.0}
    series.add("trading.fees", attributes_of(account="a"), Decimal(2))
    counts = []
    for seconds in (0, 5, -3600, -3595, -3541, -3540):
        now_ns = NOW_NS + seconds * SECOND_NS
        counts.append(len(told(emitter.emit(now_ns, series, points_of(gauges)))))

    assert counts == [2, 0, 2, 0, 0, 2]


def test_a_resumed_emitter_ends_what_is_gone() -> None:
    """A gauge from before a restart that is given no more ends once; sums are sent again."""
    series = SeriesSet()
    series.add("trading.fees", attributes_of(account="a"), Decimal(2))
    gone = ("trading.pnl.net", attributes_of(account="gone"))
    stays = ("trading.pnl.net", attributes_of(account="stays"))
    first = Emitter(START_NS, RESOURCE)
    first.emit(NOW_NS, series, points_of({gone: 1.0, stays: 2.0}))

    second = Emitter(START_NS, RESOURCE)
    second.resume(first.time_ns, points_of({gone: 1.0, stays: 2.0}))
    emissions = [
        told(second.emit(NOW_NS + seconds, series, points_of({stays: 2.0}))) for seconds in (0, 1)
    ]

    assert [(key[0], point.flags, point.WhichOneof("value")) for key, point in emissions[0]] == [
        ("trading.fees", 0, "as_double"),
        ("trading.pnl.net", 1, None),
        ("trading.pnl.net", 0, "as_double"),
    ]
    assert emissions[0][1][0] == gone
    assert {point.time_unix_nano for _, point in emissions[0]} == {NOW_NS + 1_000_000}
    assert emissions[1] == []


def test_a_resumed_emitter_ends_the_positions_that_are_gone() -> None:
    """All gauges of one that is flat since before the restart, and none of one that stays."""
    gone, stays = (
        PositionPoint((account, "s", "X"), "USD", "USD", "mark", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
        for account in ("gone", "stays")
    )
    emitter = Emitter(START_NS, RESOURCE)
    emitter.resume(NOW_NS, [gone, stays])
    for seconds, ended_count in ((1, 6), (2, 0)):
        emitted = told(emitter.emit(NOW_NS + seconds, SeriesSet(), [stays]))
        ended = [key for key, point in emitted if point.flags]
        assert len(ended) == ended_count
        assert {values_of(key[1])["trading.account"] for key in ended} <= {"gone"}


def test_an_end_stands_in_a_metric_of_its_own() -> None:
    """An exporter that overlooks what follows an end within a metric loses nothing."""
    emitter = Emitter(START_NS, RESOURCE)
    keys = [("trading.pnl.net", attributes_of(account=account)) for account in "abcd"]
    emitter.emit(NOW_NS, SeriesSet(), points_of(dict.fromkeys(keys, 1.0)))
    request = read(emitter.emit(NOW_NS + 1, SeriesSet(), points_of(dict.fromkeys(keys[2:], 2.0))))

    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    assert [[point.flags for point in metric.gauge.data_points] for metric in metrics] == [
        [1],
        [1],
        [0, 0],
    ]


@pytest.mark.parametrize(
    ("count", "text", "limits"),
    [(25_000, "", (10_000, 1 << 20)), (3_000, "x" * 250, (10_000, 1 << 20))],
    ids=["many points", "long texts"],
)
def test_requests_are_bounded(count: int, text: str, limits: tuple[int, int]) -> None:
    """All points are there, in order, in requests of bounded count and size; ends likewise."""
    emitter, series = Emitter(START_NS, RESOURCE), SeriesSet()
    keys = [
        ("trading.pnl.net", attributes_of(account=f"{number:05}{text}", strategy=text))
        for number in range(count)
    ]
    for _, attributes in keys:
        series.add("trading.fees", attributes, Decimal(1))
    emissions = [
        emitter.emit(NOW_NS, series, points_of(dict.fromkeys(keys, 1.0))),
        emitter.emit(NOW_NS + 1, SeriesSet(), []),
    ]

    for requests in emissions:
        for payload in requests:
            points = told([payload])
            assert 0 < len(points) <= limits[0]
            assert len(payload) <= limits[1] + 1024
    fees = [("trading.fees", attributes) for _, attributes in keys]
    assert [key for key, _ in told(emissions[0])] == fees + keys
    assert [key for key, _ in told(emissions[1])] == keys


def test_nothing_due_is_no_request() -> None:
    """Not an empty one."""
    assert Emitter(START_NS, RESOURCE).emit(NOW_NS, SeriesSet(), []) == []


def test_an_exemplar_that_otlp_can_not_tell_is_left_off() -> None:
    """A trace id of another length or a time before 1970: the point itself stays."""
    emitter, series = Emitter(START_NS, RESOURCE), SeriesSet()
    attributes = attributes_of(account="a")
    for time_ns, trace_id in ((1, b""), (1, b"short"), (-1, b"\x01" * 16)):
        odd = Exemplar((1,), time_ns, Decimal(0), trace_id, b"\x01" * 8)
        series.add("trading.volume", attributes, Decimal(1), odd)
        series.observe("trading.markout_bps", attributes, Decimal(1), odd)
        points = told(emitter.emit(NOW_NS, series, []))
        assert [len(point.exemplars) for _, point in points] == [0, 0]


def test_a_text_that_is_no_utf_8_does_not_spoil_the_request() -> None:
    """A lone surrogate, as JSON may bring it, becomes a question mark."""
    emitter = Emitter(START_NS, RESOURCE)
    gauge = GaugePoint("trading.pnl.net", attributes_of(account="a\ud800"), 1.0)
    (((_, labels), _),) = told(emitter.emit(NOW_NS, SeriesSet(), [gauge]))

    assert labels == (("trading.account", "a?"),)
