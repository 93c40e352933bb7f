"""Every dashboard keeps to the rules, and each rule can be broken."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards.catalog import BOARDS, FOLDER, MOUNTED_AT, PROVIDERS, generated_files
from dashboards.check import load
from dashboards.model import STEADY
from dashboards.rules import problems, problems_of_all

from tapeline.floor.faults import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]

Break = Callable[[dict[str, Any]], object]


@pytest.fixture(name="dashboards", scope="module")
def _dashboards() -> list[dict[str, Any]]:
    """Return the committed dashboards."""
    return load(ROOT / FOLDER)


@pytest.fixture(name="sound")
def _sound(dashboards: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a dashboard that one may break."""
    found = next(each for each in dashboards if each["uid"] == "veloz-trading")
    return copy.deepcopy(found)


def _panel(dashboard: dict[str, Any], title: str) -> dict[str, Any]:
    found: dict[str, Any] = next(p for p in dashboard["panels"] if p["title"] == title)
    return found


def test_every_dashboard_keeps_to_the_rules(dashboards: list[dict[str, Any]]) -> None:
    """Templated sources, titles, units, rates, legends, and no uid twice."""
    assert len(dashboards) == len(BOARDS)

    assert list(problems_of_all(dashboards)) == []


BROKEN: dict[str, tuple[Break, str]] = {
    "editable": (lambda d: d.update(editable=True), "editable is not false"),
    "no description": (lambda d: d.update(description=""), "it has no description"),
    "long uid": (lambda d: d.update(uid="x" * 41), "its uid must have 1 to 40"),
    "no unit": (
        lambda d: _panel(d, "Order Rate")["fieldConfig"]["defaults"].pop("unit"),
        "Order Rate: it has no unit",
    ),
    "panel without description": (
        lambda d: _panel(d, "Order Rate").update(description=""),
        "Order Rate: it has no description",
    ),
    "same title": (
        lambda d: _panel(d, "Order Latency").update(title="Order Rate"),
        "Order Rate: another panel has this title",
    ),
    "fixed data source": (
        lambda d: _panel(d, "Order Rate")["targets"][0]["datasource"].update(uid="prometheus"),
        "its data source is not templated",
    ),
    "fixed range": (
        lambda d: _panel(d, "Order Rate")["targets"][0].update(
            expr="sum(rate(veloz_orders_total[5m]))"
        ),
        "the range [5m] is hard-coded",
    ),
    "bare counter": (
        lambda d: _panel(d, "Order Rate")["targets"][0].update(expr="sum(veloz_orders_total)"),
        "the counter veloz_orders_total stands without rate",
    ),
    "bare bucket": (
        lambda d: _panel(d, "Order Latency")["targets"][0].update(
            expr="histogram_quantile(0.99, veloz_order_latency_seconds_bucket)"
        ),
        "the counter veloz_order_latency_seconds_bucket stands without rate",
    ),
    "no legend": (
        lambda d: _panel(d, "Order Rate")["targets"][0].pop("legendFormat"),
        "it has no legend",
    ),
    "unused variable": (
        lambda d: _panel(d, "Position Value")["targets"][0].update(expr="veloz_position_value"),
        "the variable 'symbol' is used nowhere",
    ),
    "unknown variable": (
        lambda d: _panel(d, "Order Rate")["targets"][0].update(expr='up{job="$nothing"}'),
        "the variable 'nothing' is used, and not declared",
    ),
    "signed sum": (
        lambda d: _panel(d, "Order Rate")["targets"][0].update(
            expr="sum(rate(trading_slippage_bps_sum[$__rate_interval]))"
        ),
        "rate() of the sum of a signed histogram",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_finds_what_breaks_it(sound: dict[str, Any], name: str) -> None:
    """A rule that finds nothing in a broken dashboard is none."""
    break_it, expected = BROKEN[name]
    assert list(problems(sound)) == []

    break_it(sound)

    assert expected in "\n".join(problems(sound))


def test_a_table_of_alerts_needs_its_runbooks(dashboards: list[dict[str, Any]]) -> None:
    """An alert that nobody can look up helps nobody at night."""
    found = next(each for each in dashboards if each["uid"] == "tapeline-alerts")
    broken = copy.deepcopy(found)
    _panel(broken, "Firing alerts")["fieldConfig"]["overrides"] = []

    assert "without a link to their runbooks" in "\n".join(problems(broken))


def test_two_dashboards_of_one_uid_are_found(dashboards: list[dict[str, Any]]) -> None:
    """Grafana would show the one it reads last."""
    twice = [dashboards[0], dashboards[0]]

    assert any("another dashboard has this uid" in each for each in problems_of_all(twice))


def test_an_excuse_for_a_panel_that_is_gone_is_found() -> None:
    """Excuses end with what they excuse."""
    found = list(problems_of_all([]))

    assert "veloz-trading / Total Orders is excused, and there is no such panel" in found


def test_every_folder_is_provisioned_and_mounted() -> None:
    """A dashboard in a folder that Grafana doesn't read is none."""
    providers = yaml.safe_load((ROOT / PROVIDERS).read_text(encoding="utf-8"))["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    folders = {path.name for path in (ROOT / FOLDER).iterdir()}

    assert {each["options"]["path"] for each in providers} == {
        f"{MOUNTED_AT}/{folder}" for folder in folders
    }
    assert {each["folder"] for each in providers} == {board.folder for board in BOARDS}
    assert f"./{FOLDER}:{MOUNTED_AT}:ro" in compose["services"]["grafana"]["volumes"]


def test_the_data_sources_are_those_that_are_provisioned(
    dashboards: list[dict[str, Any]],
) -> None:
    """The variables' first choice is the uid of a source of that type."""
    path = ROOT / "config/grafana/provisioning/datasources/tapeline.yaml"
    sources = yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]
    provisioned = {(each["type"], each["uid"]) for each in sources}

    for dashboard in dashboards:
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "datasource":
                picked = (variable["query"], variable["current"]["value"])
                assert picked in provisioned


def test_the_guides_early_warnings_are_thresholds(dashboards: list[dict[str, Any]]) -> None:
    """VeloZ's key metrics to watch change their colour where its guide says so."""
    boards = {each["uid"]: each for each in dashboards}
    found = {
        title: {
            step["value"]
            for step in _panel(boards[uid], title)["fieldConfig"]["defaults"]["thresholds"]["steps"]
        }
        for uid, title in (
            ("veloz-trading", "Order Latency"),
            ("veloz-system", "Error Rate"),
            ("veloz-trading", "Drawdown"),
            ("veloz-trading", "Leverage"),
            ("veloz-system", "WebSocket Connections"),
            ("veloz-trading", "Risk Utilization"),
        )
    }

    assert found["Order Latency"] >= {0.05, 0.1}
    assert found["Error Rate"] >= {0.05 * 60, 0.1 * 60}  # a minute
    assert found["Drawdown"] >= {10, 20}
    assert found["Leverage"] >= {2, 3}
    assert found["WebSocket Connections"] >= {1}
    assert found["Risk Utilization"] >= {80, 95}


def test_generated_json_is_the_same_each_time() -> None:
    """Else every run would be a change."""
    first, second = generated_files(), generated_files()

    assert first == second
    assert all(json.loads(text) for path, text in first.items() if path.suffix == ".json")


def test_every_scenario_is_one_of_the_floor() -> None:
    """A panel of a scenario that there is not would never be asked for data."""
    named = {panel.scenario for board in BOARDS for panel in board.panels}

    assert named <= {STEADY, *SCENARIOS}
    assert named - {STEADY}
