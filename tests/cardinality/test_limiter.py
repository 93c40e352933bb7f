"""What the limiter of metrics does, case by case."""

import random
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from backward_encoding import backwards
from metric_requests import (
    OVERFLOW,
    SECOND_NS,
    OddEncoder,
    Series,
    at,
    batch_of,
    counted,
    exemplar,
    points_by_labels,
    records_of,
    request,
)
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import LimitedBatch, MetricsLimiter
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError, encode_varint
from tapeline.pipeline.batch import Batch

_HOUR = 3600


def _limiter(limit: int = 2, **more: Any) -> MetricsLimiter:
    config = CardinalityConfig.model_validate({"default_limit": limit, **more})
    return MetricsLimiter(config, seed=11)


def _send(limiter: MetricsLimiter, names: str, time: float = 0, **series: Any) -> LimitedBatch:
    """Send one point of each series, which counts 10 since a second ago."""
    points = [counted({"id": name}, 10, time, time - 1) for name in names]
    return limiter.process(batch_of(Series("fills", points, **series)), at(time))


def _ids(limited: LimitedBatch) -> str:
    """Return the ids that left, in order of the alphabet, and + for the overflow."""
    found = points_by_labels(limited.batch)
    ids = [dict(labels).get("id", "+") for _, labels in found]
    return "".join(sorted(ids))


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + encode_varint(len(content)) + content


def _payload_batch(payload: bytes) -> Batch:
    return Batch(Signal.METRICS, payload)


def test_a_batch_of_admitted_series_is_the_same_object() -> None:
    """Nothing is copied where nothing changes."""
    limiter = _limiter()
    batch = batch_of(Series("fills", [counted({"id": "a"}, 1, 1, 0)]))

    assert limiter.process(batch, at(1)).batch is batch
    assert limiter.process(batch, at(2)).batch is batch


def test_the_first_series_stay_and_the_rest_overflows() -> None:
    """The limit holds, over batches too, and what was admitted is never put out."""
    limiter = _limiter(2)

    assert _ids(_send(limiter, "abc", 1)) == "+ab"
    assert _ids(_send(limiter, "dca", 2)) == "+a"
    assert _ids(_send(limiter, "ab", 3)) == "ab"


def test_an_overflow_has_its_own_resource_scope_and_metric() -> None:
    """One overflow for each producer, with its resource, scope, unit and description."""
    limiter = _limiter(0)
    one = Series("fills", [counted({"id": "a"}, 1, 1, 0)], scope="x", unit="s")
    other = Series("fills", [counted({"id": "a"}, 1, 1, 0)], resource={"pod": "2"})

    message: Any = limiter.process(batch_of(one, other), at(1)).batch.request

    assert [around.resource.attributes[0].key for around in message.resource_metrics] == [
        "service.name",
        "pod",
    ]
    scoped = message.resource_metrics[0].scope_metrics[0]
    assert scoped.scope.name == "x"
    assert (scoped.metrics[0].unit, scoped.metrics[0].description) == ("s", "What it is.")


def test_limits_count_over_resources_scopes_and_kinds() -> None:
    """One metric name has one limit, whoever sends it."""
    limiter = _limiter(2)
    point = [counted({"id": "a"}, 1, 1, 0)]
    metrics = [
        Series("fills", point),
        Series("fills", point, kind="gauge"),
        Series("fills", point, scope="other"),
        Series("fills", point, resource={"pod": "2"}),
        Series("quotes", point),
    ]

    tally = limiter.process(batch_of(*metrics), at(1)).tally

    assert tally.results["fills", "admitted"] == 2
    assert tally.reasons["fills", "series_limit"] == 2
    assert tally.results["quotes", "admitted"] == 1


