"""py_rt's four services as real processes: an order's way, their log lines, what faults do."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from floor.floor_service import FloorProcesses, running_services
from tapeline.demo.credentials import credentials
from waiting import eventually as within

MARKET_DATA = "py-rt-market-data"
SIGNAL_BRIDGE = "py-rt-signal-bridge"
RISK_MANAGER = "py-rt-risk-manager"
EXECUTION_ENGINE = "py-rt-execution-engine"
# Four processes on a machine that may be busy with other tests.
eventually = partial(within, timeout_s=90.0)
NAMES = (MARKET_DATA, SIGNAL_BRIDGE, RISK_MANAGER, EXECUTION_ENGINE)


@pytest.fixture(scope="module", name="floor")
def _floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FloorProcesses]:
    folder = tmp_path_factory.mktemp("py_rt")
    with pytest.MonkeyPatch.context() as patch:
        for signal in ("TRACES", "METRICS", "LOGS"):
            patch.setenv(f"OTEL_{signal}_EXPORTER", "none")  # nobody is there who takes them
        with running_services(folder, *NAMES, rate_per_s=5.0) as floor:
            yield floor


@pytest.fixture(autouse=True)
def _no_fault(floor: FloorProcesses) -> Iterator[None]:
    """Each test ends with the floor as it was."""
    yield
    floor.fault()


def lines(floor: FloorProcesses, service: str) -> list[dict[str, Any]]:
    """Return the log lines of a service so far."""
    text = (floor.logs / f"{service}.log").read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in whole.splitlines()]


def find(floor: FloorProcesses, service: str, message: str) -> dict[str, Any]:
    """Return the newest line with a message, once there is one."""

    def look() -> dict[str, Any]:
        found = [each for each in lines(floor, service) if each["fields"]["message"] == message]
        assert found, f"no line {message!r} of {service}"
        return found[-1]

    return eventually(look)


def grows(floor: FloorProcesses, service: str, name: str, by: float = 1, **labels: str) -> None:
    """Wait until a metric has grown by so much."""
    before = floor.sample(service, name, **labels)
    eventually(lambda: floor.sample(service, name, **labels) >= before + by)


def test_an_order_goes_from_the_feed_to_a_fill(floor: FloorProcesses) -> None:
    """Each service counts its part, and the book of the risk manager moves."""
    grows(floor, EXECUTION_ENGINE, "execution_engine_orders_submitted_total", status="success")
    grows(floor, MARKET_DATA, "market_data_messages_processed_total", by=100, symbol="AAPL")
    grows(floor, SIGNAL_BRIDGE, "signal_bridge_signals_generated_total", signal_type="hold")
    grows(floor, RISK_MANAGER, "risk_manager_checks_performed_total", by=3, result="pass")
    grows(floor, EXECUTION_ENGINE, "trading_daily_volume_usd", by=100)
    eventually(lambda: floor.sample(RISK_MANAGER, "trading_open_positions_count") == 4)
    value = floor.sample(RISK_MANAGER, "trading_portfolio_value_usd")
    assert 99_000 < value < 101_000


def test_every_service_answers_health_and_tells_of_itself(floor: FloorProcesses) -> None:
    """Real figures of its own process."""
    for service in NAMES:
        assert floor.get(service, "/health/ready")[0] == 200
        eventually(lambda service=service: floor.sample(service, "system_memory_usage_mb") > 20)  # type: ignore[misc]
        assert 0 < floor.sample(service, "system_cpu_usage_percent") < 400
        assert floor.sample(service, "system_tokio_workers_active") >= 1


def test_lines_have_the_form_of_tracing(floor: FloorProcesses) -> None:
    """As section 3.4 of the document shows it, with the trace's ids beside."""
    line = find(floor, EXECUTION_ENGINE, "Order successfully submitted")
    assert list(line)[:5] == ["timestamp", "level", "target", "fields", "span"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["target"]) == ("INFO", "execution_engine::router")
    fields = line["fields"]
    assert set(fields) >= {
        "message",
        "order_id",
        "symbol",
        "filled_qty",
        "avg_price",
        "latency_us",
    }
    assert line["span"] == {"name": "submit_order", "order_id": fields["order_id"]}
    assert (len(line["trace_id"]), len(line["span_id"])) == (32, 16)


@pytest.mark.parametrize(
    ("service", "level", "message"),
    [
        (MARKET_DATA, "INFO", "Service started"),
        (MARKET_DATA, "DEBUG", "Received market data message"),
        (RISK_MANAGER, "DEBUG", "Risk check passed"),
        (RISK_MANAGER, "INFO", "Position opened"),
        (EXECUTION_ENGINE, "DEBUG", "Submitting order"),
        (EXECUTION_ENGINE, "INFO", "Order filled"),
        (SIGNAL_BRIDGE, "INFO", "Signal generated"),
    ],
)
def test_each_level_has_its_lines(
    floor: FloorProcesses, service: str, level: str, message: str
) -> None:
    """The examples of section 3.2."""
    assert find(floor, service, message)["level"] == level


