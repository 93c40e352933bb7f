"""VeloZ's trading dashboard: orders, market data, risk and positions, gateway and API."""

from dataclasses import replace
from typing import Final

from dashboards.links import board_link, logs_link, traces_link
from dashboards.model import Board, Panel, Query, Row, Variable, gauge, prom, stat, timeseries

__all__ = ["ENGINE", "VELOZ_LOGS", "VELOZ_TRADING", "quantiles"]

_RATE: Final = "[$__rate_interval]"
ENGINE: Final = 'job=~"veloz-.+"'
VELOZ_LOGS: Final = logs_link("Logs at this time", '{service_name=~"veloz-.+"}')


def quantiles(
    title: str,
    metric: str,
    about: str,
    levels: tuple[float, ...],
    by: str = "",
    *,
    exemplar: bool = True,
) -> Panel:
    """Return a histogram's quantiles over time; with `by`, one line for each value of it."""
    grouped = f"le, {by}" if by else "le"
    suffix = f" {{{{{by}}}}}" if by else ""
    return timeseries(
        title,
        "s",
        about,
        tuple(
            prom(
                f"histogram_quantile({level}, sum by ({grouped}) "
                f"(rate({metric}_bucket{{{ENGINE}}}{_RATE})))",
                f"p{level * 100:g}{suffix}",
                exemplar=exemplar,
            )
            for level in levels
        ),
        width=12,
        links=(
            VELOZ_LOGS,
            traces_link("Traces of the gateway", "veloz-gateway"),
        ),
    )


_OVERVIEW: Final = (
    stat(
        "System Uptime",
        "s",
        "How long VeloZ has been up.",
        (prom("max(veloz_system_uptime)", "uptime"),),
        width=6,
        height=5,
    ),
    stat(
        "Event Loop Pending Tasks",
        "short",
        "Tasks that wait in the event loop.",
        (prom("max(veloz_event_loop_pending_tasks)", "tasks"),),
        width=6,
        height=5,
        thresholds=((None, "green"), (100.0, "orange"), (500.0, "red")),
    ),
    stat(
        "Total Orders",
        "short",
        "Orders since the engine started.",
        (prom("sum(veloz_orders_total)", "orders"),),
        width=6,
        height=5,
    ),
    stat(
        "Total Fills",
        "short",
        "Fills since the engine started.",
        (prom("sum(veloz_fills_total)", "fills"),),
        width=6,
        height=5,
    ),
)