def test_a_tenant_has_a_limit_over_all_of_its_metrics() -> None:
    """What one tenant sends does not take another's place."""
    limiter = _limiter(9, tenants={"default_limit": 3, "limits": {"vip": 5}})
    tallies = []
    for tenant in ("a", "b", "vip"):
        metrics = [
            Series(
                name,
                [counted({"id": one}, 1, 1, 0) for one in "uvw"],
                resource={"service.name": tenant},
            )
            for name in ("fills", "quotes")
        ]
        tally = limiter.process(batch_of(*metrics), at(1)).tally
        tallies.append(
            sum(count for (_, what), count in tally.results.items() if what == "admitted")
        )

    assert tallies == [3, 3, 5]


def test_the_global_limit_is_divided_between_workers() -> None:
    """Each of two workers has half of the series."""
    config = CardinalityConfig(default_limit=4, global_limit=4)
    limiter = MetricsLimiter(config, seed=1, worker_count=2)

    assert _ids(_send(limiter, "abcd", 1)) == "+ab"


def test_series_that_are_idle_give_their_place_back() -> None:
    """After idle_ttl and a quarter at most; one that goes on sending keeps its place."""
    limiter = _limiter(2)
    _send(limiter, "ab", 0)
    for quarter in range(1, 6):
        _send(limiter, "a", quarter * _HOUR / 4)

    assert _ids(_send(limiter, "acd", 5 * _HOUR / 4 + 1)) == "+ac"
    assert limiter.evicted_series == 1


def test_series_live_for_idle_ttl_at_least() -> None:
    """Not seen for an hour: still admitted."""
    limiter = _limiter(2)
    _send(limiter, "ab", 0)

    assert _ids(_send(limiter, "cab", _HOUR)) == "+ab"


def test_a_folded_series_is_promoted_when_it_begins_anew_and_there_is_room() -> None:
    """With its old start it stays folded, or its past would count twice; its total stays."""
    limiter = _limiter(1)
    _send(limiter, "a", 0)
    old = counted({"id": "b"}, 10, 1, 0.5)
    limiter.process(batch_of(Series("fills", [old])), at(1))
    later = 2 * _HOUR
    same = counted({"id": "b"}, 15, later, 0.5)
    limited = limiter.process(batch_of(Series("fills", [same])), at(later))
    assert _ids(limited) == "+"

    anew = counted({"id": "b"}, 3, later + 20, later + 10)
    assert _ids(limiter.process(batch_of(Series("fills", [anew])), at(later + 20))) == "b"
    assert limiter.metric_states()[0].admitted == 1

    redelivered = batch_of(Series("fills", [same]))
    limited = limiter.process(redelivered, at(later + 30))
    [point] = points_by_labels(limited.batch).values()
    assert point.as_int == 15
    assert limited.tally.results["fills", "late"] == 1
    for quarter in range(9):
        now = later + 40 + quarter * _HOUR / 4
        further = counted({"id": "b"}, 4, now, later + 10)
        batch = batch_of(Series("fills", [further]))
        assert limiter.process(batch, at(now)).batch is batch
    assert limiter.metric_states()[0].admitted == 1


def test_a_promoted_series_that_is_idle_gives_its_place_back() -> None:
    """As any other admitted series."""
    limiter = _limiter(1)
    _send(limiter, "ab", 0)
    later = 2 * _HOUR
    anew = counted({"id": "b"}, 3, later + 20, later + 10)
    assert _ids(limiter.process(batch_of(Series("fills", [anew])), at(later + 20))) == "b"

    assert _ids(_send(limiter, "c", later + 30)) == "+"
    assert _ids(_send(limiter, "d", 2 * later)) == "d"
    assert limiter.metric_states()[0].admitted == 1


def test_a_series_that_was_evicted_and_comes_back_is_not_counted_again() -> None:
    """What it had counted as a series of its own is no part of the overflow's sum."""
    limiter = _limiter(1)
    _send(limiter, "ab", 0)
    for time in (2 * _HOUR, 2 * _HOUR + 1):
        fresh = counted({"id": "c"}, 100, time, 2 * _HOUR - 5)
        assert _ids(limiter.process(batch_of(Series("fills", [fresh])), at(time))) == "c"
    assert _ids(_send(limiter, "d", 4 * _HOUR)) == "d"
    overflow = "fills", OVERFLOW
    before = points_by_labels(_send(limiter, "b", 4 * _HOUR + 1).batch)[overflow].as_int

    returned = counted({"id": "c"}, 130, 4 * _HOUR + 2, 2 * _HOUR - 5)
    batch = batch_of(Series("fills", [returned]))
    after = points_by_labels(limiter.process(batch, at(4 * _HOUR + 2)).batch)[overflow].as_int

    assert after == before


