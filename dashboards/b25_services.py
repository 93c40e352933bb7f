"""B25's folder "Service Dashboards": one for each of six services."""

from typing import Final

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
    piechart,
    prom,
    stat,
    timeseries,
)
from dashboards.own_variables import STATES, UP_COLOURS, service_logs

__all__ = ["B25_SERVICE_BOARDS"]

_RATE: Final = "[$__rate_interval]"
_FOLDER: Final = "B25 Service Dashboards"
_EXCHANGE: Final = Variable(
    "exchange", "Exchange", "prometheus", "label_values(market_data_websocket_connected, exchange)"
)
_PICKED: Final = 'exchange=~"$exchange"'


def _common(service: str) -> Row:
    """Return what every service has: state, requests, errors, latency, lines."""
    job = f'job="b25-{service}"'
    return Row(
        "Service",
        (
            stat(
                "Status",
                "none",
                "Whether the service can be scraped.",
                (prom(f"max(up{{{job}}})", service),),
                width=4,
                texts=STATES,
                thresholds=UP_COLOURS,
                background=True,
                links=(service_logs(f"b25-{service}"),),
            ),
            timeseries(
                "Requests",
                "reqps",
                "Requests a second, by status.",
                (
                    prom(
                        f"sum by (status) (rate(http_requests_total{{{job}}}{_RATE}))", "{{status}}"
                    ),
                ),
                width=10,
                links=(service_logs(f"b25-{service}"),),
            ),
            timeseries(
                "Request Duration",
                "s",
                "Quantiles over all requests.",
                tuple(
                    prom(
                        f"histogram_quantile({level}, sum by (le) "
                        f"(rate(http_request_duration_seconds_bucket{{{job}}}{_RATE})))",
                        f"P{level * 100:g}",
                    )
                    for level in (0.5, 0.95, 0.99)
                ),
                width=10,
            ),
            logs(
                "Lines",
                "none",
                "What the service writes.",
                (loki(f'{{service_name="b25-{service}"}}'),),
                width=24,
                height=9,
            ),
        ),
    )


def _rate(title: str, metric: str, by: str, about: str, scenario: str = "steady") -> Panel:
    return timeseries(
        title,
        "ops",
        about,
        (prom(f"sum by ({by}) (rate({metric}{_RATE}))", f"{{{{{by}}}}}"),),
        width=12,
        scenario=scenario,
    )


def _line(title: str, unit: str, query: str, legend: str, about: str) -> Panel:
    return timeseries(title, unit, about, (prom(query, legend),), width=12)


_MARKET_DATA: Final = (
    stat(
        "WebSocket Connection Status",
        "none",
        "Each exchange: whether its feed is connected.",
        (
            prom(
                "max by (exchange) "
                f'(market_data_websocket_connected{{{_PICKED},status="connected"}})',
                "{{exchange}}",
            ),
        ),
        width=12,
        texts={"0": ("DISCONNECTED", "red"), "1": ("CONNECTED", "green")},
        thresholds=UP_COLOURS,
        background=True,
        links=(service_logs("b25-market-data"),),
    ),
    _line(
        "Order Book Depth",
        "short",
        f'sum by (symbol, side) (market_data_orderbook_depth_levels{{{_PICKED},side=~"bid|ask"}})',
        "{{symbol}} {{side}}",
        "Levels of bids and asks, by symbol.",
    ),
    heatmap(
        "Message Latency",
        "ms",
        "Messages by the time from the exchange to here.",
        (
            Query(
                "sum by (le) (increase(market_data_message_latency_ms_bucket"
                f"{{{_PICKED}}}{_RATE}))",
                "{{le}}",
                shape="heatmap",
            ),
        ),
        width=12,
    ),
    _line(
        "Message Latency P99",
        "ms",
        "histogram_quantile(0.99, sum by (le, exchange) "
        f"(rate(market_data_message_latency_ms_bucket{{{_PICKED}}}{_RATE})))",
        "{{exchange}}",
        "From the exchange to here, by exchange.",
    ),
    _rate(
        "Reconnection Events",
        "market_data_reconnections_total",
        "exchange",
        "Reconnections of a feed, a second.",
    ),
    _rate(
        "Data Gaps Detected",
        "market_data_gaps_detected_total",
        "exchange",
        "Sequence numbers that are missing, a second.",
    ),
    timeseries(
        "Message Processing Rate",
        "ops",
        "Messages of market data, a second.",
        (
            prom(
                "sum by (exchange) (rate(market_data_messages_processed_total"
                f'{{job="b25-market-data",{_PICKED}}}{_RATE}))',
                "{{exchange}}",
            ),
        ),
        width=12,
    ),
    _line(
        "Order Book Age",
        "s",
        f"max by (exchange) (market_data_orderbook_age_seconds{{{_PICKED}}})",
        "{{exchange}}",
        "Since the last update of the oldest order book.",
    ),
)

