"""KTRDR's three services as processes: what their traces, lines and figures say, and in trouble."""

import itertools
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from demo.demo_sink import OtlpSink, attributes_of
from ports import HOST, ports_in_a_row
from tapeline.demo.credentials import planted_credentials
from tapeline.floor.catalog import services_of
from tapeline.floor.faults import write_faults
from tapeline.floor.place import Place, place_argument
from waiting import eventually

API, IB, TRAINING = "ktrdr-api", "ktrdr-ib-host-service", "ktrdr-training-host-service"
CALLER_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
REQUEST = {
    "operation_id": "op-by-hand",
    "symbol": "AAPL",
    "timeframe": "1m",
    "start_date": "2025-11-10",
    "end_date": "2025-11-11",
}
SEED = 5
EXEMPLAR = "tapeline.exemplar"  # on the span whose trace an exemplar names
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Ktrdr:
    """The running services: where they are, what they sent, and which faults are on."""

    urls: Mapping[str, str]
    sink: OtlpSink
    fault_path: Path

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Have a fault on for a while."""
        write_faults(self.fault_path, [name])
        try:
            yield
        finally:
            write_faults(self.fault_path, [])

    def ask(self, service: str, path: str, body: object = None, trace: str = "") -> tuple[int, str]:
        """Return status and text of an answer; OSError where nobody listens."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        if trace:
            headers["traceparent"] = f"00-{trace}-00f067aa0ba902b7-01"
        request = urllib.request.Request(self.urls[service] + path, data, headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def trace(self, trace_id: str) -> list[tuple[str, Span]]:
        """Return the spans of a trace with their services."""
        return [each for each in self.sink.spans() if each[1].trace_id.hex() == trace_id]

    def lines(self, service: str, body: str) -> list[LogRecord]:
        """Return a service's log records with this message."""
        return [r for s, r in self.sink.logs() if s == service and r.body.string_value == body]


@pytest.fixture(scope="module")
def ktrdr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ktrdr]:
    """The three services, at five operations a second."""
    folder = tmp_path_factory.mktemp("ktrdr")
    services = services_of(["ktrdr"])
    first = ports_in_a_row(len(services))
    urls = {each.name: f"http://{HOST}:{first + at}" for at, each in enumerate(services)}
    fast = {
        "OTEL_BSP_SCHEDULE_DELAY": "300",
        "OTEL_BLRP_SCHEDULE_DELAY": "300",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }
    processes: list[subprocess.Popen[bytes]] = []
    with OtlpSink() as sink:
        for at, service in enumerate(services):
            place = Place(
                name=service.name, port=first + at, peers=urls, otlp_endpoint=sink.endpoint,
                log_path=folder / "log", fault_path=folder / "faults.json", seed=SEED,
                rate_per_s=5.0, tape_path=None, run="t",
            )  # fmt: skip
            module = f"tapeline.floor.ktrdr.{service.module}"
            command = [sys.executable, "-m", module, place_argument(place)]
            with (folder / f"{service.name}.out").open("wb") as output:
                processes.append(
                    subprocess.Popen(
                        command, env=os.environ | fast, stdout=output, stderr=subprocess.STDOUT
                    )
                )
        running = Ktrdr(urls, sink, folder / "faults.json")
        try:
            for name in urls:
                eventually(
                    lambda name=name: running.ask(name, "/health")[0] == 200,  # type: ignore[misc]
                    timeout_s=TIMEOUT_S,
                )
            yield running
        finally:
            for process in processes:
                process.terminate()
            codes = [process.wait(30) for process in processes]
        assert codes == [0, 0, 0]


def finished(ktrdr: Ktrdr, name: str, status: int = 0, timeout_s: float = TIMEOUT_S) -> Span:
    """Return a span of this name and status, once the API has sent all of its trace."""

    def look() -> Span | None:
        spans = [span for _, span in ktrdr.sink.spans()]  # Decoded once: there are thousands.
        whole = {span.trace_id for span in spans if span.name == "operation.start"}
        found = (s for s in spans if s.name == name and s.status.code == status)
        return next((span for span in found if span.trace_id in whole), None)

    return eventually(look, timeout_s=timeout_s)


