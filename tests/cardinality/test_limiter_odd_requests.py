"""The limiter on requests that are laid out oddly, or hold what can't be folded."""

import random
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from backward_encoding import backwards
from metric_requests import (
    SECOND_NS,
    OddEncoder,
    Series,
    at,
    batch_of,
    counted,
    exemplar,
    records_of,
    request,
)
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError, encode_varint
from tapeline.pipeline.batch import Batch

_HOUR = 3600


def _limiter(limit: int = 2, **more: Any) -> MetricsLimiter:
    config = CardinalityConfig.model_validate({"default_limit": limit, **more})
    return MetricsLimiter(config, seed=11)


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + encode_varint(len(content)) + content


def _payload_batch(payload: bytes) -> Batch:
    return Batch(Signal.METRICS, payload)


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


_TWO_TIMES = b"\x11%b\x19%b" % (at(0).to_bytes(8, "little"), at(1).to_bytes(8, "little"))


@pytest.mark.parametrize(
    "head",
    [
        _field(7, b"\x0a\x01x\x12\x02\x0a\x00") + _TWO_TIMES,
        _field(7, b"\x0a\x01x\x12\x14\x0a\x12" + b"y" * 18),
    ],
    ids=["times behind it", "no times"],
)
def test_a_known_tail_can_t_be_faked(head: bytes) -> None:
    """An attribute before the usual place is not overlooked because the rest is known."""
    limiter = _limiter(1)
    known = batch_of(Series("fills", [counted({"id": "a"}, 1, 1, 0)]))
    limiter.process(known, at(1))
    [record] = records_of(known)
    faked = head + record[len(head) :]
    assert [len(faked), faked.count(b"\x0a\x02id")] == [len(record), 1]

    payload = known.payload.replace(record, faked)
    limited = limiter.process(_payload_batch(payload), at(2))

    assert faked not in records_of(limited.batch)
    assert limited.tally.admitted["fills"] == 0


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


@pytest.mark.parametrize("limit", [9, 0])
def test_an_attribute_that_does_not_parse_takes_its_point_out(limit: int) -> None:
    """It is counted; the rest of its request, and later ones, are as they would be without it."""
    limiter = _limiter(limit)
    points = [counted({"id": one}, 1, 1, 0) for one in "abc"]
    batch = batch_of(Series("fills", points))
    # The value is no UTF-8.
    broken = batch.payload.replace(b"\x12\x03\x0a\x01b", b"\x12\x03\x0a\x01\xff")
    assert broken != batch.payload

    limited = limiter.process(_payload_batch(broken), at(1))

    expected = MetricsLimiter(CardinalityConfig(default_limit=limit), seed=1).process(
        batch_of(Series("fills", [points[0], points[2]])), at(1)
    )
    assert limited.batch.payload == expected.batch.payload
    assert limited.tally.results["fills", FoldOutcome.MALFORMED] == 1
    assert limiter.metric_states()[0].admitted == min(limit, 2)
    assert limiter.metric_states()[0].refused == {FoldOutcome.MALFORMED: 1}


def test_a_point_that_does_not_parse_refuses_the_request() -> None:
    """And nothing of the request is remembered."""
    limiter = _limiter(9)
    good = Series("fills", [counted({"id": "a"}, 1, 1, 0)])
    [point] = records_of(batch_of(good))
    broken = batch_of(good, good).payload.replace(point, point.replace(b":\x09", b":\x7f"))

    with pytest.raises(MalformedRequestError):
        limiter.process(_payload_batch(broken), at(1))

    assert all(state.admitted == 0 for state in limiter.metric_states())


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


def test_no_request_makes_more_outputs_than_it_has_points() -> None:
    """One point may move one output only."""
    limiter = _limiter(0)
    metrics = [Series(f"m{one}", [counted({"id": "a"}, 1, 1, 0)]) for one in range(30)]
    batch = batch_of(*metrics)

    limited = limiter.process(batch, at(1))

    assert limited.output_points == len(records_of(limited.batch)) == 30
    ExportMetricsServiceRequest.FromString(limited.batch.payload)
    assert limiter.process(batch_of(), at(1 + 1 / SECOND_NS)).output_points == 0
