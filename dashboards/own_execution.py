"""Execution quality: slippage with its exemplars, fills, shortfall, spreads, latency."""

from typing import Final

from dashboards.links import board_link, traces_link
from dashboards.model import (
    Board,
    Panel,
    Query,
    Row,
    Search,
    Variable,
    columns,
    gauge,
    heatmap,
    prom,
    stat,
    table,
    timeseries,
)
from dashboards.own_variables import ACCOUNT, INSTRUMENT, STRATEGY, TRADED

__all__ = ["EXECUTION"]

_PICKED: Final = f'{TRADED},trading_strategy=~"$strategy"'
_BENCHMARK: Final = f'{_PICKED},trading_benchmark=~"$benchmark"'
_BPS: Final = "suffix: bp"


def _average(by: str, selector: str = _BENCHMARK) -> str:
    """Return average slippage in basis points, exact after corrections: cost by notional."""

    def over(metric: str) -> str:
        return f"sum by ({by}) (increase({metric}{{{selector}}}[$__rate_interval]))"

    net = f"({over('trading_slippage_cost_total')} - {over('trading_slippage_improvement_total')})"
    notional = (
        f"({over('trading_slippage_notional_total')}"
        f" - {over('trading_slippage_notional_reversed_total')})"
    )
    return f"1e4 * {net} / {notional}"


def _quantile(quantile: float, metric: str, by: str, selector: str) -> str:
    return (
        f"histogram_quantile({quantile}, sum by (le, {by}) "
        f"(rate({metric}_bucket{{{selector}}}[$__rate_interval])))"
    )


_SLIPPAGE: Final = (
    timeseries(
        "Slippage by benchmark (average)",
        _BPS,
        "What executions cost beside each benchmark: cost less improvement by notional, exact also "
        "after corrections and busts. Positive hurts.",
        (prom(_average("trading_benchmark"), "{{trading_benchmark}}"),),
        width=12,
    ),
    timeseries(
        "Slippage p95 by instrument",
        _BPS,
        "The dear end of the distribution. A dot is an execution: it opens its trace.",
        (
            prom(
                _quantile(0.95, "trading_slippage_bps", "trading_instrument", _BENCHMARK),
                "{{trading_instrument}}",
                exemplar=True,
            ),
        ),
        width=12,
        links=(
            board_link("P&L of this time", "tapeline-pnl-risk"),
            traces_link("Traces of the orders", "strategy"),
        ),
    ),
    heatmap(
        "Slippage distribution",
        _BPS,
        "Executions by slippage bucket, with exemplars: a point opens the trace of one execution.",
        (
            Query(
                "sum by (le) (increase(trading_slippage_bps_bucket"
                f"{{{_BENCHMARK}}}[$__rate_interval]))",
                "{{le}}",
                exemplar=True,
                shape="heatmap",
            ),
        ),
        width=12,
        height=9,
    ),
    table(
        "Slippage by instrument and side",
        _BPS,
        "The average over the time shown, exact also after corrections and busts.",
        (
            Query(
                _average("trading_instrument, trading_side").replace(
                    "$__rate_interval", "$__range"
                ),
                instant=True,
                shape="table",
            ),
        ),
        width=12,
        height=9,
        transformations=columns(
            trading_instrument="Instrument", trading_side="Side", Value="Average slippage"
        ),
    ),
)

_FILLS: Final = (
    gauge(
        "Fill ratio",
        "percentunit",
        "Filled by ordered quantity of orders closed in the last hour, rejects included, over all "
        "that is picked.",
        (prom(f"avg(trading_fill_ratio{{{_PICKED}}})", "filled"),),
        width=6,
        minimum=0,
        maximum=1,
        thresholds=((None, "red"), (0.8, "orange"), (0.9, "green")),
    ),
    timeseries(
        "Fill ratio by instrument",
        "percentunit",
        "Filled by ordered quantity of orders closed in the last hour.",
        (
            prom(
                f"avg by (trading_instrument) (trading_fill_ratio{{{_PICKED}}})",
                "{{trading_instrument}}",
            ),
        ),
        width=9,
        minimum=0,
        maximum=1,
    ),
    timeseries(
        "Orders by state",
        "ops",
        "Events of orders a second. Rejections beside submissions tell of a limit or a venue.",
        (
            prom(
                "sum by (trading_order_state) "
                f"(rate(trading_orders_total{{{_PICKED}}}[$__rate_interval]))",
                "{{trading_order_state}}",
            ),
        ),
        width=9,
    ),
)