_ORDERS: Final = (
    timeseries(
        "Order Rate",
        "ops",
        "Orders, fills and cancels a second.",
        (
            prom(f"sum(rate(veloz_orders_total{_RATE}))", "Orders/sec"),
            prom(f"sum(rate(veloz_fills_total{_RATE}))", "Fills/sec"),
            prom(f"sum(rate(veloz_cancels_total{_RATE}))", "Cancels/sec"),
        ),
        width=12,
        links=(board_link("Execution quality", "tapeline-execution-quality"), VELOZ_LOGS),
    ),
    replace(
        quantiles(
            "Order Latency",
            "veloz_order_latency_seconds",
            "From submission to acknowledgement. A dot is one order: it opens its trace.",
            (0.5, 0.95, 0.99),
        ),
        thresholds=((None, "green"), (0.05, "yellow"), (0.1, "orange"), (0.5, "red")),
    ),
    timeseries(
        "Fill Rate",
        "percent",
        "Fills of each hundred orders.",
        (
            prom(
                f"sum(rate(veloz_fills_total{_RATE})) / sum(rate(veloz_orders_total{_RATE})) * 100",
                "filled",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Strategy Signals",
        "ops",
        "Signals a second, by strategy and what they say.",
        (
            prom(
                f"sum by (strategy, signal) (rate(veloz_strategy_signals_total{_RATE}))",
                "{{strategy}} {{signal}}",
            ),
        ),
        width=12,
    ),
)

_MARKET: Final = (
    timeseries(
        "Market Data Rate",
        "ops",
        "Updates of market data a second, by type.",
        (prom(f"sum by (type) (rate(veloz_market_updates_total{_RATE}))", "{{type}}"),),
        width=12,
    ),
    timeseries(
        "Market Data Latency",
        "ms",
        "How far market data lags behind the venue.",
        (prom("max by (job) (veloz_market_data_lag_ms)", "lag {{job}}"),),
        width=12,
        thresholds=((None, "green"), (100.0, "orange"), (500.0, "red")),
    ),
)

_RISK: Final = (
    timeseries(
        "Position Value",
        "currencyUSD",
        "Value of the position in each symbol.",
        (prom('sum by (symbol) (veloz_position_value{symbol=~"$symbol"})', "{{symbol}}"),),
        width=12,
    ),
    stat(
        "Risk Rejections",
        "short",
        "Orders that risk checks rejected, in the time shown.",
        (
            Query(
                "sum by (reason) (increase(veloz_risk_rejections_total[$__range]))",
                "{{reason}}",
                instant=True,
            ),
        ),
        width=6,
    ),
    gauge(
        "Risk Utilization",
        "percent",
        "Share of the risk limit that is used.",
        (prom("max(veloz_risk_utilization_percent)", "used"),),
        width=6,
        minimum=0,
        maximum=100,
        thresholds=((None, "green"), (80.0, "orange"), (95.0, "red")),
    ),
    stat(
        "Leverage",
        "suffix: x",
        "Gross exposure by the account's equity.",
        (prom("max(veloz_exposure_leverage_ratio)", "leverage"),),
        width=6,
        thresholds=((None, "green"), (2.0, "yellow"), (3.0, "orange")),
    ),
    stat(
        "Win Rate",
        "percent",
        "Share of the trades that made a profit.",
        (prom("max(veloz_risk_win_rate)", "won"),),
        width=6,
        thresholds=((None, "orange"), (30.0, "green")),
    ),
    timeseries(
        "Exposure",
        "currencyUSD",
        "Gross, net, long and short values of all positions.",
        tuple(
            prom(f"max(veloz_exposure_{kind})", kind) for kind in ("gross", "net", "long", "short")
        ),
    ),
    timeseries(
        "Unrealized and Realized PnL",
        "currencyUSD",
        "Totals over all symbols.",
        (
            prom("max(veloz_position_total_unrealized_pnl)", "unrealized"),
            prom("max(veloz_position_total_realized_pnl)", "realized"),
        ),
    ),
    timeseries(
        "Drawdown",
        "percent",
        "Fall from the peak now, and the greatest.",
        (
            prom("max(veloz_risk_current_drawdown)", "now"),
            prom("max(veloz_risk_max_drawdown)", "greatest"),
        ),
        thresholds=((None, "green"), (10.0, "orange"), (20.0, "red")),
    ),
    timeseries(
        "Value at Risk (daily)",
        "currencyUSD",
        "Of one day, at 95 and 99 percent.",
        (prom("max(veloz_risk_var_95)", "VaR 95"), prom("max(veloz_risk_var_99)", "VaR 99")),
    ),
    timeseries(
        "Risk Ratios",
        "short",
        "Sharpe, Sortino, Calmar and profit factor.",
        (
            prom("max(veloz_risk_sharpe_ratio)", "Sharpe"),
            prom("max(veloz_risk_sortino_ratio)", "Sortino"),
            prom("max(veloz_risk_calmar_ratio)", "Calmar"),
            prom("max(veloz_risk_profit_factor)", "profit factor"),
        ),
    ),
    timeseries(
        "Concentration",
        "percent",
        "Largest position and largest three, of the total.",
        (
            prom("max(veloz_concentration_largest_pct)", "largest"),
            prom("max(veloz_concentration_top3_pct)", "largest three"),
        ),
        thresholds=((None, "green"), (50.0, "orange")),
    ),
)

_API: Final = (
    timeseries(
        "HTTP Request Rate",
        "reqps",
        "Requests a second, by endpoint.",
        (
            prom(
                f"topk(20, sum by (endpoint) (rate(veloz_http_requests_total{_RATE})))",
                "{{endpoint}}",
            ),
        ),
        width=12,
        links=(VELOZ_LOGS,),
    ),
    quantiles(
        "HTTP Request Latency",
        "veloz_http_request_duration_seconds",
        "Requests to the gateway. A dot is one request: it opens its trace.",
        (0.5, 0.95, 0.99),
    ),
)

VELOZ_TRADING: Final = Board(
    "veloz-trading",
    "VeloZ Trading",
    "Orders, market data, risk, positions and the API of VeloZ.",
    "VeloZ",
    (
        Row("System Overview", _OVERVIEW),
        Row("Order Flow", _ORDERS),
        Row("Market Data", _MARKET),
        Row("Risk & Positions", _RISK),
        Row("Gateway & API", _API),
    ),
    variables=(
        Variable("symbol", "Symbol", "prometheus", "label_values(veloz_position_value, symbol)"),
    ),
    tags=("veloz",),
    refresh="10s",
)
