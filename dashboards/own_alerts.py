"""Alerts of every system: what fires, what fired, and the runbook of each."""

from typing import Final

from dashboards.links import runbook_link
from dashboards.model import (
    Board,
    Override,
    Panel,
    Query,
    Row,
    Transformation,
    prom,
    stat,
    table,
    timeseries,
)
from dashboards.own_variables import SYSTEM, runbooks

__all__ = ["ALERTS", "active_alerts", "alert_columns"]

_WATCHDOG: Final = 'alertname!="Watchdog"'
_PICKED: Final = 'system=~"$system"'


def alert_columns() -> tuple[Transformation, ...]:
    """Return what makes a table of ALERTS readable."""
    return (
        Transformation(
            "organize",
            {
                "excludeByName": {"Time": True, "Value": True},
                "indexByName": {"alertname": 0, "severity": 1, "priority": 2, "system": 3},
                "renameByName": {
                    "alertname": "Alert",
                    "severity": "Severity",
                    "priority": "Priority",
                    "system": "System",
                    "service": "Service",
                    "team": "Team",
                },
            },
        ),
    )


def active_alerts(title: str, selector: str, about: str, width: int = 24) -> Panel:
    """Return a table of what fires; an alert's name opens its runbook."""
    return table(
        title,
        "none",
        about + " An alert's name opens its runbook.",
        (
            Query(
                "count by (alertname, severity, priority, system, service, team) "
                f'(ALERTS{{alertstate="firing"{selector}}})',
                instant=True,
                shape="table",
            ),
        ),
        width=width,
        height=9,
        transformations=alert_columns(),
        overrides=(
            Override(
                "byName",
                "Alert",
                {
                    "links": [
                        {
                            "title": runbook_link().title,
                            "url": runbook_link().url,
                            "targetBlank": True,
                        }
                    ]
                },
            ),
        ),
    )


_NOW: Final = (
    stat(
        "Watchdog",
        "none",
        "Always fires. Where it doesn't, rules are not evaluated or alerts do not arrive.",
        (prom('sum(ALERTS{alertname="Watchdog",alertstate="firing"})', "Watchdog"),),
        width=6,
        height=5,
        texts={"1": ("FIRING, as it must", "green")},
        background=True,
        thresholds=((None, "red"), (1.0, "green")),
    ),
    *(
        stat(
            f"{severity.capitalize()} alerts",
            "none",
            f"Alerts of severity {severity} that fire now, the Watchdog aside.",
            (
                prom(
                    f'count(ALERTS{{alertstate="firing",severity="{severity}",{_WATCHDOG},{_PICKED}}})',
                    severity,
                ),
            ),
            width=6,
            height=5,
            scenario=scenario,
            thresholds=((None, "green"), (1.0, colour)),
        )
        for severity, colour, scenario in (
            ("critical", "red", "service_down"),
            ("warning", "orange", "latency_spike"),
            ("info", "blue", "risk_limit_breach"),
        )
    ),
    active_alerts("Firing alerts", "", "What fires now."),
)

_HISTORY: Final = (
    timeseries(
        "Firing alerts over time",
        "none",
        "How many fired, by system.",
        (prom('count by (system) (ALERTS{alertstate="firing"})', "{{system}}"),),
        width=12,
        stacked=True,
    ),
    timeseries(
        "Pending alerts over time",
        "none",
        "Whose condition holds, but not for long enough yet.",
        (prom(f'count by (system) (ALERTS{{alertstate="pending",{_PICKED}}})', "{{system}}"),),
        width=12,
        stacked=True,
        scenario="latency_spike",
    ),
    table(
        "Alerts that fired in the time shown",
        "s",
        "How long each of them fired.",
        (
            Query(
                "sort_desc(sum by (alertname, severity, system) (count_over_time("
                'ALERTS{alertstate="firing"}[$__range:5s])) * 5)',
                instant=True,
                shape="table",
            ),
        ),
        width=24,
        height=9,
        transformations=(
            Transformation(
                "organize",
                {
                    "excludeByName": {"Time": True},
                    "renameByName": {
                        "alertname": "Alert",
                        "severity": "Severity",
                        "system": "System",
                        "Value": "Fired for",
                    },
                },
            ),
        ),
        overrides=(
            Override(
                "byName",
                "Alert",
                {
                    "links": [
                        {
                            "title": runbook_link().title,
                            "url": runbook_link().url,
                            "targetBlank": True,
                        }
                    ]
                },
            ),
        ),
    ),
)

_RULES: Final = (
    timeseries(
        "Time of rule groups",
        "s",
        "How long the slowest groups of rules take.",
        (
            prom(
                "prometheus_rule_group_last_duration_seconds and topk(10, max_over_time("
                "prometheus_rule_group_last_duration_seconds[$__range] @ end()))",
                "{{rule_group}}",
            ),
        ),
        width=8,
    ),
    timeseries(
        "Failed rule evaluations",
        "ops",
        "Evaluations that failed, a second; more than 0 is a broken rule.",
        (prom("sum(rate(prometheus_rule_evaluation_failures_total[$__rate_interval]))", "failed"),),
        width=8,
    ),
    stat(
        "Alertmanagers",
        "none",
        "Alertmanagers that Prometheus sends to.",
        (prom("prometheus_notifications_alertmanagers_discovered", "Alertmanagers"),),
        width=8,
        thresholds=((None, "red"), (1.0, "green")),
    ),
)

ALERTS: Final = Board(
    "tapeline-alerts",
    "Alerts",
    "What fires in every system, what fired, and how the rules fare; each leads to its runbook.",
    "Tapeline",
    (Row("Now", _NOW), Row("History", _HISTORY), Row("Rules", _RULES)),
    variables=(SYSTEM, runbooks()),
    tags=("alerts",),
    refresh="10s",
)
