"""Orders of the floor's systems reach the trading convention by the ready mappings.

Each line is written by the service's own code, tailed as the collector tails it, and read by the
file of config/mappings as it is shipped.
"""

import asyncio
import json
import logging
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from floor.lone_place import place_of
from floor.tailed import tailed
from tapeline.demo.credentials import credentials
from tapeline.floor.b25 import order_execution_metrics
from tapeline.floor.b25.order_execution import OrderExecution, OrderIn
from tapeline.floor.b25.station import Station
from tapeline.floor.faults import Faults, write_faults
from tapeline.floor.log_line import LineWriter
from tapeline.floor.place import Place
from tapeline.floor.py_rt import (
    execution_engine_metrics,
    risk_manager_metrics,
    signal_bridge_metrics,
)
from tapeline.floor.py_rt.execution_engine import ExecutionEngine
from tapeline.floor.py_rt.messages import Check, Order, QuoteBatch
from tapeline.floor.py_rt.risk_manager import RiskManager
from tapeline.floor.py_rt.signal_bridge import SignalBridge
from tapeline.floor.py_rt.surroundings import surroundings
from tapeline.floor.veloz.engine import Engine
from tapeline.floor.veloz.events import EngineLog
from tapeline.floor.veloz.orders import Order as VelozOrder
from tapeline.instrument import (
    log_operation_complete,
    log_operation_failed,
    log_operation_start,
)
from tapeline.signals.config import SignalsConfig
from tapeline.signals.config_files import settings_of
from tapeline.signals.events import Order as OrderEvent
from tapeline.signals.instruments import Instruments
from tapeline.signals.intake import Intake, Taken
from trading_requests import batch, log

ROOT = Path(__file__).parents[2]
MAPPINGS = ROOT / "config" / "mappings"
TRACER = TracerProvider().get_tracer("tests")


def taken_by(mapping_file: str, service: str, *lines: str) -> Taken:
    """Read lines of a service's log file with a ready mapping, after the collector."""
    config = SignalsConfig(mapping_files=(MAPPINGS / mapping_file,))
    intake = Intake(Instruments(), settings_of(config).mappings)
    return intake.read(tailed(service, *lines), None)


def told(taken: Taken) -> list[tuple[str, str, str]]:
    """Return of each order event its id, state and reason, in order."""
    assert not taken.refused
    assert all(isinstance(each, OrderEvent) for each in taken.events)
    return [
        (each.id, each.state, each.reject_reason)
        for each in taken.events
        if isinstance(each, OrderEvent)
    ]


def lines_of(place: Place) -> list[str]:
    """Return what a service has logged."""
    return place.log_path.read_text(encoding="utf-8").splitlines()


def b25_lines(folder: Path, *numbers: int) -> list[str]:
    """Have order execution execute orders; return what it logged."""
    place = place_of(folder, "b25-order-execution")

    async def execute() -> None:
        answer = httpx.MockTransport(lambda _: httpx.Response(200, json={}))
        with LineWriter(place.log_path) as lines:
            station = Station(
                place=replace(place, peers={"b25-account-monitor": "http://peer"}),
                app=FastAPI(),
                registry=CollectorRegistry(),
                faults=Faults(place.fault_path),
                generator=random.Random(1),  # noqa: S311 - draws latencies
                telemetry=cast("Any", SimpleNamespace(tracer=TRACER)),
                lines=lines,
                client=httpx.AsyncClient(transport=answer),
                secrets=credentials(1),
            )
            service = OrderExecution(
                station, order_execution_metrics.make_metrics(station.registry)
            )
            for number in numbers:
                await service.order(
                    OrderIn(
                        order_id=f"t-b25-{number}",
                        number=number,
                        exchange="bybit",
                        symbol="ETHUSDT",
                        strategy_id="scalper_v1",
                        side="sell",
                        quantity=0.25,
                        price=2875.1,
                    )
                )

    asyncio.run(execute())
    return lines_of(place)


