"""P&L and risk of the accounts, by the convention."""

from typing import Final

from dashboards.links import board_link
from dashboards.model import Board, Panel, Query, Row, gauge, prom, stat, timeseries
from dashboards.own_variables import ACCOUNT, INSTRUMENT, TRADED

__all__ = ["RISK"]

_ACCOUNT: Final = 'job="tapeline-signals",trading_account=~"$account"'


def _of_account(
    title: str, unit: str, metric: str, about: str, extra: str = "", more: str = ""
) -> Panel:
    """Return a line for each account, and each value of `extra` where there is one."""
    by = f"trading_account, {extra}" if extra else "trading_account"
    legend = f"{{{{trading_account}}}} {{{{{extra}}}}}" if extra else "{{trading_account}}"
    return timeseries(
        title, unit, about, (prom(f"max by ({by}) ({metric}{{{_ACCOUNT}{more}}})", legend),)
    )


def _figure(title: str, unit: str, query: str, about: str) -> Panel:
    return stat(
        title,
        unit,
        about,
        (prom(query, "{{trading_account}}"),),
        width=6,
        height=5,
        thresholds=((None, "red"), (0.0, "green")),
    )


_PNL: Final = (
    _figure(
        "Net P&L",
        "short",
        f"sum by (trading_account) (trading_pnl_net{{{TRADED}}})",
        "Realised and unrealised profit less fees, in the account's base currency.",
    ),
    _figure(
        "Equity",
        "short",
        f"sum by (trading_account) (trading_portfolio_equity{{{_ACCOUNT}}})",
        "Starting equity, cash and net profit, in the account's base currency.",
    ),
    _figure(
        "Realized P&L",
        "short",
        f"sum by (trading_account) (trading_pnl_realized{{{TRADED}}})",
        "Profit of what was closed, before fees, in the instruments' own currencies.",
    ),
    _figure(
        "Unrealized P&L",
        "short",
        f"sum by (trading_account) (trading_pnl_unrealized{{{TRADED}}})",
        "Profit of what is held at its current price, in the instruments' own currencies.",
    ),
    timeseries(
        "Net P&L by instrument",
        "short",
        "Realised and unrealised profit less fees.",
        (
            prom(
                f"sum by (trading_instrument) (trading_pnl_net{{{TRADED}}})",
                "{{trading_instrument}}",
            ),
        ),
        width=12,
        links=(board_link("Execution quality", "tapeline-execution-quality"),),
    ),
    timeseries(
        "Unrealized P&L by price source",
        "short",
        "Against the mark, else bid or ask, else the last execution.",
        (
            prom(
                f"sum by (trading_price_source) (trading_pnl_unrealized{{{TRADED}}})",
                "{{trading_price_source}}",
            ),
        ),
        width=6,
    ),
    timeseries(
        "Fees by currency",
        "short",
        "Fees paid less rebates since the state began, as charged.",
        (
            prom(
                f"sum by (trading_currency) (trading_fees{{{TRADED}}})",
                "{{trading_currency}}",
            ),
        ),
        width=6,
    ),
)

_EXPOSURE: Final = (
    _of_account(
        "Gross exposure",
        "short",
        "trading_portfolio_exposure_gross",
        "Sum of the values of all positions, signs aside.",
    ),
    _of_account(
        "Net exposure",
        "short",
        "trading_portfolio_exposure_net",
        "Sum of the values of all positions, with their signs.",
    ),
    _of_account(
        "Leverage",
        "short",
        "trading_portfolio_leverage",
        "Gross exposure by equity.",
    ),
    _of_account(
        "Concentration (HHI)",
        "percentunit",
        "trading_portfolio_concentration_hhi",
        "Sum of the squared shares of gross exposure: 1 is everything in one instrument.",
    ),
    _of_account(
        "Concentration (largest three)",
        "percentunit",
        "trading_portfolio_concentration_top3",
        "Share of the largest three positions in gross exposure.",
    ),
    _of_account(
        "Open positions",
        "short",
        "trading_portfolio_open_positions",
        "Instruments that are held.",
    ),
)

_RISK: Final = (
    gauge(
        "Drawdown now",
        "percentunit",
        "Fall of the return index from its peak.",
        (prom(f"max(trading_risk_drawdown{{{_ACCOUNT}}})", "drawdown"),),
        width=4,
        minimum=0,
        maximum=0.3,
        thresholds=((None, "green"), (0.1, "orange"), (0.2, "red")),
    ),
    gauge(
        "Greatest drawdown",
        "percentunit",
        "The greatest such fall since the state began.",
        (prom(f"max(trading_risk_drawdown_max{{{_ACCOUNT}}})", "drawdown"),),
        width=4,
        minimum=0,
        maximum=0.3,
        thresholds=((None, "green"), (0.1, "orange"), (0.2, "red")),
    ),
    gauge(
        "Win rate",
        "percentunit",
        "Round trips that won, by those that won or lost.",
        (prom(f"avg(trading_risk_win_rate{{{_ACCOUNT}}})", "won"),),
        width=4,
        minimum=0,
        maximum=1,
        thresholds=((None, "red"), (0.4, "orange"), (0.5, "green")),
    ),
    stat(
        "Profit factor",
        "short",
        "What round trips won by what they lost: above 1 is a profit.",
        (prom(f"avg(trading_risk_profit_factor{{{_ACCOUNT}}})", "factor"),),
        width=4,
        decimals=2,
        thresholds=((None, "red"), (1.0, "green")),
    ),
    _of_account(
        "Drawdown",
        "percentunit",
        "trading_risk_drawdown",
        "Fall of the return index from its peak, over time.",
    ),
    *(
        Panel(
            "timeseries",
            title,
            "short",
            about + " It begins with the second closed period, which is a day unless configured.",
            (prom(f"max by (trading_account) ({metric}{{{_ACCOUNT}}})", "{{trading_account}}"),),
            width=6,
        )
        for title, metric, about in (
            ("Sharpe ratio", "trading_risk_sharpe", "Mean by deviation of returns, annual."),
            ("Sortino ratio", "trading_risk_sortino", "As Sharpe, but only falls count."),
            ("Calmar ratio", "trading_risk_calmar", "Annual return by the greatest drawdown."),
        )
    ),
    Panel(
        "timeseries",
        "Value at risk",
        "short",
        "Historical, one period; a loss is positive. It begins with the second closed period.",
        (
            Query(
                f"max by (trading_account, trading_confidence) (trading_risk_var{{{_ACCOUNT}}})",
                "{{trading_account}} {{trading_confidence}}",
            ),
        ),
        width=6,
    ),
)

RISK: Final = Board(
    "tapeline-pnl-risk",
    "P&L and Risk",
    "Profit, exposure, concentration, drawdown and ratios of each account, by the convention.",
    "Tapeline",
    (Row("P&L", _PNL), Row("Exposure", _EXPOSURE), Row("Risk", _RISK)),
    variables=(ACCOUNT, INSTRUMENT),
    tags=("trading",),
)
