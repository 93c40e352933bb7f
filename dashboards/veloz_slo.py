"""VeloZ's SLO dashboard, with the document's own queries over the time shown."""

from typing import Final

from dashboards.links import board_link
from dashboards.model import Board, Panel, Row, gauge, prom, stat, timeseries
from dashboards.veloz_trading import quantiles

__all__ = ["VELOZ_SLO"]

_RATE: Final = "[$__rate_interval]"


def _slo(title: str, target: float, query: str, about: str) -> Panel:
    return gauge(
        title,
        "percent",
        about,
        (prom(query, "reached"),),
        width=6,
        minimum=min(99.0, target - 1),
        maximum=100,
        decimals=3,
        thresholds=((None, "red"), (target - 0.4, "orange"), (target, "green")),
        links=(board_link("All objectives", "tapeline-slo"),),
    )


_OVERVIEW: Final = (
    _slo(
        "Gateway Availability",
        99.9,
        'avg(avg_over_time(up{job="veloz-gateway"}[$__range])) * 100',
        "The time that the gateway could be scraped. Target 99.9 %.",
    ),
    _slo(
        "Order Latency SLO",
        99.0,
        'sum(rate(veloz_order_latency_seconds_bucket{le="0.1"}[$__range]))'
        " / sum(rate(veloz_order_latency_seconds_count[$__range])) * 100",
        "Orders acknowledged within 100 ms. Target 99 %.",
    ),
    _slo(
        "API Success Rate",
        99.9,
        'sum(rate(veloz_http_requests_total{status=~"2.."}[$__range]))'
        " / sum(rate(veloz_http_requests_total[$__range])) * 100",
        "Requests answered with 2xx. Target 99.9 %.",
    ),
    _slo(
        "Market Data Freshness",
        99.0,
        "avg(avg_over_time((veloz_market_data_lag_ms < bool 50)[$__range:5s])) * 100",
        "The time that market data is younger than 50 ms. Target 99 %.",
    ),
)

_BUDGET: Final = (
    stat(
        "Availability Error Budget (30d)",
        "percent",
        "What is left of the 43 minutes that 99.9 % leaves in 30 days.",
        (
            prom(
                '(1 - (1 - avg(avg_over_time(up{job="veloz-gateway"}[30d]))) / 0.001) * 100',
                "left",
            ),
        ),
        width=8,
        thresholds=((None, "red"), (0.0, "orange"), (25.0, "green")),
    ),
    timeseries(
        "Error Budget Burn Rate (24h)",
        "suffix: x",
        "How many times faster than allowed the last day spent the budget.",
        (
            prom('(1 - avg(avg_over_time(up{job="veloz-gateway"}[1d]))) / 0.001', "availability"),
            prom(
                'sum(rate(veloz_http_requests_total{status=~"5.."}[1d]))'
                " / sum(rate(veloz_http_requests_total[1d])) / 0.001",
                "errors",
            ),
        ),
        width=16,
        thresholds=((None, "green"), (3.0, "orange"), (14.4, "red")),
    ),
)

_LATENCY: Final = (
    quantiles(
        "Order Latency Distribution",
        "veloz_order_latency_seconds",
        "Target: p99 below 100 ms.",
        (0.5, 0.9, 0.99),
    ),
    quantiles(
        "API Latency Distribution",
        "veloz_http_request_duration_seconds",
        "Target: p99 below 500 ms.",
        (0.5, 0.9, 0.99),
    ),
)

_THROUGHPUT: Final = (
    timeseries(
        "Order Throughput",
        "ops",
        "Orders and fills a second.",
        (
            prom(f"sum(rate(veloz_orders_total{_RATE}))", "Orders/sec"),
            prom(f"sum(rate(veloz_fills_total{_RATE}))", "Fills/sec"),
        ),
        width=12,
    ),
    timeseries(
        "System Throughput",
        "ops",
        "Updates of market data and API requests a second.",
        (
            prom(f"sum(rate(veloz_market_updates_total{_RATE}))", "Market Updates/sec"),
            prom(f"sum(rate(veloz_http_requests_total{_RATE}))", "API Requests/sec"),
        ),
        width=12,
    ),
)

VELOZ_SLO: Final = Board(
    "veloz-slo",
    "VeloZ SLO",
    "VeloZ's four objectives, its error budget, and the indicators behind them.",
    "VeloZ",
    (
        Row("SLO Overview", _OVERVIEW),
        Row("Error Budget", _BUDGET),
        Row("Latency SLIs", _LATENCY),
        Row("Throughput SLIs", _THROUGHPUT),
    ),
    tags=("veloz", "slo"),
)