_ORDER_EXECUTION: Final = (
    piechart(
        "Order Status Breakdown",
        "short",
        "Orders in the time shown, by what they became.",
        (
            Query(
                "sum by (status) (increase(order_execution_orders_total[$__range]))",
                "{{status}}",
                instant=True,
            ),
        ),
        width=8,
    ),
    timeseries(
        "Order Submission Latency",
        "ms",
        "From the request to the exchange's acknowledgement, P95 by exchange.",
        (
            prom(
                "histogram_quantile(0.95, sum by (le, exchange) "
                f"(rate(order_execution_submission_latency_ms_bucket{_RATE})))",
                "{{exchange}}",
            ),
        ),
        width=8,
    ),
    gauge(
        "Fill Rate",
        "percent",
        "Filled of submitted orders.",
        (
            prom(
                "sum(order_execution_filled_orders_total)"
                " / sum(order_execution_submitted_orders_total) * 100",
                "filled",
            ),
        ),
        width=8,
        minimum=0,
        maximum=100,
        thresholds=((None, "red"), (80.0, "orange"), (90.0, "green")),
    ),
    stat(
        "Circuit Breaker Status",
        "none",
        "Of each exchange.",
        (
            prom(
                "max by (exchange) (order_execution_circuit_breaker_state)",
                "{{exchange}}",
            ),
        ),
        width=12,
        texts={
            "0": ("CLOSED", "green"),
            "1": ("OPEN", "red"),
            "2": ("HALF_OPEN", "orange"),
        },
        background=True,
    ),
    _rate(
        "Rate Limiter Hits",
        "order_execution_rate_limited_total",
        "exchange",
        "Orders that the rate limiter held back, a second.",
    ),
    timeseries(
        "Maker vs Taker Orders",
        "ops",
        "Orders a second, by what they do to liquidity.",
        (
            prom(
                f'sum by (type) (rate(order_execution_orders_total{{type=~"maker|taker"}}{_RATE}))',
                "{{type}}",
            ),
        ),
        width=12,
        stacked=True,
    ),
    _line(
        "Execution Queue",
        "short",
        "max(order_execution_queue_depth)",
        "orders",
        "Orders that wait to be executed.",
    ),
)

_STRATEGY_ENGINE: Final = (
    stat(
        "Active Strategies",
        "short",
        "Strategies that run.",
        (prom("max(strategy_engine_active_strategies)", "strategies"),),
        width=12,
        thresholds=((None, "red"), (1.0, "green")),
    ),
    _rate(
        "Signal Generation Rate",
        "strategy_engine_signals_generated_total",
        "strategy_id",
        "Signals a second, by strategy.",
    ),
    _line(
        "Signal-to-Order Latency",
        "ms",
        "histogram_quantile(0.99, sum by (le, strategy_id) "
        f"(rate(strategy_engine_signal_to_order_latency_ms_bucket{_RATE})))",
        "{{strategy_id}}",
        "From the decision to the order, P99 by strategy.",
    ),
    _line(
        "Position Size",
        "short",
        "sum by (symbol) (strategy_engine_position_size)",
        "{{symbol}}",
        "Over all strategies, by symbol.",
    ),
)

