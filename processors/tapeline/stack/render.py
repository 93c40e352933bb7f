"""Renders the configuration of servers that expand no variables, for native runs and for compose.

`python -m tapeline.stack.render` writes the files that compose mounts; a test finds them stale.
The collector, Jaeger and Loki read the environment themselves and need no rendering.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from tapeline.stack.alertmanager import CONFIG_FILE, TEMPLATES, local_text
from tapeline.stack.ports import HOST, Ports

__all__ = [
    "ALERTMANAGER_COMPOSE_FILE",
    "COMPOSE_FILE",
    "RULES",
    "native_alertmanager",
    "native_values",
    "render",
    "render_compose",
    "render_compose_alertmanager",
]

TEMPLATE: Final = Path("config/prometheus/prometheus.yml.template")
COMPOSE_FILE: Final = Path("config/prometheus/prometheus.compose.yml")
ALERTMANAGER_COMPOSE_FILE: Final = Path("config/alertmanager/alertmanager.compose.yml")
RULES: Final = Path("config/prometheus/rules")
_NOTICE: Final = (
    f"# Rendered from {TEMPLATE.name} by `python -m tapeline.stack.render`. Change the template.\n"
)
# Service names of docker-compose.yml and the ports inside of its network.
_COMPOSE_VALUES: Final = {
    "scrape_interval": "5s",
    "rules": "/etc/prometheus/rules",
    "prometheus_exporter": "collector:8889",
    "collector_metrics": '"collector:8888"',
    "gate_admin": "gate:8090",
    "signals_admin": "signals:8091",
    "loki": "loki:3100",
    "jaeger_metrics": "jaeger:18888",
    "prometheus": "prometheus:9090",
    "alertmanager": "alertmanager:9093",
}


def native_values(
    ports: Ports, rules_folder: Path, *, two_collectors: bool, scrape_interval_s: int
) -> dict[str, str]:
    """Return the template's values for servers on this machine."""
    collectors = [ports.collector_metrics] + ([ports.egress_metrics] if two_collectors else [])
    return {
        "scrape_interval": f"{scrape_interval_s}s",
        "rules": str(rules_folder),
        "prometheus_exporter": f"{HOST}:{ports.prometheus_exporter}",
        "collector_metrics": ", ".join(f'"{HOST}:{port}"' for port in collectors),
        "gate_admin": f"{HOST}:{ports.gate_admin}",
        "signals_admin": f"{HOST}:{ports.signals_admin}",
        "loki": f"{HOST}:{ports.loki}",
        "jaeger_metrics": f"{HOST}:{ports.jaeger_metrics}",
        "prometheus": f"{HOST}:{ports.prometheus}",
        "alertmanager": f"{HOST}:{ports.alertmanager}",
    }


def render(template: str, values: Mapping[str, str]) -> str:
    """Fill a template in, with a notice in front; a missing value is a KeyError."""
    return _NOTICE + Template(template).substitute(values)


def render_compose(source_root: Path) -> str:
    """Return what COMPOSE_FILE must hold."""
    template = (source_root / TEMPLATE).read_text(encoding="utf-8")
    return render(template, _COMPOSE_VALUES)


def native_alertmanager(ports: Ports, source_root: Path, time_scale: int) -> str:
    """Return Alertmanager's configuration for servers on this machine, with the inbox as receiver.

    Raises ValueError for a scale below 1.
    """
    production = (source_root / CONFIG_FILE).read_text(encoding="utf-8")
    templates = str(source_root / TEMPLATES / "*.tmpl")
    return local_text(production, f"http://{HOST}:{ports.inbox}", templates, time_scale)


def render_compose_alertmanager(source_root: Path) -> str:
    """Return what ALERTMANAGER_COMPOSE_FILE must hold."""
    production = (source_root / CONFIG_FILE).read_text(encoding="utf-8")
    return local_text(production, "http://inbox:8092", "/etc/alertmanager/templates/*.tmpl")


if __name__ == "__main__":
    from tapeline.stack.binaries import SOURCE_ROOT

    for path, text in (
        (COMPOSE_FILE, render_compose(SOURCE_ROOT)),
        (ALERTMANAGER_COMPOSE_FILE, render_compose_alertmanager(SOURCE_ROOT)),
    ):
        (SOURCE_ROOT / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
