"""setup(): what a service sends over real OTLP, read from the other end of the wire."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from demo.demo_sink import OtlpSink, attributes_of
from instrument.process import run_script
from ports import free_port

CALLER_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PLANTED = "planted-" + "credential-1f4c"


@dataclass(frozen=True)
class Run:
    """What a finished service printed, and what arrived of it."""

    sink: OtlpSink
    printed: str
    stderr: str

    def span(self, name: str) -> list[Span]:
        """Return the spans of a name, in the order of their arrival."""
        return [span for _, span in self.sink.spans() if span.name == name]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """The whole service, run once with both forms of the HTTP attributes."""
    with OtlpSink() as sink:
        done = run_script(
            "whole_service",
            {
                "OTLP_ENDPOINT": sink.endpoint,
                "OTEL_SEMCONV_STABILITY_OPT_IN": "http/dup",
                "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-.*",
                "SERVICE_PORT": str(free_port()),
                "PLANTED": PLANTED,
            },
        )
        assert done.returncode == 0, done.stderr
        yield Run(sink, done.stdout, done.stderr)


def test_all_three_signals_arrive_with_the_service_that_they_are_of(run: Run) -> None:
    """By the endpoint that KTRDR's variable names; with version and environment, in both names."""
    assert {name for name, _ in run.sink.spans()} == {"orders-api"}
    assert {name for name, _ in run.sink.logs()} == {"orders-api"}
    assert {"orders.placed", "http.server.duration", "http.server.request.duration"} <= {
        metric.name for _, metric in run.sink.metrics()
    }
    for part in (b"1.2.3", b"deployment.environment.name", b"staging", b"service.version"):
        assert part in run.sink.raw()


def test_a_second_setup_is_the_first_and_requests_have_one_span(run: Run) -> None:
    """Though the app was given twice; and the caller's trace goes on in it."""
    assert json.loads(run.printed.splitlines()[-1])["same"] is True

    requests = run.span("GET /orders/{number}")
    assert len(requests) == 2
    assert {each.trace_id.hex() for each in requests} == {CALLER_TRACE}


def test_health_is_answered_and_leaves_no_spans(run: Run) -> None:
    """VeloZ's three endpoints; probes and scrapes would be most of all spans."""
    printed = json.loads(run.printed.splitlines()[-1])
    assert printed["answers"] == [200, 500, 200, 200, 404]
    assert printed["ready"]["ok"] is True
    assert printed["ready"]["components"] == {"engine": "healthy", "websocket": "connected"}

    served = [span.name for _, span in run.sink.spans() if span.kind == Span.SPAN_KIND_SERVER]
    assert set(served) == {"GET /orders/{number}"}


def test_requests_have_old_and_new_names_of_http_attributes(run: Run) -> None:
    """As OTEL_SEMCONV_STABILITY_OPT_IN=http/dup asks for."""
    found = attributes_of(run.span("GET /orders/{number}")[0])

    assert found["http.method"] == found["http.request.method"] == "GET"
    assert found["http.route"] == "/orders/{number}"
    assert found["http.status_code"] == found["http.response.status_code"] == 200


def test_spans_nest_and_an_exception_becomes_an_event(run: Run) -> None:
    """With what it was about, and a stack trace that is longer than an attribute may be."""
    risk, _ = run.span("calculate_risk")
    well, refused = run.span("process_order")
    assert risk.parent_span_id == well.span_id
    assert attributes_of(risk) == {"component": "risk"}

    assert refused.status.code == 2
    assert attributes_of(refused)["error.symbol"] == "BTCUSDT"
    exception = attributes_of(next(e for e in refused.events if e.name == "exception"))
    assert exception["exception.type"] == "ValueError"
    assert str(exception["exception.stacktrace"]).count("y") > 3000
    assert "Traceback" in str(exception["exception.stacktrace"])