def test_deltas_and_cumulatives_of_one_producer_share_an_overflow() -> None:
    """Both leave as cumulative, so two would be two writers of one series."""
    limiter = _limiter(0)
    limiter.process(batch_of(), at(0))
    points = [counted({"id": "a"}, 4, 1, 0.5)]

    limited = limiter.process(
        batch_of(Series("fills", points, temporality=1), Series("fills", points, temporality=2)),
        at(1),
    )

    assert limited.output_points == 1
    assert points_by_labels(limited.batch)["fills", OVERFLOW].as_int == 8


def test_what_comes_from_beyond_the_resources_is_never_taken_for_new_by_warmth() -> None:
    """Its producer stands for many, so how long that is known proves nothing of one."""
    limiter = _limiter(9, max_resources=1)
    old = [counted({"id": "a"}, 4, 300, -5)]
    own = {"service.name": "s"}
    for second in (0, 300):
        batch = batch_of(
            Series("fills", old, resource=own, scope=""),
            Series("fills", old, resource={**own, "pod": str(second)}),
        )
        limited = limiter.process(batch, at(second + 1))

    assert points_by_labels(limited.batch)["fills", OVERFLOW].as_int == 0


def test_a_series_that_may_have_been_folded_is_not_passed_on_whole() -> None:
    """Where streams were forgotten, old points are late, and old starts stay in the overflow."""
    limiter = _limiter(1, max_folded_streams=1, strict=True)
    _send(limiter, "a", 0)
    for name in "bc":
        folded = counted({"id": name}, 10, 1, 0.5)
        limiter.process(batch_of(Series("fills", [folded])), at(1))
    later = 2 * _HOUR

    old_start = counted({"id": "b"}, 30, later, 0.5)
    limited = limiter.process(batch_of(Series("fills", [old_start])), at(later))
    assert _ids(limited) == "+"
    assert limited.tally.reasons["fills", "uncertain"] == 1

    fresh = counted({"id": "d"}, 5, later + 10, later + 5)
    assert _ids(limiter.process(batch_of(Series("fills", [fresh])), at(later + 10))) == "d"
    late = counted({"id": "d"}, 9, 0.9, 0.6)
    limited = limiter.process(batch_of(Series("fills", [late])), at(later + 11))
    assert limited.tally.results["fills", "late"] == 1
    assert records_of(limited.batch) == []


def test_an_output_that_counts_as_a_series_keeps_its_place_while_it_is_fed() -> None:
    """Though its own key is in no request."""
    rule = {"match": "fills", "normalize": {"id": ["number"]}}
    limiter = _limiter(1, metrics=[rule])
    starts = set()
    for quarter in range(9):
        limited = _send(limiter, "7", quarter * _HOUR / 4)
        [((_, labels), point)] = points_by_labels(limited.batch).items()
        assert labels == frozenset({("id", "{number}")})
        starts.add(point.start_time_unix_nano)
    assert starts == {at(0)}
    assert limiter.metric_states()[0].admitted == 1

    assert _ids(_send(limiter, "x", 9 * _HOUR / 4)) == "+"


def test_deltas_from_before_a_lost_state_add_nothing() -> None:
    """They may have been counted before the crash."""
    limiter = _limiter(0)
    limiter.process(batch_of(), at(0))
    delta = batch_of(Series("fills", [counted({"id": "a"}, 5, 1, 0)], temporality=1))
    limiter.process(delta, at(1))
    loaded = _limiter(0)

    loaded.load(limiter.dump(), is_clean=False)

    limited = loaded.process(delta, at(2))
    assert limited.tally.results["fills", "below_floor"] == 1


