"""`tapeline serve` as a process: signals, ports, health over HTTP, and several workers."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from otlp_client import logs
from ports import free_port, is_free, ports_in_a_row
from scripted_downstream import Downstream, Reply, running_downstream
from sidecars import Doors, client
from tapeline.otlp.signals import Signal
from waiting import eventually

PAYLOAD = logs(["order accepted"]).SerializeToString()
MIB = 1024 * 1024


@dataclass
class Process:
    """A `tapeline serve` process."""

    process: subprocess.Popen[str]
    config: Path
    port: int
    admin_port: int
    log: Path

    @property
    def text(self) -> str:
        """What it has logged."""
        return self.log.read_text(encoding="utf-8")

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an admin page; OSError where nobody answers."""
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def health(self) -> dict[str, Any]:
        """Return what /health says."""
        found: dict[str, Any] = json.loads(self.get("/health")[1])
        return found

    def until_ready(self) -> None:
        """Wait until /health/ready answers 200."""
        eventually(lambda: self.get("/health/ready")[0] == 200, poll_s=0.02)

    def samples(self, name: str) -> dict[str, float]:
        """Return a metric's values by worker, summed over the other labels."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                if sample.name == name:
                    worker = sample.labels.get("worker", "")
                    found[worker] = found.get(worker, 0.0) + sample.value
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


@dataclass
class Factory:
    """Starts processes and ends them with the test."""

    folder: Path
    started: list[Process] = field(default_factory=list)

    def __call__(
        self,
        downstream: str = "discard",
        server: dict[str, object] | None = None,
        **more: object,
    ) -> Process:
        workers = (server or {}).get("workers", 1)
        assert isinstance(workers, int)
        port = ports_in_a_row(workers + 1)
        admin_port = port + workers
        document = {
            "server": {"listen": f"127.0.0.1:{port}", **(server or {})},
            "downstream": {"endpoint": downstream},
            "admin": {"listen": f"127.0.0.1:{admin_port}"},
            "chain": {"logs": [], "traces": [], "metrics": []},
            **more,
        }
        number = len(self.started)
        config, log = self.folder / f"gate-{number}.yaml", self.folder / f"gate-{number}.log"
        config.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tapeline.cli", "serve", "--config", str(config)],
                stderr=output,
                text=True,
                env={**os.environ, "TMPDIR": str(self.folder)},
            )
        made = Process(process, config, port, admin_port, log)
        self.started.append(made)
        return made


@pytest.fixture(name="serve")
def _serve(tmp_path: Path) -> Iterator[Factory]:
    factory = Factory(tmp_path)
    try:
        yield factory
    finally:
        for made in factory.started:
            if made.process.poll() is None:
                made.process.kill()
                made.process.wait()


@pytest.fixture(name="downstream")
def _downstream() -> Iterator[Downstream]:
    with running_downstream() as downstream:
        yield downstream


def export(port: int, payload: bytes = PAYLOAD) -> grpc.StatusCode:
    """Send one request to a port of this machine."""
    with client(f"127.0.0.1:{port}") as sender:
        return sender.export(payload).code


def is_running(pid: int) -> bool:
    """Tell whether a process runs (one that is dead but not yet reaped does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_it_serves_until_sigterm_and_exits_0(serve: Factory, downstream: Downstream) -> None:
    """The whole life of a sidecar in one process, seen from outside."""
    gate = serve(downstream.address)
    gate.until_ready()

    assert export(gate.port) is grpc.StatusCode.OK
    assert downstream.received == [(Signal.LOGS, PAYLOAD)]
    assert gate.get("/health/live") == (200, '{\n "status": "live"\n}\n')
    health = gate.health()
    assert (health["status"], health["ready"], health["problems"]) == ("ready", True, [])
    assert gate.samples("tapeline_forwarded_records_total") == {"": 1.0}
    assert gate.end() == 0
    assert "Traceback" not in gate.text


def test_sigterm_lets_requests_in_flight_end(serve: Factory, downstream: Downstream) -> None:
    """Acknowledged by downstream while we drain is acknowledged to the client."""
    doors = Doors()

    def wait(_signal: Signal, _payload: bytes) -> Reply:
        doors.wait()
        return Reply()

    downstream.reply = wait
    gate = serve(downstream.address)
    gate.until_ready()
    with client(f"127.0.0.1:{gate.port}") as sender:
        call: Callable[..., Any] = sender.channel.unary_unary(
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
        ).future
        future = call(PAYLOAD, timeout=20)
        eventually(lambda: doors.waiting == 1, poll_s=0.01)
        gate.process.send_signal(signal.SIGTERM)
        eventually(lambda: gate.get("/health/ready")[0] == 503, poll_s=0.01)
        doors.open()

        assert future.result() == b""
    assert gate.process.wait(20) == 0


def test_without_downstream_it_starts_and_says_what_is_missing(serve: Factory) -> None:
    """The collector queues meanwhile; live is not ready."""
    port = free_port()
    gate = serve(f"127.0.0.1:{port}")
    eventually(lambda: gate.get("/health/live")[0] == 200, poll_s=0.02)

    eventually(lambda: "does not answer" in gate.get("/health/ready")[1], poll_s=0.02)
    status, body = gate.get("/health/ready")
    assert status == 503
    assert f"downstream.endpoint 127.0.0.1:{port} does not answer" in body
    assert gate.health()["ready"] is False
    assert export(gate.port) is grpc.StatusCode.UNAVAILABLE

    with running_downstream(f"127.0.0.1:{port}"):
        gate.until_ready()
        assert export(gate.port) is grpc.StatusCode.OK


@pytest.mark.parametrize("key", ["server", "admin"])
def test_a_taken_port_ends_it_with_a_clear_error(serve: Factory, key: str) -> None:
    """The message names the key, the address and how to find who has it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        if key == "server":
            gate = serve(server={"listen": address})
        else:
            gate = serve(admin={"listen": address})

        assert gate.process.wait(20) == 1
    assert f"{key}.listen {address}: " in gate.text
    assert "ss -ltnp" in gate.text
    assert "Traceback" not in gate.text


def test_sighup_reloads_and_a_bad_configuration_is_refused(serve: Factory) -> None:
    """The process goes on with what it had."""
    gate = serve()
    gate.until_ready()

    def reloads() -> float:
        return gate.samples("tapeline_reloads_total")[""]

    gate.process.send_signal(signal.SIGHUP)
    eventually(lambda: reloads() == 1, poll_s=0.05)
    assert "reloaded" in gate.text

    gate.config.write_text("servr: {}\n", encoding="utf-8")
    gate.process.send_signal(signal.SIGHUP)
    eventually(lambda: reloads() == 2, poll_s=0.05)
    assert "reload refused" in gate.text
    assert "did you mean 'server'" in gate.text
    assert export(gate.port) is grpc.StatusCode.OK
    assert gate.end() == 0


def test_a_decompression_bomb_takes_bounded_memory(serve: Factory) -> None:
    """600 KB on the wire, 600 MB when inflated: refused for good, and never inflated."""
    gate = serve()
    gate.until_ready()
    assert export(gate.port) is grpc.StatusCode.OK
    before = peak_memory_mib(gate.process.pid)

    with client(f"127.0.0.1:{gate.port}") as sender:
        answered = sender.export(
            bytes(600 * MIB), compression=grpc.Compression.Gzip, timeout_s=60.0
        )

    assert answered.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert answered.status_details is None
    # Two and a half times the limit: what was inflated up to it, and gRPC's copy.
    assert peak_memory_mib(gate.process.pid) - before < 160 * 1.25
    eventually(lambda: gate.samples("tapeline_refused_requests_total")[""] == 1)
    assert export(gate.port) is grpc.StatusCode.OK


def peak_memory_mib(pid: int) -> float:
    """Return the most memory that a process ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError("no VmHWM")


def test_workers_share_one_admin_port_and_have_a_port_each(
    serve: Factory, downstream: Downstream
) -> None:
    """Worker i on port + i; metrics of all, told apart by their label."""
    gate = serve(downstream.address, {"workers": 2})
    gate.until_ready()

    codes = [export(gate.port + index) for index in (0, 1, 1)]

    assert {code.name for code in codes} == {"OK"}
    assert gate.samples("tapeline_forwarded_records_total") == {"0": 1.0, "1": 2.0}
    assert gate.samples("tapeline_worker_up") == {"0": 1.0, "1": 1.0}
    workers = gate.health()["workers"]
    assert [worker["worker"] for worker in workers] == [0, 1]
    pids = [worker["pid"] for worker in workers]
    assert gate.end() == 0
    assert not any(is_running(pid) for pid in pids)


def test_a_dead_worker_is_started_again(serve: Factory) -> None:
    """And readiness tells the truth meanwhile."""
    gate = serve(server={"workers": 2})
    gate.until_ready()
    pids = [worker["pid"] for worker in gate.health()["workers"]]

    os.kill(pids[1], signal.SIGKILL)
    eventually(lambda: gate.get("/health/ready")[0] == 503, poll_s=0.02)
    assert "worker 1" in gate.get("/health/ready")[1]
    gate.until_ready()

    assert gate.health()["workers"][0]["pid"] == pids[0]
    assert gate.health()["workers"][1]["pid"] != pids[1]
    assert gate.samples("tapeline_worker_restarts_total") == {"0": 0.0, "1": 1.0}
    assert export(gate.port + 1) is grpc.StatusCode.OK


def test_killing_the_parent_leaves_no_worker(serve: Factory) -> None:
    """Kill -9 gives it no chance to say goodbye; its workers notice, drain and end."""
    gate = serve(server={"workers": 2})
    gate.until_ready()
    pids = [worker["pid"] for worker in gate.health()["workers"]]
    assert all(is_running(pid) for pid in pids)

    gate.process.kill()
    gate.process.wait()

    eventually(lambda: not any(is_running(pid) for pid in pids), poll_s=0.05)
    assert list(gate.config.parent.glob("tapeline-*")) == []


def test_sighup_reaches_every_worker(serve: Factory) -> None:
    """One signal to the parent is enough."""
    gate = serve(server={"workers": 2})
    gate.until_ready()

    gate.process.send_signal(signal.SIGHUP)

    eventually(lambda: gate.samples("tapeline_reloads_total") == {"0": 1.0, "1": 1.0})


def test_a_worker_that_can_not_start_ends_the_parent(serve: Factory) -> None:
    """A taken port is an error at start here too, not an endless restart."""
    with socket.socket() as other:
        port = ports_in_a_row(2)
        other.bind(("127.0.0.1", port + 1))
        other.listen()
        gate = serve(server={"workers": 2, "listen": f"127.0.0.1:{port}"})

        assert gate.process.wait(30) == 1
    assert f"server.listen 127.0.0.1:{port + 1}: the port is taken" in gate.text


STUCK = """
import sys, time
from tapeline.admin.config import AdminConfig
from tapeline.transport.config import DownstreamConfig, ServerConfig
from tapeline.transport.service import ServiceSettings, run

class Stuck:
    values_cut = 0
    def process(self, batch, now_unix_nano):
        print("stuck", flush=True)
        time.sleep(1000)
    def tick(self, now_unix_nano):
        return ()
    def close(self, now_unix_nano):
        return ()

settings = ServiceSettings(
    ServerConfig(listen=sys.argv[1], drain_timeout="200ms"),
    DownstreamConfig(endpoint="discard"),
    AdminConfig(listen="127.0.0.1:0"),
)
sys.exit(run(settings, lambda context: Stuck()))
"""


def test_a_stuck_processor_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    """Its thread never ends; what it holds was never acknowledged, so exiting loses nothing."""
    script = tmp_path / "stuck.py"
    script.write_text(STUCK, encoding="utf-8")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(script), f"127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True
    )
    try:
        eventually(lambda: not is_free(port), poll_s=0.02)
        with client(f"127.0.0.1:{port}") as sender, ThreadPoolExecutor(1) as pool:
            pool.submit(sender.export, PAYLOAD)
            assert process.stdout is not None
            assert process.stdout.readline() == "stuck\n"
            process.terminate()

            assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