def test_payloads_are_for_tracing(floor: FloorProcesses) -> None:
    """Now and then one of the feed's, at the lowest level."""
    payloads = [
        line
        for line in lines(floor, MARKET_DATA)
        if line["fields"]["message"].startswith("ZMQ message payload: {")
    ]
    assert payloads
    assert {line["level"] for line in payloads} == {"TRACE"}


def test_a_trace_crosses_the_services(floor: FloorProcesses) -> None:
    """Signal, check, order and position of one order stand in one trace."""
    update = find(floor, RISK_MANAGER, "Position updated")
    order_id = update["fields"]["order_id"]
    traces = {
        line["trace_id"]
        for service in (SIGNAL_BRIDGE, RISK_MANAGER, EXECUTION_ENGINE)
        for line in lines(floor, service)
        if line["fields"].get("order_id") == order_id
    }
    assert traces == {update["trace_id"]}


def test_a_latency_spike_is_in_every_histogram(floor: FloorProcesses) -> None:
    """Beyond the top threshold of the document, where a quantile still sees it."""
    floor.fault("latency_spike")
    metric = "execution_engine_order_submission_latency_us_bucket"
    labels = {"exchange": "alpaca", "order_type": "market"}
    find(floor, EXECUTION_ENGINE, "High latency detected (>500μs)")

    def beyond() -> bool:
        top = floor.sample(EXECUTION_ENGINE, metric, le="10000.0", **labels)
        return top > floor.sample(EXECUTION_ENGINE, metric, le="2500.0", **labels)

    eventually(beyond)
    eventually(lambda: floor.sample(MARKET_DATA, "system_zmq_queue_depth") > 1000)


def test_an_error_burst_fails_calls_and_inferences(floor: FloorProcesses) -> None:
    """With retries up to the third, and the status codes in log and metric."""
    floor.fault("error_burst")
    grows(floor, EXECUTION_ENGINE, "execution_engine_retry_delay_ms_count", retry_attempt="3")
    grows(floor, SIGNAL_BRIDGE, "signal_bridge_inference_errors_total")
    grows(floor, EXECUTION_ENGINE, "execution_engine_api_failures_total", status_code="429")
    failed = find(floor, EXECUTION_ENGINE, "Order submission failed")
    assert failed["level"] == "ERROR"
    assert failed["fields"]["status_code"] in {429, 500, 503}
    assert failed["fields"]["error"]

    def limited() -> bool:
        told = [each["fields"] for each in lines(floor, EXECUTION_ENGINE)]
        texts = [each["error_message"] for each in told if each.get("status_code") == 429]
        return any("rate limit" in text for text in texts)

    eventually(limited)
    assert find(floor, EXECUTION_ENGINE, "Retry attempt 2/3")["level"] == "WARN"


def test_a_venue_that_disconnects(floor: FloorProcesses) -> None:
    """Attempts fail, and no message comes any more."""
    floor.fault("venue_disconnect")
    grows(floor, MARKET_DATA, "market_data_websocket_connection_failures_total")
    assert find(floor, MARKET_DATA, "WebSocket disconnected")["level"] == "WARN"
    assert find(floor, MARKET_DATA, "Failed to connect to WebSocket")["level"] == "ERROR"
    before = floor.sample(MARKET_DATA, "market_data_messages_processed_total")
    grows(floor, MARKET_DATA, "market_data_websocket_connection_failures_total")
    assert floor.sample(MARKET_DATA, "market_data_messages_processed_total") == before


def test_a_feed_that_stalls_says_nothing_else(floor: FloorProcesses) -> None:
    """Connections don't fail; only silence tells."""
    floor.fault("feed_stall")
    failures = floor.sample(MARKET_DATA, "market_data_websocket_connection_failures_total")
    first = find(floor, MARKET_DATA, "No market data received")
    before = floor.sample(MARKET_DATA, "market_data_messages_processed_total")
    eventually(lambda: find(floor, MARKET_DATA, "No market data received") != first)
    assert floor.sample(MARKET_DATA, "market_data_messages_processed_total") == before
    after = floor.sample(MARKET_DATA, "market_data_websocket_connection_failures_total")
    assert after == failures


