"""B25's folder "Performance": latency, throughput, error rates."""

from typing import Final

from dashboards.b25_health import B25, SERVICE
from dashboards.model import Board, Query, Row, prom, stat, timeseries
from dashboards.own_variables import service_logs

__all__ = ["B25_ERRORS", "B25_LATENCY", "B25_THROUGHPUT"]

_RATE: Final = "[$__rate_interval]"
_LEVELS: Final = (0.5, 0.95, 0.99)


def _quantile(level: float, metric: str, by: str = "") -> str:
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({level}, sum by ({grouped}) (rate({metric}_bucket{_RATE})))"


_LATENCY: Final = (
    timeseries(
        "Order-to-Fill Latency",
        "ms",
        "From the order to its fill: quantiles, and Max as the highest bucket that was reached.",
        (
            *(
                prom(_quantile(level, "order_execution_latency_ms"), f"P{level * 100:g}")
                for level in _LEVELS
            ),
            prom(_quantile(1.0, "order_execution_latency_ms"), "Max"),
        ),
        width=12,
        links=(service_logs("b25-order-execution"),),
    ),
    timeseries(
        "WebSocket Latency",
        "ms",
        "From the exchange's message to here, P95 by exchange.",
        (prom(_quantile(0.95, "market_data_websocket_latency_ms", "exchange"), "{{exchange}}"),),
        width=12,
    ),
    timeseries(
        "Signal-to-Order Latency",
        "ms",
        "From the strategy's decision to the submission of its order.",
        tuple(
            prom(
                _quantile(level, "strategy_engine_signal_to_order_latency_ms"), f"P{level * 100:g}"
            )
            for level in _LEVELS
        ),
        width=12,
    ),
    timeseries(
        "Request Latency by Service",
        "s",
        "P99 of requests, by service.",
        (
            prom(
                "histogram_quantile(0.99, sum by (le, service) "
                f"(rate(http_request_duration_seconds_bucket{{{B25}}}{_RATE})))",
                "{{service}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Throughput Metrics",
        "ops",
        "Orders, fills and signals a second.",
        (
            prom(f"sum(rate(order_execution_orders_total{_RATE}))", "Orders/sec"),
            prom(f"sum(rate(order_execution_filled_orders_total{_RATE}))", "Fills/sec"),
            prom(f"sum(rate(strategy_engine_signals_generated_total{_RATE}))", "Signals/sec"),
        ),
        width=12,
    ),
    timeseries(
        "Message Processing Rate",
        "ops",
        "Messages of market data a second, by exchange.",
        (
            prom(
                "sum by (exchange) (rate(market_data_messages_processed_total"
                f'{{job="b25-market-data"}}{_RATE}))',
                "{{exchange}}",
            ),
        ),
        width=12,
    ),
)

B25_LATENCY: Final = Board(
    "10-performance-metrics",
    "10 Performance Metrics",
    "Latency of orders, feeds and signals, and how much passes.",
    "B25 Performance",
    (Row("Latency and throughput", _LATENCY),),
    variables=(SERVICE,),
    tags=("b25",),
    refresh="10s",
    since="now-15m",
)

B25_THROUGHPUT: Final = Board(
    "11-throughput-dashboard",
    "11 Throughput Dashboard",
    "Requests and messages a second.",
    "B25 Performance",
    (
        Row(
            "Throughput",
            (
                timeseries(
                    "Requests/sec",
                    "reqps",
                    "By service.",
                    (
                        prom(
                            f"sum by (service) (rate(http_requests_total{{{B25}}}{_RATE}))",
                            "{{service}}",
                        ),
                    ),
                    width=12,
                ),
                timeseries(
                    "Messages/sec",
                    "ops",
                    "Messages of market data, by exchange.",
                    (
                        prom(
                            "sum by (exchange) (rate(market_data_messages_processed_total"
                            f'{{job="b25-market-data"}}{_RATE}))',
                            "{{exchange}}",
                        ),
                    ),
                    width=12,
                ),
                timeseries(
                    "Orders/sec",
                    "ops",
                    "Orders, by status.",
                    (
                        prom(
                            f"sum by (status) (rate(order_execution_orders_total{_RATE}))",
                            "{{status}}",
                        ),
                    ),
                    width=12,
                ),
                timeseries(
                    "Signals/sec",
                    "ops",
                    "Signals of the strategies.",
                    (
                        prom(
                            "sum by (strategy_id) "
                            f"(rate(strategy_engine_signals_generated_total{_RATE}))",
                            "{{strategy_id}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
    ),
    variables=(SERVICE,),
    tags=("b25",),
    refresh="10s",
)

B25_ERRORS: Final = Board(
    "12-error-rates",
    "12 Error Rates",
    "Answers of 4xx and 5xx, and what else failed.",
    "B25 Performance",
    (
        Row(
            "Errors",
            (
                timeseries(
                    "4xx Responses",
                    "reqps",
                    "Requests a second that the caller got wrong: of the services, and of the "
                    "exchanges' APIs by the service that called them.",
                    (
                        prom(
                            'sum by (service) (rate({__name__=~"http_requests_total|'
                            'order_execution_exchange_api_requests_total",'
                            f'{B25},status=~"4.."}}{_RATE}))',
                            "{{service}}",
                        ),
                    ),
                    width=12,
                    scenario="rejected_orders",
                ),
                timeseries(
                    "5xx Responses",
                    "reqps",
                    "Requests a second that the service failed.",
                    (
                        prom(
                            "sum by (service) "
                            f'(rate(http_requests_total{{{B25},status=~"5.."}}{_RATE}))',
                            "{{service}}",
                        ),
                    ),
                    width=12,
                    scenario="error_burst",
                    links=(service_logs("b25-${__field.labels.service}"),),
                ),
                timeseries(
                    "Error Ratio",
                    "percentunit",
                    "Requests answered with 5xx, of all.",
                    (
                        prom(
                            "sum by (service) "
                            f'(rate(http_requests_total{{{B25},status=~"5.."}}{_RATE}))'
                            " / sum by (service) "
                            f"(rate(http_requests_total{{{B25}}}{_RATE}))",
                            "{{service}}",
                        ),
                    ),
                    width=12,
                    scenario="error_burst",
                    thresholds=((None, "green"), (0.05, "red")),
                ),
                timeseries(
                    "Failures",
                    "ops",
                    "Rejected orders, gaps in the data and violations of limits, a second.",
                    (
                        prom(
                            f'sum(rate(order_execution_orders_total{{status="rejected"}}{_RATE}))',
                            "rejected orders",
                        ),
                        prom(f"sum(rate(market_data_gaps_detected_total{_RATE}))", "gaps"),
                        prom(
                            f"sum(rate(risk_manager_limit_violations_total{_RATE}))", "violations"
                        ),
                    ),
                    width=12,
                ),
                stat(
                    "Rejected Orders",
                    "percentunit",
                    "Of all orders in the time shown.",
                    (
                        Query(
                            'sum(increase(order_execution_orders_total{status="rejected"}[$__range]))'
                            " / sum(increase(order_execution_orders_total[$__range]))",
                            "rejected",
                            instant=True,
                        ),
                    ),
                    width=12,
                    thresholds=((None, "green"), (0.05, "orange"), (0.1, "red")),
                ),
            ),
        ),
    ),
    variables=(SERVICE,),
    tags=("b25",),
    refresh="10s",
)