def test_a_download_is_one_trace_from_the_operation_to_the_gateway(ktrdr: Ktrdr) -> None:
    """Nested as the document draws it, across processes."""
    trace_id = finished(ktrdr, "data.download").trace_id.hex()
    host = {"POST /download_historical_data", "ib.request_historical_data"}
    # Each process sends its own.
    eventually(
        lambda: host <= {each.name for _, each in ktrdr.trace(trace_id)}, timeout_s=TIMEOUT_S
    )
    spans = ktrdr.trace(trace_id)
    by_id = {each.span_id: (service, each.name) for service, each in spans}
    parents = {each.span_id: each.parent_span_id for _, each in spans}

    way = []
    (at,) = [each.span_id for _, each in spans if each.name == "ib.request_historical_data"]
    while at:
        way.append(by_id[at])
        at = parents[at]
    assert way[::-1] == [
        (API, "operation.start"),
        (API, "POST"),
        (API, "POST /api/v1/data/load"),
        (API, "data.download"),
        (API, "POST"),
        (IB, "POST /download_historical_data"),
        (IB, "ib.request_historical_data"),
    ]
    complete = next(each for _, each in spans if each.name == "operation.complete")
    assert by_id[complete.parent_span_id] == (API, "operation.start")


def test_custom_spans_have_the_documents_attributes(ktrdr: Ktrdr) -> None:
    """Of operations and of downloads."""
    download = attributes_of(finished(ktrdr, "data.download"))
    assert set(download) - {EXEMPLAR} == {"symbol", "timeframe", "provider"}
    assert download["provider"] == "ib_host_service"

    start = attributes_of(finished(ktrdr, "operation.start"))
    assert set(start) - {EXEMPLAR} == {
        "operation.type", "operation.id", "symbol", "strategy", "operation.status",
        "operation.duration_ms",
    }  # fmt: skip
    assert start["operation.status"] == "success"
    complete = attributes_of(finished(ktrdr, "operation.complete"))
    names = {"operation.id", "operation.status", "operation.duration_ms"}
    assert set(complete) - {EXEMPLAR} == names


def test_http_spans_have_the_documents_names_and_the_new_ones(ktrdr: Ktrdr) -> None:
    """Of servers and of clients."""
    server = attributes_of(finished(ktrdr, "POST /api/v1/data/load"))
    assert server["http.method"] == server["http.request.method"] == "POST"
    assert server["http.route"] == "/api/v1/data/load"
    assert server["http.status_code"] == server["http.response.status_code"] == 200
    assert server["http.url"] == f"{ktrdr.urls[API]}/api/v1/data/load"
    assert server["http.target"] == "/api/v1/data/load"
    assert ktrdr.urls[API].endswith(str(server["net.host.port"]))

    download = finished(ktrdr, "data.download")
    client = next(
        attributes_of(each)
        for _, each in ktrdr.trace(download.trace_id.hex())
        if each.parent_span_id == download.span_id
    )
    assert client["http.method"] == "POST"
    assert client["http.url"] == f"{ktrdr.urls[IB]}/download_historical_data"
    assert client["http.status_code"] == 200
    assert ktrdr.urls[IB].endswith(str(client["net.peer.port"]))
    assert client["server.address"] == HOST


def test_lines_have_the_documents_fields(ktrdr: Ktrdr) -> None:
    """Of operations, data and training; and the three that instrumentation injects."""
    eventually(lambda: ktrdr.lines(TRAINING, "Training started"), timeout_s=TIMEOUT_S)
    eventually(lambda: ktrdr.lines(API, "Operation completed"), timeout_s=TIMEOUT_S)
    started = attributes_of(ktrdr.lines(API, "Operation started")[0])
    data = attributes_of(ktrdr.lines(IB, "Download started")[0])
    training = attributes_of(ktrdr.lines(TRAINING, "Training started")[0])
    completed = attributes_of(ktrdr.lines(API, "Operation completed")[0])

    assert {"operation_id", "operation_type", "status"} <= set(started)
    assert {"symbol", "timeframe", "start_date", "end_date", "provider"} <= set(data)
    assert {"model_id", "strategy", "symbol", "epochs", "batch_size"} <= set(training)
    assert completed["status"] == "completed"
    assert isinstance(completed["duration_ms"], float)
    done = eventually(lambda: ktrdr.lines(IB, "Download completed"), timeout_s=TIMEOUT_S)
    assert attributes_of(done[0])["bars_downloaded"] in {390, 78, 7, 1}
    for service, fields in ((API, started), (IB, data), (TRAINING, training)):
        assert fields["otelServiceName"] == service
        assert {"otelTraceID", "otelSpanID"} <= set(fields)


