"""The metrics of VeloZ's engine: names, labels and buckets as its documents have them."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    Summary,
)

__all__ = ["EngineMetrics", "make_metrics"]

ORDER_LATENCY_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
PROCESSING_BUCKETS: Final = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
# The design names no buckets: from what is good to what a skewed clock makes of it.
MARKET_LATENCY_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
TASK_LATENCY_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class OrderMetrics:
    """What becomes of orders."""

    total: Counter
    placed: Counter
    filled: Counter
    rejected: Counter
    fills: Counter
    cancels: Counter
    active: Gauge
    latency: Histogram


@dataclass(frozen=True, slots=True)
class MarketMetrics:
    """Market data, and how late it is."""

    updates: Counter
    events: Counter
    orderbook_updates: Counter
    trade_updates: Counter
    lag_ms: Gauge
    latency: Histogram
    processing_latency: Histogram
    orderbook_depth: Gauge


@dataclass(frozen=True, slots=True)
class RiskMetrics:
    """Checks, limits and the ratios of the return series."""

    checks: Counter
    rejections: Counter
    breaker: Gauge
    utilization: Gauge
    var_95: Gauge
    var_99: Gauge
    max_drawdown: Gauge
    current_drawdown: Gauge
    sharpe: Gauge
    sortino: Gauge
    calmar: Gauge
    win_rate: Gauge
    profit_factor: Gauge


@dataclass(frozen=True, slots=True)
class BookMetrics:
    """Positions, exposure and concentration."""

    value: Gauge
    size: Gauge
    pnl_unrealized: Gauge
    unrealized: Gauge
    realized: Gauge
    notional: Gauge
    total_unrealized: Gauge
    total_realized: Gauge
    gross: Gauge
    net: Gauge
    long: Gauge
    short: Gauge
    leverage: Gauge
    largest: Gauge
    top3: Gauge
    hhi: Gauge
    count: Gauge


@dataclass(frozen=True, slots=True)
class SystemMetrics:
    """The engine itself."""

    uptime: Gauge
    errors: Counter
    signals: Counter
    websocket_connections: Gauge
    websocket_reconnects: Gauge
    pool_used: Gauge
    pool_allocated: Gauge
    memory_limit: Gauge
    arena: Gauge
    queue_depth: Gauge
    pending_tasks: Gauge
    task_latency: Histogram
    gc_duration: Summary


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """All instruments of the engine, in one registry."""

    order: OrderMetrics
    market: MarketMetrics
    risk: RiskMetrics
    book: BookMetrics
    system: SystemMetrics


def make_metrics(registry: CollectorRegistry) -> EngineMetrics:
    """Register the engine's metrics, and those of its process, and return them."""
    ProcessCollector(namespace="veloz", registry=registry)
    return EngineMetrics(
        _order(registry), _market(registry), _risk(registry), _book(registry), _system(registry)
    )


def _counter(to: CollectorRegistry, name: str, what: str, *labels: str) -> Counter:
    return Counter(name, what, labels, registry=to)


def _gauge(to: CollectorRegistry, name: str, what: str, *labels: str) -> Gauge:
    return Gauge(name, what, labels, registry=to)


def _order(to: CollectorRegistry) -> OrderMetrics:
    return OrderMetrics(
        total=_counter(to, "veloz_orders_total", "Orders submitted.", "side", "type"),
        placed=_counter(
            to, "veloz_orders_placed_total", "Orders placed.", "symbol", "side", "type"
        ),
        filled=_counter(to, "veloz_orders_filled_total", "Orders filled.", "symbol", "side"),
        rejected=_counter(
            to, "veloz_orders_rejected_total", "Orders rejected.", "symbol", "reason"
        ),
        fills=_counter(to, "veloz_fills_total", "Order fills.", "side"),
        cancels=_counter(to, "veloz_cancels_total", "Order cancellations."),
        active=_gauge(to, "veloz_active_orders", "Orders that are open."),
        latency=Histogram(
            "veloz_order_latency_seconds",
            "Submission of an order to its acknowledgement.",
            buckets=ORDER_LATENCY_BUCKETS,
            registry=to,
        ),
    )


def _market(to: CollectorRegistry) -> MarketMetrics:
    return MarketMetrics(
        updates=_counter(to, "veloz_market_updates_total", "Market data updates.", "type"),
        events=_counter(to, "veloz_market_events_total", "Market events.", "symbol", "type"),
        orderbook_updates=_counter(to, "veloz_orderbook_updates_total", "Order book updates."),
        trade_updates=_counter(to, "veloz_trade_updates_total", "Trade updates."),
        lag_ms=_gauge(to, "veloz_market_data_lag_ms", "Age of the last update, milliseconds."),
        latency=Histogram(
            "veloz_market_latency_seconds",
            "Exchange's stamp to receipt.",
            ["symbol"],
            buckets=MARKET_LATENCY_BUCKETS,
            registry=to,
        ),
        processing_latency=Histogram(
            "veloz_market_processing_latency_seconds",
            "Receipt of market data to the end of its processing.",
            buckets=PROCESSING_BUCKETS,
            registry=to,
        ),
        orderbook_depth=_gauge(to, "veloz_orderbook_depth", "Levels in the order book."),
    )


