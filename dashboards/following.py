"""Where a panel's links lead: followed as far as can be without Grafana."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from dashboards.asking import Asked
from dashboards.queries import InterpolationError, Span, Value, interpolate
from dashboards.servers import AnswerError, Servers

__all__ = ["Places", "followed", "links_of"]

_STEP_MS: Final = 60_000
_EXEMPLARS_TRIED: Final = 30


@dataclass(frozen=True, slots=True)
class Places:
    """What links may lead to: `known` has all dashboards' uids, `runbooks` is their folder."""

    servers: Servers
    span: Span
    known: Mapping[str, object]
    runbooks: Path


def links_of(panel: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield the address of each link of a panel's values, and the field that it belongs to."""
    config = panel["fieldConfig"]
    for link in config["defaults"].get("links") or ():
        yield link["url"], None
    for override in config.get("overrides") or ():
        for each in override["properties"]:
            if each["id"] == "links":
                for link in each["value"]:
                    yield link["url"], override["matcher"]["options"]


def followed(panel: Mapping[str, Any], asked: list[Asked], places: Places) -> Iterator[str]:
    """Yield what is wrong with the links and exemplars of a panel that has data."""
    for url, field in links_of(panel):
        try:
            yield from _follow(url, field, asked[0], places)
        except (InterpolationError, AnswerError, ValueError, KeyError) as error:
            yield f"the link {url[:120]} leads nowhere: {error}"
    for target, each in zip(panel["targets"], asked, strict=True):
        if target.get("exemplar"):
            yield from _open_exemplar(each.text, places)


def _follow(url: str, field: str | None, asked: Asked, places: Places) -> Iterator[str]:
    values = {**asked.values, **_of_fields(asked)}
    if field == "Alert":
        yield from _open_runbooks(url, asked, values, places.runbooks)
        return
    address = interpolate(url, values)
    parts = urlsplit(address)
    if parts.path.startswith("/d/"):
        uid = parts.path.split("/")[2]
        if uid not in places.known:
            yield f"a link leads to the dashboard {uid!r}, which there is not"
    elif parts.path == "/explore":
        _explore(json.loads(parse_qs(parts.query)["panes"][0]), places)
    else:
        yield f"nobody knows how to follow the link {address}"


def _of_fields(asked: Asked) -> dict[str, Value]:
    """Return the variables of the first value: its labels, and for rows its fields."""
    answer = asked.answer
    labels = answer.series[0].labels if answer.series else answer.labels
    names = {f"__field.labels.{name}": Value((text,)) for name, text in labels.items()}
    return {**names, **{f"__data.fields.{name}": Value((text,)) for name, text in labels.items()}}


def _explore(panes: Mapping[str, Any], places: Places) -> None:
    """Ask what the page would ask; an answer other than 200 raises AnswerError."""
    for pane in panes.values():
        for query in pane["queries"]:
            if query["datasource"]["type"] == "loki":
                places.servers.logs(query["expr"], places.span, _STEP_MS)
            elif query["datasource"]["type"] == "jaeger":
                names = ("service", "tags", "limit")
                fields = {name: str(query.get(name) or "") for name in names}
                places.servers.search(fields, places.span)
            else:
                places.servers.range(query["expr"], places.span, _STEP_MS)


def _open_runbooks(
    url: str, asked: Asked, values: Mapping[str, Value], runbooks: Path
) -> Iterator[str]:
    """Look for the page of each alert that the panel shows; the inbox answers 200 for those."""
    for series in asked.answer.series:
        alert = series.labels["alertname"]
        address = interpolate(url, {**values, "__value.raw": Value((alert,))})
        page = address.rsplit("/", 1)[-1]
        if not (runbooks / f"{page}.md").is_file():
            yield f"the alert {alert!r} has no runbook {runbooks / page}.md"


def _open_exemplar(query: str, places: Places) -> Iterator[str]:
    try:
        trace_ids = places.servers.exemplar_traces(query, places.span)
    except AnswerError as error:
        yield f"exemplars: {error}"
        return
    if not trace_ids:
        yield "it shows exemplars, and there are none"
    elif not any(places.servers.has_trace(each) for each in trace_ids[:_EXEMPLARS_TRIED]):
        yield f"of {len(trace_ids[:_EXEMPLARS_TRIED])} exemplars none opens a trace in Jaeger"