def test_lines_and_traces_lead_to_each_other(ktrdr: Ktrdr) -> None:
    """From a line to its span, and from a trace to its lines in every service."""
    span = finished(ktrdr, "data.download")
    trace_id = span.trace_id.hex()

    def services() -> set[str]:
        return {s for s, r in ktrdr.sink.logs() if r.trace_id.hex() == trace_id}

    eventually(lambda: services() == {API, IB}, timeout_s=TIMEOUT_S)
    spans = {each.span_id for _, each in ktrdr.trace(trace_id)}
    for _, record in ktrdr.sink.logs():
        if record.trace_id.hex() == trace_id:
            assert record.span_id in spans
            assert attributes_of(record)["otelTraceID"] == trace_id


def test_a_callers_trace_goes_on(ktrdr: Ktrdr) -> None:
    """The document's own check, with its traceparent: in spans and lines of both services."""
    status, text = ktrdr.ask(API, "/api/v1/data/load", REQUEST, CALLER_TRACE)

    assert (status, json.loads(text)) == (200, {"bars": 390})
    eventually(
        lambda: (
            {(API, "POST /api/v1/data/load"), (IB, "POST /download_historical_data")}
            <= {(service, span.name) for service, span in ktrdr.trace(CALLER_TRACE)}
        ),
        timeout_s=TIMEOUT_S,
    )
    (root,) = [s for _, s in ktrdr.trace(CALLER_TRACE) if s.name == "POST /api/v1/data/load"]
    assert root.parent_span_id.hex() == "00f067aa0ba902b7"
    assert eventually(
        lambda: [r for r in ktrdr.lines(IB, "Download started") if r.trace_id == root.trace_id]
    )


def completed(text: str) -> list[str]:
    """Return the types of operations of which one was completed; all begin at 0."""
    counted = r'^ktrdr_operations_total\{operation_type="(\w+)",status="completed"\} [1-9]'
    return re.findall(counted, text, re.MULTILINE)


def test_figures_are_scraped_and_sent(ktrdr: Ktrdr) -> None:
    """Operations on /metrics, those of HTTP by OTLP, each with traces as exemplars."""
    text = eventually(
        lambda: found if "training" in completed(found := ktrdr.ask(API, "/metrics")[1]) else None,
        timeout_s=TIMEOUT_S,
    )
    called = r'^ktrdr_host_calls_total\{host_service="([^"]+)",outcome="ok"\} [1-9]'
    assert set(re.findall(called, text, re.MULTILINE)) == {IB, TRAINING}
    assert "ktrdr_ib_gateway_connected 1.0" in ktrdr.ask(IB, "/metrics")[1]
    wanted = {
        (service, name)
        for service in (API, IB, TRAINING)
        for name in ("http.server.request.duration", "http.server.duration")
    } | {(API, "http.client.request.duration")}
    eventually(lambda: wanted <= {(s, m.name) for s, m in ktrdr.sink.metrics()}, TIMEOUT_S)


def test_health_tells_the_gateway(ktrdr: Ktrdr) -> None:
    """Ready, until the broker's gateway is gone; and the gauge goes with it."""
    assert ktrdr.ask(IB, "/health/ready")[0] == 200
    with ktrdr.fault("venue_disconnect"):
        eventually(lambda: ktrdr.ask(IB, "/health/ready")[0] == 503, timeout_s=TIMEOUT_S)
        eventually(
            lambda: "ktrdr_ib_gateway_connected 0.0" in ktrdr.ask(IB, "/metrics")[1],
            timeout_s=TIMEOUT_S,
        )

        def asked() -> Span:
            """Ask once more: on a busy machine the SDK may give a batch of spans up."""
            status, text = ktrdr.ask(API, "/api/v1/data/load", REQUEST)
            assert (status, "answered 500" in text) == (502, True)
            return finished(ktrdr, "POST /download_historical_data", status=2, timeout_s=10)

        refused = eventually(asked, timeout_s=TIMEOUT_S)
    (event,) = [each for each in refused.events if each.name == "exception"]
    assert attributes_of(event)["exception.type"] == "ConnectionRefusedError"
    assert attributes_of(refused)["error.symbol"]