def _risk(to: CollectorRegistry) -> RiskMetrics:
    def ratio(name: str, what: str) -> Gauge:
        return _gauge(to, f"veloz_risk_{name}", what)

    return RiskMetrics(
        checks=_counter(to, "veloz_risk_checks_total", "Risk checks.", "check", "result"),
        rejections=_counter(
            to, "veloz_risk_rejections_total", "Orders rejected by risk checks.", "reason"
        ),
        breaker=_gauge(
            to, "veloz_circuit_breaker_state", "Circuit breaker: 0 closed, 1 open.", "breaker"
        ),
        utilization=ratio("utilization_percent", "Share of the risk limit in use."),
        var_95=ratio("var_95", "Daily value at risk, 95 %, USD."),
        var_99=ratio("var_99", "Daily value at risk, 99 %, USD."),
        max_drawdown=ratio("max_drawdown", "Greatest drawdown, percent."),
        current_drawdown=ratio("current_drawdown", "Drawdown from the peak, percent."),
        sharpe=ratio("sharpe_ratio", "Sharpe ratio, a year."),
        sortino=ratio("sortino_ratio", "Sortino ratio, a year."),
        calmar=ratio("calmar_ratio", "Calmar ratio."),
        win_rate=ratio("win_rate", "Trades that won, percent."),
        profit_factor=ratio("profit_factor", "Sum of wins over sum of losses."),
    )


def _book(to: CollectorRegistry) -> BookMetrics:
    def position(name: str, what: str, *labels: str) -> Gauge:
        return _gauge(to, f"veloz_position_{name}", what, *labels)

    def exposure(name: str, what: str) -> Gauge:
        return _gauge(to, f"veloz_exposure_{name}", what)

    def concentration(name: str, what: str) -> Gauge:
        return _gauge(to, f"veloz_concentration_{name}", what)

    return BookMetrics(
        value=position("value", "Position value, USD.", "symbol"),
        size=position("size", "Position size.", "symbol", "side"),
        pnl_unrealized=_gauge(to, "veloz_pnl_unrealized", "Unrealised P&L.", "symbol"),
        unrealized=position("unrealized_pnl", "Unrealised P&L.", "symbol"),
        # The guide calls the next and the last of them counters, but P&L falls as well.
        realized=position("realized_pnl", "Realised P&L, it can fall.", "symbol"),
        notional=position("notional", "Notional value.", "symbol"),
        total_unrealized=position("total_unrealized_pnl", "Unrealised P&L of all positions."),
        total_realized=position("total_realized_pnl", "Realised P&L of all, it can fall."),
        gross=exposure("gross", "Sum of absolute position values."),
        net=exposure("net", "Sum of signed position values."),
        long=exposure("long", "Sum of long position values."),
        short=exposure("short", "Sum of short position values."),
        leverage=exposure("leverage_ratio", "Gross exposure over equity."),
        largest=concentration("largest_pct", "Largest position, percent of all."),
        top3=concentration("top3_pct", "Largest three positions, percent of all."),
        hhi=concentration("hhi", "Herfindahl-Hirschman index, 0 to 1."),
        count=concentration("position_count", "Open positions."),
    )


def _system(to: CollectorRegistry) -> SystemMetrics:
    return SystemMetrics(
        uptime=_gauge(to, "veloz_system_uptime", "Seconds since the engine began."),
        errors=_counter(to, "veloz_errors_total", "Errors.", "type", "component"),
        signals=_counter(
            to, "veloz_strategy_signals_total", "Strategy signals.", "strategy", "signal"
        ),
        websocket_connections=_gauge(
            to, "veloz_websocket_connections", "WebSocket connections that are open."
        ),
        # A counter in the guide, but without the `_total` that a counter's name must end in.
        websocket_reconnects=_gauge(
            to, "veloz_websocket_reconnects", "WebSocket reconnects since the start."
        ),
        pool_used=_gauge(to, "veloz_memory_pool_used_bytes", "Memory pools, in use."),
        pool_allocated=_gauge(to, "veloz_memory_pool_allocated_bytes", "Memory pools, taken."),
        memory_limit=_gauge(to, "veloz_memory_limit_bytes", "Configured limit of memory."),
        arena=_gauge(to, "veloz_memory_arena_bytes", "Memory arena in use.", "arena"),
        queue_depth=_gauge(to, "veloz_queue_depth", "Entries of a lock-free queue.", "queue"),
        pending_tasks=_gauge(to, "veloz_event_loop_pending_tasks", "Tasks of the event loop."),
        task_latency=Histogram(
            "veloz_event_loop_task_latency_seconds",
            "How much later than due the event loop runs a task.",
            buckets=TASK_LATENCY_BUCKETS,
            registry=to,
        ),
        # The design's name; here it is Python's collector.
        gc_duration=Summary("veloz_go_gc_duration_seconds", "Pauses of the GC.", registry=to),
    )
