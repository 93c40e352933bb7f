"""The bench believes the sink and nobody else: a lost record fails it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import grpc
import pytest
from bench.measure import Effort, SinkProbe, Target, measure_latency, measure_throughput
from bench.payloads import load_of
from bench.processes import ROOT, BenchError, Cores, cost_of, free_port, wait_for_port
from bench.wire import OPTIONS, RawHandler, raw_method

from bench import measure
from tapeline.otlp.signals import EXPORT_METHODS, SERVICES, Signal

EFFORT = Effort(round_s=0.2, rounds=2, latency_batches=10)
CORES = Cores(*[min(os.sched_getaffinity(0))] * 3)
LOGS = next(service for service in SERVICES if service.signal is Signal.LOGS)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """A real sink process, to be sent to directly."""
    port = free_port()
    log = tmp_path / "sink.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.sink", f"127.0.0.1:{port}"], cwd=ROOT, stderr=output
        )
    try:
        wait_for_port(process, port, log)
        address = f"127.0.0.1:{port}"
        yield Target(address, SinkProbe(address), None, process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _lossy_relay(downstream: str, lost_every: int) -> Iterator[str]:
    """Acknowledge every batch, and forget one in `lost_every`."""
    channel = grpc.insecure_channel(downstream, options=OPTIONS)
    forward = raw_method(channel, EXPORT_METHODS[Signal.LOGS])
    numbers = count(1)

    def export(payload: bytes, _: grpc.ServicerContext) -> bytes:
        return b"" if next(numbers) % lost_every == 0 else forward(payload)

    handler: RawHandler = grpc.unary_unary_rpc_method_handler(export)
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=OPTIONS)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(LOGS.name, {"Export": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()
        channel.close()


def test_every_record_of_a_round_is_counted(target: Target) -> None:
    """Straight to the sink nothing is lost, and the figures are of what was sent."""
    result = measure_throughput(target, load_of(Signal.LOGS), EFFORT, cores=CORES)

    assert result.records > 0
    assert result.records % 1000 == 0
    assert result.records_per_s > 0


def test_latency_is_positive_and_ordered(target: Target) -> None:
    """Each batch arrives after it was sent, and the 99th percentile is not below the median."""
    with _lossy_relay(target.address, lost_every=1_000_000) as address:
        relay = Target(address, target.sink, None, target.sink_process)
        result = measure_latency(target, relay, load_of(Signal.LOGS), EFFORT)

    for way in (result.direct, result.through):
        assert 0 < way.p50_ms <= way.p99_ms
    assert result.added.p50_ms == result.through.p50_ms - result.direct.p50_ms


def test_a_lost_batch_fails_the_bench(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subject that acknowledges what it drops does not get a row."""
    monkeypatch.setattr(measure, "DRAIN_TIMEOUT_S", 0.5)
    with _lossy_relay(target.address, lost_every=50) as address:
        lossy = Target(address, target.sink, None, target.sink_process)

        with pytest.raises(BenchError, match=r"logs records of [0-9,]+ sent"):
            measure_throughput(lossy, load_of(Signal.LOGS), EFFORT, cores=CORES)


def test_cost_counts_children() -> None:
    """CPU time and memory of a child process are part of what its parent cost."""
    burn = "x = bytearray(50_000_000)\nwhile True: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as parent:
        try:
            for _ in range(500):
                cost = cost_of(parent.pid)
                if cost.cpu_s > 0.3 and cost.peak_bytes > 50_000_000:
                    break
                with pytest.raises(subprocess.TimeoutExpired):
                    parent.wait(timeout=0.02)
            assert cost.cpu_s > 0.3
            assert cost.peak_bytes > 50_000_000
        finally:
            os.killpg(parent.pid, signal.SIGKILL)
