"""A million series against a limit of 10,000: memory stays flat and normal series stay."""

import tracemalloc

import pytest

from metric_requests import Series, at, batch_of, counted
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import MetricsLimiter

_MILLION = 1_000_000
_BATCH = 1_000


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
def test_a_million_series_leave_memory_flat_and_normal_traffic_alone() -> None:
    """Beyond the first 400,000 nothing grows: 10,000 admitted, 200,000 remembered at the most."""
    limiter = MetricsLimiter(CardinalityConfig(default_limit=10_000), seed=1)
    normal = batch_of(Series("quotes", [counted({"id": str(one)}, 1, 1, 0) for one in range(500)]))
    limiter.process(normal, at(1))
    tracemalloc.start()
    try:
        traced_bytes = []
        for step in range(_MILLION // _BATCH):
            first, time = step * _BATCH, 2 + step / 10
            points = [counted({"id": f"order-{first + one}"}, 1, time, 1) for one in range(_BATCH)]
            limiter.process(batch_of(Series("fills", points)), at(time))
            if step % 100 == 99:
                assert limiter.process(normal, at(time)).batch is normal
                traced_bytes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()

    assert max(traced_bytes[4:]) <= 1.02 * traced_bytes[3]
    assert max(traced_bytes) <= 200_000 * 250 + 10_500 * 120 + 16 * 1024 * 1024
    assert limiter.folded_streams <= 200_000
    assert {state.metric: state.admitted for state in limiter.metric_states()} == {
        "quotes": 500,
        "fills": 10_000,
    }
