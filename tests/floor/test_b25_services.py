"""b25's services as real processes: orders that go through all of them, and what faults do."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from floor.floor_service import FloorProcesses, running_services
from tapeline.demo.credentials import credentials
from tapeline.floor.catalog import services_of
from waiting import eventually as within

# Patient: the machine may be busy with others.
eventually = partial(within, timeout_s=90.0)
SERVICES = tuple(each.name for each in services_of(["b25"]))
DATABASE = {"instance": "postgresql:5432", "module": "tcp_connect"}
BINANCE_BTC = {"exchange": "binance", "symbol": "BTCUSDT"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FloorProcesses]:
    """All eight, at ten orders a second."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_TRACES_EXPORTER", "none")  # nobody is there who takes them
        folder = tmp_path_factory.mktemp("b25")
        with running_services(folder, *SERVICES, rate_per_s=10.0) as processes:
            yield processes


@pytest.fixture
def b25(running: FloorProcesses) -> Iterator[FloorProcesses]:
    """The services without a fault, and trading: an emergency stop of before is over."""
    running.fault()
    eventually(lambda: running.sample("b25-strategy-engine", "strategy_engine_active_strategies"))
    yield running
    running.fault()


def lines_of(b25: FloorProcesses, service: str) -> list[dict[str, Any]]:
    """Return what a service has logged; a line that is half written is left out."""
    text = (b25.logs / f"{service}.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def beyond(b25: FloorProcesses, service: str, histogram: str, bound: str, **labels: str) -> float:
    """Return how many observations are above a bound, by one scrape."""
    text = b25.get(service, "/metrics")[1].decode()
    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"{histogram}_bucket" and labels.items() <= sample.labels.items()
    ]
    counts = {
        le: sum(sample.value for sample in samples if sample.labels["le"] == le)
        for le in ("+Inf", bound)
    }
    return float(counts["+Inf"] - counts[bound])


def probed(b25: FloorProcesses, success: int, labels: Mapping[str, str]) -> bool:
    """Tell whether a probe succeeds, or does not."""
    return bool(b25.sample("b25-host", "probe_success", **labels) == success)


def differences(b25: FloorProcesses) -> float:
    """Return by how much the own and the exchanges' positions differ, over all books, now."""
    families = text_string_to_metric_families(
        b25.get("b25-account-monitor", "/metrics")[1].decode()
    )
    own, exchange = (
        {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples}
        for family in sorted(families, key=lambda family: family.name, reverse=True)
        if family.name
        in ("account_monitor_position_size", "account_monitor_exchange_position_size")
    )
    assert len(own) == 6
    assert own.keys() == exchange.keys()
    return sum(abs(own[book] - exchange[book]) for book in own)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_healthy(b25: FloorProcesses, service: str) -> None:
    """And says so in JSON."""
    status, body = b25.get(service, "/health")
    assert status == 200
    assert json.loads(body)["status"] == "healthy"


def test_orders_go_through_all_services(b25: FloorProcesses) -> None:
    """A quote becomes a signal, an order, a fill and a position, each in another process."""
    before = b25.sample("b25-account-monitor", "account_monitor_total_orders_total")

    def traded() -> bool:
        filled = b25.sample("b25-account-monitor", "account_monitor_total_orders_total")
        sent = b25.sample("b25-order-execution", "order_execution_submitted_orders_total")
        signals = b25.sample("b25-strategy-engine", "strategy_engine_signals_generated_total")
        messages = b25.sample("b25-market-data", "market_data_messages_processed_total")
        assert before + 40 <= filled <= sent <= signals + 1 <= messages
        return True

    eventually(traded)
    maker = b25.sample("b25-account-monitor", "account_monitor_maker_orders_total")
    assert maker > 0.7 * b25.sample("b25-account-monitor", "account_monitor_total_orders_total")


def test_requests_are_counted_and_probes_are_not(b25: FloorProcesses) -> None:
    """With method, path and status; a path that nobody serves makes no label."""
    b25.get("b25-config-service", "/wp-login.php")
    b25.get("b25-config-service", "/config")
    requests = "http_requests_total"
    assert b25.sample("b25-config-service", requests, path="other", status="404") >= 1
    text = b25.get("b25-config-service", "/metrics")[1].decode()
    assert 'path="/config"' in text
    assert 'path="/health"' not in text
    assert "wp-login" not in text


def test_an_order_s_lines_have_one_trace(b25: FloorProcesses) -> None:
    """From the decision to the fill, over four processes; in the plan's shape."""

    def of_one_order() -> list[dict[str, Any]]:
        filled = lines_of(b25, "b25-account-monitor")[-1]["order_id"]
        names = ("strategy-engine", "risk-manager", "order-execution", "account-monitor")
        found = [
            next(row for row in lines_of(b25, f"b25-{name}") if row.get("order_id") == filled)
            for name in names
        ]
        assert [row["service_name"] for row in found] == list(names)
        return found

    rows = eventually(of_one_order)
    for row in rows:
        assert row["environment"] == "production"
        assert {"timestamp", "level", "message", "span_id"} <= set(row)
        assert len(row["trace_id"]) == 32
    assert len({row["trace_id"] for row in rows}) == 1
    assert len({row["span_id"] for row in rows}) > 1