_ACCOUNT_MONITOR: Final = (
    _line(
        "Balance",
        "currencyUSD",
        "max by (exchange) (account_monitor_balance_usd)",
        "{{exchange}}",
        "Of each exchange's account.",
    ),
    _line(
        "Unrealized P&L",
        "currencyUSD",
        "sum by (symbol) (account_monitor_unrealized_pnl_usd)",
        "{{symbol}}",
        "Of what is held, by symbol.",
    ),
    _line(
        "Margin Ratio",
        "percentunit",
        "max by (exchange) (account_monitor_margin_ratio)",
        "{{exchange}}",
        "Margin that is used, by exchange.",
    ),
    _line(
        "Position by Limit",
        "percentunit",
        "max by (symbol) (abs(account_monitor_position_size) / account_monitor_position_limit)",
        "{{symbol}}",
        "Size of each position by its limit.",
    ),
    _line(
        "Position Mismatch",
        "short",
        "max by (symbol) "
        "(abs(account_monitor_position_size - account_monitor_exchange_position_size))",
        "{{symbol}}",
        "Difference between our position and the exchange's.",
    ),
)

_RISK_MANAGER: Final = (
    _line(
        "Risk Limit Utilization",
        "percentunit",
        "max by (limit) (risk_manager_limit_utilization_ratio)",
        "{{limit}}",
        "How much of each limit is used.",
    ),
    _rate(
        "Limit Violations",
        "risk_manager_limit_violations_total",
        "limit",
        "Violations a second, by limit.",
    ),
    stat(
        "Emergency Stop",
        "none",
        "Whether trading is stopped.",
        (prom("max(risk_manager_emergency_stop_active)", "stop"),),
        width=12,
        texts={"0": ("TRADING", "green"), "1": ("STOPPED", "red")},
        background=True,
    ),
    stat(
        "Emergency Stops",
        "short",
        "Stops in the time shown.",
        (
            Query(
                "sum(increase(risk_manager_emergency_stops_total[$__range]))",
                "stops",
                instant=True,
            ),
        ),
        width=12,
        thresholds=((None, "green"), (1.0, "red")),
    ),
)

_CONFIG_SERVICE: Final = (
    _line(
        "Configuration Version",
        "short",
        "max(config_service_version)",
        "version",
        "The version that services are given.",
    ),
    _rate(
        "Configuration Changes",
        "config_service_changes_total",
        "source",
        "Changes a second, by who made them.",
    ),
)

B25_SERVICE_BOARDS: Final = tuple(
    Board(
        f"{number}-{service}-service" if not service.endswith("service") else f"{number}-{service}",
        f"{number} {title}",
        about,
        _FOLDER,
        (Row(title, panels), _common(service)),
        variables=(_EXCHANGE,) if service == "market-data" else (),
        tags=("b25",),
        refresh="5s",
    )
    for number, service, title, about, panels in (
        (
            30,
            "market-data",
            "Market Data Service",
            "Feeds, order books and messages.",
            _MARKET_DATA,
        ),
        (
            31,
            "order-execution",
            "Order Execution Service",
            "Orders, fills, limits and breakers.",
            _ORDER_EXECUTION,
        ),
        (
            32,
            "strategy-engine",
            "Strategy Engine Service",
            "Strategies, their signals and positions.",
            _STRATEGY_ENGINE,
        ),
        (
            33,
            "account-monitor",
            "Account Monitor Service",
            "Balances, profit, margin and positions.",
            _ACCOUNT_MONITOR,
        ),
        (34, "risk-manager", "Risk Manager Service", "Limits and stops.", _RISK_MANAGER),
        (
            35,
            "config-service",
            "Configuration Service",
            "Versions of the configuration and their changes.",
            _CONFIG_SERVICE,
        ),
    )
)