def test_values_of_a_series_without_room_take_no_room() -> None:
    """Only series that are there keep a label's values."""
    rule = {"match": "fills", "labels": {"id": {"limit": 9, "policy": "replace_value"}}}
    limiter = _limiter(1, metrics=[rule])

    _send(limiter, "abc", 1)

    assert limiter.router.value_count == 1


def test_an_input_with_an_outputs_identity_is_folded_into_it() -> None:
    """A second gate's overflow, or somebody's own, never is a second writer of ours."""
    limiter = _limiter(1)
    points = [
        counted({"otel.metric.overflow": True}, 5, 1, 0.5),
        counted({"id": "a"}, 1, 1, 0.5),
        counted({"id": "b"}, 2, 1, 0.5),
    ]
    limiter.process(batch_of(Series("fills", [])), at(0))

    limited = limiter.process(batch_of(Series("fills", points)), at(1))

    found = {labels: point.as_int for (_, labels), point in points_by_labels(limited.batch).items()}
    assert found == {OVERFLOW: 7, frozenset({("id", "a")}): 1}


def test_dropped_series_are_dropped_and_counted() -> None:
    """With drop_series nothing is summed up, and messages that are empty then go."""
    limiter = _limiter(0, metrics=[{"match": "fills", "policy": "drop_series"}])

    limited = _send(limiter, "ab", 1)

    assert limited.batch.payload == b""
    assert limited.tally.results["fills", "dropped"] == 2


def test_a_normalised_label_makes_one_series_of_many() -> None:
    """The series counts once against the limit, and sums up what it is made of."""
    limiter = _limiter(1, metrics=[{"match": "fills", "normalize": {"path": ["number"]}}])
    limiter.process(batch_of(Series("fills", [])), at(0))
    points = [counted({"path": f"/orders/{number}"}, 2, 1, 0.5) for number in (17, 23, 99)]

    limited = limiter.process(batch_of(Series("fills", points)), at(1))

    [((_, labels), point)] = points_by_labels(limited.batch).items()
    assert labels == frozenset({("path", "/orders/{number}")})
    assert point.as_int == 6
    assert limiter.metric_states()[0].admitted == 1


def test_a_label_beyond_its_limit_is_replaced() -> None:
    """The values that were there first stay; the rest becomes one."""
    rule = {"match": "fills", "labels": {"id": {"limit": 1, "policy": "replace_value"}}}
    limiter = _limiter(9, metrics=[rule])

    limited = _send(limiter, "abc", 1)

    ids = {dict(labels)["id"] for _, labels in points_by_labels(limited.batch)}
    assert ids == {"a", "__other__"}


def test_values_of_living_series_stay_admitted() -> None:
    """A value lives as long as a series that has it, though that is not routed anew."""
    rule = {"match": "fills", "labels": {"id": {"limit": 1, "policy": "replace_value"}}}
    limiter = _limiter(9, metrics=[rule])
    for quarter in range(9):
        _send(limiter, "a", quarter * _HOUR / 4)

    limited = _send(limiter, "b", 9 * _HOUR / 4)

    ids = {dict(labels)["id"] for _, labels in points_by_labels(limited.batch)}
    assert ids == {"__other__"}


def test_protected_series_pass_beyond_every_limit() -> None:
    """They count, but nothing refuses them."""
    limiter = _limiter(1, protect={"labels": {"id": ["vip"]}})
    points = [counted({"id": name}, 1, 1, 0) for name in ("a", "vip", "b")]

    limited = limiter.process(batch_of(Series("fills", points)), at(1))

    ids = {dict(labels).get("id") for _, labels in points_by_labels(limited.batch)}
    assert ids == {"a", "vip", None}


