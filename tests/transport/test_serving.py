"""A sidecar at work: limits, health, drain, reload, emissions and what it carries across."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2

from otlp_client import logs
from scripted_downstream import Downstream, Reply, running_downstream
from sidecars import ClosedMark, Doors, PlainChain, Running, client, running_sidecar, settings
from tapeline.otlp.signals import Signal
from tapeline.pipeline.addresses import Address
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.registry import ProcessorContext
from tapeline.transport.config import AuthConfig
from tapeline.transport.server import ListenError
from tapeline.transport.sidecar import Sidecar
from waiting import eventually

PAYLOAD = logs(["order accepted"]).SerializeToString()
EMISSION = Batch(Signal.METRICS, b"\n\x00")


@pytest.fixture(name="downstream")
def _downstream() -> Iterator[Downstream]:
    with running_downstream() as downstream:
        yield downstream


def health_of(running: Running, service: str = "") -> str:
    """Return what gRPC's health service says."""
    check: Callable[..., bytes] = running.client.channel.unary_unary("/grpc.health.v1.Health/Check")
    request = health_pb2.HealthCheckRequest(service=service)
    reply = health_pb2.HealthCheckResponse.FromString(check(request.SerializeToString(), timeout=5))
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


def test_more_than_max_in_flight_are_told_to_come_back(downstream: Downstream) -> None:
    """UNAVAILABLE with RetryInfo, never RESOURCE_EXHAUSTED, which the collector drops."""
    doors = Doors()

    def wait(_signal: Signal, _payload: bytes) -> Reply:
        doors.wait()
        return Reply()

    downstream.reply = wait
    given = settings(downstream.address, {"max_in_flight": 2})
    with running_sidecar(given) as gate, ThreadPoolExecutor(2) as pool:
        admitted = [pool.submit(gate.client.export, PAYLOAD) for _ in range(2)]
        eventually(lambda: doors.waiting == 2, poll_s=0.01)
        refused = [gate.client.export(PAYLOAD) for _ in range(20)]
        in_flight = gate.count("tapeline_in_flight_requests")
        doors.open()

        assert {answer.code for answer in refused} == {grpc.StatusCode.UNAVAILABLE}
        assert all(answer.status_details for answer in refused)
        assert in_flight == 2
        assert [future.result().code.name for future in admitted] == ["OK", "OK"]
        assert gate.count("tapeline_refused_requests_total", reason="overloaded") == 20
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        assert gate.count("tapeline_in_flight_requests") == 0


def test_a_client_that_never_ends_its_message_loses_its_place() -> None:
    """Else a few stalled clients would hold every place for ever."""
    given = settings(server={"max_in_flight": 1, "receive_timeout": "100ms"})
    released = threading.Event()

    def stalled() -> Iterator[bytes]:
        released.wait(30)
        yield b""

    with running_sidecar(given) as gate:
        call: Callable[..., grpc.Future[bytes]] = gate.client.channel.stream_unary(
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
        ).future
        future = call(stalled())
        eventually(lambda: gate.count("tapeline_in_flight_requests") == 1, poll_s=0.01)

        eventually(lambda: gate.count("tapeline_in_flight_requests") == 0, poll_s=0.05)
        released.set()
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        assert future.exception() is not None


def test_health_follows_readiness() -> None:
    """SERVING, for the server and each service, only while downstream answers."""
    service = "opentelemetry.proto.collector.logs.v1.LogsService"
    with running_downstream() as first:
        address = first.address
    with running_sidecar(settings(address)) as gate:
        assert health_of(gate) == health_of(gate, service) == "NOT_SERVING"
        assert gate.sidecar.problems() == (f"downstream.endpoint {address} does not answer",)
        assert gate.count("tapeline_ready") == 0

        with running_downstream(address):
            eventually(lambda: health_of(gate) == "SERVING", poll_s=0.05)
            assert health_of(gate, service) == "SERVING"
            assert gate.sidecar.problems() == ()
            assert gate.count("tapeline_ready") == 1
            assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK

        eventually(lambda: health_of(gate) == "NOT_SERVING", poll_s=0.05)
        assert "any more" in gate.sidecar.problems()[0]
        with running_downstream(address):
            eventually(lambda: health_of(gate) == "SERVING", poll_s=0.05)


def test_watchers_of_health_hold_no_place() -> None:
    """GRPC clients watch it for as long as they live; that must not use up the threads."""
    request = health_pb2.HealthCheckRequest().SerializeToString()
    with running_sidecar(settings(server={"max_in_flight": 1})) as gate:
        watch: Callable[..., Iterator[bytes]] = gate.client.channel.unary_stream(
            "/grpc.health.v1.Health/Watch"
        )
        watchers = [watch(request) for _ in range(20)]
        first = {health_pb2.HealthCheckResponse.FromString(next(w)).status for w in watchers}

        assert first == {health_pb2.HealthCheckResponse.SERVING}
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        gate.sidecar.drain()
        last = {health_pb2.HealthCheckResponse.FromString(next(w)).status for w in watchers}
        assert last == {health_pb2.HealthCheckResponse.NOT_SERVING}


