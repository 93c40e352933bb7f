"""What the real collector does with each answer of the gate: send it again, or drop it."""

import random
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
import trustme
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from otlp_client import logs, send
from scripted_downstream import Downstream, Reply, running_downstream
from sidecars import Doors, PlainChain, Running, client, running_sidecar, settings
from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.stack.binaries import find
from tapeline.transport.sidecar import Sidecar
from waiting import eventually

pytestmark = pytest.mark.stack

MIB = 1024 * 1024


def free_port() -> int:
    """Return a port below the range that Linux hands out to clients."""
    while True:
        port = random.randint(20_000, 32_000)  # noqa: S311 - not for security
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


@dataclass
class Collector:
    """A real collector that sends what it gets to the gate."""

    otlp: str
    gate: str
    metrics_port: int

    def send(self, body: str) -> None:
        """Send one log record into its queue."""
        send(self.otlp, logs([body]))

    def failed(self) -> float:
        """Return how many log records its exporter has given up."""
        return self._metric("otelcol_exporter_send_failed_log_records_total")

    def sent(self) -> float:
        """Return how many log records the gate has acknowledged to it."""
        return self._metric("otelcol_exporter_sent_log_records_total")

    def _metric(self, name: str) -> float:
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as response:
            text = response.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        )


@dataclass
class Bench:
    """A collector, the gate that it sends to, and what stands behind the gate."""

    collector: Collector
    downstream: Downstream
    chain: PlainChain
    gate: Running

    def send(self) -> str:
        """Send a record with a body of its own through the collector; return the body."""
        body = f"order {uuid4()}"
        self.collector.send(body)
        return body

    def arrived(self, body: str) -> int:
        """Return how often a record was acknowledged downstream."""
        return sum(body.encode() in payload for payload in self.downstream.payloads(Signal.LOGS))

    def came(self, body: str) -> int:
        """Return how often a record came as far as the chain."""
        return sum(body.encode() in batch.payload for batch in self.chain.processed)

    def must_give_one_up(self, given_up_before: float) -> None:
        """Hold the collector to having dropped one record: counted, and overtaken by a later."""
        eventually(lambda: self.collector.failed() == given_up_before + 1)
        later = self.send()
        eventually(lambda: self.arrived(later) == 1)


def configuration(collector: Collector, tls: dict[str, object], compression: str) -> str:
    """Return the collector's YAML: a receiver, a queue in memory, and the way to the gate."""
    return yaml.safe_dump(
        {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": collector.otlp}}}},
            "exporters": {
                "otlp_grpc/gate": {
                    "endpoint": collector.gate,
                    "tls": tls,
                    "compression": compression,
                    "timeout": "10s",
                    "retry_on_failure": {
                        "enabled": True,
                        "initial_interval": "50ms",
                        "max_interval": "200ms",
                        "max_elapsed_time": "0s",
                    },
                    "sending_queue": {"enabled": True, "num_consumers": 4},
                }
            },
            "service": {
                "telemetry": {
                    "metrics": {
                        "level": "detailed",
                        "readers": [
                            {
                                "pull": {
                                    "exporter": {
                                        "prometheus": {
                                            "host": "127.0.0.1",
                                            "port": collector.metrics_port,
                                            "without_type_suffix": False,
                                        }
                                    }
                                }
                            }
                        ],
                    }
                },
                "pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["otlp_grpc/gate"]}},
            },
        }
    )


StartCollector = Callable[..., Collector]


@pytest.fixture(name="start_collector", scope="module")
def _start_collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartCollector]:
    binary = find("collector")
    if binary is None:
        pytest.skip("the collector is not built: make binaries")
    with ExitStack() as running:

        def start(tls: dict[str, object] | None = None, compression: str = "none") -> Collector:
            folder = tmp_path_factory.mktemp("collector")
            ports = [free_port() for _ in range(3)]
            host = "127.0.0.1" if tls is None else "localhost"
            collector = Collector(f"127.0.0.1:{ports[0]}", f"{host}:{ports[1]}", ports[2])
            path = folder / "collector.yaml"
            text = configuration(collector, tls or {"insecure": True}, compression)
            path.write_text(text, encoding="utf-8")
            log = running.enter_context((folder / "collector.log").open("w", encoding="utf-8"))
            process = subprocess.Popen([str(binary), "--config", str(path)], stderr=log)
            running.callback(process.wait)
            running.callback(process.kill)
            eventually(lambda: can_connect(ports[0]), poll_s=0.05)
            return collector

        yield start


