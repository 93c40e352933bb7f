"""The executive overview: is trading well, are the systems up, are promises kept."""

from typing import Final

from dashboards.links import board_link
from dashboards.model import Board, Query, Row, columns, gauge, prom, stat, table, timeseries
from dashboards.own_alerts import active_alerts
from dashboards.own_variables import STATES, UP_COLOURS, runbooks

__all__ = ["OVERVIEW"]

_SERVICES: Final = 'job=~"veloz-.+|py-rt-.+|b25-.+|ktrdr-.+"'
_SYSTEMS: Final = (
    ("VeloZ", "veloz-.+", "veloz-system"),
    ("py_rt", "py-rt-.+", "py-rt-health"),
    ("B25", "b25-.+", "01-system-health-overview"),
    ("KTRDR", "ktrdr-.+", "ktrdr-operations"),
)

_TOP: Final = (
    stat(
        "Trading P&L",
        "short",
        "Net P&L over all accounts, in their base currencies.",
        (prom('sum(trading_pnl_net{job="tapeline-signals"})', "net"),),
        width=6,
        height=6,
        thresholds=((None, "red"), (0.0, "green")),
        links=(board_link("P&L and risk", "tapeline-pnl-risk"),),
    ),
    gauge(
        "System Health Score",
        "percentunit",
        "Share of the systems' services that can be scraped.",
        (prom(f"avg(up{{{_SERVICES}}})", "up"),),
        width=6,
        height=6,
        minimum=0,
        maximum=1,
        thresholds=((None, "red"), (0.9, "orange"), (1.0, "green")),
        links=(board_link("Infrastructure", "tapeline-infrastructure"),),
    ),
    gauge(
        "SLO Compliance",
        "percentunit",
        "Share of all objectives that the last hour met.",
        (
            prom(
                "avg((1 - slo:errors_per_event:ratio_rate1h)"
                " >= bool on (slo, system, service) slo:objective:ratio)",
                "met",
            ),
        ),
        width=6,
        height=6,
        minimum=0,
        maximum=1,
        thresholds=((None, "red"), (0.9, "orange"), (1.0, "green")),
        links=(board_link("Objectives", "tapeline-slo"),),
    ),
    stat(
        "Signals lag",
        "s",
        "How old the newest trading figures are.",
        (prom("max(tapeline_signals_watermark_lag_seconds)", "lag"),),
        width=6,
        height=6,
        thresholds=((None, "green"), (60.0, "orange"), (120.0, "red")),
        links=(board_link("Tapeline itself", "tapeline-itself"),),
    ),
    *(
        stat(
            f"{name} services",
            "none",
            f"Each service of {name}: whether it can be scraped. A click opens its dashboard.",
            (prom(f'max by (job) (up{{job=~"{jobs}"}})', "{{job}}"),),
            width=6,
            height=7,
            texts=STATES,
            thresholds=UP_COLOURS,
            background=True,
            links=(board_link(f"{name} health", uid),),
        )
        for name, jobs, uid in _SYSTEMS
    ),
)

_TRADING: Final = (
    timeseries(
        "Net P&L by account",
        "short",
        "Realised and unrealised profit less fees, in the account's base currency.",
        (
            prom(
                'sum by (trading_account) (trading_pnl_net{job="tapeline-signals"})',
                "{{trading_account}}",
            ),
        ),
    ),
    timeseries(
        "Orders and executions",
        "ops",
        "Orders submitted and executions, a second, over all systems.",
        (
            prom(
                'sum(rate(trading_orders_total{job="tapeline-signals",trading_order_state="submitted"}'
                "[$__rate_interval]))",
                "orders",
            ),
            prom(
                'sum(rate(trading_executions_total{job="tapeline-signals"}[$__rate_interval]))',
                "executions",
            ),
        ),
        links=(board_link("Trading operations", "tapeline-trading"),),
    ),
    timeseries(
        "Slippage p95",
        "suffix: bp",
        "The dear end of slippage beside the arrival price. A dot opens the trace of an execution.",
        (
            prom(
                "histogram_quantile(0.95, sum by (le) (rate(trading_slippage_bps_bucket"
                '{job="tapeline-signals",trading_benchmark="arrival"}[$__rate_interval])))',
                "p95",
                exemplar=True,
            ),
        ),
        links=(board_link("Execution quality", "tapeline-execution-quality"),),
    ),
)

_STATE: Final = (
    active_alerts("Firing alerts", "", "What fires now, in every system.", width=12),
    table(
        "Objectives with least budget",
        "percentunit",
        "The ten objectives that spent most of their budget of 30 days.",
        (
            Query(
                "bottomk(10, sum by (system, slo) (slo:error_budget_remaining:ratio30d))",
                instant=True,
                shape="table",
            ),
        ),
        width=12,
        height=9,
        transformations=columns(system="System", slo="SLO", Value="Budget left"),
    ),
)

OVERVIEW: Final = Board(
    "tapeline-overview",
    "Executive Overview",
    "Profit, health and promises of all systems on one page.",
    "Tapeline",
    (Row("Now", _TOP), Row("Trading", _TRADING), Row("Alerts and objectives", _STATE)),
    variables=(runbooks(),),
    tags=("overview",),
    refresh="10s",
)
