"""`tapeline replay` into an endpoint of OTLP/HTTP."""

import http.server
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from replaying import logs, recording, replay
from sdk_requests import sdk_request
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch


@contextmanager
def running_http(statuses: Sequence[int]) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Run an HTTP endpoint that answers with these statuses in turn, then with 200."""
    received: list[tuple[str, bytes]] = []
    left = list(statuses)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, body))
            assert self.headers["Content-Type"] == "application/x-protobuf"
            self.send_response(left.pop(0) if left else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_http_goes_to_each_signals_path_and_is_tried_again(tmp_path: Path) -> None:
    """503 may be tried again."""
    batches = [Batch(signal, sdk_request(signal).SerializeToString()) for signal in Signal]
    file = recording(tmp_path / "in", batches)
    with running_http([503]) as (url, received):
        assert replay(file, "--to", url, "--flat-out", "--in-flight", 1) == 0

    assert [path for path, _ in received] == ["/v1/logs", "/v1/logs", "/v1/traces", "/v1/metrics"]
    assert [body for _, body in received[1:]] == [batch.payload for batch in batches]


def test_http_refusals_are_for_good(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """400 is."""
    file = recording(tmp_path / "in", [logs(1)])
    with running_http([400]) as (url, received):
        assert replay(file, "--to", url, "--flat-out") == 1

    assert len(received) == 1
    assert "for good: HTTP 400" in capfd.readouterr().err


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_not_let_in_sends_no_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    """Whatever follows would be refused, too: better to say so, and from where to go on."""
    file = recording(tmp_path / "in", [logs(1), logs(2), logs(3)])
    with running_http([200, status]) as (url, received):
        assert replay(file, "--to", url, "--flat-out", "--in-flight", 1) == 1

    assert len(received) == 2
    reported = capfd.readouterr().err
    assert f"did not take more: HTTP {status}" in reported
    assert "--token-file" in reported
    assert f"--start-at {file}:2" in reported
