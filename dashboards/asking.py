"""A panel's queries, interpolated and asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboards.queries import Span, Value, duration_ms, interpolate, step_ms, time_values
from dashboards.servers import Answer, Servers

__all__ = ["SCRAPE_MS", "Asked", "ask"]

SCRAPE_MS: Final = 5_000
"""`timeInterval` of the Prometheus data source: what everything is scraped at."""
_POINTS: Final = 1_000
"""About as many as a panel of half a screen has pixels."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, with all variables written out, and the answer."""

    text: str
    values: Mapping[str, Value]
    answer: Answer


def ask(
    target: Mapping[str, Any], servers: Servers, span: Span, variables: Mapping[str, Value]
) -> Asked:
    """Ask one target of a panel as Grafana would.

    Raises InterpolationError and AnswerError.
    """
    shortest = _shortest_ms(target, variables)
    step = step_ms(span, _POINTS, shortest)
    values = {**variables, **time_values(span, step, SCRAPE_MS)}
    kind = target["datasource"]["type"]
    if kind == "jaeger":
        return _ask_jaeger(target, servers, span, values)
    if kind == "loki":
        text = interpolate(target["expr"], values, "loki")
        instant = target.get("queryType") == "instant"
        return Asked(text, values, servers.logs(text, span, step, instant=instant))
    text = interpolate(target["expr"], values, "prometheus")
    if target.get("instant"):
        return Asked(text, values, servers.instant(text, span))
    return Asked(text, values, servers.range(text, span, step))


def _shortest_ms(target: Mapping[str, Any], variables: Mapping[str, Value]) -> int:
    interval = target.get("interval")
    if not interval:
        return SCRAPE_MS
    return max(SCRAPE_MS, duration_ms(interpolate(interval, variables)))


def _ask_jaeger(
    target: Mapping[str, Any], servers: Servers, span: Span, values: Mapping[str, Value]
) -> Asked:
    if target.get("queryType") == "dependencyGraph":
        return Asked("dependencies", values, servers.dependencies(span))
    if target.get("queryType") == "search":
        names = ("service", "operation", "tags", "minDuration", "limit")
        fields = {
            name: interpolate(str(target[name]), values) for name in names if target.get(name)
        }
        return Asked(str(fields), values, servers.search(fields, span))
    trace_id = interpolate(target["query"], values)
    return Asked(trace_id, values, servers.trace(trace_id))
