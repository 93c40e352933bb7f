"""Bad input of every kind: a clear error that says where, and nothing else is lost by it."""

import gzip
import itertools
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from backends import Jaeger, LogEntry, Loki, fetch
from otlp_client import Span, logs, send, traces
from sidecars import Answered, client
from tapeline.otlp.signals import Signal
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

NO_SAMPLING = SOURCE_ROOT / "collector" / "no_sampling.yaml"
LARGEST_REQUEST = 8 * 1024 * 1024
CUT = 60_000
LOOP = """\
service: {pipelines: {logs/egress: {exporters: [otlp_http/loki, otlp_grpc/gate]}}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the way of logs and traces with sampling off."""
    folder = tmp_path_factory.mktemp("bad_input") / "run"
    servers = ("collector", "gate", "loki", "jaeger")
    changed = Overrides(egress_files=(NO_SAMPLING,))
    with Stack(folder, Ports.free(), servers=servers, overrides=changed) as running:
        yield running


def otlp(stack: Stack) -> str:
    """Return the address that services send to."""
    return f"{HOST}:{stack.ports.otlp_grpc}"


def count(stack: Stack, name: str) -> float:
    """Return the sum of one of the gate's metrics."""
    text = fetch(f"http://{HOST}:{stack.ports.gate_admin}/metrics").decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


def entries(stack: Stack, service: str) -> list[LogEntry]:
    """Return what Loki has of a service."""
    return Loki(stack.url("loki")).entries(f'{{service_name="{service}"}}')


def arrives(stack: Stack, marker: str) -> None:
    """Send a good record and wait for it in Loki: the way is still open."""
    send(otlp(stack), logs([marker], {"service.name": "good"}))
    eventually(lambda: marker in {entry.line for entry in entries(stack, "good")})


@pytest.mark.parametrize(
    ("text", "code", "messages"),
    [
        ("server: {listen: [1\n", 2, ["gate.yaml:"]),
        ("server:\n  max_mesage_mib: 4\n", 2, ["gate.yaml:2", "max_mesage_mib", "max_message_mib"]),
        ("downstream:\n  timeout: soon\n", 2, ["gate.yaml:2", "downstream.timeout"]),
        ("chain:\n  logs: [redactoin]\n", 2, ["gate.yaml:2", "redactoin", "redaction"]),
    ],
    ids=["yaml", "key", "value", "processor"],
)
def test_serve_names_file_line_and_field(
    tmp_path: Path, text: str, code: int, messages: list[str]
) -> None:
    """A configuration that can't be used ends `serve` with exit code 2 and says where it is."""
    config = tmp_path / "gate.yaml"
    config.write_text(text, encoding="utf-8")
    result = served(config)
    assert result.returncode == code
    for message in messages:
        assert message in result.stderr


def test_serve_names_a_taken_port(stack: Stack, tmp_path: Path) -> None:
    """On the port of the running gate `serve` exits 1 and names the address; the gate lives on."""
    config = tmp_path / "gate.yaml"
    address = f"{HOST}:{stack.ports.gate}"
    config.write_text(
        f"server: {{listen: '{address}'}}\nadmin: {{listen: '{HOST}:0'}}\n", encoding="utf-8"
    )
    result = served(config)
    assert result.returncode == 1
    assert address in result.stderr
    assert "taken" in result.stderr
    arrives(stack, "after a taken port")


