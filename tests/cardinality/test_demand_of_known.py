"""Demand of streams that go on and on: what they ask for is known, though none of them is new."""

from typing import Any

import pytest

from metric_requests import Series, at, batch_of, counted
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.cardinality.snapshot_format import decode, encode

COUNT = 40


def _batch(now: float, per_metric: int = COUNT) -> Any:
    points = [
        counted({"id": f"{one:04d}", "side": "buy" if one % 4 else "sell"}, one, now, 0.5)
        for one in range(COUNT)
    ]
    return batch_of(
        *(
            Series("fills", points[begin : begin + per_metric])
            for begin in range(0, COUNT, per_metric)
        )
    )


def _labels(limiter: MetricsLimiter) -> dict[str, int]:
    found = limiter.demand.of_metric("fills").labels
    return {label.key: label.distinct_values for label in found}


@pytest.mark.parametrize("limit", [10, 100])
@pytest.mark.parametrize("per_metric", [1, 7, COUNT])
def test_the_worst_labels_stay_known(limit: int, per_metric: int) -> None:
    """Whether the streams pass or are folded; each counts once a period, however often it comes."""
    config = CardinalityConfig.model_validate({"default_limit": limit, "idle_ttl": "60s"})
    limiter = MetricsLimiter(config, seed=1)
    for now in range(5, 400, 5):
        limiter.process(_batch(now, per_metric), at(now))
        assert _labels(limiter) == {"id": COUNT, "side": 2}, now
        found = limiter.demand.of_metric("fills")
        assert found.new_streams == COUNT
        sides = next(label for label in found.labels if label.key == "side").offenders
        assert {one.streams for one in sides} == {10, 30}


def test_they_are_learned_again_after_a_restart() -> None:
    """At the latest when the next period begins."""
    config = CardinalityConfig.model_validate({"default_limit": 10, "idle_ttl": "60s"})
    limiter = MetricsLimiter(config, seed=1)
    limiter.process(_batch(1), at(1))
    dumped: Any = limiter.dump()
    data: Any = decode(encode(dumped, 1), 1)
    limiter = MetricsLimiter(config, seed=2)
    limiter.load(data, is_clean=True)
    for now in range(5, 80, 5):
        limiter.process(_batch(now), at(now))

    assert _labels(limiter) == {"id": COUNT, "side": 2}