def test_resources_beyond_the_limit_share_an_overflow() -> None:
    """It is that of a resource with nothing but the service's name."""
    limiter = _limiter(9, max_resources=1)
    point = [counted({"id": "a"}, 4, 1, 0.5)]
    limiter.process(batch_of(), at(0))
    metrics = [
        Series("fills", point, resource={"service.name": "s", "pod": str(pod)}) for pod in range(3)
    ]

    message: Any = limiter.process(batch_of(*metrics), at(1)).batch.request

    attributes = [
        {pair.key: pair.value.string_value for pair in around.resource.attributes}
        for around in message.resource_metrics
    ]
    assert attributes == [{"service.name": "s", "pod": "0"}, {"service.name": "s"}]
    assert message.resource_metrics[1].scope_metrics[0].metrics[0].sum.data_points[0].as_int == 8


def test_points_without_a_value_stand_last_and_alone() -> None:
    """The collector's exporter ignores what follows one in its metric."""
    limiter = _limiter(9)
    _send(limiter, "abcd", 0)
    ended = {"time_unix_nano": at(1), "flags": 1}
    points = [
        ({"id": "a"}, ended),
        ({"id": "b"}, ended),
        counted({"id": "c"}, 1, 1, 0),
        counted({"id": "d"}, 1, 1, 0),
    ]
    batch = batch_of(Series("fills", points))
    a, b, c, d = records_of(batch)

    limited = limiter.process(batch, at(1))

    message: Any = limited.batch.request
    metrics = message.resource_metrics[0].scope_metrics[0].metrics
    assert records_of(limited.batch) == [c, d, a, b]
    assert [len(metric.sum.data_points) for metric in metrics] == [3, 1]
    assert [(metric.name, metric.description) for metric in metrics] == [
        ("fills", "What it is."),
        ("fills", ""),
    ]


def test_an_end_that_its_series_outlives_goes() -> None:
    """A later point of the same metric says that the series lives."""
    limiter = _limiter(9)
    _send(limiter, "a", 0)
    points = [({"id": "a"}, {"time_unix_nano": at(1), "flags": 1}), counted({"id": "a"}, 1, 2, 0)]
    batch = batch_of(Series("fills", points))

    assert records_of(limiter.process(batch, at(2)).batch) == records_of(batch)[1:]


def test_an_end_of_an_unknown_series_admits_nothing() -> None:
    """There is nothing to count, and beyond the limit nothing to say."""
    limiter = _limiter(1)
    ended = Series("fills", [({"id": "x"}, {"time_unix_nano": at(1), "flags": 1})])

    assert len(records_of(limiter.process(batch_of(ended), at(1)).batch)) == 1
    _send(limiter, "a", 2)
    assert records_of(limiter.process(batch_of(ended), at(3)).batch) == []


@pytest.mark.parametrize("kind", ["gauge", "sum", "histogram", "exponential_histogram", "summary"])
def test_one_series_has_one_identity_in_every_layout(kind: str) -> None:
    """Forwards, backwards and in every odd layout: no second place is taken."""
    fields: dict[str, Any] = {"start_time_unix_nano": at(0), "time_unix_nano": at(1)}
    if kind in ("gauge", "sum"):
        fields["as_int"] = 3
    else:
        fields |= {"count": 1, "sum": 1.0}
    if kind in ("histogram", "exponential_histogram"):
        fields |= {"min": 1.0, "max": 1.0, "exemplars": [exemplar(2)]}
    points = [({"id": "a", "venue": "x", "n": 300}, fields)]
    message = request(Series("fills", points, kind=kind))
    limiter = _limiter(9)
    encoder = OddEncoder(random.Random(5))  # noqa: S311 - a test's choices

    for payload in (
        message.SerializeToString(),
        backwards(message),
        *(encoder.request(message) for _ in range(200)),
    ):
        assert limiter.process(_payload_batch(payload), at(2)).output_points == 0

    assert limiter.metric_states()[0].admitted == 1


def test_a_known_tail_can_t_be_faked() -> None:
    """Attributes before the usual place are not overlooked because the rest is known."""
    limiter = _limiter(1)
    known = batch_of(Series("fills", [counted({"id": "a"}, 1, 1, 0)]))
    limiter.process(known, at(1))
    [record] = records_of(known)
    for hidden in (b"\x3a\x07\x0a\x01x\x12\x02\x0a\x00" + bytes(18), b"\x3a\x19" + bytes(25)):
        faked = hidden[:27] + record[27:]
        payload = known.payload.replace(record, faked)
        if len(payload) != len(known.payload):
            continue
        try:
            limited = limiter.process(_payload_batch(payload), at(2))
        except MalformedRequestError:
            continue
        assert record not in records_of(limited.batch)


