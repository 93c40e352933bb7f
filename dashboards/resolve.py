"""What a dashboard's variables stand for: asked of the label APIs, as Grafana asks them."""

import re
from collections.abc import Mapping
from typing import Any, Final

from dashboards.queries import InterpolationError, Span, Value, interpolate
from dashboards.servers import Servers

__all__ = ["resolved"]

_LABEL_VALUES: Final = re.compile(r"label_values\((?:(?P<selector>.+),\s*)?(?P<label>\w+)\)")


def resolved(
    dashboard: Mapping[str, Any], servers: Servers, span: Span, samples: Mapping[str, str]
) -> dict[str, Value]:
    """Return each variable as it is when the dashboard opens.

    `samples` gives, for a text box that holds a trace's id, LogQL whose newest line names one.
    Raises InterpolationError for a variable without any value.
    """
    values: dict[str, Value] = {}
    for variable in dashboard["templating"]["list"]:
        values[variable["name"]] = _value(variable, values, servers, span, samples)
    return values


def _value(
    variable: Mapping[str, Any],
    before: Mapping[str, Value],
    servers: Servers,
    span: Span,
    samples: Mapping[str, str],
) -> Value:
    kind, name = variable["type"], variable["name"]
    if kind == "datasource":
        return Value((str(variable["query"]),))
    if kind == "textbox":
        if name in samples:
            return Value((_trace_id(servers, samples[name], span),))
        return Value((str(variable.get("query") or ""),))
    multi = bool(variable.get("multi") or variable.get("includeAll"))
    options = (
        _of_labels(variable, before, servers, span)
        if kind == "query"
        else tuple(each.strip() for each in str(variable["query"]).split(","))
    )
    if not options:
        raise InterpolationError(f"the variable {name!r} has no value")
    if variable.get("includeAll"):
        return Value(options, multi=multi, every=True, all_value=variable.get("allValue"))
    current = variable.get("current", {}).get("value") or options[0]
    return Value((current if current in options else options[0],), multi=multi)


def _of_labels(
    variable: Mapping[str, Any], before: Mapping[str, Value], servers: Servers, span: Span
) -> tuple[str, ...]:
    query = variable["query"]
    if variable["datasource"]["type"] == "loki":
        return servers.loki_values(query["label"], span)
    text = interpolate(query["query"], before, "prometheus")
    match = _LABEL_VALUES.fullmatch(text)
    if match is None:
        raise InterpolationError(f"variable {variable['name']!r}: {text!r} is no label_values(…)")
    return servers.prometheus_values(match["label"], match["selector"], span)


def _trace_id(servers: Servers, query: str, span: Span) -> str:
    """Return the newest trace that a line names and Jaeger has."""
    for trace_id in servers.trace_ids_of_lines(query, span):
        if servers.has_trace(trace_id):
            return trace_id
    raise InterpolationError(f"no line of {query} names a trace that Jaeger has")
