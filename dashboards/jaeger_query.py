"""Queries of Grafana's Jaeger data source, for which the SDK has no type.

Source of the fields: Grafana's public/app/plugins/datasource/jaeger/types.ts.
"""

from dataclasses import dataclass

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common

from dashboards.model import Search, ServiceGraph, Trace

__all__ = ["JaegerQuery", "jaeger_query"]


@dataclass
class JaegerQuery(variants.Dataquery):
    """A target of a panel, as its JSON has it."""

    fields: dict[str, object]
    ref_id: str
    datasource: common.DataSourceRef

    def to_json(self) -> dict[str, object]:
        """Return what Grafana stores; the SDK's encoder calls this."""
        return {**self.fields, "refId": self.ref_id, "datasource": self.datasource}


def jaeger_query(
    query: Search | Trace | ServiceGraph, ref_id: str, datasource: common.DataSourceRef
) -> JaegerQuery:
    """Return the target of a search, of one trace, or of the dependencies."""
    return JaegerQuery(_fields(query), ref_id, datasource)


def _fields(query: Search | Trace | ServiceGraph) -> dict[str, object]:
    if isinstance(query, Trace):
        return {"query": query.trace_id}
    if isinstance(query, ServiceGraph):
        return {"queryType": "dependencyGraph"}
    fields: dict[str, object] = {
        "queryType": "search",
        "service": query.service,
        "limit": query.limit,
    }
    if query.operation:
        fields["operation"] = query.operation
    if query.tags:
        fields["tags"] = query.tags
    if query.shortest:
        fields["minDuration"] = query.shortest
    return fields
