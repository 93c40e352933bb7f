"""Where values lead: the logs of what a line shows, its traces, other boards, runbooks.

A link to Explore holds its query as JSON. Characters that an address can't have are escaped;
`$`, `{` and `}` stay, or Grafana would not find its variables.
"""

import json
from typing import Final
from urllib.parse import quote

from dashboards.model import Link

__all__ = ["board_link", "logs_link", "runbook_link", "traces_link"]

_KEPT: Final = "${}:.,_[]"


def logs_link(title: str, query: str) -> Link:
    """Lead to Loki's answer to a query, over the time that the panel shows."""
    return Link(title, _explore("loki", {"expr": query, "queryType": "range"}))


def traces_link(title: str, service: str, tags: str = "") -> Link:
    """Lead to a search for the traces of a service."""
    query = {"queryType": "search", "service": service, "tags": tags, "limit": 20}
    return Link(title, _explore("jaeger", query))


def board_link(title: str, uid: str) -> Link:
    """Lead to another board at the same time."""
    return Link(title, f"/d/{uid}?${{__url_time_range}}")


def runbook_link() -> Link:
    """Lead from an alert's name to its runbook: docs/runbooks, as the inbox shows it."""
    return Link("Open the runbook", "${runbooks}/${__value.raw}")


def _explore(source: str, query: dict[str, object]) -> str:
    pane = {
        "datasource": f"${{{source}}}",
        "queries": [
            {
                "refId": "A",
                "datasource": {"type": source, "uid": f"${{{source}}}"},
                **query,
            }
        ],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    panes = quote(json.dumps({"a": pane}, separators=(",", ":")), safe=_KEPT)
    return f"/explore?schemaVersion=1&orgId=1&panes={panes}"
