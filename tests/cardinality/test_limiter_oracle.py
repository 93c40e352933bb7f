"""The limiter of metrics against a plain one: parses everything, keeps dictionaries."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from metric_requests import (
    KINDS,
    NOW_NS,
    OVERFLOW_KEY,
    SECOND_NS,
    OddEncoder,
    Series,
    exemplar,
    records_of,
    request,
)
from strategies import payloads
from tapeline.cardinality.config import CardinalityConfig, Mode
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.cardinality.snapshot_format import decode, encode
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch

Identity = tuple[Any, ...]


@dataclass
class PlainLimiter:
    """Admits what there is room for; everything else is in an overflow, and stays there."""

    config: CardinalityConfig
    admitted: set[Identity] = field(default_factory=set)
    folded: set[Identity] = field(default_factory=set)
    by_metric: Counter[str] = field(default_factory=Counter)
    by_tenant: Counter[str] = field(default_factory=Counter)

    def passes(self, source: Identity, metric: str, tenant: str, point: Any) -> bool:
        """Tell whether a point leaves as it came."""
        pairs = frozenset(_pair(pair) for pair in point.attributes)
        identity = (*source, pairs)
        if identity in self.admitted:
            return True
        if identity in self.folded:
            return False
        if point.flags & 1:
            return self._has_room(metric, tenant)
        is_overflow = [pair.key for pair in point.attributes] == [OVERFLOW_KEY]
        if is_overflow or not self._has_room(metric, tenant):
            self.folded.add(identity)
            return False
        self.admitted.add(identity)
        self.by_metric[metric] += 1
        self.by_tenant[tenant] += 1
        return True

    def _has_room(self, metric: str, tenant: str) -> bool:
        limit = self.config.tenants.limits.get(tenant, self.config.tenants.default_limit)
        return (
            self.by_metric[metric] < self.config.default_limit
            and len(self.admitted) < self.config.global_limit
            and (limit is None or self.by_tenant[tenant] < limit)
        )


def _pair(pair: Any) -> bytes:
    pair.DiscardUnknownFields()
    encoded: bytes = pair.SerializeToString(deterministic=True)
    return encoded


def _points(message: Any) -> Iterator[tuple[Identity, str, str, Any]]:
    """Yield each point with its source, metric name and tenant."""
    for around in message.resource_metrics:
        resource = frozenset(_pair(pair) for pair in around.resource.attributes)
        tenant = next(
            (
                pair.value.string_value
                for pair in around.resource.attributes
                if pair.key == "service.name"
            ),
            "",
        )
        for scoped in around.scope_metrics:
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                source = (
                    resource,
                    scoped.scope.name,
                    metric.name,
                    metric.unit,
                    kind,
                    getattr(data, "aggregation_temporality", 0),
                    getattr(data, "is_monotonic", False),
                )
                for point in data.data_points:
                    yield source, metric.name, tenant, point


_LABELS = st.dictionaries(
    st.sampled_from(["venue", "side", "é", "n", "long" * 40]),
    st.one_of(st.sampled_from(["", "x", "y", "é", "v" * 130]), st.booleans(), st.integers(-3, 300)),
    max_size=3,
)


@st.composite
def _fields(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    time = NOW_NS + draw(st.integers(-5, 5)) * SECOND_NS
    fields: dict[str, Any] = {"time_unix_nano": time}
    if draw(st.booleans()):
        fields["start_time_unix_nano"] = NOW_NS - 60 * SECOND_NS
    fields["flags"] = draw(st.sampled_from([0, 0, 0, 2]))
    if kind in ("sum", "gauge"):
        fields["as_int" if draw(st.booleans()) else "as_double"] = draw(st.integers(0, 9))
    else:
        fields["count"] = draw(st.integers(0, 3))
    if kind == "histogram":
        fields |= {"bucket_counts": [fields["count"], 0], "explicit_bounds": [1.0]}
        if draw(st.booleans()):
            fields |= {"min": 1.0, "max": 2.0}
    if kind == "exponential_histogram":
        fields |= {"scale": draw(st.integers(-2, 3)), "zero_count": fields["count"]}
    if kind != "summary" and draw(st.integers(0, 4)) == 0:
        fields["exemplars"] = [exemplar(3)]
    return fields


@st.composite
def _series(draw: st.DrawFn) -> Series:
    kind = draw(st.sampled_from(["sum", "sum", "sum", *KINDS]))
    labels = st.one_of(_LABELS, _LABELS, st.just({OVERFLOW_KEY: True}))
    points = draw(st.lists(st.tuples(labels, _fields(kind)), max_size=6))
    return Series(
        name=draw(st.sampled_from(["fills", "quotes"])),
        points=points,
        kind=kind,
        resource={"service.name": draw(st.sampled_from(["a", "b"])), "pod": "1"},
        scope=draw(st.sampled_from(["", "orders"])),
        temporality=draw(st.sampled_from([1, 2, 2])),
        is_monotonic=draw(st.booleans()),
    )


_REQUESTS = st.lists(
    st.lists(_series(), min_size=1, max_size=3).map(lambda found: request(*found)),
    min_size=1,
    max_size=4,
)
_CONFIGS = st.builds(
    lambda limit, whole, tenant: CardinalityConfig.model_validate(
        {
            "default_limit": min(limit, whole),
            "global_limit": whole,
            "tenants": {"limits": {"a": min(tenant, whole)}},
        }
    ),
    st.integers(0, 6),
    st.integers(1, 9),
    st.integers(0, 6),
)


@settings(max_examples=80, deadline=None)
@given(_REQUESTS, _CONFIGS, st.integers(0, 2**32))
def test_the_same_points_pass_as_a_plain_limiter_passes(
    requests: list[Any], config: CardinalityConfig, seed: int
) -> None:
    """In whatever layout: the same series, byte for byte and in order, and nothing else."""
    encoder = OddEncoder(random.Random(seed))  # noqa: S311 - a test's choices
    limiter = MetricsLimiter(config, seed=seed)
    plain = PlainLimiter(config)
    for number, message in enumerate(requests):
        batch = Batch(Signal.METRICS, encoder.request(message))
        parsed = ExportMetricsServiceRequest.FromString(batch.payload)
        decisions = [plain.passes(*point) for point in _points(parsed)]
        raw = records_of(batch)
        expected = [record for record, passes in zip(raw, decisions, strict=True) if passes]

        limited = limiter.process(batch, NOW_NS + number * SECOND_NS)

        left = records_of(limited.batch)
        assert left[: len(expected)] == expected
        outputs = left[len(expected) :]
        assert len(outputs) == limited.output_points
        if all(decisions):
            assert limited.batch is batch
        message_out = ExportMetricsServiceRequest.FromString(limited.batch.payload)
        emitted = list(_points(message_out))[len(expected) :]
        assert all(
            [pair.key for pair in point.attributes] == [OVERFLOW_KEY] for *_, point in emitted
        )
        assert len({source for source, *_ in emitted}) == len(emitted)
        tally = limited.tally
        assert sum(tally.admitted.values()) + sum(tally.results.values()) == len(decisions)


@settings(max_examples=25, deadline=None)
@given(_REQUESTS, _CONFIGS, st.integers(0, 2**32))
def test_observing_changes_nothing_and_counts_the_same(
    requests: list[Any], config: CardinalityConfig, seed: int
) -> None:
    """What `observe` counts is what `enforce` would do."""
    encoder = OddEncoder(random.Random(seed))  # noqa: S311 - a test's choices
    enforcing = MetricsLimiter(config, seed=seed)
    observing = MetricsLimiter(config.model_copy(update={"mode": Mode.OBSERVE}), seed=seed)
    for number, message in enumerate(requests):
        batch = Batch(Signal.METRICS, encoder.request(message))
        now = NOW_NS + number * SECOND_NS

        observed = observing.process(batch, now)

        assert observed.batch is batch
        assert observed.tally == enforcing.process(batch, now).tally


@settings(max_examples=150, deadline=None)
@given(st.lists(payloads(Signal.METRICS), min_size=1, max_size=3), _CONFIGS)
def test_any_request_is_limited_or_refused(drawn: list[bytes], config: CardinalityConfig) -> None:
    """Whatever its fields hold: what leaves parses, and its points are the first of those left."""
    limiter = MetricsLimiter(config, seed=5)
    for number, payload in enumerate(drawn * 2):
        batch = Batch(Signal.METRICS, payload)

        limited = limiter.process(batch, NOW_NS + number * SECOND_NS)

        ExportMetricsServiceRequest.FromString(limited.batch.payload)
        left = records_of(limited.batch)
        staying = len(left) - limited.output_points
        assert Counter(left[:staying]) <= Counter(records_of(batch))
        tally = limited.tally
        assert tally.admitted.total() + tally.results.total() == len(batch.index)
        results = Counter(result for _, result in tally.results.elements())
        assert staying == tally.admitted.total() + results["admitted"] + results["passed"]
    restored = MetricsLimiter(config, seed=6)
    data: Any = limiter.dump()
    snapshot: Any = decode(encode(data, 1), 1)
    restored.load(snapshot, is_clean=True)
    for number, payload in enumerate(drawn):
        batch, now = Batch(Signal.METRICS, payload), NOW_NS + (9 + number) * SECOND_NS
        assert restored.process(batch, now) == limiter.process(batch, now)