def test_orders_of_b25_are_events_of_the_convention(tmp_path: Path) -> None:
    """Sent, acknowledged, refused; with all that a line says of an order."""
    lines = b25_lines(tmp_path, 1, 50)

    taken = taken_by("b25.yaml", "b25-order-execution", *lines)

    assert told(taken) == [
        ("t-b25-1", "submitted", ""),
        ("t-b25-1", "acknowledged", ""),
        ("t-b25-50", "submitted", ""),
        ("t-b25-50", "rejected", "order rejected: insufficient_margin"),
    ]
    event = taken.events[0]
    assert isinstance(event, OrderEvent)
    assert (event.instrument, event.venue, event.strategy) == ("ETHUSDT", "bybit", "scalper_v1")
    assert (event.side, str(event.limit_price)) == (-1, "2875.1")
    written = json.loads(lines[0])
    assert event.trace.trace_id.hex() == written["trace_id"]
    assert event.trace.span_id.hex() == written["span_id"]


def py_rt_service(folder: Path, name: str, writer: LineWriter, answer: dict[str, Any]) -> Any:
    """Return what a service of py_rt has around it; each peer answers the same."""
    around = surroundings(name, place_of(folder, f"py-rt-{name.replace('_', '-')}"), writer)
    peers = {f"py-rt-{peer}": "http://peer" for peer in ("risk-manager", "execution-engine")}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    return replace(
        around,
        place=replace(around.place, peers=peers),
        client=httpx.AsyncClient(transport=transport),
    )


def py_rt_order(number: int) -> Order:
    """Return an order; the venue refuses the one of number 103 and no other."""
    return Order(
        order_id=f"t-py-{number}",
        number=number,
        symbol="MSFT",
        side="buy",
        order_type="limit",
        quantity=1.5,
        price=411.5,
        strategy="momentum",
    )


def test_orders_of_py_rts_execution_engine_are_events_of_the_convention(tmp_path: Path) -> None:
    """Submitted, taken by the venue, refused by it; a fill has no id, so it is no execution."""
    path = tmp_path / "py-rt-execution-engine.log"

    async def place() -> None:
        with LineWriter(path) as writer:
            around = py_rt_service(tmp_path, "execution_engine", writer, {})
            engine = ExecutionEngine(around, execution_engine_metrics.make_metrics(around.registry))
            for number in (1, 103):
                await engine.place_order(py_rt_order(number))

    asyncio.run(place())
    lines = path.read_text(encoding="utf-8").splitlines()
    assert any('"Order filled"' in line for line in lines)

    assert told(taken_by("py-rt.yaml", "py-rt-execution-engine", *lines)) == [
        ("t-py-1", "submitted", ""),
        ("t-py-1", "acknowledged", ""),
        ("t-py-103", "submitted", ""),
        ("t-py-103", "rejected", "invalid_params"),
    ]


def test_calls_that_fail_reject_py_rts_order(tmp_path: Path) -> None:
    """After the last attempt, with what the venue answered."""
    path = tmp_path / "py-rt-execution-engine.log"
    write_faults(tmp_path / "faults.json", ["error_burst"])

    async def place() -> None:
        with LineWriter(path) as writer:
            around = py_rt_service(tmp_path, "execution_engine", writer, {})
            engine = ExecutionEngine(around, execution_engine_metrics.make_metrics(around.registry))
            for number in range(1, 21):
                await engine.place_order(py_rt_order(number))

    asyncio.run(place())
    lines = path.read_text(encoding="utf-8").splitlines()
    failed = [json.loads(line)["fields"] for line in lines if "Order submission failed" in line]

    events = told(taken_by("py-rt.yaml", "py-rt-execution-engine", *lines))

    assert failed
    assert [each for each in events if each[1] == "rejected"] == [
        (each["order_id"], "rejected", each["error"]) for each in failed
    ]


def test_a_signal_of_py_rt_decides_an_order(tmp_path: Path) -> None:
    """Of all quotes of a batch the last one's; the others decide to hold."""
    path = tmp_path / "py-rt-signal-bridge.log"

    async def quote() -> None:
        with LineWriter(path) as writer:
            answer = {"result": "pass", "traded_usd": 0.0, "status": "filled"}
            around = py_rt_service(tmp_path, "signal_bridge", writer, answer)
            bridge = SignalBridge(around, signal_bridge_metrics.make_metrics(around.registry))
            await bridge.quotes(QuoteBatch(symbol="MSFT", mids=[411.0, 411.25, 411.5]))

    asyncio.run(quote())

    taken = taken_by("py-rt.yaml", "py-rt-signal-bridge", *path.read_text("utf-8").splitlines())

    assert told(taken) == [("t-py-0000001", "decided", "")]
    event = taken.events[0]
    assert isinstance(event, OrderEvent)
    assert str(event.decision_price) == "411.5"
    assert event.instrument == "MSFT"


