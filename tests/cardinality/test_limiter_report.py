"""What the limiter tells of very many metrics: those that matter one by one, the rest as one."""

from hypothesis import given
from hypothesis import strategies as st

from metric_requests import Series, at, batch_of, counted
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.cardinality.report import LimitsState, figures_of, prepare_report


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.integers(1, 12))
def test_the_nearest_to_their_limits_are_told_and_the_sums_are_of_all(
    counts: list[int], most: int
) -> None:
    """As if all were told, and then summed up."""
    config = CardinalityConfig.model_validate(
        {"default_limit": 4, "metrics": [{"match": "m?", "limit": 3}]}
    )
    limiter = MetricsLimiter(config, seed=1)
    for number, count in enumerate(counts):
        points = [counted({"id": str(one)}, 1, 1, 0.5) for one in range(count)]
        limiter.process(batch_of(Series(f"m{number}", points)), at(1))

    told, rest = limiter.nearest_metrics(most)
    every = limiter.metric_states()

    figures = figures_of(LimitsState("enforce", every, 9), limiter.demand)
    ratios = [one.ratio for one in figures]
    assert len(every) == len(counts)
    shown = figures_of(LimitsState("enforce", told, 9), limiter.demand)
    assert [one.ratio for one in shown] == ratios[:most]
    assert rest.metrics == len(ratios[most:])
    assert rest.ratio == max(ratios[most:], default=0)
    of_all = prepare_report(LimitsState("enforce", every, 9), limiter.demand)()
    of_few = prepare_report(LimitsState("enforce", told, 9, rest=rest), limiter.demand)()
    assert of_few["totals"] == of_all["totals"]
    assert len(of_few["metrics"]) + of_few["metrics_left_out"] == len(counts)
    assert rest.limit == sum(one.limit for one in every) - sum(one.limit for one in told)
