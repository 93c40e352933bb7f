"""The requests of the section on cardinality are what SDKs and the collector write."""

import os
from pathlib import Path

import pytest
from bench.processes import Cores
from bench.series import OVER_STREAMS, ROOM, Encoding, Mix, Mixture, admitted_load
from bench.subjects import CARDINALITY_SUBJECTS, COLLECTOR
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otlp_client import send
from scripted_downstream import running_downstream
from tapeline.otlp.signals import Signal

CORES = Cores(*[min(os.sched_getaffinity(0))] * 3)


def parsed(payload: bytes) -> ExportMetricsServiceRequest:
    """Return a request as its real type."""
    return ExportMetricsServiceRequest.FromString(payload)


def sessions(payload: bytes) -> list[tuple[str, str]]:
    """Return metric and session of every point."""
    return [
        (metric.name, next(a.value.string_value for a in point.attributes if a.key == "session"))
        for group in parsed(payload).resource_metrics
        for scoped in group.scope_metrics
        for metric in scoped.metrics
        for point in metric.sum.data_points
    ]


@pytest.mark.parametrize("mix", Mix)
def test_both_encodings_say_the_same(mix: Mix) -> None:
    """Forwards is what a serialiser writes, backwards has other bytes and the same content."""
    made = {each: list(Mixture(each).batches(mix, 3)) for each in Encoding}
    for forwards, backwards in zip(made[Encoding.FORWARDS], made[Encoding.BACKWARDS], strict=True):
        request = parsed(forwards)
        assert request.SerializeToString() == forwards
        assert backwards != forwards
        assert parsed(backwards) == request


def test_mixes_have_the_streams_that_they_are_named_for() -> None:
    """Admitted ones fit the room; of the others half of each batch repeats, or is new."""
    made = Mixture(Encoding.FORWARDS)
    admitted = {each for batch in made.batches(Mix.ADMITTED, 10) for each in sessions(batch)}
    assert len(admitted) == 10 * ROOM

    repeating = [sessions(batch) for batch in made.batches(Mix.REPEATING, 80)]
    over = [each for batch in repeating for each in batch if each not in admitted]
    assert len(over) == 80 * 1_000 / 2
    assert len(set(over)) == OVER_STREAMS

    new = [each for batch in made.batches(Mix.NEW, 10) for each in sessions(batch)]
    over = [each for each in new if each not in admitted]
    assert len(over) == len(set(over)) == 10 * 1_000 / 2


def test_times_go_up_from_batch_to_batch() -> None:
    """Else the limiter would take a repeated stream for one that is sent again."""
    first, second = (
        parsed(batch).resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0]
        for batch in Mixture(Encoding.FORWARDS).batches(Mix.REPEATING, 2)
    )
    assert first.start_time_unix_nano < first.time_unix_nano < second.time_unix_nano


@pytest.mark.stack
def test_backwards_is_what_the_real_collector_writes(tmp_path: Path) -> None:
    """Byte for byte: what goes into it forwards comes out of it as the bench lays it out."""
    (collector,) = (each for each in CARDINALITY_SUBJECTS if each.name == COLLECTOR)
    forwards, backwards = (admitted_load(each).batches for each in Encoding)
    with running_downstream() as downstream:
        port = int(downstream.address.rsplit(":", 1)[1])
        with collector.run(port, CORES, tmp_path) as up:
            for payload in forwards[:2]:
                send(f"127.0.0.1:{up.port}", parsed(payload))
    assert downstream.received == [(Signal.METRICS, payload) for payload in backwards[:2]]