def served(config: Path) -> "subprocess.CompletedProcess[str]":
    """Run `tapeline serve` until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "tapeline.cli", "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_serve_starts_without_a_downstream_and_nothing_is_lost(tmp_path: Path) -> None:
    """With egress down the gate is live and not ready, the collector queues, all comes later."""
    servers = ("collector", "gate", "loki")
    changed = Overrides(two_collectors=True)
    with Stack(tmp_path / "run", Ports.free(), servers=servers, overrides=changed) as stack:
        stack.terminate("gate")
        stack.terminate("collector-egress")
        send(otlp(stack), logs(["sent before anything was up"], {"service.name": "early"}))
        with gate_by_itself(stack, tmp_path / "gate.log"):
            base = f"http://{HOST}:{stack.ports.gate_admin}/health"
            eventually(lambda: fetch(f"{base}/live"))
            with pytest.raises(urllib.error.HTTPError) as refused:
                fetch(f"{base}/ready")
            assert refused.value.code == 503
            assert f"{HOST}:{stack.ports.egress}" in refused.value.read().decode()
            send(otlp(stack), logs(["sent while egress was down"], {"service.name": "early"}))
            stack.restart("collector-egress")
            eventually(lambda: fetch(f"{base}/ready"))
            expected = {"sent before anything was up", "sent while egress was down"}
            eventually(lambda: {entry.line for entry in entries(stack, "early")} == expected)


@contextmanager
def gate_by_itself(stack: Stack, log: Path) -> Iterator[None]:
    """Run a stack's gate without waiting until it is ready."""
    unit = next(unit for unit in stack.units if unit.name == "gate")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *unit.arguments],
            env={**os.environ, **unit.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(timeout=20) == 0


def test_malformed_requests_are_refused_for_good(stack: Stack) -> None:
    """Bytes that are no OTLP are refused by gRPC and HTTP, at the door and at the gate."""
    broken = b"\x0a\x05\xff\xff"
    with client(otlp(stack)) as sender:
        assert sender.export(broken).code is grpc.StatusCode.INTERNAL  # the collector's answer
    with client(f"{HOST}:{stack.ports.gate}") as sender:
        answer = sender.export(broken)
        assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
        assert "not well-formed" in answer.details
    assert posted(stack, broken, "application/x-protobuf") == 400
    assert posted(stack, b'{"resourceLogs": [', "application/json") == 400
    arrives(stack, "after malformed requests")


def test_oversized_requests_are_refused_at_the_door(stack: Stack) -> None:
    """A record larger than a batch may be is refused, also compressed, and never acknowledged."""
    over = of_size(LARGEST_REQUEST + 1, "over")
    with client(otlp(stack)) as sender:
        for compression in (None, grpc.Compression.Gzip):
            answer: Answered = sender.export(over, Signal.LOGS, compression=compression)
            assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "larger than max" in answer.details
    assert posted(stack, over, "application/x-protobuf") in {0, 400, 413}
    assert posted(stack, gzip.compress(over), "application/x-protobuf", "gzip") in {400, 413}
    arrives(stack, "after oversized requests")
    assert entries(stack, "over") == []


def test_the_largest_request_that_is_taken_arrives(stack: Stack) -> None:
    """A record of exactly the limit is not lost on a later hop, though hops lengthen it."""
    with client(otlp(stack)) as sender:
        answer = sender.export(of_size(LARGEST_REQUEST, "largest"))
        assert answer.code is grpc.StatusCode.OK
    (entry,) = eventually(lambda: entries(stack, "largest"), timeout_s=60)
    assert len(entry.line) <= CUT


def of_size(size_bytes: int, service: str) -> bytes:
    """Return a request of one log record, of exactly so many bytes."""
    length = size_bytes - 1000
    while True:
        payload = logs(["x" * length], {"service.name": service}).SerializeToString()
        if len(payload) == size_bytes:
            return payload
        length += size_bytes - len(payload)


def posted(stack: Stack, body: bytes, kind: str, encoding: str = "identity") -> int:
    """Return the status of a request to the collector's OTLP/HTTP; 0 where it hangs up first."""
    request = urllib.request.Request(
        f"http://{HOST}:{stack.ports.otlp_http}/v1/logs",
        data=body,
        headers={"Content-Type": kind, "Content-Encoding": encoding},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our collector
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionError):
            return 0  # It hung up while the body was still being sent.
        raise


def test_values_too_long_for_a_backend_are_cut_and_arrive(stack: Stack) -> None:
    """Jaeger would refuse such a span for ever; cut and marked, it arrives, and so do others."""
    trace_id = bytes(range(16))
    long = {"long": "y" * 200_000, "short": "as it was"}
    before = count(stack, "tapeline_values_cut_total")
    send(otlp(stack), traces([Span(trace_id, "long", long)], {"service.name": "long"}))
    send(otlp(stack), logs(["z" * 200_000], {"service.name": "long"}))

    jaeger = Jaeger(stack.url("jaeger"))
    trace = eventually(lambda: jaeger.trace(trace_id.hex()))
    tags = {tag["key"]: tag["value"] for tag in trace["spans"][0]["tags"]}
    assert tags["short"] == "as it was"
    assert len(tags["long"]) <= CUT
    assert tags["long"].startswith("yyy")
    assert tags["long"].rstrip("y") == tags["long"], "the end is a mark"
    (entry,) = eventually(lambda: entries(stack, "long"))
    assert len(entry.line) <= CUT
    assert entry.line.rstrip("z") == entry.line
    assert count(stack, "tapeline_values_cut_total") == before + 2


def test_log_lines_that_are_not_json_arrive_as_they_are(stack: Stack) -> None:
    """Plain text, broken JSON, JSON that is no object, bytes that are no text: no line is lost."""
    lines = [
        b"plain text",
        b'{"message": "broken',
        b'["json", "but", "no", "object"]',
        b"42",
        b"latin \xe9 byte",
        b'{"message": 7, "trace_id": "not hex", "level": "odd"}',
        b'{"message": "good"}',
    ]
    path = stack.directory / "log-files" / "odd.log"
    path.write_bytes(b"\n".join(lines) + b"\n")

    def found() -> list[LogEntry]:
        every = Loki(stack.url("loki")).entries('{service_name="log-files"}')
        return [entry for entry in every if entry.labels["log_file_name"] == "odd.log"]

    arrived = eventually(lambda: f if len(f := found()) >= len(lines) else None)
    bodies = {entry.line for entry in arrived}
    assert len(arrived) == len(lines)
    for line in lines[:4]:
        assert line.decode() in bodies
    assert "good" in bodies
    assert "7" in bodies
    assert any(body.startswith("latin ") and body.endswith(" byte") for body in bodies)


def test_the_gate_notices_a_loop(tmp_path: Path) -> None:
    """With egress wired to the gate again, records that keep returning are counted and logged."""
    overlay = tmp_path / "loop.yaml"
    overlay.write_text(LOOP, encoding="utf-8")
    changed = Overrides(egress_files=(overlay,))
    servers = ("collector", "gate")
    with Stack(tmp_path / "run", Ports.free(), servers=servers, overrides=changed) as stack:
        numbers = itertools.count()

        def noticed() -> bool:
            # Fresh records as well: the collector merges what goes round into one batch, and the
            # gate looks at the first record of a batch, if it is one of the sampled.
            send(otlp(stack), logs([f"goes in circles {next(numbers)}"]))
            return count(stack, "tapeline_loop_suspicions_total") > 0

        eventually(noticed, timeout_s=90, poll_s=0.15)
        log = stack.log("gate").read_text(encoding="utf-8")
        assert "egress receiver to this gate again" in log
        assert "goes in circles" not in log


def test_nothing_is_taken_for_a_loop_without_one(stack: Stack) -> None:
    """After all of the above the gate that is wired right has looked and suspected nothing."""
    arrives(stack, "the last")
    assert count(stack, "tapeline_loop_checks_total") > 0
    assert count(stack, "tapeline_loop_suspicions_total") == 0
