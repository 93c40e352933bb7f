"""The whole way through real servers: what services send arrives, joined, and without secrets."""

from collections.abc import Iterator

import pytest

from end_to_end_run import (
    BACKENDS,
    RUN,
    SEED,
    Evidence,
    controls,
    needles,
    run_through,
    secrets_of_shapes,
)
from tapeline.demo.credentials import credentials
from tapeline.demo.events import ACCOUNT
from tapeline.stack.ports import Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """Start the whole stack, run the demo through it, and gather what can be found of it."""
    folder = tmp_path_factory.mktemp("end_to_end")
    overrides = Overrides(
        environment={"collector": {"TAPELINE_DECISION_WAIT": "2s"}}, scrape_interval_s=1
    )
    with Stack(folder / "run", Ports.free(), overrides=overrides) as stack:
        yield run_through(stack, folder)


def test_metric_points_arrive_in_prometheus(evidence: Evidence) -> None:
    """Counters, up-down counters and histograms of both services are there, with their run."""
    names = {
        (each["__name__"], each.get("instance", "").removesuffix(f"-{RUN}"))
        for each in evidence.series
    }
    for name, service in (
        ("strategy_orders_sent_total", "strategy"),
        ("strategy_executions_net", "strategy"),
        ("strategy_order_round_trip_seconds_bucket", "strategy"),
        ("gateway_executions_total", "gateway"),
        ("gateway_matching_duration_seconds_count", "gateway"),
    ):
        assert (name, service) in names


def test_what_the_trades_cost_and_earned_arrives_in_prometheus(evidence: Evidence) -> None:
    """The signals have slippage, P&L and equity of the demo's account, from its own telemetry."""
    of_account = {
        each["__name__"] for each in evidence.series if each.get("trading_account") == ACCOUNT
    }
    assert {
        "trading_slippage_bps_bucket",
        "trading_slippage_cost_total",
        "trading_executions_total",
        "trading_pnl_realized",
        "trading_pnl_net",
        "trading_portfolio_equity",
    } <= of_account


def test_a_scraped_series_arrives_in_prometheus(evidence: Evidence) -> None:
    """node_exporter's load is there, under the job that scraped it through the collector."""
    scraped = [each for each in evidence.series if each["__name__"] == "node_load1"]

    assert [each["job"] for each in scraped] == ["node"]
    assert evidence.node_up >= 0


def test_spans_arrive_in_jaeger_in_one_trace_over_both_services(evidence: Evidence) -> None:
    """A trade has one root, and spans of strategy and gateway below it."""
    trades = [
        trace
        for trace in evidence.traces.values()
        if any(span["operationName"] == "trade" for span in trace["spans"])
    ]

    assert trades
    for trace in trades:
        services = {process["serviceName"] for process in trace["processes"].values()}
        assert services == {"strategy", "gateway"}
        ids = {span["spanID"] for span in trace["spans"]}
        parents = [ref["spanID"] for span in trace["spans"] for ref in span["references"]]
        assert len(ids) == len(trace["spans"])
        assert set(parents) <= ids
        assert len(parents) == len(ids) - 1


def test_every_line_of_the_rotated_file_arrives_in_loki(evidence: Evidence) -> None:
    """JSON lines by their message and time, others as they are, each as often as written."""
    from_file = [
        entry
        for entry in evidence.entries
        if entry.labels.get("log_file_name", "").startswith("back_office.log")
    ]
    written = evidence.log_lines_written
    as_they_are = [line for line in written if not line.startswith("{") and "password" not in line]

    assert len(from_file) == len(written)
    assert as_they_are
    assert set(as_they_are) <= {entry.line for entry in from_file}
    filled = [entry for entry in from_file if entry.line == "order filled"]
    assert len(filled) == sum(line.startswith("{") for line in written)
    assert {entry.labels["service_name"] for entry in filled} == {"back-office"}


def test_logs_open_their_trace_in_jaeger(evidence: Evidence) -> None:
    """The trace ids of OTLP logs and of the file's lines are those of traces in Jaeger."""
    for service in ("strategy", "gateway", "back-office"):
        ids = {
            entry.labels["trace_id"]
            for entry in evidence.entries
            if entry.labels["service_name"] == service and "trace_id" in entry.labels
        }
        assert len(ids) > 10
        assert ids <= evidence.traces.keys()


def test_exemplars_open_their_trace_in_jaeger(evidence: Evidence) -> None:
    """A histogram's exemplars in Prometheus name traces that Jaeger has."""
    ids = {
        exemplar["labels"]["trace_id"]
        for each in evidence.exemplars
        if each["seriesLabels"]["__name__"].startswith("strategy_order_round_trip")
        for exemplar in each["exemplars"]
    }

    assert ids
    assert ids <= evidence.traces.keys()


def test_the_demo_did_leak(evidence: Evidence) -> None:
    """What was redacted is there with its mask, and the log file holds what was leaked into it."""
    secrets = credentials(SEED)
    headers = [
        tag["value"]
        for trace in evidence.traces.values()
        for span in trace["spans"]
        for tag in span["tags"]
        if tag["key"] == "http.request.header.authorization"
    ]

    assert headers
    assert all("[REDACTED:" in header for header in headers)
    assert any("[REDACTED:" in each.get("token", "") for each in evidence.series)
    logins = [e.line for e in evidence.entries if e.line.startswith("feed login failed")]
    assert logins
    assert all("[REDACTED:" in line for line in logins)
    written = "\n".join(evidence.log_lines_written)
    assert secrets.file_access_key in written
    assert secrets.file_password in written


def test_no_api_tells_a_secret(evidence: Evidence) -> None:
    """All that the three APIs hold has what was sent beside each secret, and no secret."""
    for backend, text in evidence.api_texts().items():
        assert [control for control in controls() if control not in text] == [], backend
        assert [needle for needle in needles() if needle in text] == [], backend


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_data_folder_holds_a_secret(evidence: Evidence, backend: str) -> None:
    """On disk, decompressed, the search finds what stood beside each secret, and no secret."""
    hits = evidence.on_disk[backend]

    assert set(controls()) <= {hit.text for hit in hits}
    assert [hit for hit in hits if hit.text not in controls()] == []


def test_the_search_sees_through_each_compression(evidence: Evidence) -> None:
    """The controls are found in Loki's chunks, Jaeger's tables and the log of Prometheus."""
    for backend, folder, form in (
        ("loki", "chunks", "gzip"),
        ("jaeger", "keys", "badger table"),
        ("prometheus", "wal", "write-ahead log"),
    ):
        hits = evidence.on_disk[backend]
        seen = {hit.text for hit in hits if folder in hit.path.parts and hit.form == form}
        assert seen == set(controls()), backend


def test_no_egress_queue_holds_a_secret(evidence: Evidence) -> None:
    """While backends are down their queues hold what was sent, without the secrets in it."""
    assert {hit.text for hit in evidence.egress_queue} == {controls()[-1]}


def test_the_ingress_queue_holds_the_secrets(evidence: Evidence) -> None:
    """The same search finds each of these very secrets where raw data waits for the gate."""
    assert {hit.text for hit in evidence.raw_queue} == set(secrets_of_shapes())
