"""The data sources that every dashboard is templated by, and their references in the JSON.

Their uids are those of config/grafana/provisioning/datasources/tapeline.yaml.
"""

from typing import Final

from grafana_foundation_sdk.models import common

from dashboards.model import Panel, Query

__all__ = ["DATASOURCES", "reference", "source_of"]

DATASOURCES: Final = {"prometheus": "datasource", "loki": "loki", "jaeger": "jaeger"}
"""A data source's type, and the variable that picks it."""


def reference(source: str) -> common.DataSourceRef:
    """Return the reference to the data source of this type that the reader picked."""
    return common.DataSourceRef(type_val=source, uid=f"${{{DATASOURCES[source]}}}")


def source_of(panel: Panel) -> str:
    """Return the type of the data source of the panel's first query."""
    first = panel.queries[0]
    return first.source if isinstance(first, Query) else "jaeger"
