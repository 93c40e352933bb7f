"""What the limiter of metrics does, case by case."""

from typing import Any

from metric_requests import (
    OVERFLOW,
    Series,
    at,
    batch_of,
    counted,
    exemplar,
    points_by_labels,
    records_of,
)
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import LimitedBatch, MetricsLimiter

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


def test_a_metric_that_is_just_at_its_limit_has_no_overflow() -> None:
    """Its series written in another order are the same ones, so nothing overflows."""
    limiter = _limiter(1)
    for labels in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}):
        batch = batch_of(Series("fills", [counted(labels, 1, 1, 0)]))
        assert limiter.process(batch, at(1)).batch is batch

    assert limiter.output_count == 0


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
