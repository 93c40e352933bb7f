"""Template variables: the data sources, and those that a board adds."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as model

from dashboards.model import Board, Variable
from dashboards.sources import DATASOURCES, reference, source_of

__all__ = ["variable_models"]

_LABELS: Final = {"prometheus": "Metrics", "loki": "Logs", "jaeger": "Traces"}
_ALL: Final = "$__all"


def variable_models(board: Board) -> list[model.VariableModel]:
    """Return the board's variables: first those that pick the data sources."""
    return [
        *(_datasource(source) for source in DATASOURCES if source in _sources(board)),
        *(_variable(each) for each in board.variables),
    ]


def _sources(board: Board) -> set[str]:
    """Return what panels ask, and what their links lead to."""
    links = [link.url for panel in board.panels for link in panel.links]
    linked = {
        source for source, name in DATASOURCES.items() if any(f"${{{name}}}" in u for u in links)
    }
    return {"prometheus", *linked, *(source_of(panel) for panel in board.panels)}


def _datasource(source: str) -> model.VariableModel:
    return model.VariableModel(
        type_val=model.VariableType.DATASOURCE,
        name=DATASOURCES[source],
        label=_LABELS[source],
        description=f"The {source.capitalize()} that is asked.",
        query=source,
        current=model.VariableOption(text=source.capitalize(), value=source),
    )


def _variable(variable: Variable) -> model.VariableModel:
    if variable.kind in ("prometheus", "loki"):
        return _from_labels(variable)
    if variable.kind == "textbox":
        value = variable.current or ""
        return model.VariableModel(
            type_val=model.VariableType.TEXTBOX,
            name=variable.name,
            label=variable.label,
            query=value,
            current=model.VariableOption(text=value, value=value),
        )
    if variable.kind == "interval":
        value = variable.current or variable.query.split(",")[0]
        return model.VariableModel(
            type_val=model.VariableType.INTERVAL,
            name=variable.name,
            label=variable.label,
            query=variable.query,
            options=[
                model.VariableOption(text=each, value=each, selected=each == value)
                for each in variable.query.split(",")
            ],
            current=model.VariableOption(text=value, value=value),
        )
    return model.VariableModel(
        type_val=model.VariableType.CUSTOM,
        name=variable.name,
        label=variable.label,
        query=variable.query,
        multi=variable.multi,
        include_all=variable.multi,
        all_value=variable.all_value if variable.multi else None,
        options=[
            model.VariableOption(text=each.strip(), value=each.strip())
            for each in variable.query.split(",")
        ],
        current=_current(variable),
    )


def _from_labels(variable: Variable) -> model.VariableModel:
    if variable.kind == "loki":
        label = variable.query
        definition = f"label_values({label})"
        # 1 is "label values" among the query types of Grafana's Loki variables.
        query: dict[str, object] = {"label": label, "refId": "variable", "stream": "", "type": 1}
    else:
        definition = variable.query
        query = {"query": variable.query, "refId": "variable", "qryType": 1}
    return model.VariableModel(
        type_val=model.VariableType.QUERY,
        name=variable.name,
        label=variable.label,
        datasource=reference(variable.kind),
        query=query,
        definition=definition,
        refresh=model.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=model.VariableSort.ALPHABETICAL_ASC,
        multi=variable.multi,
        include_all=variable.multi,
        all_value=variable.all_value if variable.multi else None,
        current=_current(variable),
    )


def _current(variable: Variable) -> model.VariableOption:
    if variable.current is not None:
        return model.VariableOption(text=variable.current, value=variable.current)
    if variable.multi:
        return model.VariableOption(text=["All"], value=[_ALL])
    first = variable.query.split(",")[0].strip() if variable.kind == "custom" else ""
    return model.VariableOption(text=first, value=first)
