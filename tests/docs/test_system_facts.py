"""Facts of the systems' documents that stand in no other test: how often, and over what time."""

import json

import pytest
import yaml

from coverage_tables import PAGES, read_rows
from tapeline.stack.binaries import SOURCE_ROOT

INTERVALS = {
    ("b25", "b25_infrastructure"): "30s",
    ("b25", "b25_services"): "15s",
    ("b25", "b25_business"): "15s",
    ("py_rt", "py_rt_critical"): "10s",
    ("py_rt", "py_rt_high"): "30s",
    ("veloz", "veloz_slo_recording"): "30s",
}
"""How often the documents have their groups of rules evaluated."""

SHOWN = {
    "01-system-health-overview": ("15s", "now-1h"),
    "10-performance-metrics": ("10s", "now-15m"),
    "20-pnl-dashboard": ("30s", "now-24h"),
    "30-market-data-service": ("5s", None),
    "py-rt-trading": ("5s", None),
    "py-rt-health": ("30s", None),
}
"""How often a dashboard is asked for again, and the time that it shows at first."""

LATER = {
    ("veloz", "Infrastructure: Kubernetes Cluster"),
    ("b25", "Prometheus HA"),
    ("b25", "Alertmanager cluster"),
    ("b25", "Grafana HA"),
}
"""All that is left for later: high availability, and panels of a cluster that is not here."""


@pytest.mark.parametrize(("system", "group"), INTERVALS)
def test_rules_are_evaluated_as_often_as_the_document_says(system: str, group: str) -> None:
    """Group by group: the critical ones more often."""
    path = SOURCE_ROOT / "config" / "prometheus" / "rules" / f"{system}.yml"
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    found = {each["name"]: each.get("interval") for each in groups}

    assert found[group] == INTERVALS[system, group]


@pytest.mark.parametrize("uid", SHOWN)
def test_dashboards_are_refreshed_as_the_document_says(uid: str) -> None:
    """And open on its time range, where it names one."""
    folder = SOURCE_ROOT / "config" / "grafana" / "dashboards"
    (path,) = folder.rglob(f"{uid}.json")
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    refresh, begin = SHOWN[uid]

    assert dashboard["refresh"] == refresh
    assert begin in {None, dashboard["time"]["from"]}


def test_grafana_has_no_administrator() -> None:
    """Without a password to guess: who reaches it may edit, and no more."""
    compose = yaml.safe_load((SOURCE_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    grafana = compose["services"]["grafana"]["environment"]

    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Editor"
    assert grafana["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert not [name for name in grafana if "PASSWORD" in name]


def test_nothing_else_is_left_for_later() -> None:
    """Whatever can be built has a row that says where it is."""
    found = {
        (path.stem, row.name)
        for path in PAGES.glob("*.md")
        for row in read_rows(path)[0]
        if row.kind == "later"
    }

    assert found == LATER
