"""Requests of a FastAPI app: whose spans they get, and what those and the figures say."""

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry import metrics
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from demo.demo_sink import OtlpSink, attributes_of
from instrument.process import run_script
from ports import free_port
from tapeline.instrument.request_spans import with_fastapis_own_spans

CALLER_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PRESENT_NAMES = {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}


def serve(sink: OtlpSink, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run the whole service, as its environment says; return what it printed at the end."""
    done = run_script(
        "whole_service",
        {
            "OTLP_ENDPOINT": sink.endpoint,
            "SERVICE_PORT": str(free_port()),
            "PLANTED": "planted-" + "credential-77ab",
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    """What arrived of a service whose environment says nothing about spans."""
    with OtlpSink() as sink:
        assert serve(sink, {})["answers"] == [200, 500, 200, 200, 404]
        yield sink


def server_spans(sink: OtlpSink) -> list[Span]:
    """Return the spans of requests, in the order of their arrival."""
    return [span for _, span in sink.spans() if span.kind == Span.SPAN_KIND_SERVER]


def test_a_request_has_one_span_with_the_present_names(sink: OtlpSink) -> None:
    """In the caller's trace; of probes there are none, nor of what FastAPI does in a request."""
    well, failed = server_spans(sink)

    assert well.name == failed.name == "GET /orders/{number}"
    assert well.trace_id.hex() == failed.trace_id.hex() == CALLER_TRACE
    found = attributes_of(well)
    port = found.pop("server.port")
    assert isinstance(port, int)
    assert found == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/orders/{number}",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "url.path": "/orders/1",
        "url.scheme": "http",
    }
    assert not [span.name for _, span in sink.spans() if span.name.startswith("fastapi.")]


def test_the_services_spans_hang_below_the_requests(sink: OtlpSink) -> None:
    """Each below its own."""
    requests = {span.span_id for span in server_spans(sink)}
    orders = [span for _, span in sink.spans() if span.name == "process_order"]

    assert {span.parent_span_id for span in orders} == requests


def test_an_exception_of_a_request_is_its_error_and_a_line_of_its_trace(sink: OtlpSink) -> None:
    """The span says which, the record has the stack trace."""
    _, failed = server_spans(sink)
    assert failed.status.code == 2
    assert attributes_of(failed)["error.type"] == "ValueError"

    records = [each for _, each in sink.logs() if each.event_name]
    (record,) = [r for r in records if r.event_name == "http.server.request.exception"]
    assert record.trace_id.hex() == CALLER_TRACE
    assert "Traceback" in str(attributes_of(record)["exception.stacktrace"])


def test_the_figures_are_those_of_the_conventions(sink: OtlpSink) -> None:
    """Duration by route and status; probes are not in them, nor what nobody asked for."""
    found = {metric.name: metric for _, metric in sink.metrics()}

    assert "http.server.active_requests" not in found
    points = found["http.server.request.duration"].histogram.data_points
    counts = {
        (attributes_of(p)["http.route"], attributes_of(p)["http.response.status_code"]): p.count
        for p in points
    }
    assert counts == {("/orders/{number}", 200): 1, ("/orders/{number}", 500): 1}
    assert {name for name in found if name.startswith("http.client.")} == {
        "http.client.request.duration"
    }


def test_requests_under_way_are_counted_for_who_asks() -> None:
    """None is left at the end."""
    with OtlpSink() as sink:
        serve(sink, {"ACTIVE_REQUESTS": "yes"})
        found = {metric.name: metric for _, metric in sink.metrics()}

    (point,) = found["http.server.active_requests"].sum.data_points
    assert point.as_int == 0
    assert "http.server.request.duration" in found


def test_captured_headers_are_recorded_though_fastapi_has_none_of_them() -> None:
    """By OpenTelemetry's instrumentation then, credentials as [REDACTED]."""
    capture = {"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-.*,accept"}
    with OtlpSink() as sink:
        serve(sink, capture)
        span, _ = server_spans(sink)

    found = attributes_of(span)
    assert found["http.request.method"] == "GET"
    assert "http.request.header.accept" in found
    assert b"planted-" not in sink.raw()


def test_the_environment_says_what_is_no_request() -> None:
    """OTEL_PYTHON_FASTAPI_EXCLUDED_URLS, in place of the probes."""
    with OtlpSink() as sink:
        serve(sink, {"OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": "127.0.0.1.*/orders/1$,/health/"})
        names = [attributes_of(span)["url.path"] for span in server_spans(sink)]

    assert names == ["/orders/13", "/health", "/metrics"]


@pytest.mark.parametrize("asked", ["", "http/dup", "http,http/dup", "database"])
def test_who_asks_for_the_old_names_gets_opentelemetrys_instrumentation(asked: str) -> None:
    """FastAPI's own spans don't have them."""
    app = FastAPI()

    assert not with_fastapis_own_spans(app, {"OTEL_SEMCONV_STABILITY_OPT_IN": asked})
    assert with_fastapis_own_spans(app, PRESENT_NAMES)
    assert with_fastapis_own_spans(app, {"OTEL_SEMCONV_STABILITY_OPT_IN": "database, http"})


def test_a_fastapi_without_spans_of_its_own_gets_opentelemetrys_instrumentation() -> None:
    """An older one, or one whose options have other names."""
    assert not with_fastapis_own_spans(SimpleNamespace(), PRESENT_NAMES)
    assert not with_fastapis_own_spans(SimpleNamespace(_telemetry={"tracing": 1}), PRESENT_NAMES)


def test_instruments_that_a_newer_fastapi_may_ask_for_are_the_providers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the count of requests under way is left out; an error would be the user's request's."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    app = FastAPI()
    assert with_fastapis_own_spans(app, PRESENT_NAMES)
    meters = vars(app)["_telemetry"]["meter_provider"]
    meter = meters.get_meter("fastapi")

    meter.create_counter("newer").add(3)
    meter.create_up_down_counter("http.server.active_requests").add(1)
    assert meters.force_flush()

    data = reader.get_metrics_data()
    assert data is not None
    assert [
        metric.name
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ] == ["newer"]


def test_an_apps_own_options_are_left_as_they_are() -> None:
    """Who wants FastAPI's steps as spans, or none of its spans, says so to FastAPI."""
    mine = FastAPI(telemetry={"exclude": lambda _: False})
    before = dict(vars(mine)["_telemetry"])
    assert with_fastapis_own_spans(mine, PRESENT_NAMES)
    assert vars(mine)["_telemetry"] == before

    assert not with_fastapis_own_spans(FastAPI(telemetry={"tracing": False}), PRESENT_NAMES)