def test_a_check_of_py_rt_that_fails_rejects_the_order(tmp_path: Path) -> None:
    """One that passes says nothing of the order's state."""
    path = tmp_path / "py-rt-risk-manager.log"
    check = {"symbol": "MSFT", "side": "buy", "notional_usd": 1000.0, "price": 411.5}

    async def ask() -> None:
        with LineWriter(path) as writer:
            around = py_rt_service(tmp_path, "risk_manager", writer, {})
            manager = RiskManager(around, risk_manager_metrics.make_metrics(around.registry))
            await manager.check(Check(order_id="t-py-1", **check))
            write_faults(tmp_path / "faults.json", ["risk_limit_breach"])
            refreshed = replace(around, faults=Faults(tmp_path / "faults.json"))
            manager = RiskManager(refreshed, risk_manager_metrics.make_metrics(CollectorRegistry()))
            await manager.check(Check(order_id="t-py-2", **check))

    asyncio.run(ask())

    lines = path.read_text(encoding="utf-8").splitlines()
    assert told(taken_by("py-rt.yaml", "py-rt-risk-manager", *lines)) == [
        ("t-py-2", "rejected", "position_limit_exceeded")
    ]


def test_orders_of_velozs_log_file_are_events_of_the_convention(tmp_path: Path) -> None:
    """For users of the file: the floor doesn't read it so, since VeloZ sends the events, too."""
    order = VelozOrder(
        "t-1", "BTCUSDT", "BUY", "LIMIT", Decimal(2), Decimal(100), Decimal(100), "momentum"
    )
    path = tmp_path / "veloz-engine.log"
    with LineWriter(path) as lines, TRACER.start_as_current_span("order.place") as span:
        engine = SimpleNamespace(log=EngineLog(lines))
        Engine._log_placed(cast("Engine", engine), order, 0.005)

    taken = taken_by("veloz-logs.yaml", "veloz-engine", *path.read_text("utf-8").splitlines())

    assert told(taken) == [("t-1", "submitted", ""), ("t-1", "acknowledged", "")]
    orders = [each for each in taken.events if isinstance(each, OrderEvent)]
    span_id = span.get_span_context().span_id.to_bytes(8)
    assert [each.trace.span_id for each in orders] == [span_id, span_id]


class Sent(logging.Handler):
    """Keeps what is logged as the SDK's handler sends it: what is `extra` becomes attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        extra = {key: value for key, value in vars(record).items() if key not in OF_EACH_RECORD}
        service = {"service.name": "ktrdr-api"}
        self.requests.append(log("", extra, body=record.getMessage(), resource=service))


OF_EACH_RECORD = {*vars(logging.makeLogRecord({})), "message"}


def test_an_order_among_ktrdrs_operations_would_be_an_event() -> None:
    """By the kit's own functions; what it does on the floor, loading and training, is none."""
    config = SignalsConfig(mapping_files=(MAPPINGS / "ktrdr-otlp.yaml",))
    intake = Intake(Instruments(), settings_of(config).mappings)
    logger, sent = logging.Logger("ktrdr"), Sent()  # noqa: LOG001 - one that no other test has
    logger.addHandler(sent)

    for kind in ("data_download", "training", "order"):
        context = {"symbol": "AAPL", "side": "BUY", "provider": "ib_host_service"}
        log_operation_start(logger, "op-1", kind, **context)
        log_operation_complete(logger, "op-1", 12.5, operation_type=kind, **context)
        failure = {"operation_type": kind, **context}
        log_operation_failed(logger, "op-2", RuntimeError("refused"), **failure)

    events = [intake.read(batch(each), None) for each in sent.requests]

    assert [row for taken in events for row in told(taken)] == [
        ("op-1", "submitted", ""),
        ("op-1", "acknowledged", ""),
        ("op-2", "rejected", ""),
    ]