def test_the_prober_really_asks(b25: FloorProcesses) -> None:
    """Each service's /health and the database's port, under blackbox's names."""
    for service in ("market-data", "order-execution", "strategy-engine"):
        labels = {
            "job": "blackbox",
            "instance": f"{b25.urls[f'b25-{service}']}/health",
            "module": "http_2xx",
        }
        eventually(partial(probed, b25, 1, labels))
        assert b25.sample("b25-host", "probe_http_status_code", **labels) == 200
        assert b25.sample("b25-host", "probe_duration_seconds", **labels) > 0
    eventually(partial(probed, b25, 1, DATABASE))


def test_a_latency_spike_is_seen_in_requests_and_in_the_queue(b25: FloorProcesses) -> None:
    """Requests of more than a second, more than 100 orders that wait, a busy CPU."""

    def slow() -> float:
        durations = "http_request_duration_seconds"
        return beyond(b25, "b25-order-execution", durations, "1.0", path="/orders")

    before = slow()
    b25.fault("latency_spike")
    eventually(lambda: slow() > before)
    eventually(lambda: b25.sample("b25-order-execution", "order_execution_queue_depth") > 100)
    b25.fault()
    eventually(lambda: b25.sample("b25-order-execution", "order_execution_queue_depth") < 100)


def test_errors_lose_fills_and_positions_are_reconciled(b25: FloorProcesses) -> None:
    """What account-monitor refused is missing in its positions until the burst is over."""
    b25.fault("error_burst")
    eventually(lambda: b25.sample("b25-account-monitor", "http_requests_total", status="500"))
    eventually(lambda: differences(b25) > 1e-6)
    assert "fill not reported" in {row["message"] for row in lines_of(b25, "b25-order-execution")}
    b25.fault()
    eventually(lambda: differences(b25) < 1e-9)


def test_a_disconnected_venue_is_tried_again(b25: FloorProcesses) -> None:
    """Two of three are gone: their books get old, their circuit breakers open; okx goes on."""
    connected = "market_data_websocket_connected"
    b25.fault("venue_disconnect")
    eventually(lambda: b25.sample("b25-market-data", connected, exchange="binance") == 0)
    assert b25.sample("b25-market-data", connected, exchange="okx") == 1
    eventually(
        lambda: b25.sample("b25-market-data", "market_data_reconnections_total", exchange="bybit")
    )
    age = "market_data_orderbook_age_seconds"
    eventually(lambda: b25.sample("b25-market-data", age, **BINANCE_BTC) > 3)
    assert b25.sample("b25-market-data", age, exchange="okx", symbol="BTCUSDT") < 3
    breaker = "order_execution_circuit_breaker_state"
    assert b25.sample("b25-order-execution", breaker, exchange="binance") == 1
    b25.fault()
    eventually(lambda: b25.sample("b25-market-data", connected, exchange="binance") == 1)
    assert b25.sample("b25-market-data", "market_data_gaps_detected_total", exchange="binance")


def test_without_quotes_strategies_pause(b25: FloorProcesses) -> None:
    """Connections are up, and books get old."""
    b25.fault("feed_stall")
    active = "strategy_engine_active_strategies"
    eventually(lambda: b25.sample("b25-strategy-engine", active) == 0)
    assert b25.sample("b25-market-data", "market_data_orderbook_age_seconds", **BINANCE_BTC) > 10
    assert b25.sample("b25-market-data", "market_data_websocket_connected", exchange="binance") == 1


def test_a_clock_that_is_behind_shows_as_latency(b25: FloorProcesses) -> None:
    """Of more than a second; the books themselves stay young."""

    def late() -> float:
        return beyond(b25, "b25-market-data", "market_data_websocket_latency_ms", "1000.0")

    before = late()
    b25.fault("clock_skew")
    eventually(lambda: late() > before + 10)
    assert b25.sample("b25-market-data", "market_data_orderbook_age_seconds", **BINANCE_BTC) < 3


def test_venues_reject_a_large_part(b25: FloorProcesses) -> None:
    """Counted by reason, and logged as b25's mapping expects it."""
    rejected = "order_execution_rejections_total"
    before = b25.sample("b25-order-execution", rejected)
    orders = b25.sample("b25-order-execution", "order_execution_submitted_orders_total")
    b25.fault("rejected_orders")

    def many() -> bool:
        more = b25.sample("b25-order-execution", rejected) - before
        sent = b25.sample("b25-order-execution", "order_execution_submitted_orders_total") - orders
        assert sent > 40
        assert more > 0.2 * sent
        return True

    eventually(many)
    rows = [row for row in lines_of(b25, "b25-order-execution") if row.get("status") == "rejected"]
    assert rows[-1]["level"] == "warn"
    assert rows[-1]["order_id"]