def test_attributes_are_cut_at_the_limit(run: Run) -> None:
    """1,024 characters, KTRDR's limit."""
    assert attributes_of(run.span("process_order")[0])["note"] == "x" * 1024


def test_the_sdks_other_limits_and_batches_are_ktrdrs() -> None:
    """The kit leaves them to the SDK, whose defaults they are: a change there shows here."""
    limits = SpanLimits()
    assert (limits.max_span_attributes, limits.max_events, limits.max_links) == (128, 128, 128)
    read = (
        BatchSpanProcessor._default_max_queue_size,
        BatchSpanProcessor._default_schedule_delay_millis,
        BatchSpanProcessor._default_max_export_batch_size,
        BatchSpanProcessor._default_export_timeout_millis,
    )
    found = [each() for each in read]  # type: ignore[no-untyped-call]
    assert found == [2048, 5000, 512, 30_000]


def test_log_records_have_the_trace_in_otlp_and_in_the_named_fields(run: Run) -> None:
    """The two joins that KTRDR's document describes, and the fields of its helpers."""
    (record,) = [
        each for _, each in run.sink.logs() if attributes_of(each).get("status") == "completed"
    ]
    fields = attributes_of(record)

    assert record.trace_id.hex() == fields["otelTraceID"] == CALLER_TRACE
    assert record.span_id.hex() == fields["otelSpanID"]
    assert fields["otelServiceName"] == "orders-api"
    assert (fields["operation_id"], fields["duration_ms"]) == ("op-1", 1.5)
    starts = [attributes_of(e) for _, e in run.sink.logs() if "started" in str(attributes_of(e))]
    assert {start["context_name"] for start in starts} == {"desk"}
    assert {start["operation_type"] for start in starts} == {"order"}


def test_a_failed_operation_is_logged_with_its_error(run: Run) -> None:
    """As an error, with the exception's type and stack trace."""
    (record,) = [
        each for _, each in run.sink.logs() if attributes_of(each).get("status") == "failed"
    ]

    assert record.severity_text == "ERROR"
    assert attributes_of(record)["error.type"] == "ValueError"
    assert "refused" in str(attributes_of(record)["exception.stacktrace"])


def test_lines_on_the_terminal_and_of_structlog_have_the_trace(run: Run) -> None:
    """The standard library's by its format, structlog's by the processor."""
    assert f"trace_id={CALLER_TRACE}" in run.stderr
    lines = [json.loads(line) for line in run.printed.splitlines() if '"structured"' in line]
    assert [line["trace_id"] for line in lines] == [CALLER_TRACE, CALLER_TRACE]
    assert {line["span_id"] for line in lines} == {
        span.span_id.hex() for span in run.span("process_order")
    }


def test_credentials_are_nowhere_in_what_was_sent(run: Run) -> None:
    """Not from an attribute, an event, a header or a log's field; only that they were there."""
    assert PLANTED.encode() not in run.sink.raw()
    assert attributes_of(run.span("process_order")[0])["api_key_present"] is True
    (login,) = [event for event in run.span("process_order")[0].events if event.name == "login"]
    assert attributes_of(login) == {"user": "desk", "password_present": True}


def test_nothing_is_sent_or_complained_about_after_the_end(run: Run) -> None:
    """A line that is logged after shutdown() goes to the terminal alone."""
    bodies = [record.body.string_value for _, record in run.sink.logs()]
    assert "of another logger" in bodies
    assert "after the end" not in bodies
    assert "after the end" in run.stderr
    assert json.loads(run.printed.splitlines()[-1])["went"] is True


def test_a_process_that_just_ends_sends_what_it_holds() -> None:
    """Without shutdown(); and without FastAPI, which it doesn't use."""
    with OtlpSink() as sink:
        done = run_script("bare", {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint})

        assert done.stdout.split() == ["False", "True"], done.stderr
        assert [span.name for _, span in sink.spans()] == ["work"]
        assert [each.body.string_value for _, each in sink.logs()] == ["working"]
        assert "work.done" in {metric.name for _, metric in sink.metrics()}


