"""What tells series apart beside their attributes can't flood either: scopes, units, types."""

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from otlp_client import key_values
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.cardinality.sources import MAX_SOURCES_OF_A_NAME
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch

LIMIT = 20
FLOOD = 500
SECOND = 10**9
START = 1_790_000_000 * SECOND


def _request(kind: str, number: int, value: int, seconds: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values({"service.name": "orders"}))
    scoped = group.scope_metrics.add()
    scoped.scope.name = f"scope-{number}" if kind == "scope" else "scope"
    if kind == "scope attribute":
        scoped.scope.attributes.extend(key_values({"session": str(number)}))
    metric = scoped.metrics.add(name="fills", unit=f"u{number}" if kind == "unit" else "1")
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    metric.sum.data_points.add(
        start_time_unix_nano=START + SECOND,
        time_unix_nano=START + seconds * SECOND,
        as_int=value,
        attributes=key_values({"order": str(number)}),
    )
    return request


def _series(payload: bytes) -> dict[bytes, int]:
    """Return each series that left, and its value."""
    found = {}
    for group in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                for point in metric.sum.data_points:
                    identity = (group.resource, scoped.scope, metric.unit, point.attributes)
                    found[repr(identity).encode()] = point.as_int
    return found


@pytest.mark.parametrize("kind", ["scope", "scope attribute", "unit"])
def test_a_flood_of_scopes_or_units_is_bounded(kind: str) -> None:
    """A session id in a scope's attribute is a label like any other."""
    limiter = MetricsLimiter(CardinalityConfig(default_limit=LIMIT), seed=1)
    limiter.process(Batch(Signal.METRICS, b""), START)
    seen: dict[bytes, int] = {}
    counted = 0
    for number in range(FLOOD):
        batch = Batch(Signal.METRICS, _request(kind, number, 1, 10 + number).SerializeToString())
        limited = limiter.process(batch, START + (10 + number) * SECOND)
        seen |= _series(limited.batch.payload)
        counted += sum(limited.tally.results.values()) + limited.tally.admitted.total()

    assert len(seen) <= LIMIT + 2 * MAX_SOURCES_OF_A_NAME
    assert counted == FLOOD
    assert limiter.sources.bound_hits["producers"] > 0
    if kind != "unit":
        # Of units no more than so many can be kept apart; scopes become one, with their sum.
        assert sum(seen.values()) == FLOOD
