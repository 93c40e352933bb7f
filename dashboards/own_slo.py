"""Service level objectives of every system, from the recorded series of config/slo."""

from typing import Final

from dashboards.links import board_link
from dashboards.model import (
    Board,
    Query,
    Row,
    Transformation,
    Variable,
    prom,
    stat,
    table,
    timeseries,
)

__all__ = ["BUDGET_COLOURS", "SLO"]

_PICKED: Final = 'system=~"$system",slo=~"$slo"'
_KEY: Final = "slo, system, service"
BUDGET_COLOURS: Final = ((None, "red"), (0.0, "orange"), (0.25, "green"))


def _burn(window: str) -> str:
    """Return how many times faster than allowed the budget is spent."""
    return (
        f"slo:errors_per_event:ratio_rate{window}{{{_PICKED}}}"
        f" / on ({_KEY}) (1 - slo:objective:ratio{{{_PICKED}}})"
    )


def _met(window: str) -> str:
    return (
        f"(1 - slo:errors_per_event:ratio_rate{window}{{{_PICKED}}})"
        f" >= bool on ({_KEY}) slo:objective:ratio{{{_PICKED}}}"
    )


_OVERVIEW: Final = (
    stat(
        "Objectives met (1 h)",
        "percentunit",
        "Share of the picked objectives that the last hour met.",
        (prom(f"avg({_met('1h')})", "met"),),
        width=6,
        height=6,
        thresholds=((None, "red"), (0.9, "orange"), (1.0, "green")),
    ),
    stat(
        "Objectives",
        "none",
        "How many objectives are picked.",
        (prom(f"count(slo:objective:ratio{{{_PICKED}}})", "objectives"),),
        width=6,
        height=6,
    ),
    stat(
        "Least budget left (30 d)",
        "percentunit",
        "Of the objective that spent most: 100 % is untouched, below 0 is overspent.",
        (prom(f"min(slo:error_budget_remaining:ratio30d{{{_PICKED}}})", "left"),),
        width=6,
        height=6,
        thresholds=BUDGET_COLOURS,
    ),
    stat(
        "Fastest burn (1 h)",
        "suffix: x",
        "1 spends exactly the budget in 30 days; 14.4 pages.",
        (prom(f"max({_burn('1h')})", "burn"),),
        width=6,
        height=6,
        decimals=1,
        thresholds=((None, "green"), (1.0, "orange"), (14.4, "red")),
    ),
    table(
        "SLO Compliance",
        "percentunit",
        "Each objective with what the last hour, day and 30 days reached, and the budget left.",
        (
            Query(f"slo:objective:ratio{{{_PICKED}}}", instant=True, shape="table"),
            *(
                Query(
                    f"1 - slo:errors_per_event:ratio_rate{window}{{{_PICKED}}}",
                    instant=True,
                    shape="table",
                )
                for window in ("1h", "1d", "30d")
            ),
            Query(f"slo:error_budget_remaining:ratio30d{{{_PICKED}}}", instant=True, shape="table"),
        ),
        width=24,
        height=12,
        transformations=(
            Transformation("merge"),
            Transformation(
                "organize",
                {
                    "excludeByName": {"Time": True, "__name__": True},
                    "indexByName": {"system": 0, "slo": 1, "service": 2},
                    "renameByName": {
                        "system": "System",
                        "slo": "SLO",
                        "service": "Service",
                        "Value #A": "Objective",
                        "Value #B": "Last hour",
                        "Value #C": "Last day",
                        "Value #D": "30 days",
                        "Value #E": "Budget left",
                    },
                },
            ),
        ),
    ),
)

_BUDGETS: Final = (
    timeseries(
        "Error budget left (30 d)",
        "percentunit",
        "100 % is untouched, below 0 is overspent.",
        (prom(f"slo:error_budget_remaining:ratio30d{{{_PICKED}}}", "{{system}} {{slo}}"),),
        width=12,
        height=10,
        links=(board_link("Alerts of this time", "tapeline-alerts"),),
    ),
    timeseries(
        "Burn rate (1 h)",
        "suffix: x",
        "How many times faster than allowed the budget is spent.",
        (prom(_burn("1h"), "{{system}} {{slo}}"),),
        width=12,
        height=10,
        thresholds=((None, "green"), (14.4, "red")),
    ),
    timeseries(
        "Bad events by event (5 m)",
        "percentunit",
        "The part of events that were bad, in the last five minutes.",
        (prom(f"slo:errors_per_event:ratio_rate5m{{{_PICKED}}}", "{{system}} {{slo}}"),),
        width=12,
        height=10,
    ),
    timeseries(
        "Events (5 m)",
        "short",
        "How many there were: few events make ratios that say little.",
        (prom(f"slo:events:increase5m{{{_PICKED}}}", "{{system}} {{slo}}"),),
        width=12,
        height=10,
        logarithmic=True,
    ),
)

SLO: Final = Board(
    "tapeline-slo",
    "Service Level Objectives",
    "Every objective of every system: compliance, error budgets and how fast they burn.",
    "Tapeline",
    (Row("Compliance", _OVERVIEW), Row("Budgets", _BUDGETS)),
    variables=(
        Variable("system", "System", "prometheus", "label_values(slo:objective:ratio, system)"),
        Variable(
            "slo", "SLO", "prometheus", 'label_values(slo:objective:ratio{system=~"$system"}, slo)'
        ),
    ),
    tags=("slo",),
)
