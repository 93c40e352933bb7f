"""Reads a month of SLOs from Prometheus: the series that `tapeline.alerting.slo_rules` records."""

import math
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tapeline.alerting.json_answers import NoAnswerError, RefusedError, ask
from tapeline.alerting.report import HOUR_S, Hour, Month, SloMonth, episodes
from tapeline.alerting.slo import Slo

__all__ = ["PrometheusError", "read_month"]

_TIMEOUT_S: Final = 60.0
_ALERT_STEP_S: Final = 300
"""A month has 8928 of these steps; Prometheus answers at most 11000."""
_BY: Final = "sum by (slo, system) (sum_over_time({}[1h]))"
_OBJECTIVE: Final = "max by (slo, system, service) (last_over_time(slo:objective:ratio[1h]))"
_FIRING: Final = (
    "count by (slo, system, severity)"
    ' (ALERTS{alertname=~".+BudgetBurn",alertstate="firing",slo!=""})'
)


class PrometheusError(Exception):
    """Prometheus does not answer, or refuses; the message says what to do."""


@dataclass(frozen=True, slots=True)
class _Series:
    labels: Mapping[str, str]
    values: Mapping[int, float]

    @property
    def key(self) -> tuple[str, str]:
        return self.labels.get("system", ""), self.labels.get("slo", "")


def read_month(url: str, month: Month, slos: Iterable[Slo]) -> list[SloMonth]:
    """Return each SLO that is written down or was recorded, by system and name.

    One that is written down and has no data is there without any: nothing is left out. Raises
    PrometheusError.
    """
    events = _by_key(_hourly(url, _BY.format("slo:events:increase5m"), month))
    errors = _by_key(_hourly(url, _BY.format("slo:errors:increase5m"), month))
    objectives = _by_key(_hourly(url, _OBJECTIVE, month))
    # The last step begins before the month's end: it lasts until then.
    last_step_s = month.end_s - _ALERT_STEP_S
    fired = list(_range(url, _FIRING, month.start_s, last_step_s, _ALERT_STEP_S))
    written = {(slo.system, slo.name): slo for slo in slos}
    found = []
    for key in sorted({*written, *events, *objectives}):
        slo = written.get(key)
        objective = objectives.get(key)
        last = None if objective is None else objective.values[max(objective.values)]
        service = objective.labels.get("service", "") if objective else ""
        found.append(
            SloMonth(
                system=key[0],
                name=key[1],
                service=slo.service if slo else service,
                description=slo.description if slo else "No file describes it any more.",
                # What was in force then, not what the file says today.
                objective=last if last is not None or slo is None else float(1 - slo.budget),
                month=month,
                hours=_hours(events.get(key), errors.get(key)),
                fired=tuple(
                    episode
                    for series in fired
                    if series.key == key
                    for episode in episodes(
                        series.labels.get("severity", ""), sorted(series.values), _ALERT_STEP_S
                    )
                ),
            )
        )
    return found


def _hours(events: _Series | None, errors: _Series | None) -> tuple[Hour, ...]:
    if events is None or errors is None:
        return ()
    # An hour of which only one is known says nothing of the ratio.
    both = sorted(events.values.keys() & errors.values.keys())
    return tuple(Hour(end_s, events.values[end_s], errors.values[end_s]) for end_s in both)


def _by_key(series: Iterable[_Series]) -> dict[tuple[str, str], _Series]:
    return {each.key: each for each in series if all(each.key) and each.values}


def _hourly(url: str, query: str, month: Month) -> list[_Series]:
    return _range(url, query, month.start_s + HOUR_S, month.end_s, HOUR_S)


def _range(url: str, query: str, start_s: int, end_s: int, step_s: int) -> list[_Series]:
    parameters = {"query": query, "start": start_s, "end": end_s, "step": step_s}
    address = f"{url.rstrip('/')}/api/v1/query_range?{urllib.parse.urlencode(parameters)}"
    try:
        return [_series(each) for each in ask(address, _TIMEOUT_S)["data"]["result"]]
    except RefusedError as error:
        raise PrometheusError(f"{url} refuses {error}") from error
    except (NoAnswerError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise PrometheusError(
            f"{url} does not answer as Prometheus does: {error}. Give its address with"
            " --prometheus, as http://127.0.0.1:9090."
        ) from error


def _series(told: Mapping[str, Any]) -> _Series:
    values = {round(float(at)): float(value) for at, value in told["values"]}
    finite = {at: value for at, value in values.items() if math.isfinite(value)}
    return _Series(told["metric"], finite)