def test_before_the_chain_is_built_requests_are_told_to_come_back() -> None:
    """The port is open at once, so that a taken one is an error at start."""
    sidecar = Sidecar(settings())
    address = sidecar.listen()
    try:
        with client(str(address)) as early:
            answered = early.export(PAYLOAD)
            assert answered.code is grpc.StatusCode.UNAVAILABLE
            assert answered.status_details is not None
            assert sidecar.problems() == ("the chain is being built",)

            sidecar.serve(lambda _context: Chain({}))
            assert early.export(PAYLOAD).code is grpc.StatusCode.OK
            assert sidecar.problems() == ()
    finally:
        sidecar.drain()


def test_drain_finishes_what_is_in_flight_and_refuses_what_is_new(downstream: Downstream) -> None:
    """The one that was in is acknowledged; the others go to somebody else, or come back."""
    doors = Doors()

    def wait(_signal: Signal, _payload: bytes) -> Reply:
        doors.wait()
        return Reply()

    downstream.reply = wait
    with running_sidecar(settings(downstream.address)) as gate, ThreadPoolExecutor(2) as pool:
        admitted = pool.submit(gate.client.export, PAYLOAD)
        eventually(lambda: doors.waiting == 1, poll_s=0.01)
        drained = pool.submit(gate.sidecar.drain)
        eventually(lambda: bool(gate.sidecar.problems()), poll_s=0.01)

        refused = gate.client.export(PAYLOAD)
        assert health_of(gate) == "NOT_SERVING"
        assert not drained.done()
        doors.open()

        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.status_details is not None
        assert admitted.result().code is grpc.StatusCode.OK
        drained.result()
        assert len(downstream.received) == 1
        assert gate.client.export(PAYLOAD, timeout_s=5).code is grpc.StatusCode.UNAVAILABLE


def test_drain_ends_in_time_though_downstream_hangs(downstream: Downstream) -> None:
    """What was not acknowledged is sent again; waiting longer would only get us killed."""
    doors = Doors()

    def wait(_signal: Signal, _payload: bytes) -> Reply:
        doors.wait()
        return Reply()

    downstream.reply = wait
    given = settings(downstream.address, {"drain_timeout": "200ms"})
    with running_sidecar(given) as gate, ThreadPoolExecutor(1) as pool:
        admitted = pool.submit(gate.client.export, PAYLOAD)
        eventually(lambda: doors.waiting == 1, poll_s=0.01)

        started = time.monotonic()
        gate.sidecar.drain()
        took_s = time.monotonic() - started

        assert took_s < 5.0  # and not downstream's timeout of 8 s
        assert admitted.result().code is not grpc.StatusCode.OK
        doors.open()


def test_drain_forwards_what_the_chain_emits_at_its_end(downstream: Downstream) -> None:
    """Derived metrics of the last second are not lost."""
    chain = PlainChain(on_close=lambda: (EMISSION,))
    with running_sidecar(settings(downstream.address), chain) as gate:
        gate.until_ready()
        gate.sidecar.drain()

        assert chain.closed
        assert downstream.received == [(Signal.METRICS, EMISSION.payload)]


def test_ticks_are_forwarded_and_kept_while_downstream_is_away(downstream: Downstream) -> None:
    """Nobody re-sends an emission, so it waits here."""
    chain = PlainChain(on_tick=iter([(EMISSION,)] + [()] * 1000).__next__)
    downstream.always(Reply(grpc.StatusCode.UNAVAILABLE))
    with running_sidecar(settings(downstream.address), chain) as gate:
        eventually(lambda: gate.count("tapeline_emission_failures_total") >= 1)
        assert gate.count("tapeline_emissions_waiting") == 1
        downstream.always(Reply())

        eventually(lambda: gate.count("tapeline_emissions_waiting") == 0)
        assert gate.count("tapeline_emissions_total") == 1
        assert gate.count("tapeline_emissions_dropped_total", reason="refused") == 0
        assert gate.count("tapeline_forwarded_records_total", signal="metrics") == 0
        attempts = gate.count("tapeline_emission_attempts_total")
        assert attempts == gate.count("tapeline_emission_failures_total") + 1


