"""B25's folder "Business Metrics": P&L, trading activity, strategies, fees."""

from typing import Final

from dashboards.links import board_link
from dashboards.model import (
    Board,
    Query,
    Row,
    Transformation,
    Variable,
    barchart,
    gauge,
    piechart,
    prom,
    stat,
    table,
    timeseries,
)
from dashboards.own_variables import service_logs

__all__ = ["B25_ACTIVITY", "B25_FEES", "B25_PNL", "B25_STRATEGIES"]

_SYMBOL: Final = 'symbol=~"$symbol"'
_RATE: Final = "[$__rate_interval]"
_SYMBOLS: Final = Variable(
    "symbol", "Symbol", "prometheus", "label_values(account_monitor_position_size, symbol)"
)
_BUCKET: Final = Variable(
    "bucket", "Bars of", "interval", "1m,5m,15m,1h,1d", multi=False, current="1d"
)

_PNL: Final = (
    timeseries(
        "Cumulative P&L",
        "currencyUSD",
        "Realised and unrealised profit over the symbols that are picked.",
        (
            prom(
                f"sum(account_monitor_realized_pnl_usd{{{_SYMBOL}}})"
                f" + sum(account_monitor_unrealized_pnl_usd{{{_SYMBOL}}})",
                "total",
            ),
            prom(f"sum(account_monitor_realized_pnl_usd{{{_SYMBOL}}})", "realized"),
            prom(f"sum(account_monitor_unrealized_pnl_usd{{{_SYMBOL}}})", "unrealized"),
        ),
        width=16,
        links=(board_link("P&L and risk of all systems", "tapeline-pnl-risk"),),
    ),
    stat(
        "Sharpe Ratio",
        "short",
        "Return by its deviation.",
        (prom("max(account_monitor_sharpe_ratio)", "Sharpe"),),
        width=4,
        decimals=2,
        thresholds=((None, "red"), (0.0, "orange"), (1.0, "green")),
    ),
    gauge(
        "Max Drawdown",
        "percent",
        "The greatest fall from a peak.",
        (prom("max(account_monitor_max_drawdown_pct)", "drawdown"),),
        width=4,
        minimum=0,
        maximum=10,
        thresholds=((None, "green"), (3.0, "orange"), (5.0, "red")),
    ),
    barchart(
        "Daily P&L",
        "currencyUSD",
        "What was realised in each day, today so far; choose 30 days as the time, or shorter bars.",
        (
            # A bar's point lies at its begin (Grafana asks at whole steps), and it looks ahead: the
            # day that runs has a bar, and each bar is named after its own day.
            Query(
                f"sum(delta(account_monitor_realized_pnl_usd{{{_SYMBOL}}}[$bucket]"
                " offset -$bucket))",
                "P&L",
                step="$bucket",
            ),
        ),
        width=12,
        x_field="Time",
        thresholds=((None, "red"), (0.0, "green")),
    ),
    gauge(
        "Win Rate",
        "percent",
        "Trades that won, of all.",
        (
            prom(
                "sum(account_monitor_winning_trades_total)"
                " / sum(account_monitor_total_trades_total) * 100",
                "won",
            ),
        ),
        width=4,
        minimum=0,
        maximum=100,
        thresholds=((None, "red"), (40.0, "orange"), (50.0, "green")),
    ),
    timeseries(
        "Trading Volume",
        "currencyUSD",
        "Traded in an hour, at the pace of the time around each point.",
        (
            prom(
                f"sum(rate(order_execution_volume_usd_total{{{_SYMBOL}}}{_RATE})) * 3600",
                "USD an hour",
            ),
        ),
        width=8,
    ),
    table(
        "Position Sizes",
        "short",
        "What is held now: size, entry price and unrealised profit.",
        tuple(
            Query(f"sum by (exchange, symbol) ({metric}{{{_SYMBOL}}})", instant=True, shape="table")
            for metric in (
                "account_monitor_position_size",
                "account_monitor_position_entry_price",
                "account_monitor_unrealized_pnl_usd",
            )
        ),
        width=16,
        transformations=(
            Transformation("merge"),
            Transformation(
                "organize",
                {
                    "excludeByName": {"Time": True},
                    "renameByName": {
                        "exchange": "Exchange",
                        "symbol": "Symbol",
                        "Value #A": "Size",
                        "Value #B": "Entry price",
                        "Value #C": "Unrealized P&L",
                    },
                },
            ),
        ),
    ),
    piechart(
        "Fee Analysis",
        "currencyUSD",
        "Fees as maker and as taker, as amounts: a slice can't show that makers' are rebates.",
        (
            Query('abs(sum(account_monitor_fees_paid_usd{type="maker"}))', "maker", instant=True),
            Query('abs(sum(account_monitor_fees_paid_usd{type="taker"}))', "taker", instant=True),
        ),
        width=8,
    ),
)

