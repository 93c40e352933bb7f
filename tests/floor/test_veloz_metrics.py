"""VeloZ's metrics: type, labels and buckets of each as its documents have them."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.metrics import MetricWrapperBase

from tapeline.floor.veloz import engine_metrics, gateway_metrics

Registered = dict[str, MetricWrapperBase]
ORDER = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MARKET = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
DURATION = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZE = (100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000)
EXCHANGE = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# By kind, as the tables of the guide and of the design have them: a name and its labels.
COUNTERS = {
    "veloz_orders_total": "side type",
    "veloz_orders_placed_total": "symbol side type",
    "veloz_orders_filled_total": "symbol side",
    "veloz_orders_rejected_total": "symbol reason",
    "veloz_fills_total": "side",
    "veloz_cancels_total": "",
    "veloz_market_updates_total": "type",
    "veloz_market_events_total": "symbol type",
    "veloz_orderbook_updates_total": "",
    "veloz_trade_updates_total": "",
    "veloz_risk_rejections_total": "reason",
    "veloz_risk_checks_total": "check result",
    "veloz_strategy_signals_total": "strategy signal",
    "veloz_errors_total": "type component",
    "veloz_http_requests_total": "method endpoint status",
    "veloz_auth_attempts_total": "result",
    "veloz_rate_limit_hits_total": "endpoint",
    "veloz_exchange_api_errors_total": "exchange error_type",
    "veloz_websocket_reconnects_total": "exchange",
}
GAUGES = {
    "veloz_active_orders": "",
    "veloz_market_data_lag_ms": "",
    "veloz_orderbook_depth": "",
    "veloz_risk_utilization_percent": "",
    "veloz_position_value": "symbol",
    "veloz_pnl_unrealized": "symbol",
    "veloz_risk_var_95": "",
    "veloz_risk_var_99": "",
    "veloz_risk_max_drawdown": "",
    "veloz_risk_current_drawdown": "",
    "veloz_risk_sharpe_ratio": "",
    "veloz_risk_sortino_ratio": "",
    "veloz_risk_calmar_ratio": "",
    "veloz_risk_win_rate": "",
    "veloz_risk_profit_factor": "",
    "veloz_circuit_breaker_state": "breaker",
    "veloz_position_size": "symbol side",
    "veloz_position_unrealized_pnl": "symbol",
    "veloz_position_realized_pnl": "symbol",
    "veloz_position_notional": "symbol",
    "veloz_position_total_unrealized_pnl": "",
    "veloz_position_total_realized_pnl": "",
    "veloz_exposure_gross": "",
    "veloz_exposure_net": "",
    "veloz_exposure_long": "",
    "veloz_exposure_short": "",
    "veloz_exposure_leverage_ratio": "",
    "veloz_concentration_largest_pct": "",
    "veloz_concentration_top3_pct": "",
    "veloz_concentration_hhi": "",
    "veloz_concentration_position_count": "",
    "veloz_system_uptime": "",
    "veloz_websocket_connections": "",
    "veloz_websocket_reconnects": "",
    "veloz_memory_pool_used_bytes": "",
    "veloz_memory_pool_allocated_bytes": "",
    "veloz_memory_limit_bytes": "",
    "veloz_memory_arena_bytes": "arena",
    "veloz_queue_depth": "queue",
    "veloz_event_loop_pending_tasks": "",
    "veloz_gateway_uptime_seconds": "",
    "veloz_engine_running": "",
    "veloz_engine_connection_state": "",
    "veloz_active_connections": "",
    "veloz_sse_clients": "",
    "veloz_sse_connections_active": "",
    "veloz_websocket_connected": "",
}
HISTOGRAMS = {
    "veloz_order_latency_seconds": ("", ORDER),
    "veloz_market_processing_latency_seconds": ("", MARKET),
    "veloz_market_latency_seconds": ("symbol", None),
    "veloz_event_loop_task_latency_seconds": ("", None),
    "veloz_http_request_duration_seconds": ("method endpoint", DURATION),
    "veloz_http_request_size_bytes": ("method endpoint", SIZE),
    "veloz_http_response_size_bytes": ("method endpoint", SIZE),
    "veloz_exchange_api_latency_seconds": ("exchange endpoint", EXCHANGE),
}
SUMMARIES = {"veloz_go_gc_duration_seconds": ""}
PROCESS = {
    "veloz_process_cpu_seconds": "counter",
    "veloz_process_resident_memory_bytes": "gauge",
    "veloz_process_open_fds": "gauge",
}


def _registered() -> Registered:
    """Return every instrument of engine and gateway by its name in an exposition."""
    found: Registered = {}
    for maker in (engine_metrics.make_metrics, gateway_metrics.make_metrics):
        registry = CollectorRegistry()
        maker(registry)
        for each in list(registry._collector_to_names):
            if isinstance(each, MetricWrapperBase):
                suffix = "_total" if isinstance(each, Counter) else ""
                found[f"{each._name}{suffix}"] = each
    return found


@pytest.fixture(scope="module")
def registered() -> Registered:
    """Every instrument of both services."""
    return _registered()


@pytest.mark.parametrize(
    ("kind", "expected"), [(Counter, COUNTERS), (Gauge, GAUGES), (Summary, SUMMARIES)]
)
def test_each_metric_has_the_documents_type_and_labels(
    kind: type[MetricWrapperBase], expected: dict[str, str], registered: Registered
) -> None:
    """Counters, gauges and the summary of both documents, with exactly their labels."""
    for name, labels in expected.items():
        assert type(registered[name]) is kind, name
        assert set(registered[name]._labelnames) == set(labels.split()), name


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_each_histogram_has_the_documents_labels_and_buckets(
    name: str, registered: Registered
) -> None:
    """Histograms have the guide's bounds; where it names none, only the labels are held."""
    labels, bounds = HISTOGRAMS[name]
    histogram = registered[name]
    assert isinstance(histogram, Histogram)
    assert set(histogram._labelnames) == set(labels.split())
    if bounds is not None:
        assert tuple(histogram._upper_bounds) == (*map(float, bounds), float("inf"))


def test_nothing_else_is_exposed_but_the_cardinality_bomb(registered: Registered) -> None:
    """Of what no document names there is one metric, which is the mistake of a scenario."""
    documented = {*COUNTERS, *GAUGES, *HISTOGRAMS, *SUMMARIES}
    assert set(registered) - documented == {"veloz_order_events_total"}


@pytest.mark.parametrize("maker", [engine_metrics.make_metrics, gateway_metrics.make_metrics])
def test_the_process_is_told_of_under_the_designs_names(maker: object) -> None:
    """CPU, memory and open files of both processes have the prefix of VeloZ."""
    registry = CollectorRegistry()
    assert callable(maker)
    maker(registry)
    kinds = {family.name: family.type for family in registry.collect()}
    assert PROCESS.items() <= kinds.items()