@pytest.mark.parametrize("switch", [{"OTEL_ENABLED": "false"}, {"OTEL_SDK_DISABLED": "true"}])
def test_telemetry_can_be_switched_off(switch: dict[str, str]) -> None:
    """By VeloZ's variable or the SDK's: nothing is sent, no exporter loaded, lines are printed."""
    with OtlpSink() as sink:
        done = run_script("bare", switch | {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint})

        assert done.stdout.split() == ["False", "False"], done.stderr
        assert "working" in done.stderr
        assert sink.raw() == b""


def test_exporters_are_chosen_by_the_environment() -> None:
    """Spans to the terminal, no metrics, logs by OTLP."""
    with OtlpSink() as sink:
        done = run_script(
            "bare",
            {
                "OTEL_TRACES_EXPORTER": "console",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": sink.endpoint,
                "VELOZ_ENV": "paper",
            },
        )

        assert '"name": "work"' in done.stdout, done.stderr
        assert '"deployment.environment.name": "paper"' in done.stdout
        assert (sink.spans(), sink.metrics()) == ([], [])
        assert len(sink.logs()) == 1


def test_the_console_comes_beside_other_exporters() -> None:
    """OTEL_CONSOLE_EXPORT, VeloZ's and KTRDR's first step, prints spans that are sent as well."""
    with OtlpSink() as sink:
        done = run_script(
            "bare",
            {"OTEL_CONSOLE_EXPORT": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint},
        )

        assert '"name": "work"' in done.stdout, done.stderr
        assert [span.name for _, span in sink.spans()] == ["work"]


def test_a_ratio_of_none_keeps_no_trace_and_every_line() -> None:
    """Sampling is of traces."""
    with OtlpSink() as sink:
        done = run_script("bare", {"RATIO": "0", "OTLP_ENDPOINT": sink.endpoint})

        assert done.returncode == 0, done.stderr
        assert sink.spans() == []
        assert len(sink.logs()) == 1


def test_an_unreachable_endpoint_is_told_on_the_terminal_alone() -> None:
    """The service ends well, and its complaint is not held as a log record of its own."""
    done = run_script(
        "bare",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        },
    )

    assert done.returncode == 0, done.stderr
    assert "UNAVAILABLE" in done.stderr


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER asks for 'zipkin'"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"}, "the protocol 'smoke'"),
        ({"OTEL_LOGS_EXPORTER": "none,otlp"}, "OTEL_LOGS_EXPORTER names 'none' beside others"),
        ({"OTEL_ENABLED": "maybe"}, "OTEL_ENABLED is 'maybe': say true or false"),
    ],
)
def test_a_wrong_environment_is_told_at_the_start(
    environment: dict[str, str], message: str
) -> None:
    """By the name of the variable; a service that starts without telemetry is found out late."""
    done = run_script("bare", environment)

    assert done.returncode == 1
    assert message in done.stderr


def test_wrong_uses_are_told() -> None:
    """No name, no share, another service's name, and a process that was shut down."""
    done = run_script("wrong", {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none",
                                "OTEL_LOGS_EXPORTER": "none"})  # fmt: skip

    told = done.stdout.splitlines()
    assert told[0].startswith("ValueError: service_name is empty"), done.stderr
    assert told[1] == "ValueError: sample_ratio is 1.5: a share, from 0 to 1"
    assert told[2].startswith("SetupError: this process is set up as 'orders':")
    assert told[3].startswith("SetupError: this process is set up as 'orders' and was shut down:")


def test_a_provider_that_is_there_already_is_not_passed_over() -> None:
    """Behind opentelemetry-instrument there would be two SDKs, of which one filters nothing."""
    done = run_script("beside_another", {})

    assert done.stdout.startswith("a tracer provider is set already"), done.stderr