@pytest.mark.parametrize("gauges", [1, 0])
def test_two_kinds_of_data_in_one_metric_are_refused(gauges: int) -> None:
    """Parsers differ in which one counts, so neither leaves, be the other empty or not."""
    limiter = _limiter(9)
    kinds = [
        request(Series("fills", [counted({"id": "a"}, 1, 1, 0)] * count, kind=kind))
        for kind, count in (("sum", 1), ("gauge", gauges))
    ]
    both = b"".join(
        message.resource_metrics[0].scope_metrics[0].metrics[0].SerializeToString()
        for message in kinds
    )

    limited = limiter.process(_payload_batch(_field(1, _field(2, _field(2, both)))), at(1))

    assert records_of(limited.batch) == []
    assert limited.tally.results["", "several_kinds"] == 1 + gauges


def test_an_attribute_that_does_not_parse_refuses_the_request() -> None:
    """And nothing of the request is remembered."""
    limiter = _limiter(9)
    batch = batch_of(
        Series("fills", [counted({"id": "a"}, 1, 1, 0), counted({"id": "b"}, 1, 1, 0)])
    )
    broken = batch.payload.replace(b"\x12\x03\x0a\x01b", b"\x12\x03\x0a\x01\xff")
    assert broken != batch.payload

    with pytest.raises(MalformedRequestError):
        limiter.process(_payload_batch(broken), at(1))

    assert limiter.metric_states()[0].admitted == 0


def test_points_that_can_t_be_folded_are_refused_by_reason() -> None:
    """They are counted, change nothing, and cause no output."""
    limiter = _limiter(0)
    points: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"id": "a"}, {"as_double": float("nan"), "time_unix_nano": at(1)}),
        ({"id": "b"}, {"as_int": 1, "time_unix_nano": 0}),
        ({"id": "c"}, {"as_int": 1, "time_unix_nano": at(_HOUR)}),
    ]

    limited = limiter.process(batch_of(Series("fills", points)), at(1))

    assert limited.batch.payload == b""
    results = {result: count for (_, result), count in limited.tally.results.items()}
    assert results == {"not_a_number": 1, "time_zero": 1, "time_in_future": 1}


def test_time_never_goes_back() -> None:
    """A clock that was set back evicts nothing and raises nothing."""
    limiter = _limiter(2)
    _send(limiter, "ab", 2 * _HOUR)

    limited = _send(limiter, "abc", 0)
    assert _ids(limited) == "+ab"
    later = counted({"id": "c"}, 11, 2 * _HOUR, -1)
    limited = limiter.process(batch_of(Series("fills", [later])), at(0))
    assert limited.tally.results == {("fills", "added"): 1}


def test_an_overflow_s_exemplars_say_what_was_removed() -> None:
    """The labels that the overflow has not are the exemplar's filtered attributes."""
    limiter = _limiter(0)
    fields: dict[str, Any] = {
        "as_int": 3,
        "time_unix_nano": at(1),
        "start_time_unix_nano": at(0.5),
        "exemplars": [exemplar(9)],
    }
    limiter.process(batch_of(Series("fills", [])), at(0))
    for second in (1, 2):
        fields |= {"time_unix_nano": at(second)}
        batch = batch_of(Series("fills", [({"id": "a"}, fields)]))

        limited = limiter.process(batch, at(second))

        [point] = points_by_labels(limited.batch).values()
        [kept] = point.exemplars
        assert [pair.key for pair in kept.filtered_attributes] == ["id"]


