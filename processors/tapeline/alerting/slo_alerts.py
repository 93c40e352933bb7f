"""The burn-rate alerts of an SLO."""

from collections.abc import Iterator
from typing import Any

from tapeline.alerting.slo import BURN_PAIRS, BurnPair, Slo
from tapeline.alerting.slo_queries import recorded

__all__ = ["alert_annotations", "alert_labels", "alert_rules"]


def alert_rules(slo: Slo) -> Iterator[dict[str, Any]]:
    """Yield the four alerts of an SLO, one for each row of the burn-rate table."""
    for pair in BURN_PAIRS:
        threshold = f"{(pair.factor * slo.budget).normalize():f}"
        long, short = (
            recorded(slo, f"slo:errors_per_event:ratio_rate{window}")
            for window in (pair.long, pair.short)
        )
        counted = recorded(slo, f"slo:events:increase{pair.long}")
        yield {
            "alert": slo.alert,
            "expr": (
                f"{long} > {threshold} and {short} > {threshold} and {counted} >= {slo.guard(pair)}"
            ),
            "for": pair.hold,
            "labels": alert_labels(slo, pair),
            "annotations": alert_annotations(slo, pair),
        }


def alert_labels(slo: Slo, pair: BurnPair) -> dict[str, str]:
    """Return the labels of one alert: with those of its series, all that it has."""
    pages = pair.severity == "page"
    return {
        "severity": "critical" if pages else "warning",
        "priority": "P1" if pages else "P3",
        "system": slo.system,
        "team": slo.team,
        "service": slo.service,
        "slo": slo.name,
        "window": pair.long,
    }


def alert_annotations(slo: Slo, pair: BurnPair) -> dict[str, str]:
    """Return its annotations, which don't depend on values: they are the same in each message."""
    times = "as fast as it lasts" if pair.factor == 1 else f"{pair.factor} times too fast"
    annotations = {
        "summary": f"{slo.system} {slo.name} spends its error budget {times} ({pair.long})",
        "description": (
            f"{slo.description} The objective is {slo.objective_percent:f} % over {slo.window};"
            f" over {pair.long} and over {pair.short} more than"
            f" {(pair.factor * slo.budget * 100).normalize():f} % were bad."
        ),
        "runbook_url": f"docs/runbooks/{slo.alert}.md",
    }
    if slo.dashboard is not None:
        annotations["dashboard"] = slo.dashboard
    return annotations