def _signed_quantiles(title: str, about: str, metric: str, by: str, legend: str) -> Panel:
    return timeseries(
        title,
        _BPS,
        about,
        (prom(_quantile(0.5, metric, by, _PICKED), legend, exemplar=True),),
        width=12,
    )


_SHORTFALL: Final = (
    _signed_quantiles(
        "Implementation shortfall by component (median)",
        "Of root orders: delay, execution, opportunity and fees beside the decision price, and the "
        "total of each order.",
        "trading_shortfall_bps",
        "trading_component",
        "{{trading_component}}",
    ),
    _signed_quantiles(
        "Effective spread by instrument (median)",
        "Twice the price beside the mid when the order was received.",
        "trading_effective_spread_bps",
        "trading_instrument",
        "{{trading_instrument}}",
    ),
    _signed_quantiles(
        "Realized spread by horizon (median)",
        "Twice the price beside the mid a while after the execution.",
        "trading_realized_spread_bps",
        "trading_horizon",
        "{{trading_horizon}}",
    ),
    _signed_quantiles(
        "Markout by horizon (median)",
        "Where the mid went after the execution; positive is the trader's way.",
        "trading_markout_bps",
        "trading_horizon",
        "{{trading_horizon}}",
    ),
)

_LATENCY: Final = (
    timeseries(
        "Order latency p50 by stage",
        "s",
        "Time from submission to acknowledgement, to the first fill, and between them.",
        (
            prom(
                _quantile(0.5, "trading_order_latency_seconds", "trading_stage", _PICKED),
                "{{trading_stage}}",
                exemplar=True,
            ),
        ),
        width=10,
    ),
    timeseries(
        "Order latency p99 by stage",
        "s",
        "The slow end. A dot opens the trace of an order.",
        (
            prom(
                _quantile(0.99, "trading_order_latency_seconds", "trading_stage", _PICKED),
                "{{trading_stage}}",
                exemplar=True,
            ),
        ),
        width=10,
    ),
    stat(
        "Executions in the time shown",
        "short",
        "Trades that were reported, corrections and busts aside.",
        (
            Query(
                f'sum(increase(trading_executions_total{{{_PICKED},trading_execution_kind="trade"}}'
                "[$__range]))",
                "trades",
                instant=True,
            ),
        ),
        width=4,
    ),
    table(
        "Newest traces of the service",
        "none",
        "A row opens its trace, and from there each span opens its logs.",
        (Search("$service", tags=""),),
        width=24,
    ),
)

EXECUTION: Final = Board(
    "tapeline-execution-quality",
    "Execution Quality",
    "Slippage, shortfall, spreads and fills by the trading convention; exemplars open traces.",
    "Tapeline",
    (
        Row("Slippage", _SLIPPAGE),
        Row("Fills", _FILLS),
        Row("Shortfall and spreads", _SHORTFALL),
        Row("Latency and traces", _LATENCY),
    ),
    variables=(
        ACCOUNT,
        INSTRUMENT,
        STRATEGY,
        Variable(
            "benchmark", "Benchmark", "custom", "decision, arrival, limit, quote", all_value=".+"
        ),
        Variable(
            "service",
            "Service",
            "custom",
            "veloz-engine, veloz-gateway, b25-order-execution, py-rt-execution-engine, ktrdr-api",
            multi=False,
            all_value=None,
        ),
    ),
    tags=("trading",),
    refresh="10s",
)
