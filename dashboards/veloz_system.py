"""VeloZ's system health dashboard."""

from typing import Final

from dashboards.model import Board, Row, prom, stat, timeseries
from dashboards.veloz_trading import VELOZ_LOGS, quantiles

__all__ = ["VELOZ_SYSTEM"]

_RATE: Final = "[$__rate_interval]"
_UP: Final = {"0": ("DOWN", "red"), "1": ("UP", "green")}
_CONNECTED: Final = {"0": ("DISCONNECTED", "red"), "1": ("CONNECTED", "green")}
_COLOURS: Final = ((None, "red"), (1.0, "green"))

_HEALTH: Final = (
    stat(
        "Gateway Status",
        "none",
        "Whether the gateway can be scraped.",
        (prom('max(up{job="veloz-gateway"})', "gateway"),),
        width=4,
        height=5,
        texts=_UP,
        thresholds=_COLOURS,
        background=True,
        links=(VELOZ_LOGS,),
    ),
    stat(
        "Engine Status",
        "none",
        "Whether the gateway sees the engine's process.",
        (prom("max(veloz_engine_running)", "engine"),),
        width=4,
        height=5,
        texts=_UP,
        thresholds=_COLOURS,
        background=True,
        links=(VELOZ_LOGS,),
    ),
    stat(
        "WebSocket Status",
        "none",
        "The connection that brings market data.",
        (prom("max(veloz_websocket_connected)", "websocket"),),
        width=4,
        height=5,
        texts=_CONNECTED,
        thresholds=_COLOURS,
        background=True,
        links=(VELOZ_LOGS,),
    ),
    stat(
        "Active Connections",
        "short",
        "HTTP connections that are open.",
        (prom("max(veloz_active_connections)", "connections"),),
        width=4,
        height=5,
    ),
    stat(
        "SSE Clients",
        "short",
        "Clients that are subscribed to the event stream.",
        (prom("max(veloz_sse_clients)", "clients"),),
        width=4,
        height=5,
        thresholds=((None, "green"), (100.0, "orange")),
    ),
    stat(
        "Error Rate",
        "suffix: /min",
        "Errors a minute, over all types and components.",
        (prom(f"sum(rate(veloz_errors_total{_RATE})) * 60", "errors"),),
        width=4,
        height=5,
        thresholds=((None, "green"), (3.0, "yellow"), (6.0, "orange"), (60.0, "red")),
    ),
    stat(
        "WebSocket Connections",
        "short",
        "WebSockets that are open.",
        (prom("sum(veloz_websocket_connections)", "connections"),),
        width=4,
        height=5,
        thresholds=_COLOURS,
    ),
    timeseries(
        "Errors by Type and Component",
        "ops",
        "Errors a second.",
        (
            prom(
                f"sum by (type, component) (rate(veloz_errors_total{_RATE}))",
                "{{component}} {{type}}",
            ),
        ),
        width=24,
        links=(VELOZ_LOGS,),
    ),
)

_LOOP: Final = (
    timeseries(
        "Event Loop Queue Depth",
        "short",
        "Tasks that wait, over time.",
        (prom("max by (job) (veloz_event_loop_pending_tasks)", "pending {{job}}"),),
        width=12,
        thresholds=((None, "green"), (100.0, "orange"), (500.0, "red")),
    ),
    quantiles(
        "Event Loop Task Latency",
        "veloz_event_loop_task_latency_seconds",
        "How long a task of the loop takes.",
        (0.5, 0.95, 0.99),
        exemplar=False,
    ),
)

_EXCHANGE: Final = (
    quantiles(
        "Exchange API Latency",
        "veloz_exchange_api_latency_seconds",
        "Calls to each exchange.",
        (0.99,),
        by="exchange",
        exemplar=False,
    ),
    timeseries(
        "Exchange Errors & Reconnects",
        "suffix: /min",
        "Errors of the exchanges' APIs and reconnections of their sockets, a minute.",
        (
            prom(
                f"sum by (exchange) (rate(veloz_exchange_api_errors_total{_RATE})) * 60",
                "Errors/min {{exchange}}",
            ),
            prom(
                f"sum by (exchange) (rate(veloz_websocket_reconnects_total{_RATE})) * 60",
                "Reconnects/min {{exchange}}",
            ),
        ),
        width=12,
        links=(VELOZ_LOGS,),
    ),
)

_MEMORY: Final = (
    timeseries(
        "Memory Pool Usage",
        "bytes",
        "Bytes of the pools that are used, of those allocated.",
        (
            prom("sum(veloz_memory_pool_used_bytes)", "used"),
            prom("sum(veloz_memory_pool_allocated_bytes)", "allocated"),
        ),
        width=12,
    ),
    timeseries(
        "Data Structures",
        "short",
        "Depth of the order book, and active orders.",
        (
            prom("sum(veloz_orderbook_depth)", "orderbook depth"),
            prom("sum(veloz_active_orders)", "active orders"),
        ),
        width=12,
    ),
    timeseries(
        "Process CPU",
        "short",
        "Cores that each process uses.",
        (prom(f"sum by (job) (rate(veloz_process_cpu_seconds_total{_RATE}))", "{{job}}"),),
        width=12,
    ),
    timeseries(
        "Resident Memory",
        "bytes",
        "Memory of each process.",
        (prom("max by (job) (veloz_process_resident_memory_bytes)", "{{job}}"),),
        width=12,
    ),
)

VELOZ_SYSTEM: Final = Board(
    "veloz-system",
    "VeloZ System Health",
    "Whether VeloZ's parts are up, and how its loop, exchanges and memory fare.",
    "VeloZ",
    (
        Row("Service Health", _HEALTH),
        Row("Event Loop Performance", _LOOP),
        Row("Exchange Connectivity", _EXCHANGE),
        Row("Memory & Resources", _MEMORY),
    ),
    tags=("veloz",),
    refresh="10s",
)
