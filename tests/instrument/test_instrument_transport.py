"""How it goes out: OTLP over HTTP, TLS by the SDK's variables, and the extra that is missing."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
import trustme
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from instrument.process import run_script
from tapeline.otlp.signals import SERVICES, Signal

ONLY_TRACES = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


@pytest.fixture
def http_sink() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """The address of an OTLP/HTTP endpoint, and what it got: paths and bodies."""
    got: list[tuple[str, bytes]] = []

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # Its name.
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_protocol_is_chosen_by_the_environment(
    http_sink: tuple[str, list[tuple[str, bytes]]],
) -> None:
    """http/protobuf: a path for each signal, and grpc isn't imported."""
    address, got = http_sink
    done = run_script(
        "bare",
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": address},
    )

    assert done.stdout.split() == ["False", "False"], done.stderr
    assert {path for path, _ in got} == {"/v1/traces", "/v1/metrics", "/v1/logs"}


@pytest.fixture
def tls_sink(tmp_path: Path) -> Iterator[tuple[str, dict[str, str], list[bytes]]]:
    """An OTLP endpoint that asks callers for a certificate: its port, who may call, what it got."""
    authority = trustme.CA()
    server_cert, client_cert = authority.issue_cert("localhost"), authority.issue_cert("orders-api")
    got: list[bytes] = []
    service = next(each for each in SERVICES if each.signal is Signal.TRACES)

    def export(payload: bytes, _: grpc.ServicerContext) -> bytes:
        got.append(payload)
        return b""

    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(export)
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service.name, {"Export": method}),)
    )
    credentials = grpc.ssl_server_credentials(
        [(server_cert.private_key_pem.bytes(), server_cert.cert_chain_pems[0].bytes())],
        root_certificates=authority.cert_pem.bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    files = {"CERTIFICATE": authority.cert_pem, "CLIENT_KEY": client_cert.private_key_pem}
    files["CLIENT_CERTIFICATE"] = client_cert.cert_chain_pems[0]
    environment = {}
    for name, blob in files.items():
        path = tmp_path / f"{name.lower()}.pem"
        blob.write_to_path(path)
        environment[f"OTEL_EXPORTER_OTLP_{name}"] = str(path)
    yield f"https://localhost:{port}", environment, got
    server.stop(grace=1.0).wait()


def test_tls_with_certificates_on_both_sides_by_the_sdks_variables(
    tls_sink: tuple[str, dict[str, str], list[bytes]],
) -> None:
    """Certificates by file; and without them nothing arrives, and it is told."""
    endpoint, certificates, got = tls_sink
    address = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "3"}

    refused = run_script("bare", ONLY_TRACES | address)
    assert got == []
    assert "UNAVAILABLE" in refused.stderr

    done = run_script("bare", ONLY_TRACES | address | certificates)
    assert done.returncode == 0, done.stderr
    (request,) = map(ExportTraceServiceRequest.FromString, got)
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "work"


def test_without_the_sdk_the_extra_is_named() -> None:
    """A user who installed `tapeline` alone reads what to install."""
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "try:\n    import tapeline.instrument\n"
        "except ImportError as error:\n    sys.stdout.write(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.endswith("pip install 'tapeline[instrument]'"), done.stderr


def test_the_gate_does_not_import_the_kit() -> None:
    """`tapeline serve` must start fast: the SDK costs a tenth of a second."""
    code = "import sys, tapeline.serve; sys.exit('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)

    assert done.returncode == 0
