"""The services, run as they are run by the user, against an OTLP endpoint that keeps all."""

import json
import os
import signal
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from demo.convention import problems
from demo.demo_sink import OtlpSink, attributes_of
from ports import ports_in_a_row
from tapeline.demo.children import DemoError, DemoServices
from tapeline.demo.command import DemoOptions, demo_settings, services_environment
from tapeline.demo.credentials import credentials, planted_credentials
from tapeline.demo.messages import Settings
from tapeline.demo.tape import Side, decide, respond, steps

SEED = 7
RATE_PER_S = 40.0
DURATION_S = 2.5
PORT_TRIES = 50


@dataclass(frozen=True)
class Run:
    """A finished run: what the sink got, and what the log files hold, oldest line first."""

    settings: Settings
    sink: OtlpSink
    log_lines: list[str]

    def events(self) -> list[tuple[str, LogRecord]]:
        """Every business event with the name of the service that it is from."""
        return [(service, each) for service, each in self.sink.logs() if each.event_name]


def _environment_for(sink: OtlpSink) -> Mapping[str, str]:
    return services_environment() | {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A finished run of the demo, shared by the tests that only look at it."""
    folder = tmp_path_factory.mktemp("demo")
    settings = demo_settings(
        DemoOptions(
            seed=SEED,
            rate_per_s=RATE_PER_S,
            duration_s=DURATION_S,
            first_port=ports_in_a_row(3),
            log_file=folder / "back_office.log",
            log_size_bytes=20_000,
            run="t1",
        )
    )
    with OtlpSink() as sink:
        with DemoServices(settings, _environment_for(sink), folder) as services:
            services.wait()
        yield Run(settings, sink, _lines_of(Path(settings.log_path)))


def _lines_of(path: Path) -> list[str]:
    files = [path.with_name(f"{path.name}.{number}") for number in (3, 2, 1)]
    assert not files[0].exists(), "the run may have rotated lines away"
    return [
        line for each in [*files, path] if each.exists() for line in each.read_text().split("\n")
    ]


def test_one_trace_spans_both_services(run: Run) -> None:
    """An order's trace has one root, and each other span's parent is in it, over both services."""
    traces: dict[bytes, list[tuple[str, Span]]] = defaultdict(list)
    for service, span in run.sink.spans():
        traces[span.trace_id].append((service, span))
    trades = [spans for spans in traces.values() if any(span.name == "trade" for _, span in spans)]

    assert len(trades) == DURATION_S * RATE_PER_S
    for spans in trades:
        assert {service for service, _ in spans} == {"strategy", "gateway"}
        ids = {span.span_id for _, span in spans}
        roots = [span for _, span in spans if not span.parent_span_id]
        assert [root.name for root in roots] == ["trade"]
        assert {span.parent_span_id for _, span in spans} - {b""} <= ids


def test_a_filled_order_crosses_the_services_there_and_back(run: Run) -> None:
    """The gateway's report comes back to the strategy in the trace of the order."""
    by_id = {span.span_id: (service, span) for service, span in run.sink.spans()}
    reports = [span for service, span in by_id.values() if span.name == "POST /executions"]

    assert reports
    caller, client = by_id[reports[0].parent_span_id]
    assert caller == "gateway"
    assert by_id[client.parent_span_id][1].name == "match order"


def test_logs_carry_the_trace_they_were_written_in(run: Run) -> None:
    """Logs through the SDK's handler and events alike name a trace that was exported."""
    known = {span.trace_id for _, span in run.sink.spans()}
    written = [each for _, each in run.sink.logs() if "acknowledged" in each.body.string_value]
    events = [each for _, each in run.events() if each.event_name == "trading.order"]

    assert written
    assert events
    for record in [*written, *events]:
        assert record.trace_id in known
        assert len(record.span_id) == 8


def test_events_keep_to_the_convention_on_the_wire(run: Run) -> None:
    """What arrives has the required attributes and decimal strings, and a time of its own."""
    events = run.events()

    assert [
        found for _, each in events for found in problems(each.event_name, attributes_of(each))
    ] == []
    assert all(each.time_unix_nano for _, each in events)
    assert {each.event_name for _, each in events} >= {
        "trading.order",
        "trading.execution",
        "trading.quote",
        "trading.mark",
        "trading.cash",
    }


def test_orders_and_fills_are_those_of_the_tape(run: Run) -> None:
    """Sides and prices of the executions sent follow from the seed, order by order."""
    sent: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for _, record in run.events():
        attributes = attributes_of(record)
        if (
            record.event_name == "trading.execution"
            and "trading.execution.ref_id" not in attributes
        ):
            number = int(str(attributes["trading.order.id"]).split("-")[-1])
            sent[number].append(
                (str(attributes["trading.side"]), str(attributes["trading.execution.price"]))
            )
    expected: dict[int, list[tuple[str, str]]] = {}
    tape = steps(SEED)
    for number in range(1, max(sent) + 1):
        decision = decide(SEED, next(tape))
        fills = respond(SEED, decision).fills
        if fills:
            expected[number] = [(Side(decision.side).value, format(f.price, "f")) for f in fills]

    assert dict(sent) == expected


def test_metrics_have_every_kind_and_exemplars(run: Run) -> None:
    """A counter, an up-down counter and a histogram arrive; the histogram points at traces."""
    metrics = run.sink.metrics()
    by_name = {metric.name: metric for _, metric in metrics}
    known = {span.trace_id for _, span in run.sink.spans()}
    exemplars = [
        exemplar
        for _, metric in metrics
        if metric.name == "strategy.order.round_trip"
        for point in metric.histogram.data_points
        for exemplar in point.exemplars
    ]

    assert by_name["strategy.orders.sent"].sum.is_monotonic
    assert not by_name["strategy.executions.net"].sum.is_monotonic
    assert by_name["gateway.matching.duration"].HasField("histogram")
    assert exemplars
    assert {each.trace_id for each in exemplars} <= known


def test_open_orders_are_closed_again(run: Run) -> None:
    """At the end the up-down counter of open orders is back at zero for each instrument."""
    last = [metric for _, metric in run.sink.metrics() if metric.name == "gateway.orders.open"][-1]

    assert [point.as_int for point in last.sum.data_points] == [0] * len(last.sum.data_points)
    assert last.sum.data_points


def test_planted_credentials_are_in_what_was_sent_or_logged(run: Run) -> None:
    """Each credential of the list really occurs: a search that finds none proves something."""
    secrets = credentials(SEED)
    in_file = {secrets.file_access_key, secrets.file_password}
    raw, text = run.sink.raw().decode("latin-1"), "\n".join(run.log_lines)

    for secret in planted_credentials(SEED):
        assert secret in (text if secret in in_file else raw)


def test_credentials_leak_where_they_are_said_to(run: Run) -> None:
    """Header, query, exception and metric attribute each hold theirs, as the SDK wrote them."""
    secrets = credentials(SEED)
    spans = [span for _, span in run.sink.spans()]
    attributes = [str(attributes_of(span)) for span in spans]
    messages = [str(attributes_of(event)) for span in spans for event in span.events]
    points = [
        str(attributes_of(point)) for _, m in run.sink.metrics() for point in m.sum.data_points
    ]

    assert any(
        "http.request.header.authorization" in each and secrets.bearer_token in each
        for each in attributes
    )
    assert any(f"api_key={secrets.api_key}" in each for each in attributes)
    assert any(secrets.database_password in each for each in messages)
    assert any(secrets.metric_token in each for each in points)


def test_the_log_file_joins_traces_and_has_lines_that_are_not_json(run: Run) -> None:
    """Most lines are JSON with a trace id of this run; now and then one is not JSON."""
    known = {span.trace_id.hex() for _, span in run.sink.spans()}
    parsed, other = [], []
    for line in filter(None, run.log_lines):
        if line.startswith("{"):
            parsed.append(json.loads(line))
        else:
            other.append(line)

    assert len(parsed) > 50
    assert {each["trace_id"] for each in parsed} <= known
    assert other


def test_a_taken_port_names_the_service(tmp_path: Path) -> None:
    """Where a port is taken the error says whose and by whom, and no process is left."""
    first = ports_in_a_row(3)
    with socket.socket() as taken, OtlpSink() as sink:
        taken.bind(("127.0.0.1", first + 1))
        taken.listen()
        settings = demo_settings(DemoOptions(first_port=first, log_file=tmp_path / "x.log"))
        services = DemoServices(settings, _environment_for(sink), tmp_path)

        with pytest.raises(DemoError, match=rf"port {first + 1} \(demo service gateway\) is taken"):
            services.__enter__()

    assert services.process_ids == {}


def test_a_service_that_dies_is_named_with_its_last_words(tmp_path: Path) -> None:
    """A strategy without a gateway gives up; the error carries what it said."""
    first = ports_in_a_row(3)
    settings = demo_settings(DemoOptions(first_port=first, log_file=tmp_path / "x.log"))
    with (
        OtlpSink() as sink,
        DemoServices(settings, _environment_for(sink), tmp_path) as services,
    ):
        os.kill(services.process_ids["gateway"], signal.SIGKILL)

        with pytest.raises(DemoError, match="gateway ended with signal SIGKILL"):
            services.wait()


def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    """After the context each child is gone, though it was to run for ever."""
    settings = demo_settings(DemoOptions(first_port=ports_in_a_row(3), log_file=tmp_path / "x.log"))
    with OtlpSink() as sink:
        with DemoServices(settings, _environment_for(sink), tmp_path) as services:
            ids = dict(services.process_ids)

        assert sorted(ids) == ["back_office", "gateway", "strategy"]
        for process_id in ids.values():
            with pytest.raises(ProcessLookupError):
                os.kill(process_id, 0)