def test_a_tick_that_fails_is_counted_and_the_next_one_comes() -> None:
    """One processor's bug must not stop the others' emissions for ever."""

    def fail() -> tuple[Batch, ...]:
        raise RuntimeError("near hunter2")

    with running_sidecar(settings(), PlainChain(on_tick=fail)) as gate:
        eventually(lambda: gate.count("tapeline_tick_failures_total") >= 2)
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK


def test_only_the_chosen_metadata_is_carried_across(downstream: Downstream) -> None:
    """A tenant's header, say; never the client's own token."""
    given = settings(downstream.address, {"forward_metadata": ["X-Tenant"]})
    chain = PlainChain()
    with running_sidecar(given, chain) as gate:
        gate.client.export(
            PAYLOAD,
            metadata=[("x-tenant", "desk-7"), ("x-other", "no"), ("authorization", "Bearer t")],
        )

    (metadata,) = downstream.metadata
    assert metadata["x-tenant"] == "desk-7"
    assert not {"x-other", "authorization"} & set(metadata)
    assert chain.processed[0].metadata == (("x-tenant", "desk-7"),)


def test_reload_swaps_the_chain_and_forwards_the_old_ones_end(downstream: Downstream) -> None:
    """The new chain takes over between two batches; what the old one held goes on."""
    old = PlainChain(on_close=lambda: (EMISSION,), values_cut=3)
    new = PlainChain(values_cut=4)
    with running_sidecar(settings(downstream.address), old) as gate:
        gate.until_ready()
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK

        assert gate.sidecar.reload(lambda _context: new)

        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        assert (len(old.processed), len(new.processed), old.closed) == (1, 1, True)
        assert new.inherited == [ClosedMark(was_closed=True)]
        eventually(lambda: downstream.payloads(Signal.METRICS) == [EMISSION.payload])
        assert gate.count("tapeline_reloads_total", result="applied") == 1
        assert gate.count("tapeline_values_cut_total") == 7


@pytest.mark.parametrize("error", [ValueError("gate.yaml:3: unknown key"), KeyError("a plugin's")])
def test_a_bad_reload_keeps_the_old_chain(error: Exception) -> None:
    """A configuration error at night must not stop the day's telemetry, nor a plugin's mistake."""

    def refuse(_context: ProcessorContext) -> PlainChain:
        raise error

    old = PlainChain()
    with running_sidecar(settings(), old) as gate:
        assert not gate.sidecar.reload(refuse)

        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        assert (len(old.processed), old.closed) == (1, False)
        assert gate.count("tapeline_reloads_total", result="refused") == 1


def test_no_request_is_lost_or_doubled_over_many_reloads(downstream: Downstream) -> None:
    """Reloads under load: every request is processed by exactly one open chain."""
    chains = [PlainChain()]
    with running_sidecar(settings(downstream.address), chains[0]) as gate:
        gate.until_ready()
        with ThreadPoolExecutor(4) as pool:
            sent = [logs([f"order {i}"]).SerializeToString() for i in range(200)]
            results = [pool.submit(gate.client.export, payload) for payload in sent]
            for _ in range(10):
                chains.append(PlainChain())
                assert gate.sidecar.reload(lambda _context: chains[-1])
        codes = {future.result().code.name for future in results}

    assert codes == {"OK"}
    assert sorted(downstream.payloads(Signal.LOGS)) == sorted(sent)
    assert sum(len(chain.processed) for chain in chains) == 200


def test_records_that_go_in_circles_are_counted_and_refused_nothing() -> None:
    """It is a guess, so it only counts."""
    payloads = [logs([f"order {i}"]).SerializeToString() for i in range(40)]
    with running_sidecar(settings()) as gate:
        codes = {gate.client.export(payload).code for _ in range(4) for payload in payloads}

        assert codes == {grpc.StatusCode.OK}
        assert 1 <= gate.count("tapeline_loop_suspicions_total") < 40
        assert gate.count("tapeline_loop_checks_total") == 160


def test_a_taken_port_is_named_with_what_to_do() -> None:
    """GRPC shares ports by default, which would hide it: two gates, each with half the data."""
    with running_sidecar(settings()) as gate:
        second = Sidecar(settings(server={"listen": str(gate.address)}))
        try:
            with pytest.raises(ListenError, match=rf"server\.listen {gate.address}.*is taken"):
                second.listen()
        finally:
            second.drain()


def test_a_foreign_address_is_named() -> None:
    """An address that this machine does not have."""
    sidecar = Sidecar(settings(server={"listen": str(Address("192.0.2.1", 4319))}))
    try:
        with pytest.raises(ListenError, match=r"server\.listen 192\.0\.2\.1:4319: Cannot assign"):
            sidecar.listen()
    finally:
        sidecar.drain()


def test_settings_name_the_token_file_only() -> None:
    """A token in the configuration file would end up in a repository."""
    assert list(AuthConfig.model_fields) == ["token_file"]
