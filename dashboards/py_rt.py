"""py_rt's two dashboards: real-time trading operations, and system health.

Several of its names are the convention's, too (`trading_slippage_bps`): `job` tells them apart.
"""

from typing import Final

from dashboards.links import board_link, logs_link
from dashboards.model import (
    Board,
    Panel,
    Query,
    Row,
    Variable,
    gauge,
    heatmap,
    logs,
    loki,
    prom,
    stat,
    timeseries,
)

__all__ = ["PY_RT_HEALTH", "PY_RT_TRADING"]

_JOBS: Final = 'job=~"py-rt-.+"'
_RATE: Final = "[$__rate_interval]"
_LOGS: Final = logs_link("Logs at this time", '{service_name=~"py-rt-.+"}')
_SUBMISSION: Final = "execution_engine_order_submission_latency_us"
_MICROSECONDS: Final = "µs"


def _micro(title: str, metric: str, about: str, by: str, quantile: float = 0.99) -> Panel:
    return timeseries(
        title,
        _MICROSECONDS,
        about,
        (
            prom(
                f"histogram_quantile({quantile}, sum by (le, {by}) "
                f"(rate({metric}_bucket{{{_JOBS}}}{_RATE})))",
                f"{{{{{by}}}}}",
            ),
        ),
    )


_KEY: Final = (
    stat(
        "Open P&L",
        "currencyUSD",
        "Unrealised profit over the symbols that are picked.",
        (prom(f'sum(trading_unrealized_pnl_usd{{{_JOBS},symbol=~"$symbol"}})', "open"),),
        width=4,
        height=5,
        thresholds=((None, "red"), (0.0, "green")),
    ),
    stat(
        "Realized P&L",
        "currencyUSD",
        "Realised profit over the symbols that are picked. A gauge: it goes down, too.",
        (prom(f'sum(trading_realized_pnl_usd{{{_JOBS},symbol=~"$symbol"}})', "realized"),),
        width=4,
        height=5,
        thresholds=((None, "red"), (0.0, "green")),
    ),
    stat(
        "Open Positions",
        "short",
        "Positions that are open.",
        (prom(f"sum(trading_open_positions_count{{{_JOBS}}})", "positions"),),
        width=4,
        height=5,
    ),
    stat(
        "Order Fill Rate",
        "percentunit",
        "Filled of what was ordered.",
        (prom(f"avg(trading_order_fill_rate{{{_JOBS}}})", "filled"),),
        width=4,
        height=5,
        thresholds=((None, "red"), (0.9, "orange"), (0.95, "green")),
    ),
    stat(
        "Current Portfolio Value",
        "currencyUSD",
        "Cash and positions.",
        (prom(f"sum(trading_portfolio_value_usd{{{_JOBS}}})", "value"),),
        width=4,
        height=5,
    ),
    stat(
        "Order Success Rate",
        "percent",
        "Orders that reached the venue, of those submitted.",
        (
            prom(
                '100 * sum(rate(execution_engine_orders_submitted_total{status="success"}'
                f"{_RATE}))"
                f" / sum(rate(execution_engine_orders_submitted_total{_RATE}))",
                "success",
            ),
        ),
        width=4,
        height=5,
        thresholds=((None, "red"), (95.0, "orange"), (99.0, "green")),
    ),
)

_LATENCY: Final = (
    heatmap(
        "Order Submission Latency",
        _MICROSECONDS,
        "Orders by the time from the signal to the call of the venue.",
        (
            Query(
                f"sum by (le) (increase({_SUBMISSION}_bucket{_RATE}))",
                "{{le}}",
                shape="heatmap",
            ),
        ),
        width=12,
        height=9,
    ),
    timeseries(
        "Order Submission Latency (p50/p95/p99)",
        _MICROSECONDS,
        "Quantiles of the same.",
        tuple(
            prom(
                f"histogram_quantile({level}, sum by (le) (rate({_SUBMISSION}_bucket{_RATE})))",
                f"p{level * 100:g}",
            )
            for level in (0.5, 0.95, 0.99)
        ),
        width=12,
        height=9,
        thresholds=((None, "green"), (1000.0, "orange"), (5000.0, "red")),
        links=(board_link("Execution quality", "tapeline-execution-quality"), _LOGS),
    ),
)