def test_an_exception_is_in_the_span_with_what_it_was_about(ktrdr: Ktrdr) -> None:
    """Type, message and stack trace as the framework got it; and the operation's line says so."""
    with ktrdr.fault("error_burst"):

        def look() -> Span | None:
            for _, span in ktrdr.sink.spans():
                if span.name.startswith("POST /api/") and span.status.code == 2 and span.events:
                    return span
            return None

        span = eventually(look, timeout_s=TIMEOUT_S)
        failed = eventually(lambda: ktrdr.lines(API, "Operation failed"), timeout_s=TIMEOUT_S)
    (event,) = [each for each in span.events if each.name == "exception"]
    fields = attributes_of(event)
    assert fields["exception.type"] == "ValueError"
    assert str(fields["exception.message"]).startswith("Invalid symbol: ")
    assert "Traceback" in str(fields["exception.stacktrace"])
    assert attributes_of(failed[0])["status"] == "failed"
    start = attributes_of(finished(ktrdr, "operation.start", status=2))
    assert {"error.symbol", "error.strategy"} <= set(start)


def test_whether_the_call_happened_is_in_the_trace(ktrdr: Ktrdr) -> None:
    """With the host down there is a client span that failed, and none of the host."""
    with ktrdr.fault("service_down"):

        def refused() -> bool:
            try:
                ktrdr.ask(IB, "/health")
            except OSError:
                return True
            return False

        eventually(refused, timeout_s=TIMEOUT_S)
        numbers = itertools.count(1)

        def unreachable() -> str:
            """Return the trace of a call; the fault before may take a moment to be noticed over."""
            trace_id = f"5{next(numbers):031x}"
            status, text = ktrdr.ask(API, "/api/v1/data/load", REQUEST, trace_id)
            assert (status, "unreachable" in text) == (503, True)
            return trace_id

        trace_id = eventually(unreachable, timeout_s=TIMEOUT_S)
        eventually(
            lambda: {"data.download", "POST"} <= {s.name for _, s in ktrdr.trace(trace_id)},
            timeout_s=TIMEOUT_S,
        )
    client = next(span for _, span in ktrdr.trace(trace_id) if span.name == "POST")
    assert attributes_of(client)["error.type"] == "ConnectError"
    assert "http.status_code" not in attributes_of(client)
    assert {service for service, _ in ktrdr.trace(trace_id)} == {API}
    assert 'outcome="unreachable"' in ktrdr.ask(API, "/metrics")[1]
    eventually(lambda: ktrdr.ask(IB, "/health")[0] == 200, timeout_s=TIMEOUT_S)


def test_slow_hosts_make_slow_operations(ktrdr: Ktrdr) -> None:
    """Seconds, where it takes a fraction of one."""
    with ktrdr.fault("latency_spike"):

        def look() -> bool:
            spans = [s for _, s in ktrdr.sink.spans() if s.name == "ib.request_historical_data"]
            return any(s.end_time_unix_nano - s.start_time_unix_nano > 3e9 for s in spans)

        eventually(look, timeout_s=TIMEOUT_S)


def test_a_flood_of_lines_is_one(ktrdr: Ktrdr) -> None:
    """Hundreds of errors within a second or two."""
    with ktrdr.fault("log_flood"):
        eventually(lambda: len(ktrdr.lines(API, "Cache lookup failed")) > 300, timeout_s=TIMEOUT_S)


def test_credentials_leak_only_in_their_scenario(ktrdr: Ktrdr) -> None:
    """And even then none by an attribute whose name says what it is: the kit drops it."""
    secrets = [each.encode() for each in planted_credentials(SEED)]
    assert not any(each in ktrdr.sink.raw() for each in secrets)
    with ktrdr.fault("leaked_credentials"):

        def leaks() -> set[str]:
            found = {key for _, span in ktrdr.sink.spans() for key in attributes_of(span)}
            found |= {key for _, record in ktrdr.sink.logs() for key in attributes_of(record)}
            return found & {
                "http.request.body", "ib.api_key_present", "api_key_present",
                "http.request.header.authorization_present",
            }  # fmt: skip

        eventually(lambda: len(leaks()) == 4, timeout_s=TIMEOUT_S)
        eventually(
            lambda: any("password=" in r.body.string_value for _, r in ktrdr.sink.logs()),
            timeout_s=TIMEOUT_S,
        )
    keys = {key for _, span in ktrdr.sink.spans() for key in attributes_of(span)}
    assert keys.isdisjoint({"ib.api_key", "http.request.header.authorization"})
    assert any(each in ktrdr.sink.raw() for each in secrets)