def test_orders_that_are_rejected(floor: FloorProcesses) -> None:
    """They count as failures of submission, and lower the fill rate."""
    floor.fault("rejected_orders")
    grows(floor, EXECUTION_ENGINE, "execution_engine_order_rejections_total", by=5)
    line = find(floor, EXECUTION_ENGINE, "Order rejection")
    assert line["fields"]["rejection_reason"] in {"insufficient_funds", "invalid_params"}
    labels = {"symbol": "AAPL", "order_type": "market"}
    eventually(lambda: floor.sample(EXECUTION_ENGINE, "trading_order_fill_rate", **labels) < 0.98)


def test_a_breach_of_limits_opens_the_circuit_breaker(floor: FloorProcesses) -> None:
    """No order passes, and the service is not ready; afterwards all is as before."""
    floor.fault("risk_limit_breach")
    failures = "risk_manager_risk_failures_total"
    grows(floor, RISK_MANAGER, failures, failure_type="position_limit_exceeded")
    eventually(lambda: floor.get(RISK_MANAGER, "/health/ready")[0] == 503)
    assert find(floor, RISK_MANAGER, "Circuit breaker triggered")["level"] == "ERROR"
    assert find(floor, RISK_MANAGER, "Risk limit breached")["fields"]["reason"] == "position_limit"
    assert floor.sample(RISK_MANAGER, "trading_position_value_usd", symbol="AAPL") > 25_000
    assert floor.sample(RISK_MANAGER, "trading_open_positions_count") == 12
    assert find(floor, RISK_MANAGER, "Risk check failed")["fields"]["result"] == "fail"
    floor.fault()
    eventually(lambda: floor.get(RISK_MANAGER, "/health/ready")[0] == 200)
    assert floor.sample(RISK_MANAGER, "trading_position_value_usd", symbol="AAPL") < 25_000


def test_a_drawdown_halts_trading_and_passes(floor: FloorProcesses) -> None:
    """The loss is beyond the day's limit and 5 % of the capital, and comes back."""
    floor.fault("drawdown")
    value = "trading_portfolio_value_usd"
    eventually(lambda: floor.sample(RISK_MANAGER, value) < 95_000)
    assert floor.sample(RISK_MANAGER, "trading_unrealized_pnl_usd") < -5_000
    grows(
        floor,
        RISK_MANAGER,
        "risk_manager_checks_performed_total",
        check_type="circuit_breaker",
        result="fail",
    )
    floor.fault()
    eventually(lambda: floor.sample(RISK_MANAGER, value) > 99_000)


def test_slippage_spikes_in_the_histogram_only(floor: FloorProcesses) -> None:
    """All fills are worse than 50 bps; the P&L bears it without a drawdown."""
    floor.fault("slippage_spike")
    metric = "trading_slippage_bps_bucket"

    def over_50_bps() -> float:
        everything = floor.sample(EXECUTION_ENGINE, metric, le="+Inf")
        return everything - floor.sample(EXECUTION_ENGINE, metric, le="50.0")

    before = over_50_bps()
    eventually(lambda: over_50_bps() >= before + 5)
    assert floor.sample(RISK_MANAGER, "trading_portfolio_value_usd") > 99_000


def test_a_risk_manager_that_is_away_stops_orders(floor: FloorProcesses) -> None:
    """Its port is closed, callers say so, and it is there again afterwards."""
    floor.fault("service_down")

    def closed() -> bool:
        try:
            floor.get(RISK_MANAGER, "/health")
        except OSError:
            return True
        return False

    eventually(closed)

    def told() -> bool:
        line = find(floor, SIGNAL_BRIDGE, "Order was not placed")
        return line["level"] == "ERROR" and RISK_MANAGER in line["fields"]["error"]

    eventually(told)
    floor.fault()
    eventually(lambda: floor.get(RISK_MANAGER, "/health")[0] == 200)
    grows(floor, EXECUTION_ENGINE, "execution_engine_orders_submitted_total", status="success")


def test_a_flood_of_log_lines(floor: FloorProcesses) -> None:
    """Hundreds of errors a second."""
    before = len(lines(floor, EXECUTION_ENGINE))
    floor.fault("log_flood")
    eventually(lambda: len(lines(floor, EXECUTION_ENGINE)) > before + 300)


def test_credentials_leak_when_they_shall(floor: FloorProcesses) -> None:
    """Into lines, nested JSON and a label: what the gate has to find."""
    secrets = credentials(1)
    path: Path = floor.logs / f"{EXECUTION_ENGINE}.log"
    assert secrets.log_password not in path.read_text(encoding="utf-8")
    floor.fault("leaked_credentials")

    def leaked() -> bool:
        text = path.read_text(encoding="utf-8")
        exposed = floor.get(EXECUTION_ENGINE, "/metrics")[1].decode()
        in_lines = secrets.log_password in text and secrets.nested_secret in text
        return in_lines and secrets.metric_token in exposed

    eventually(leaked)