_THROUGHPUT: Final = (
    timeseries(
        "Orders/sec",
        "ops",
        "Orders submitted a second, by status.",
        (
            prom(
                f"sum by (status) (rate(execution_engine_orders_submitted_total{_RATE}))",
                "{{status}}",
            ),
        ),
        width=12,
        links=(_LOGS,),
    ),
    timeseries(
        "Signals/sec",
        "ops",
        "Signals generated a second, by type.",
        (
            prom(
                f"sum by (signal_type) (rate(signal_bridge_signals_generated_total{_RATE}))",
                "{{signal_type}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Slippage p95",
        "suffix: bp",
        "Fills against the decision's price, by symbol.",
        (
            prom(
                "histogram_quantile(0.95, sum by (le, symbol) "
                f'(rate(trading_slippage_bps_bucket{{{_JOBS},symbol=~"$symbol"}}{_RATE})))',
                "{{symbol}}",
            ),
        ),
        width=12,
        thresholds=((None, "green"), (50.0, "red")),
    ),
    timeseries(
        "Position Value",
        "currencyUSD",
        "By symbol and side.",
        (
            prom(
                f'sum by (symbol, side) (trading_position_value_usd{{{_JOBS},symbol=~"$symbol"}})',
                "{{symbol}} {{side}}",
            ),
        ),
        width=12,
    ),
)

_ERRORS: Final = (
    timeseries(
        "Error Rate",
        "ops",
        "Failed calls of the venue, rejected orders, failed risk checks, failed connections and "
        "inference errors, a second. The first orders that fail make the lines.",
        (
            prom(f"sum(rate(execution_engine_api_failures_total{_RATE}))", "API failures"),
            prom(f"sum(rate(execution_engine_order_rejections_total{_RATE}))", "rejections"),
            prom(f"sum(rate(risk_manager_risk_failures_total{_RATE}))", "risk failures"),
            prom(
                f"sum(rate(market_data_websocket_connection_failures_total{_RATE}))",
                "connection failures",
            ),
            prom(f"sum(rate(signal_bridge_inference_errors_total{_RATE}))", "inference errors"),
        ),
        width=12,
        height=10,
        stacked=True,
        scenario="error_burst",
        links=(_LOGS,),
    ),
    logs(
        "Recent Errors",
        "none",
        "The newest lines of level error, of all four services.",
        (loki('{service_name=~"py-rt-.+"} | detected_level=~"error|critical|fatal"'),),
        width=12,
        height=10,
        scenario="error_burst",
    ),
)

PY_RT_TRADING: Final = Board(
    "py-rt-trading",
    "py_rt Real-Time Trading Operations",
    "Profit, latency, throughput and errors of py_rt, as they happen.",
    "py_rt",
    (
        Row("Key metrics", _KEY),
        Row("Latency distribution", _LATENCY),
        Row("Throughput", _THROUGHPUT),
        Row("Error tracking", _ERRORS),
    ),
    variables=(
        Variable(
            "symbol",
            "Symbol",
            "prometheus",
            f"label_values(trading_position_value_usd{{{_JOBS}}}, symbol)",
        ),
    ),
    tags=("py_rt",),
    refresh="5s",
    since="now-15m",
)

_STATUS: Final = tuple(
    stat(
        title,
        "none",
        f"Whether the service {job} can be scraped.",
        (prom(f'max(up{{job="{job}"}})', title),),
        width=6,
        height=5,
        texts={"0": ("DOWN", "red"), "1": ("OK", "green")},
        thresholds=((None, "red"), (1.0, "green")),
        background=True,
        links=(logs_link("Logs of this service", f'{{service_name="{job}"}}'),),
    )
    for title, job in (
        ("Market Data", "py-rt-market-data"),
        ("Signal Bridge", "py-rt-signal-bridge"),
        ("Risk Manager", "py-rt-risk-manager"),
        ("Execution Engine", "py-rt-execution-engine"),
    )
)

_RESOURCES: Final = (
    gauge(
        "CPU Usage (%)",
        "percent",
        "Of each service.",
        (
            prom(
                f'max by (service) (system_cpu_usage_percent{{{_JOBS},service=~"$service"}})',
                "{{service}}",
            ),
        ),
        width=12,
        minimum=0,
        maximum=100,
        thresholds=((None, "green"), (60.0, "orange"), (80.0, "red")),
    ),
    timeseries(
        "Memory Usage (MB)",
        "decmbytes",
        "Of each service.",
        (
            prom(
                f'max by (service) (system_memory_usage_mb{{{_JOBS},service=~"$service"}})',
                "{{service}}",
            ),
        ),
        width=12,
        stacked=True,
    ),
)

_MESSAGING: Final = (
    timeseries(
        "ZMQ Queue Depth",
        "short",
        "Messages that wait, by service and queue.",
        (
            prom(
                f"max by (service, queue) (system_zmq_queue_depth{{{_JOBS}}})",
                "{{service}} {{queue}}",
            ),
        ),
        width=12,
        thresholds=((None, "green"), (5000.0, "orange"), (10000.0, "red")),
    ),
    timeseries(
        "WebSocket Status",
        "ops",
        "Messages of the feed a second, by exchange: a feed that is connected is never at 0.",
        (
            prom(
                f"sum by (exchange) (rate(market_data_messages_processed_total{{{_JOBS}}}{_RATE}))",
                "{{exchange}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "ZMQ messages published",
        "ops",
        "Messages a second, by service and topic.",
        (
            prom(
                f"sum by (service, topic) (rate(zmq_messages_published_total{{{_JOBS}}}{_RATE}))",
                "{{service}} {{topic}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Risk checks",
        "ops",
        "Checks a second, by what was checked and how it ended.",
        (
            prom(
                f"sum by (check_type, result) (rate(risk_manager_checks_performed_total{_RATE}))",
                "{{check_type}} {{result}}",
            ),
        ),
        width=12,
    ),
)

_PATH: Final = (
    _micro(
        "WebSocket message p99",
        "market_data_websocket_latency_us",
        "Processing of one message of the feed.",
        "exchange",
    ),
    _micro(
        "Order book update p99",
        "market_data_orderbook_update_latency_us",
        "One update of an order book.",
        "update_type",
    ),
    _micro(
        "ZMQ publish p95",
        "market_data_zmq_publish_latency_us",
        "Publishing one message.",
        "topic",
        0.95,
    ),
    _micro(
        "Inference p99",
        "signal_bridge_inference_latency_us",
        "One inference of the model.",
        "model_name",
    ),
    _micro(
        "Feature computation p95",
        "signal_bridge_feature_computation_us",
        "Computing the features of one signal.",
        "feature_set",
        0.95,
    ),
    _micro(
        "Signal generation p99",
        "signal_bridge_signal_generation_latency_us",
        "From the quote to the signal.",
        "signal_type",
    ),
    _micro(
        "Pre-trade risk check p99",
        "risk_manager_pretrade_check_latency_us",
        "One check before an order.",
        "check_type",
    ),
    _micro(
        "P&L calculation p95",
        "risk_manager_pnl_calculation_latency_us",
        "One calculation.",
        "calculation_type",
        0.95,
    ),
    _micro(
        "Order routing p95",
        "execution_engine_routing_latency_us",
        "Deciding where an order goes.",
        "routing_strategy",
        0.95,
    ),
)

PY_RT_HEALTH: Final = Board(
    "py-rt-health",
    "py_rt System Health & Performance",
    "Status, resources, messaging and the latency of each step in py_rt.",
    "py_rt",
    (
        Row("Service status", _STATUS),
        Row("Resource utilization", _RESOURCES),
        Row("Network & messaging", _MESSAGING),
        Row("Latency of each step", _PATH),
    ),
    variables=(
        Variable(
            "service",
            "Service",
            "prometheus",
            f"label_values(system_cpu_usage_percent{{{_JOBS}}}, service)",
        ),
    ),
    tags=("py_rt",),
)
