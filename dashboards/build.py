"""From a board to Grafana's JSON: places, ids, queries, fields, variables, by the SDK."""

import json
from typing import Final

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import loki as loki_model
from grafana_foundation_sdk.models import prometheus as prometheus_model

from dashboards.fields import field_config
from dashboards.jaeger_query import jaeger_query
from dashboards.kinds import drawn
from dashboards.model import Board, Panel, Query, Row, Search, ServiceGraph, Trace
from dashboards.sources import reference, source_of
from dashboards.variables import variable_models

__all__ = ["board_json"]

_COLUMNS: Final = 24


def board_json(board: Board) -> str:
    """Return the dashboard as Grafana reads it, with sorted keys and a newline at the end."""
    text = json.dumps(_dashboard(board), cls=JSONEncoder, indent=2, sort_keys=True)
    return text + "\n"


def _dashboard(board: Board) -> model.Dashboard:
    return model.Dashboard(
        uid=board.uid,
        title=board.title,
        description=board.description,
        tags=["tapeline", *board.tags],
        timezone="browser",
        # Nobody edits what the next start would overwrite.
        editable=False,
        graph_tooltip=model.DashboardCursorSync.CROSSHAIR,
        time=model.DashboardDashboardTime(from_val=board.since, to="now"),
        refresh=board.refresh,
        panels=_panels(board),
        templating=model.DashboardDashboardTemplating(list_val=variable_models(board)),
        annotations=model.AnnotationContainer(list_val=[]),
        links=_links(board),
    )


def _links(board: Board) -> list[model.DashboardLink]:
    """Return menus of the boards of the same kind, and of all."""
    return [
        model.DashboardLink(
            title=title,
            type_val=model.DashboardLinkType.DASHBOARDS,
            icon="external link",
            tags=[tag],
            as_dropdown=True,
            keep_time=True,
        )
        for title, tag in (*((tag, tag) for tag in board.tags), ("All dashboards", "tapeline"))
    ]


def _panels(board: Board) -> list[model.Panel | model.RowPanel]:
    panels: list[model.Panel | model.RowPanel] = []
    top = 0
    for row in board.rows:
        place = model.GridPos(h=1, w=_COLUMNS, x=0, y=top)
        panels.append(
            model.RowPanel(title=row.title, grid_pos=place, id_val=len(panels) + 1, panels=[])
        )
        top += 1
        for panel, x, y in _placed(row):
            place = model.GridPos(h=panel.height, w=panel.width, x=x, y=top + y)
            panels.append(_panel(panel, place, len(panels) + 1))
        top += max((y + panel.height for panel, _, y in _placed(row)), default=0)
    return panels


def _placed(row: Row) -> list[tuple[Panel, int, int]]:
    """Return each panel with its place in the row: left to right, then below the highest."""
    placed: list[tuple[Panel, int, int]] = []
    x = y = highest = 0
    for panel in row.panels:
        if x + panel.width > _COLUMNS:
            x, y, highest = 0, y + highest, 0
        placed.append((panel, x, y))
        x += panel.width
        highest = max(highest, panel.height)
    return placed


def _panel(panel: Panel, place: model.GridPos, number: int) -> model.Panel:
    built = drawn(panel)
    built.id_val = number
    built.title = panel.title
    built.description = panel.description
    built.grid_pos = place
    built.datasource = reference(source_of(panel))
    built.targets = [_target(query, _ref_id(at)) for at, query in enumerate(panel.queries)]
    built.transformations = [
        model.DataTransformerConfig(id_val=each.name, options=dict(each.options))
        for each in panel.transformations
    ] or None
    built.repeat = panel.repeat
    built.field_config = field_config(panel, built)
    return built


def _ref_id(at: int) -> str:
    return chr(ord("A") + at)


def _target(query: Query | Search | Trace | ServiceGraph, ref_id: str) -> variants.Dataquery:
    if not isinstance(query, Query):
        return jaeger_query(query, ref_id, reference("jaeger"))
    if query.source == "loki":
        return loki_model.Dataquery(
            expr=query.text,
            legend_format=query.legend or None,
            query_type="instant" if query.instant else "range",
            ref_id=ref_id,
            datasource=reference("loki"),
            editor_mode=loki_model.QueryEditorMode.CODE,
        )
    return prometheus_model.Dataquery(
        expr=query.text,
        legend_format=query.legend or None,
        instant=query.instant,
        range_val=not query.instant,
        exemplar=query.exemplar,
        format_val=prometheus_model.PromQueryFormat(query.shape),
        interval=query.step,
        ref_id=ref_id,
        datasource=reference("prometheus"),
        editor_mode=prometheus_model.QueryEditorMode.CODE,
    )
