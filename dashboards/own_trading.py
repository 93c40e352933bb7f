"""Trading operations: orders, executions, volume and positions by the convention."""

from typing import Final

from dashboards.links import board_link
from dashboards.model import (
    Board,
    Query,
    Row,
    Transformation,
    piechart,
    prom,
    stat,
    table,
    timeseries,
)
from dashboards.own_variables import ACCOUNT, INSTRUMENT, TRADED

__all__ = ["TRADING"]

_RATE: Final = "[$__rate_interval]"

_FLOW: Final = (
    stat(
        "Orders a second",
        "ops",
        "Orders submitted a second, over all that is picked.",
        (
            prom(
                f'sum(rate(trading_orders_total{{{TRADED},trading_order_state="submitted"}}{_RATE}))',
                "orders",
            ),
        ),
        width=4,
        height=5,
    ),
    stat(
        "Executions a second",
        "ops",
        "Executions a second; corrections and busts are none.",
        (
            prom(
                f'sum(rate(trading_executions_total{{{TRADED},trading_execution_kind="trade"}}{_RATE}))',
                "executions",
            ),
        ),
        width=4,
        height=5,
    ),
    stat(
        "Open positions",
        "short",
        "Instruments that are held, over the accounts that are picked.",
        (prom('sum(trading_portfolio_open_positions{trading_account=~"$account"})', "positions"),),
        width=4,
        height=5,
    ),
    stat(
        "Open orders",
        "short",
        "Orders that the signals know to be open: all that was accepted where no fills are told.",
        (prom("sum(tapeline_signals_open_orders)", "orders"),),
        width=4,
        height=5,
    ),
    stat(
        "Fill ratio",
        "percentunit",
        "Filled by ordered quantity of orders closed in the last hour.",
        (prom(f"avg(trading_fill_ratio{{{TRADED}}})", "filled"),),
        width=4,
        height=5,
        thresholds=((None, "red"), (0.8, "orange"), (0.9, "green")),
        links=(board_link("Execution quality", "tapeline-execution-quality"),),
    ),
    stat(
        "Net P&L",
        "short",
        "Realised and unrealised profit less fees, in the accounts' base currencies.",
        (prom(f"sum(trading_pnl_net{{{TRADED}}})", "net"),),
        width=4,
        height=5,
        thresholds=((None, "red"), (0.0, "green")),
        links=(board_link("P&L and risk", "tapeline-pnl-risk"),),
    ),
    timeseries(
        "Order Flow",
        "ops",
        "Events of orders a second, by the state that they tell.",
        (
            prom(
                f"sum by (trading_order_state) (rate(trading_orders_total{{{TRADED}}}{_RATE}))",
                "{{trading_order_state}}",
                exemplar=True,
            ),
        ),
        width=12,
    ),
    timeseries(
        "Executions by instrument and side",
        "ops",
        "Executions a second.",
        (
            prom(
                "sum by (trading_instrument, trading_side) "
                f"(rate(trading_executions_total{{{TRADED}}}{_RATE}))",
                "{{trading_instrument}} {{trading_side}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Traded notional by instrument",
        "short",
        "Executed quantity at its price, a second, in each instrument's own currency.",
        (
            prom(
                "sum by (trading_instrument, trading_currency) "
                f"(rate(trading_notional_total{{{TRADED}}}{_RATE}))",
                "{{trading_instrument}} {{trading_currency}}",
            ),
        ),
        width=8,
    ),
    timeseries(
        "Traded volume by side",
        "short",
        "Executed quantity a second.",
        (
            prom(
                f"sum by (trading_side) (rate(trading_volume_total{{{TRADED}}}{_RATE}))",
                "{{trading_side}}",
            ),
        ),
        width=8,
        stacked=True,
    ),
    piechart(
        "Maker and taker executions",
        "short",
        "Executions in the time shown, by the liquidity that they made or took.",
        (
            Query(
                "sum by (trading_execution_liquidity) "
                f'(increase(trading_executions_total{{{TRADED},trading_execution_liquidity=~"maker|taker"}}[$__range]))',
                "{{trading_execution_liquidity}}",
                instant=True,
            ),
        ),
        width=8,
    ),
)

_POSITIONS: Final = (
    table(
        "Position Summary",
        "short",
        "What is held now: quantity, average price and value of each position.",
        (
            Query(
                f"sum by (trading_account, trading_instrument) "
                f"(trading_position_quantity{{{TRADED}}})",
                instant=True,
                shape="table",
            ),
            Query(
                f"avg by (trading_account, trading_instrument) "
                f"(trading_position_average_price{{{TRADED}}})",
                instant=True,
                shape="table",
            ),
            Query(
                f"sum by (trading_account, trading_instrument) "
                f"(trading_position_value{{{TRADED}}})",
                instant=True,
                shape="table",
            ),
        ),
        width=12,
        transformations=(
            Transformation("merge"),
            Transformation(
                "organize",
                {
                    "excludeByName": {"Time": True},
                    "renameByName": {
                        "trading_account": "Account",
                        "trading_instrument": "Instrument",
                        "Value #A": "Quantity",
                        "Value #B": "Average price",
                        "Value #C": "Value",
                    },
                },
            ),
        ),
    ),
    timeseries(
        "Position value by instrument",
        "short",
        "What is held, at its current price; negative is short.",
        (
            prom(
                f"sum by (trading_instrument) (trading_position_value{{{TRADED}}})",
                "{{trading_instrument}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Strategy Performance",
        "short",
        "Net P&L by strategy, in the accounts' base currencies.",
        (
            prom(
                f"sum by (trading_strategy) (trading_pnl_net{{{TRADED}}})",
                "{{trading_strategy}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Corrected and busted notional",
        "short",
        "What was booked and taken back, a second.",
        (
            prom(
                "sum by (trading_instrument) "
                f"(rate(trading_notional_reversed_total{{{TRADED}}}{_RATE}))",
                "{{trading_instrument}}",
            ),
        ),
        width=12,
    ),
)

TRADING: Final = Board(
    "tapeline-trading",
    "Trading Operations",
    "Orders, executions, volume and positions of every system that reports by the convention.",
    "Tapeline",
    (Row("Order Flow", _FLOW), Row("Positions and strategies", _POSITIONS)),
    variables=(ACCOUNT, INSTRUMENT),
    tags=("trading",),
    refresh="10s",
)