def can_connect(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def made_bench(collector: Collector) -> Iterator[Bench]:
    """Run a gate on the port that a collector sends to; give it once a record has gone through."""
    chain = PlainChain()
    server = {"listen": collector.gate, "max_attempts": 3, "max_message_mib": 1}
    with (
        running_downstream() as downstream,
        running_sidecar(settings(downstream.address, server), chain) as gate,
    ):
        gate.until_ready()
        made = Bench(collector, downstream, chain, gate)
        first = made.send()
        eventually(lambda: made.arrived(first) == 1)
        yield made


@pytest.fixture(name="shared_bench", scope="module")
def _shared_bench(start_collector: StartCollector) -> Iterator[Bench]:
    with made_bench(start_collector()) as made:
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
    with made_bench(start_collector()) as made:
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
                and _refused(starting, "starting") >= 3
            )
        )
        starting.serve(lambda _context: PlainChain())
        eventually(lambda: [bench.arrived(body) for body in bodies] == [1, 1, 1])
    finally:
        starting.drain()
    assert collector.failed() == failed


def _refused(sidecar: Sidecar, reason: str) -> float:
    text = sidecar.exposition().decode()
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "tapeline_refused_requests_total" and sample.labels["reason"] == reason
    )


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
        eventually(lambda: _refused(bench.gate.sidecar, "draining") >= 1)
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

    failed, before = bench.collector.failed(), refusals()
    bench.downstream.always(Reply(grpc.StatusCode[name]))
    body = bench.send()
    eventually(lambda: refusals() > before)
    bench.downstream.always(Reply())

    eventually(lambda: bench.came(body) >= 2)
    assert bench.collector.failed() == failed


def test_out_of_range_is_passed_on_and_sent_again(bench: Bench) -> None:
    """The collector counts it among what may pass (shouldRetry in its otlp exporter)."""
    failed = bench.collector.failed()
    bench.downstream.always(Reply(grpc.StatusCode.OUT_OF_RANGE))
    body = bench.send()

    eventually(lambda: bench.came(body) >= 2)
    bench.downstream.always(Reply())
    assert bench.collector.failed() == failed


def test_a_wrong_token_loses_nothing(own_bench: Bench, tmp_path: Path) -> None:
    """Once the token is right, what was refused arrives."""
    bench, collector = own_bench, own_bench.collector
    bench.gate.sidecar.drain()
    failed = collector.failed()
    tokens = tmp_path / "tokens"
    tokens.write_text("right\n", encoding="ascii")
    server: dict[str, object] = {
        "listen": collector.gate, "auth": {"token_file": str(tokens)},
    }  # fmt: skip
    with running_sidecar(settings(bench.downstream.address, server)) as guarded:
        body = bench.send()
        eventually(
            lambda: (
                guarded.count("tapeline_authentication_failures_total", reason="missing_token") >= 1
            )
        )
    with running_sidecar(settings(bench.downstream.address, {"listen": collector.gate})):
        eventually(lambda: bench.arrived(body) == 1)
    assert collector.failed() == failed


def test_a_wrong_certificate_loses_nothing(start_collector: StartCollector, tmp_path: Path) -> None:
    """Not in the handshake, and not where the certificate is good but its name is not listed."""
    authority, stranger = trustme.CA(), trustme.CA()
    for name, issuer in (("gate", authority), ("collector", authority), ("wrong", stranger)):
        leaf = issuer.issue_cert("localhost", common_name=name)
        (tmp_path / f"{name}.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
        leaf.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "stranger.pem"))
    collector = start_collector(
        {
            "ca_file": str(tmp_path / "ca.pem"),
            "cert_file": str(tmp_path / "collector.pem"),
            "key_file": str(tmp_path / "collector.key"),
        }
    )
    own = {"cert_file": str(tmp_path / "gate.pem"), "key_file": str(tmp_path / "gate.key")}
    other_authority = {**own, "client_ca_file": str(tmp_path / "stranger.pem")}
    other_name = {
        **own, "client_ca_file": str(tmp_path / "ca.pem"), "client_names": ["somebody"],
    }  # fmt: skip
    right = {**own, "client_ca_file": str(tmp_path / "ca.pem"), "client_names": ["collector"]}
    with running_downstream() as downstream:
        body = f"order {uuid4()}"

        def gate(tls: dict[str, object]) -> Sidecar:
            sidecar = Sidecar(settings(downstream.address, {"listen": collector.gate, "tls": tls}))
            sidecar.listen()
            sidecar.serve(lambda _context: PlainChain())
            return sidecar

        handshakes = gate(dict(other_authority))
        collector.send(body)
        eventually(lambda: b"tapeline_tls_handshakes_total 0.0" not in handshakes.exposition())
        handshakes.drain()
        names = gate(dict(other_name))
        eventually(lambda: _refused(names, "unauthenticated") >= 1)
        names.drain()
        last = gate(dict(right))
        eventually(lambda: sum(body.encode() in p for p in downstream.payloads(Signal.LOGS)) == 1)
        last.drain()
    assert collector.failed() == 0


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