def test_a_breach_of_a_limit_stops_trading_until_it_is_over(b25: FloorProcesses) -> None:
    """Violation, emergency stop, a new configuration; then all is undone again."""
    changes = b25.sample("b25-config-service", "config_service_changes_total")
    violations = "risk_manager_limit_violations_total"
    before = b25.sample("b25-risk-manager", violations, limit="position")
    b25.fault("risk_limit_breach")
    eventually(lambda: b25.sample("b25-risk-manager", violations, limit="position") > before)
    eventually(lambda: b25.sample("b25-strategy-engine", "strategy_engine_active_strategies") == 0)
    eventually(
        lambda: b25.sample("b25-config-service", "config_service_changes_total") == changes + 1
    )
    assert b25.sample("b25-risk-manager", "risk_manager_emergency_stop_active") == 1
    assert differences(b25) < 1e-9
    b25.fault()
    eventually(
        lambda: b25.sample("b25-config-service", "config_service_changes_total") == changes + 2
    )
    assert b25.sample("b25-risk-manager", "risk_manager_emergency_stop_active") == 0


def test_a_drawdown_costs_equity_and_empties_an_account(b25: FloorProcesses) -> None:
    """More than 5 % from the peak, and less than $1000 on okx; both come back."""
    balance, drawdown = "account_monitor_balance_usd", "account_monitor_max_drawdown_pct"
    monitor = "b25-account-monitor"
    assert b25.sample(monitor, drawdown) < 5
    b25.fault("drawdown")
    eventually(lambda: b25.sample(monitor, drawdown) > 5)
    eventually(lambda: b25.sample(monitor, balance, exchange="okx") < 1000)
    assert b25.sample(monitor, balance, exchange="binance") > 1000
    b25.fault()
    eventually(lambda: b25.sample(monitor, balance, exchange="okx") > 5000)


def test_slippage_spikes(b25: FloorProcesses) -> None:
    """Beyond 25 basis points, which it never is otherwise."""

    def large() -> float:
        return beyond(b25, "b25-order-execution", "order_execution_slippage_bps", "25.0")

    assert large() == 0
    b25.fault("slippage_spike")
    eventually(lambda: large() > 5)


def test_a_full_disk_stops_the_database(b25: FloorProcesses) -> None:
    """The prober finds its port closed; with room again it is started."""
    size = b25.sample("b25-host", "node_filesystem_size_bytes", mountpoint="/")
    b25.fault("disk_pressure")
    eventually(partial(probed, b25, 0, DATABASE))
    assert b25.sample("b25-host", "node_filesystem_avail_bytes", mountpoint="/") < 0.1 * size
    b25.fault()
    eventually(partial(probed, b25, 1, DATABASE))
    assert b25.sample("b25-host", "node_filesystem_avail_bytes", mountpoint="/") > 0.1 * size


def test_a_service_that_is_down_is_noticed(b25: FloorProcesses) -> None:
    """By the prober, and by the risk manager, which answers 502 for it."""
    labels = {"instance": f"{b25.urls['b25-order-execution']}/health", "module": "http_2xx"}
    b25.fault("service_down")
    eventually(partial(probed, b25, 0, labels))
    eventually(lambda: b25.sample("b25-risk-manager", "http_requests_total", status="502"))
    messages = {row["message"] for row in lines_of(b25, "b25-risk-manager")}
    assert "order-execution unreachable: POST /orders" in messages
    b25.fault()
    eventually(partial(probed, b25, 1, labels))


def test_a_log_flood_is_of_errors(b25: FloorProcesses) -> None:
    """By the hundred, from each service."""
    b25.fault("log_flood")

    def flooded() -> bool:
        levels = [row["level"] for row in lines_of(b25, "b25-config-service")]
        return levels.count("error") > 100

    eventually(flooded)


def test_credentials_leak_only_in_their_scenario(b25: FloorProcesses) -> None:
    """Into lines and a label: what the gate has to find."""
    secrets = credentials(1)
    leaked = (secrets.log_password, secrets.bearer_token, secrets.api_key, secrets.metric_token)

    def shown() -> list[str]:
        text = (b25.logs / "b25-order-execution.log").read_text(encoding="utf-8")
        text += b25.get("b25-order-execution", "/metrics")[1].decode()
        return [each for each in leaked if each in text]

    assert shown() == []
    b25.fault("leaked_credentials")
    eventually(lambda: len(shown()) == len(leaked))


def test_exemplars_name_traces(b25: FloorProcesses) -> None:
    """In OpenMetrics, the only form that has them."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{b25.urls['b25-order-execution']}/metrics",
        headers={"Accept": "application/openmetrics-text; version=1.0.0"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    lines = [line for line in text.splitlines() if line.startswith("order_execution_latency_ms_b")]
    assert any('# {trace_id="' in line for line in lines)