def test_requests_of_a_million_series_leave_memory_within_bounds() -> None:
    """Scaled down here: 20,000 series against limits of 100, 500 folded; then normal traffic."""
    limiter = _limiter(100, global_limit=200, max_folded_streams=500)
    normal = batch_of(Series("orders", [counted({"id": str(one)}, 1, 1, 0) for one in range(50)]))
    assert limiter.process(normal, at(1)).batch is normal
    sizes = []
    for step in range(20):
        points = [counted({"id": f"{step}-{one}"}, 1, 2 + step, 1) for one in range(1000)]
        limiter.process(batch_of(Series("fills", points)), at(2 + step))
        assert limiter.process(normal, at(2 + step)).batch is normal
        sizes.append(limiter.state_bytes)

    assert limiter.folded_streams <= 500
    assert max(sizes[5:]) <= 1.1 * sizes[5]
    assert sum(state.admitted for state in limiter.metric_states()) == 150


def test_a_reload_keeps_everything() -> None:
    """Admitted series, totals and what was folded are as they were."""
    limiter = _limiter(1)
    limiter.process(batch_of(Series("fills", [])), at(0))
    first = Series("fills", [counted({"id": one}, 10, 1, 0.5) for one in "abc"])
    limiter.process(batch_of(first), at(1))
    loaded = _limiter(1)

    loaded.load(limiter.dump(), is_clean=True)

    then = Series("fills", [counted({"id": one}, 15, 2, 0.5) for one in "abcd"])
    limited = loaded.process(batch_of(then), at(2))
    assert limited.batch == limiter.process(batch_of(then), at(2)).batch
    found = points_by_labels(limited.batch)
    assert found["fills", OVERFLOW].as_int == 45
    assert loaded.dump() == limiter.dump()


def test_an_unclean_snapshot_restores_series_but_no_totals() -> None:
    """Everything folded begins anew, from a baseline, under a new start."""
    limiter = _limiter(1)
    first = Series("fills", [counted({"id": one}, 10, 1, -5) for one in "ab"])
    limiter.process(batch_of(first), at(1))
    loaded = _limiter(1)

    loaded.load(limiter.dump(), is_clean=False)

    for second, value, expected in ((2, 15, 0), (3, 18, 3)):
        then = Series("fills", [counted({"id": one}, value, second, -5) for one in "ba"])
        found = points_by_labels(loaded.process(batch_of(then), at(second)).batch)
        assert set(found) == {("fills", OVERFLOW), ("fills", frozenset({("id", "a")}))}
        assert found["fills", OVERFLOW].as_int == expected
        assert found["fills", OVERFLOW].start_time_unix_nano == at(2)


def test_other_rules_make_no_past_count_twice() -> None:
    """What was admitted and is folded from now on is a baseline; totals go on."""
    limiter = _limiter(2)
    limiter.process(batch_of(Series("fills", [])), at(0))
    first = Series("fills", [counted({"id": one}, 10, 1, 0.5) for one in "abc"])
    limiter.process(batch_of(first), at(1))
    rule = {"match": "fills", "labels": {"id": {"limit": 0, "policy": "drop_label"}}}
    loaded = _limiter(3, metrics=[rule])

    loaded.load(limiter.dump(), is_clean=True)

    then = Series("fills", [counted({"id": one}, 12, 2, 0.5) for one in "cx"])
    found = points_by_labels(loaded.process(batch_of(then), at(2)).batch)
    assert found["fills", OVERFLOW].as_int == 12
    assert found["fills", frozenset()].as_int == 0
    assert found["fills", frozenset()].start_time_unix_nano == at(2)


def test_no_request_makes_more_outputs_than_it_has_points() -> None:
    """One point may move one output only."""
    limiter = _limiter(0)
    metrics = [Series(f"m{one}", [counted({"id": "a"}, 1, 1, 0)]) for one in range(30)]
    batch = batch_of(*metrics)

    limited = limiter.process(batch, at(1))

    assert limited.output_points == len(records_of(limited.batch)) == 30
    ExportMetricsServiceRequest.FromString(limited.batch.payload)
    assert limiter.process(batch_of(), at(1 + 1 / SECOND_NS)).output_points == 0
