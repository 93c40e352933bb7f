"""Alertmanager's production configuration, turned into one that needs no account. Pure.

The tree, its matchers and inhibition stay as they are; every receiver becomes a webhook into the
local inbox, whose address says which receiver it stands for.
"""

from collections.abc import Mapping
from typing import Any, Final

import yaml

from tapeline.pipeline.prometheus_durations import duration_milliseconds, duration_text

__all__ = ["CONFIG_FILE", "TEMPLATES", "local_configuration", "local_text", "scaled"]

CONFIG_FILE: Final = "config/alertmanager/alertmanager.yml"
TEMPLATES: Final = "config/alertmanager/templates"
_INTERVALS: Final = ("group_wait", "group_interval", "repeat_interval")
# Alertmanager refuses a group_interval or repeat_interval of 0.
_SHORTEST_MS: Final = 1000
_ALWAYS: Final = [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]
_NOTICE: Final = (
    f"# Made from {CONFIG_FILE} by `python -m tapeline.stack.render`. Change that file.\n"
)


def local_configuration(
    production: Mapping[str, Any], inbox_url: str, templates: str, time_scale: int = 1
) -> dict[str, Any]:
    """Return the configuration for one machine: same tree, webhooks into the inbox.

    `templates` is the glob of the notification templates. Intervals are divided by `time_scale`,
    down to a second. Time intervals hold at any time, so that a demo at night shows what an office
    would see by day. Raises ValueError for a scale below 1 and for an interval that is none.
    """
    if time_scale < 1:
        raise ValueError(f"the time scale of alerts is {time_scale}; it must be 1 or more")
    return {
        "global": {
            "resolve_timeout": scaled(production["global"]["resolve_timeout"], time_scale),
        },
        "templates": [templates],
        "route": _route(production["route"], time_scale),
        "time_intervals": [
            {"name": interval["name"], "time_intervals": _ALWAYS}
            for interval in production.get("time_intervals", [])
        ],
        "inhibit_rules": production.get("inhibit_rules", []),
        "receivers": [
            {
                "name": receiver["name"],
                "webhook_configs": [
                    {"url": f"{inbox_url}/receivers/{receiver['name']}", "send_resolved": True}
                ],
            }
            for receiver in production["receivers"]
        ],
    }


def local_text(production_text: str, inbox_url: str, templates: str, time_scale: int = 1) -> str:
    """Return `local_configuration` of a file's text, as YAML with a notice in front."""
    local = local_configuration(yaml.safe_load(production_text), inbox_url, templates, time_scale)
    return _NOTICE + yaml.dump(local, Dumper=_PlainDumper, sort_keys=False, width=100)


def scaled(duration: str, time_scale: int) -> str:
    """Return a duration divided by the scale, a second at least; 0 stays 0. `1h30m` is one."""
    whole_ms = duration_milliseconds(duration)
    if time_scale == 1 or whole_ms == 0:
        return duration
    return duration_text(max(_SHORTEST_MS, whole_ms // time_scale))


def _route(route: Mapping[str, Any], time_scale: int) -> dict[str, Any]:
    """Return a branch with what hangs below it: as deep as the file, which a person wrote."""
    changed = dict(route)
    for name in _INTERVALS:
        if name in route:
            changed[name] = scaled(route[name], time_scale)
    if "routes" in route:
        changed["routes"] = [_route(child, time_scale) for child in route["routes"]]
    return changed


class _PlainDumper(yaml.SafeDumper):
    """Writes the same list twice instead of a reference to it."""

    def ignore_aliases(self, data: object) -> bool:
        """Say so for everything."""
        del data
        return True
