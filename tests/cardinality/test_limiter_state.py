"""What the limiter takes from a dump: all of it, some of it, under other rules."""

from typing import Any

from metric_requests import (
    OVERFLOW,
    Series,
    at,
    batch_of,
    counted,
    points_by_labels,
)
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import MetricsLimiter


def _limiter(limit: int = 2, **more: Any) -> MetricsLimiter:
    config = CardinalityConfig.model_validate({"default_limit": limit, **more})
    return MetricsLimiter(config, seed=11)


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


def test_an_output_that_only_old_deltas_came_to_keeps_its_start() -> None:
    """After a lost state they add nothing, and the series that says so is the one that goes on."""
    limiter = MetricsLimiter(CardinalityConfig(default_limit=0), seed=1, state_was_lost=True)
    starts = set()
    for second in (5, 6, 11, 12):
        delta = batch_of(
            Series("fills", [counted({"id": "b"}, 5, second, second - 1)], temporality=1)
        )
        left = limiter.process(delta, at(max(second, 10))).batch
        starts |= {point.start_time_unix_nano for _, point in points_by_labels(left).items()}

    assert starts == {at(10)}


def test_what_a_rule_that_is_gone_has_made_goes_on_and_ages() -> None:
    """Outputs keep counting what is in them; what the rule held back may pass if it is new."""
    rule = {"match": "fills", "labels": {"id": {"limit": 1, "policy": "replace_value"}}}
    limiter = _limiter(5, metrics=[rule], idle_ttl="60s")
    limiter.process(batch_of(Series("fills", [])), at(0))
    first = Series("fills", [counted({"id": one}, 10, 1, 0.5) for one in "abc"])
    limiter.process(batch_of(first), at(1))
    loaded = _limiter(5, idle_ttl="60s")

    loaded.load(limiter.dump(), is_clean=True)

    then = [counted({"id": one}, 12, 2, 0.5) for one in "abc"]
    then.append(counted({"id": "d"}, 7, 2, 1.5))
    found = points_by_labels(loaded.process(batch_of(Series("fills", then)), at(2)).batch)
    values = {dict(labels)["id"]: point.as_int for (_, labels), point in found.items()}
    assert values == {"a": 12, "__other__": 24, "d": 7}
    assert loaded.nearest_metrics(1)[0][0].admitted == 3
    for now in range(10, 200, 10):
        only = Series("fills", [counted({"id": "d"}, 7, now, 1.5)])
        loaded.process(batch_of(only), at(now))
    assert loaded.nearest_metrics(1)[0][0].admitted == 1
    assert loaded.nearest_metrics(1)[0][0].labels == ()
    again = Series("fills", [counted({"id": one}, 13, 201, 0.5) for one in "bc"])
    found = points_by_labels(loaded.process(batch_of(again), at(201)).batch)
    values = {dict(labels).get("id", "overflow"): one.as_int for (_, labels), one in found.items()}
    assert values.get("__other__", 24) <= 26
    assert sum(values.values()) <= 26
