"""What a dashboard is made of, as values: boards of rows of panels of queries.

The SDK's classes follow from these (`dashboards.kinds`, `dashboards.build`), and so does what the
check has to know beyond the JSON: the scenario in which a panel has data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

__all__ = [
    "STEADY",
    "Board",
    "Kind",
    "Link",
    "Override",
    "Panel",
    "Query",
    "Row",
    "Search",
    "ServiceGraph",
    "Trace",
    "Transformation",
    "Variable",
    "barchart",
    "columns",
    "gauge",
    "heatmap",
    "logs",
    "loki",
    "piechart",
    "prom",
    "stat",
    "table",
    "timeseries",
    "traces",
]

STEADY: Final = "steady"
"""The scenario of a floor on which nothing is wrong."""

Kind = Literal[
    "stat", "timeseries", "gauge", "table", "heatmap", "logs", "piechart", "barchart", "traces"
]
Source = Literal["prometheus", "loki", "jaeger"]


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL or LogQL. `shape` is how Grafana reads the answer of Prometheus."""

    text: str
    legend: str = ""
    source: Source = "prometheus"
    instant: bool = False
    exemplar: bool = False
    shape: Literal["time_series", "table", "heatmap"] = "time_series"
    step: str | None = None
    """The shortest step, as `1m` or `$bucket`; a longer range has a longer one."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search for traces by Jaeger: each answer is a row of its table."""

    service: str
    operation: str = ""
    tags: str = ""
    """As Grafana writes them: `error=true`, separated by spaces."""
    shortest: str = ""
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace by its id."""

    trace_id: str


@dataclass(frozen=True, slots=True)
class ServiceGraph:
    """Which service calls which, from Jaeger's dependencies."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click on a value leads; `url` may hold Grafana's variables."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Override:
    """Other properties for the fields that `matcher` (byName, byRegexp, byFrameRefID) picks."""

    matcher: Literal["byName", "byRegexp", "byFrameRefID"]
    name: str
    properties: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Transformation:
    """What Grafana does to a table before it shows it."""

    name: Literal["merge", "organize", "sortBy"]
    options: Mapping[str, object] = field(default_factory=dict)


def columns(**names: str) -> tuple[Transformation, ...]:
    """Return what names a table's columns, by label or `Value`, and leaves out the time."""
    return (Transformation("organize", {"excludeByName": {"Time": True}, "renameByName": names}),)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `width` counts of 24 columns, `height` in Grafana's units of 30 pixels."""

    kind: Kind
    title: str
    unit: str
    description: str
    queries: tuple[Query | Search | Trace | ServiceGraph, ...]
    width: int = 8
    height: int = 8
    scenario: str = STEADY
    """In which its queries must return data; in others they must only be answered."""
    links: tuple[Link, ...] = ()
    overrides: tuple[Override, ...] = ()
    transformations: tuple[Transformation, ...] = ()
    thresholds: tuple[tuple[float | None, str], ...] = ()
    """Value and colour, upwards; the first value is None."""
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """What a value is shown as: text and colour."""
    minimum: float | None = None
    maximum: float | None = None
    decimals: int | None = None
    stacked: bool = False
    bars: bool = False
    logarithmic: bool = False
    background: bool = False
    """Of a stat: colours its whole tile, as a state does."""
    reduction: str = "lastNotNull"
    x_field: str | None = None
    repeat: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below a heading, left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A template variable: `query` is label_values(…), a label of Loki, or values with commas."""

    name: str
    label: str
    kind: Literal["prometheus", "loki", "custom", "interval", "textbox"]
    query: str
    multi: bool = True
    all_value: str | None = ".+"
    current: str | None = None
    sample: str | None = None
    """LogQL whose newest line names the trace that the check puts in."""


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard, kept in config/grafana/dashboards/<folder's slug>/<uid>.json."""

    uid: str
    title: str
    description: str
    folder: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    tags: tuple[str, ...] = ()
    refresh: str = "30s"
    since: str = "now-1h"

    @property
    def slug(self) -> str:
        """The folder's name as a directory."""
        return self.folder.lower().replace("&", "and").replace(" ", "-").replace("_", "-")

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, in reading order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def prom(text: str, legend: str = "", *, exemplar: bool = False, step: str | None = None) -> Query:
    """Return a query over the range, for a line."""
    return Query(text, legend, exemplar=exemplar, step=step)


def loki(text: str, legend: str = "", *, instant: bool = False) -> Query:
    """Return a query of Loki; over the range, unless it is one number (`instant`)."""
    return Query(text, legend, source="loki", instant=instant)


stat = partial(Panel, "stat")
timeseries = partial(Panel, "timeseries")
gauge = partial(Panel, "gauge")
table = partial(Panel, "table")
heatmap = partial(Panel, "heatmap")
logs = partial(Panel, "logs")
piechart = partial(Panel, "piechart")
barchart = partial(Panel, "barchart")
traces = partial(Panel, "traces")
