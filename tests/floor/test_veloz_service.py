"""VeloZ's engine and gateway as real processes: what they answer, write, trace and suffer."""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from floor.floor_service import FloorProcesses, running_services
from waiting import eventually

ENGINE, GATEWAY = "veloz-engine", "veloz-gateway"
FLAT_FIELDS = {"timestamp", "level", "component", "message", "trace_id", "span_id"}
DESIGN_FIELDS = {
    "timestamp",
    "level",
    "message",
    "service",
    "version",
    "trace_id",
    "span_id",
    "file",
    "line",
    "function",
    "attributes",
}
# Span and attributes of each trace point of the documents.
TRACE_POINTS = {
    "http.request": {"http.method", "http.url", "http.status_code"},
    "engine.command": {"command.type", "command.symbol"},
    "order.place": {"order.symbol", "order.side", "order.type"},
    "order.execute": {"order.id", "venue.name"},
    "market.process": {"event.type", "symbol"},
    "strategy.signal": {"strategy.name", "signal.type"},
    "risk.check": {"check.name", "check.result"},
}


@pytest.fixture(scope="module")
def veloz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FloorProcesses]:
    """Both services, for tests that leave them as they are."""
    with pytest.MonkeyPatch.context() as environment:
        _export_nothing(environment)
        with running_services(tmp_path_factory.mktemp("veloz"), ENGINE, GATEWAY) as running:
            yield running


def _export_nothing(environment: pytest.MonkeyPatch) -> None:
    """Let no exporter try again for half a minute, at the end, where there is nobody to reach."""
    for signal in ("TRACES", "METRICS", "LOGS"):
        environment.setenv(f"OTEL_{signal}_EXPORTER", "none")


@pytest.fixture
def faulty(veloz: FloorProcesses) -> Iterator[FloorProcesses]:
    """The same, with all faults off again behind each test."""
    yield veloz
    veloz.fault()


def _answer(veloz: FloorProcesses, path: str, service: str = GATEWAY) -> dict[str, Any]:
    status, body = veloz.get(service, path)
    assert status == 200, body
    content: dict[str, Any] = json.loads(body)
    return content


