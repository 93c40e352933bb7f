"""What the real collector does with each answer of the gate: send it again, or drop it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from gate_behind_collector import (
    Bench,
    StartCollector,
    refused,
    running_bench,
    starting_collectors,
)
from ports import free_port
from scripted_downstream import Reply, running_downstream
from sidecars import Doors, PlainChain, client, running_sidecar, settings
from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.transport.sidecar import Sidecar
from waiting import eventually

pytestmark = pytest.mark.stack

MIB = 1024 * 1024


@pytest.fixture(name="start_collector", scope="module")
def _start_collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartCollector]:
    with starting_collectors(tmp_path_factory) as start:
        yield start


@pytest.fixture(name="shared_bench", scope="module")
def _shared_bench(start_collector: StartCollector) -> Iterator[Bench]:
    with running_bench(start_collector()) as made:
        yield made


@pytest.fixture(name="bench")
def _bench(shared_bench: Bench) -> Bench:
    """A bench on which everything passes, for tests that leave its gate running."""
    shared_bench.chain.on_process = lambda batch: (batch,)
    shared_bench.downstream.always(Reply())
    return shared_bench


@pytest.fixture(name="own_bench")
def _own_bench(start_collector: StartCollector) -> Iterator[Bench]:
    """A bench of the test's own, for tests that stop its gate and put another in its place."""
    with running_bench(start_collector()) as made:
        yield made


def test_acknowledged_data_is_done(bench: Bench) -> None:
    """Sent once, counted as sent, nothing given up."""
    sent, failed = bench.collector.sent(), bench.collector.failed()
    body = bench.send()

    eventually(lambda: bench.collector.sent() == sent + 1)
    assert (bench.arrived(body), bench.came(body)) == (1, 1)
    assert bench.collector.failed() == failed


def test_records_dropped_by_a_rule_are_done(bench: Bench) -> None:
    """The collector counts them as sent and never sends them again."""
    sent = bench.collector.sent()
    bench.chain.on_process = lambda _batch: ()
    body = bench.send()

    eventually(lambda: bench.collector.sent() == sent + 1)
    bench.chain.on_process = lambda batch: (batch,)
    assert (bench.arrived(body), bench.came(body)) == (0, 1)


def test_malformed_data_is_dropped(bench: Bench) -> None:
    """The collector counts it; sending it again could never help."""
    failed = bench.collector.failed()

    def find_fault(_batch: Batch) -> tuple[Batch, ...]:
        bench.chain.on_process = lambda batch: (batch,)
        raise MalformedRequestError("for the test")

    bench.chain.on_process = find_fault
    body = bench.send()

    bench.must_give_one_up(failed)
    assert (bench.arrived(body), bench.came(body)) == (0, 1)


def test_oversize_data_is_dropped(bench: Bench) -> None:
    """It would block the queue for ever; the collector's limits must fit the gate's."""
    failed = bench.collector.failed()
    body = "x" * (MIB + 1)
    bench.collector.send(body)

    bench.must_give_one_up(failed)
    assert bench.came(body) == 0


def test_oversize_data_under_gzip_is_dropped(start_collector: StartCollector) -> None:
    """A megabyte of one letter is a kilobyte on the wire; the limit is on what it becomes."""
    collector = start_collector(compression="gzip")
    chain = PlainChain()
    server = {"listen": collector.gate, "max_message_mib": 1}
    with (
        running_downstream() as downstream,
        running_sidecar(settings(downstream.address, server), chain) as gate,
    ):
        bench = Bench(collector, downstream, chain, gate)
        body = "x" * (MIB * 3 // 2)
        collector.send(body)

        bench.must_give_one_up(0)
        assert bench.came(body) == 0


def test_overloaded_is_sent_again(own_bench: Bench) -> None:
    """More requests than max_in_flight: each arrives once the gate has room."""
    bench, collector = own_bench, own_bench.collector
    bench.gate.sidecar.drain()
    doors = Doors()

    def wait(_signal: Signal, _payload: bytes) -> Reply:
        doors.wait()
        return Reply()

    bench.downstream.reply = wait
    given = settings(bench.downstream.address, {"listen": collector.gate, "max_in_flight": 1})
    failed = collector.failed()
    with running_sidecar(given) as small:
        bodies = [bench.send() for _ in range(3)]
        eventually(lambda: small.count("tapeline_refused_requests_total", reason="overloaded") >= 2)
        doors.open()
        eventually(lambda: [bench.arrived(body) for body in bodies] == [1, 1, 1])
    assert collector.failed() == failed


def test_draining_and_starting_is_sent_again(own_bench: Bench) -> None:
    """A restart of the gate, seen from its sender: nothing lost, nothing doubled."""
    bench, collector = own_bench, own_bench.collector
    failed = collector.failed()
    bench.gate.sidecar.drain()
    bodies = [bench.send() for _ in range(3)]
    given = settings(bench.downstream.address, {"listen": collector.gate})
    starting = Sidecar(given)
    try:
        starting.listen()
        eventually(
            lambda: (
                b'reason="starting"} 0.0' not in starting.exposition().split(b"# HELP")[-1]
                and refused(starting, "starting") >= 3
            )
        )
        starting.serve(lambda _context: PlainChain())
        eventually(lambda: [bench.arrived(body) for body in bodies] == [1, 1, 1])
    finally:
        starting.drain()
    assert collector.failed() == failed


def test_requests_of_the_drain_are_sent_again(own_bench: Bench) -> None:
    """What comes while the gate finishes its last request goes to its successor."""
    bench, collector = own_bench, own_bench.collector
    doors = Doors()

    def wait(_signal: Signal, _payload: bytes) -> Reply:
        doors.wait()
        return Reply()

    failed = collector.failed()
    bench.downstream.reply = wait
    before = bench.send()
    eventually(lambda: doors.waiting == 1)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        drained = pool.submit(bench.gate.sidecar.drain)
        eventually(lambda: bool(bench.gate.sidecar.problems()))
        during = bench.send()
        eventually(lambda: refused(bench.gate.sidecar, "draining") >= 1)
        doors.open()
        drained.result()
        given = settings(bench.downstream.address, {"listen": collector.gate})
        stack.enter_context(running_sidecar(given))
        eventually(lambda: bench.arrived(during) == 1)
    assert bench.arrived(before) == 1
    assert collector.failed() == failed


def test_downstream_down_is_sent_again(own_bench: Bench) -> None:
    """The queue of the collector is the queue; the gate has none."""
    bench, collector = own_bench, own_bench.collector
    failed = collector.failed()
    bench.gate.sidecar.drain()
    port = free_port()
    given = settings(f"127.0.0.1:{port}", {"listen": collector.gate})
    with running_sidecar(given) as gate:
        body = bench.send()
        eventually(
            lambda: (
                gate.count("tapeline_refused_requests_total", reason="downstream_unavailable") >= 1
            )
        )
        with running_downstream(f"127.0.0.1:{port}") as later:
            eventually(
                lambda: any(body.encode() in payload for payload in later.payloads(Signal.LOGS))
            )
    assert collector.failed() == failed


@pytest.mark.parametrize(
    "name",
    ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "INTERNAL", "UNIMPLEMENTED"],
)
def test_what_downstream_refuses_for_good_is_dropped(bench: Bench, name: str) -> None:
    """One attempt, counted at the collector."""
    failed = bench.collector.failed()
    bench.downstream.always(Reply(grpc.StatusCode[name]))
    body = bench.send()
    eventually(lambda: bench.collector.failed() == failed + 1)
    bench.downstream.always(Reply())

    bench.must_give_one_up(failed)
    assert bench.came(body) == 1


