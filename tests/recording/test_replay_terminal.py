"""`tapeline replay` as people meet it: a bar on a terminal, Ctrl-C, TLS."""

import os
import pty
import signal as signals
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from scripted_downstream import running_downstream
from tapeline.cli import main
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder
from waiting import eventually

SECOND = 1_000_000_000


def recording(path: Path, seconds: tuple[float, ...]) -> Path:
    """Write a recording of one log record a batch, at these seconds."""
    encode = encoder(Format.PROTO, Compression.NONE)
    with path.open("wb") as file:
        for second in seconds:
            request = ExportLogsServiceRequest()
            scope = request.resource_logs.add().scope_logs.add()
            scope.log_records.add(time_unix_nano=int((1 + second) * SECOND))
            file.write(encode(Batch(Signal.LOGS, request.SerializeToString())))
    return path


def command(file: Path, address: str) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-m", "tapeline.cli", "replay", str(file), "--to", address]


@pytest.fixture
def terminal() -> Iterator[tuple[int, list[bytes]]]:
    """Return the end of a terminal that a process writes to, and what it showed so far."""
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        while True:
            try:
                shown.append(os.read(ours, 4096))
            except OSError:  # The other end was closed.
                return

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    yield theirs, shown
    os.close(theirs)
    reading.join(10)
    os.close(ours)


def test_a_terminal_shows_rate_and_time_left(
    tmp_path: Path, terminal: tuple[int, list[bytes]]
) -> None:
    """While it runs; then the report."""
    theirs, shown = terminal
    file = recording(tmp_path / "in", (0, 0.5, 1, 1.5))
    with running_downstream() as downstream:
        done = subprocess.run(
            command(file, downstream.address),
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
            timeout=60,
            check=False,
        )

    assert done.returncode == 0
    text = eventually(lambda: b"".join(shown) if b"4 accepted" in b"".join(shown) else b"")
    assert b" records, " in text
    assert b"left" in text


def test_without_a_terminal_there_is_the_report_alone(tmp_path: Path) -> None:
    """Nothing that a log file would be full of."""
    file = recording(tmp_path / "in", (0, 0))
    with running_downstream() as downstream:
        done = subprocess.run(
            command(file, downstream.address), capture_output=True, timeout=60, check=True
        )

    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("number", [signals.SIGINT, signals.SIGTERM])
def test_an_interruption_says_where_to_go_on(tmp_path: Path, number: signals.Signals) -> None:
    """Exit code 130, and what was sent until then."""
    file = recording(tmp_path / "in", (0, 0, 3600))
    with running_downstream() as downstream:
        process = subprocess.Popen(command(file, downstream.address), stderr=subprocess.PIPE)
        with process:
            eventually(lambda: len(downstream.received) == 2)
            process.send_signal(number)
            _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert b"2 log records sent: 2 accepted" in said
    assert f"go on with: --start-at {file}:3".encode() in said


def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    """And without it, nothing is sent."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    roots = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(roots))
    credentials = grpc.ssl_server_credentials(
        [(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())]
    )
    file = str(recording(tmp_path / "in", (0,)))
    with running_downstream("localhost:0", credentials) as downstream:
        options = ["--to", downstream.address, "--give-up-after", "300ms", "--timeout", "2s"]

        assert main(["replay", file, *options]) == 1
        assert main(["replay", file, *options, "--tls"]) == 1
        assert downstream.received == []
        assert main(["replay", file, *options, "--ca-file", str(roots)]) == 0
        assert len(downstream.received) == 1