def _post(veloz: FloorProcesses, path: str, content: object, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{veloz.urls[GATEWAY]}{path}",
        data=json.dumps(content).encode(),
        headers={"content-type": "application/json"}
        | {name.replace("_", "-"): text for name, text in headers.items()},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def _order() -> dict[str, str]:
    return {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "price": "1"}


def _lines(veloz: FloorProcesses, service: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (veloz.logs / f"{service}.log").read_text().splitlines()]


def _rises(veloz: FloorProcesses, service: str, name: str, **labels: str) -> Callable[[], bool]:
    """Return whether a counter is above what it is now (0 where it is not there yet)."""

    def value() -> float:
        try:
            return veloz.sample(service, name, **labels)
        except LookupError:
            return 0.0

    before = value()
    return lambda: value() > before


def test_health_has_the_documented_shapes(veloz: FloorProcesses) -> None:
    """Quick, alive and ready; readiness tells of engine, socket and database, and the version."""
    assert _answer(veloz, "/health") == {"ok": True}
    assert _answer(veloz, "/health/live") == {"ok": True}
    eventually(lambda: veloz.get(GATEWAY, "/health/ready")[0] == 200)
    ready = _answer(veloz, "/health/ready")
    assert ready["ok"] is True
    assert ready["components"] == {
        "engine": "healthy",
        "websocket": "connected",
        "database": "healthy",
    }
    assert ready["uptime_seconds"] > 0
    assert ready["version"] == "1.0.0"


def test_configuration_ping_and_market_are_answered(veloz: FloorProcesses) -> None:
    """The three endpoints by which the guide has the venue watched have its fields."""
    assert set(_answer(veloz, "/api/config")) == {
        "market_source",
        "market_symbol",
        "execution_mode",
        "binance_trade_enabled",
        "binance_user_stream_connected",
        "auth_enabled",
    }
    assert _answer(veloz, "/api/execution/ping") == {"ok": True, "result": {}}
    market = _answer(veloz, "/api/market")
    assert market["symbol"] == "BTCUSDT"
    assert market["ts_ns"] > 10**18


def test_an_order_goes_through_the_gateway_to_the_engine(veloz: FloorProcesses) -> None:
    """It is filled, and counted by both services."""
    placed = _rises(veloz, ENGINE, "veloz_orders_placed_total", symbol="BTCUSDT", type="MARKET")
    status, answer = _post(veloz, "/api/order", _order(), X_Request_ID="my-request-123")
    assert (status, answer["state"]) == (200, "filled")
    assert placed()
    found = _answer(veloz, "/api/audit/logs?log_type=order&limit=1000")["logs"]
    assert "my-request-123" in {each["request_id"] for each in found}


@pytest.mark.parametrize("content", [{"symbol": "DOGE"}, [], "text"])
def test_what_is_no_order_is_answered_with_400(veloz: FloorProcesses, content: object) -> None:
    """A wrong request is told why, and the gateway goes on."""
    status, answer = _post(veloz, "/api/order", content)
    assert status == 400
    assert answer["error"]


def test_the_stream_sends_the_documented_events(veloz: FloorProcesses) -> None:
    """Market, order updates, fills and the account come as server-sent events."""
    seen: set[str] = set()
    with urllib.request.urlopen(  # noqa: S310 - loopback
        f"{veloz.urls[GATEWAY]}/api/stream", timeout=20
    ) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        while not {"market", "order_update", "fill", "account"} <= seen:
            name, _, value = stream.readline().decode().strip().partition(": ")
            if name == "event":
                seen.add(value)


def test_the_audit_api_answers(veloz: FloorProcesses) -> None:
    """Entries by type, statistics of all types, and an archive that was triggered."""
    assert _post(veloz, "/api/auth/login", {"user": "eve", "password": "no"})[0] == 401
    found = _answer(veloz, "/api/audit/logs?log_type=auth&user_id=eve")
    assert found["logs"][0]["action"] == "login_failed"
    assert set(_answer(veloz, "/api/audit/stats")["by_type"]) == {
        "auth",
        "order",
        "api_key",
        "error",
        "access",
    }
    assert _post(veloz, "/api/audit/archive", {})[1]["ok"] is True


def test_the_engines_lines_have_the_fields_of_both_documents(veloz: FloorProcesses) -> None:
    """The guide's flat line of an order, and the design's with its nested attributes."""
    _post(veloz, "/api/order", _order())
    by_message = {each["message"]: each for each in _lines(veloz, ENGINE)}
    flat, nested = by_message["Order processed"], by_message["Order placed successfully"]
    assert set(flat) >= FLAT_FIELDS | {"order_id", "symbol", "side", "latency_ms", "event_type"}
    assert set(nested) >= DESIGN_FIELDS
    assert set(nested["attributes"]) == {"order_id", "symbol", "side", "quantity"}
    assert len(flat["trace_id"]) == 32
    assert len(flat["span_id"]) == 16


def test_the_audit_file_gets_several_types(veloz: FloorProcesses) -> None:
    """Orders, logins and accesses are in the file, each with its type for the retention."""
    wanted = {"order", "access", "auth"}
    eventually(lambda: {each["log_type"] for each in _lines(veloz, GATEWAY)} >= wanted)


def test_a_session_is_in_the_audit_log(veloz: FloorProcesses) -> None:
    """Login, refresh of the token, logout: the guide's events of type auth."""
    wanted = {"login_success", "token_refresh", "logout"}

    def seen() -> set[str]:
        return {each["action"] for each in _lines(veloz, GATEWAY) if each["log_type"] == "auth"}

    eventually(lambda: seen() >= wanted, timeout_s=90)


def test_a_wrong_path_makes_no_label_of_its_own(veloz: FloorProcesses) -> None:
    """What a client invents is counted under one label."""
    rises = _rises(veloz, GATEWAY, "veloz_http_requests_total", endpoint="unmatched", status="404")
    assert veloz.get(GATEWAY, "/api/no/such/thing")[0] == 404
    assert rises()


def test_a_latency_spike_is_seen_by_the_histogram(faulty: FloorProcesses) -> None:
    """Orders fall into buckets above the 500 ms that are critical."""
    faulty.fault("latency_spike")

    def slow() -> bool:
        whole = faulty.sample(ENGINE, "veloz_order_latency_seconds_count")
        quick = faulty.sample(ENGINE, "veloz_order_latency_seconds_bucket", le="0.5")
        return whole > quick

    eventually(slow)


def test_errors_burst_in_engine_and_gateway(faulty: FloorProcesses) -> None:
    """Both count errors, orders are answered with 500, and the exchange's calls fail."""
    risen = [
        _rises(faulty, ENGINE, "veloz_errors_total", type="venue_error"),
        _rises(faulty, GATEWAY, "veloz_errors_total", type="internal"),
        _rises(faulty, GATEWAY, "veloz_http_requests_total", status="500"),
        _rises(faulty, GATEWAY, "veloz_exchange_api_errors_total", error_type="server_error"),
    ]
    faulty.fault("error_burst")
    eventually(lambda: all(each() for each in risen))
    classes = {each["level"]: each.get("log_type") for each in _lines(faulty, ENGINE)}
    assert classes["ERROR"] == "error"
    assert classes["INFO"] is None


def test_errors_come_on_the_stream(faulty: FloorProcesses) -> None:
    """The fifth kind of event, once there is one to tell of."""
    with urllib.request.urlopen(  # noqa: S310 - loopback
        f"{faulty.urls[GATEWAY]}/api/stream", timeout=20
    ) as stream:
        faulty.fault("error_burst")
        kinds = (line.strip() for line in stream if line.startswith(b"event:"))
        assert b"event: error" in itertools.islice(kinds, 2_000)


def test_a_lost_venue_closes_the_socket_and_stops_data(faulty: FloorProcesses) -> None:
    """State gauges fall to 0, reconnects rise, orders are rejected, and data gets old."""
    risen = [
        _rises(faulty, GATEWAY, "veloz_websocket_reconnects_total", exchange="binance"),
        _rises(faulty, ENGINE, "veloz_orders_rejected_total", reason="venue_unavailable"),
    ]
    faulty.fault("venue_disconnect")
    eventually(lambda: faulty.sample(GATEWAY, "veloz_websocket_connected") == 0)
    eventually(lambda: faulty.sample(GATEWAY, "veloz_engine_connection_state") == 0)
    eventually(lambda: all(each() for each in risen))
    eventually(lambda: faulty.sample(ENGINE, "veloz_market_data_lag_ms") > 500)
    assert faulty.get(GATEWAY, "/health/ready")[0] == 503
    faulty.fault()
    eventually(lambda: faulty.sample(GATEWAY, "veloz_websocket_connected") == 1)


@pytest.mark.parametrize("fault", ["feed_stall", "clock_skew"])
def test_a_stalled_feed_and_a_skewed_clock_make_data_old(
    faulty: FloorProcesses, fault: str
) -> None:
    """The lag passes what is critical, and falls back behind the fault."""
    faulty.fault(fault)
    eventually(lambda: faulty.sample(ENGINE, "veloz_market_data_lag_ms") > 500)
    faulty.fault()
    eventually(lambda: faulty.sample(ENGINE, "veloz_market_data_lag_ms") < 50)


def test_a_breach_opens_the_breaker_and_rejects_orders(faulty: FloorProcesses) -> None:
    """The breaker's gauge is 1, and the next order is rejected for it."""
    faulty.fault("risk_limit_breach")
    eventually(
        lambda: faulty.sample(ENGINE, "veloz_circuit_breaker_state", breaker="position_limit") == 1
    )
    status, answer = _post(faulty, "/api/order", _order())
    assert (status, answer["state"], answer["reason"]) == (200, "rejected", "circuit_breaker")
    rejected = [each for each in _lines(faulty, ENGINE) if each["message"] == "Order rejected"]
    assert rejected[-1]["level"] == "WARN"


def test_a_cardinality_bomb_makes_series_and_ends(faulty: FloorProcesses) -> None:
    """New order ids become labels about 2,000 times a minute; behind it they are gone."""

    def series() -> int:
        text = faulty.get(GATEWAY, "/metrics")[1].decode()
        return text.count("veloz_order_events_total{")

    assert series() == 0
    faulty.fault("cardinality_bomb")
    eventually(lambda: series() > 50)
    faulty.fault()
    eventually(lambda: series() == 0)


def test_the_gateway_sees_an_engine_that_is_down(faulty: FloorProcesses) -> None:
    """It shows 0, answers orders with 503, and finds the engine again."""
    faulty.fault("service_down")
    eventually(lambda: faulty.sample(GATEWAY, "veloz_engine_running") == 0)
    assert _post(faulty, "/api/order", _order())[0] == 503
    faulty.fault()
    eventually(lambda: faulty.sample(GATEWAY, "veloz_engine_running") == 1)


def test_each_trace_point_is_a_span_of_a_trace_that_crosses_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documents' seven spans have their attributes; one trace holds both services' spans."""
    _export_nothing(monkeypatch)
    monkeypatch.setenv("OTEL_CONSOLE_EXPORT", "true")

    def all_there() -> bool:
        spans = {name: _spans(tmp_path / f"{name}.out") for name in (ENGINE, GATEWAY)}
        for name, wanted in TRACE_POINTS.items():
            found = [
                set(e["attributes"]) for each in spans.values() for e in each if e["name"] == name
            ]
            assert any(each >= wanted for each in found), (name, found[:3])
        traces = {
            service: {
                each["context"]["trace_id"]
                for each in spans[service]
                if each["name"] in {"order.execute", "http.request"}
            }
            for service in spans
        }
        return bool(traces[ENGINE] & traces[GATEWAY])

    with running_services(tmp_path, ENGINE, GATEWAY):
        eventually(all_there, timeout_s=90)


def _spans(path: Path) -> list[dict[str, Any]]:
    """Return the spans that the SDK's console exporter has written between other lines."""
    text, decoder, found = path.read_text(), json.JSONDecoder(), []
    at = text.find("{\n")
    while at >= 0:
        try:
            document, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            end = at + 1
        else:
            found.append(document)
        at = text.find("{\n", end)
    return found