@pytest.mark.parametrize(
    "name",
    [
        "UNKNOWN", "UNAUTHENTICATED", "PERMISSION_DENIED", "CANCELLED", "ABORTED", "DATA_LOSS",
        "DEADLINE_EXCEEDED", "UNAVAILABLE", "NOT_FOUND", "ALREADY_EXISTS",
    ],
)  # fmt: skip
def test_what_may_pass_downstream_is_sent_again(bench: Bench, name: str) -> None:
    """Also codes that the collector itself would take as final."""

    def refusals() -> float:
        return bench.gate.count("tapeline_refused_requests_total", reason="downstream_unavailable")

    sent, failed, before = bench.collector.sent(), bench.collector.failed(), refusals()
    bench.downstream.always(Reply(grpc.StatusCode[name]))
    body = bench.send()
    eventually(lambda: refusals() > before)
    bench.downstream.always(Reply())

    eventually(lambda: bench.collector.sent() == sent + 1)
    assert bench.came(body) >= 2
    assert bench.collector.failed() == failed


def test_out_of_range_is_passed_on_and_sent_again(bench: Bench) -> None:
    """The collector counts it among what may pass (shouldRetry in its otlp exporter)."""
    sent, failed = bench.collector.sent(), bench.collector.failed()
    bench.downstream.always(Reply(grpc.StatusCode.OUT_OF_RANGE))
    body = bench.send()

    eventually(lambda: bench.came(body) >= 2)
    bench.downstream.always(Reply())
    eventually(lambda: bench.collector.sent() == sent + 1)
    assert bench.collector.failed() == failed


def test_a_failing_chain_is_sent_again_and_given_up_after_max_attempts(bench: Bench) -> None:
    """A passing fault loses nothing; a poison batch does not block the queue for ever."""
    failed = bench.collector.failed()
    left = [2]

    def fail_twice(batch: Batch) -> tuple[Batch, ...]:
        if left[0] > 0:
            left[0] -= 1
            raise RuntimeError("for the test")
        return (batch,)

    bench.chain.on_process = fail_twice
    passing = bench.send()
    eventually(lambda: bench.arrived(passing) == 1)
    assert bench.came(passing) == 3
    assert bench.collector.failed() == failed

    def fail_on_poison(batch: Batch) -> tuple[Batch, ...]:
        request = ExportLogsServiceRequest.FromString(batch.payload)
        if poison in request.resource_logs[0].scope_logs[0].log_records[0].body.string_value:
            raise RuntimeError("for the test")
        return (batch,)

    poison = "poison"
    bench.chain.on_process = fail_on_poison
    bench.collector.send(poison)
    bench.must_give_one_up(failed)
    assert bench.came(poison) == 3
    assert bench.gate.count("tapeline_quarantined_requests_total", signal="logs") == 1


def test_an_empty_request_is_ok_for_any_client(bench: Bench) -> None:
    """The collector itself sends none; the row is for other senders on the same gate."""
    with client(bench.collector.gate) as sender:
        assert sender.export(b"").code is grpc.StatusCode.OK