_ACTIVITY: Final = (
    timeseries(
        "Orders",
        "ops",
        "Orders a second, by status.",
        (
            prom(
                f"sum by (status) (rate(order_execution_orders_total{{{_SYMBOL}}}{_RATE}))",
                "{{status}}",
            ),
        ),
        width=12,
        links=(service_logs("b25-order-execution"),),
    ),
    timeseries(
        "Fills",
        "ops",
        "Filled orders a second, by exchange.",
        (
            prom(
                f"sum by (exchange) (rate(order_execution_filled_orders_total{_RATE}))",
                "{{exchange}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Volume",
        "currencyUSD",
        "Traded in an hour, by symbol.",
        (
            prom(
                "sum by (symbol) "
                f"(rate(order_execution_volume_usd_total{{{_SYMBOL}}}{_RATE})) * 3600",
                "{{symbol}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Slippage p95",
        "suffix: bp",
        "Of executions, by symbol.",
        (
            prom(
                "histogram_quantile(0.95, sum by (le, symbol) "
                f"(rate(order_execution_slippage_bps_bucket{{{_SYMBOL}}}{_RATE})))",
                "{{symbol}}",
            ),
        ),
        width=12,
        links=(board_link("Execution quality", "tapeline-execution-quality"),),
    ),
)

_STRATEGY: Final = (
    timeseries(
        "P&L by Strategy",
        "currencyUSD",
        "Profit of each strategy.",
        (prom("max by (strategy_id) (account_monitor_strategy_pnl_usd)", "{{strategy_id}}"),),
        width=12,
    ),
    timeseries(
        "Win Rate by Strategy",
        "percentunit",
        "Trades that won, of all since the start.",
        (
            prom(
                "sum by (strategy_id) (account_monitor_winning_trades_total)"
                " / sum by (strategy_id) (account_monitor_total_trades_total)",
                "{{strategy_id}}",
            ),
        ),
        width=12,
        minimum=0,
        maximum=1,
    ),
    timeseries(
        "Signals by Strategy",
        "ops",
        "Signals a second.",
        (
            prom(
                "sum by (strategy_id, side) "
                f"(rate(strategy_engine_signals_generated_total{_RATE}))",
                "{{strategy_id}} {{side}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Position by Strategy",
        "short",
        "Size of each strategy's positions.",
        (
            prom(
                "topk(20, sum by (strategy_id, symbol) "
                f"(strategy_engine_position_size{{{_SYMBOL}}}))",
                "{{strategy_id}} {{symbol}}",
            ),
        ),
        width=12,
    ),
)

_FEES: Final = (
    piechart(
        "Maker vs Taker Fees",
        "currencyUSD",
        "Fees so far, as amounts: a slice can't show that makers' are rebates.",
        (Query("abs(sum by (type) (account_monitor_fees_paid_usd))", "{{type}}", instant=True),),
        width=8,
    ),
    timeseries(
        "Fee Costs",
        "currencyUSD",
        "Fees paid so far, as maker and as taker; below 0 are rebates.",
        (prom("sum by (type) (account_monitor_fees_paid_usd)", "{{type}}"),),
        width=16,
    ),
    gauge(
        "Maker Ratio",
        "percentunit",
        "Orders that made liquidity, of all.",
        (
            prom(
                "sum(account_monitor_maker_orders_total) / sum(account_monitor_total_orders_total)",
                "maker",
            ),
        ),
        width=8,
        minimum=0,
        maximum=1,
        thresholds=((None, "red"), (0.6, "orange"), (0.7, "green")),
    ),
    stat(
        "Fees by Volume",
        "suffix: bp",
        "All fees by all volume, in basis points.",
        (
            prom(
                "1e4 * sum(account_monitor_fees_paid_usd) / sum(order_execution_volume_usd_total)",
                "fees",
            ),
        ),
        width=16,
        decimals=2,
    ),
)


B25_PNL: Final = Board(
    "20-pnl-dashboard",
    "20 P&L Dashboard",
    "Profit, volume, positions and fees.",
    "B25 Business Metrics",
    (Row("P&L", _PNL),),
    variables=(_SYMBOLS, _BUCKET),
    tags=("b25",),
    since="now-24h",
)
B25_ACTIVITY: Final = Board(
    "21-trading-activity",
    "21 Trading Activity",
    "Orders, fills, volume and slippage.",
    "B25 Business Metrics",
    (Row("Activity", _ACTIVITY),),
    variables=(_SYMBOLS,),
    tags=("b25",),
)
B25_STRATEGIES: Final = Board(
    "22-strategy-performance",
    "22 Strategy Performance",
    "Profit, win rate and signals of each strategy.",
    "B25 Business Metrics",
    (Row("Strategies", _STRATEGY),),
    variables=(_SYMBOLS,),
    tags=("b25",),
)
B25_FEES: Final = Board(
    "23-fee-analysis",
    "23 Fee Analysis",
    "Fees as maker and taker, and what they are of the volume.",
    "B25 Business Metrics",
    (Row("Fees", _FEES),),
    tags=("b25",),
)
