"""Prometheus' own configuration: it is valid, its alerts do what they say, and each has a test."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeline.stack.binaries import SOURCE_ROOT, require
from tapeline.stack.ports import Ports
from tapeline.stack.render import RULES, TEMPLATE, native_values, render

RULE_FILES = sorted((SOURCE_ROOT / RULES).glob("*.yml"))
TEST_FILES = sorted((SOURCE_ROOT / "config/prometheus/tests").glob("*.yml"))
_OWN_METRIC = re.compile(r"tapeline_[a-z_]+")


def _rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def promtool(*arguments: str) -> str:
    """Run Prometheus' own tool, and return what it says."""
    result = subprocess.run(
        [str(require("promtool")), *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.stack
def test_the_rendered_configuration_is_valid_with_its_rules(tmp_path: Path) -> None:
    """Also where the rules are elsewhere than the configuration."""
    values = native_values(Ports(), SOURCE_ROOT / RULES, two_collectors=True, scrape_interval_s=5)
    path = tmp_path / "prometheus.yml"
    template = (SOURCE_ROOT / TEMPLATE).read_text(encoding="utf-8")
    path.write_text(render(template, values), encoding="utf-8")

    told = promtool("check", "config", str(path))

    assert f"SUCCESS: {len(RULE_FILES)} rule files found" in told


@pytest.mark.stack
@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_the_alerts_do_what_they_say(path: Path) -> None:
    """On series made up for each of them."""
    assert "SUCCESS" in promtool("test", "rules", str(path))


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    """One that never fires looks like peace."""
    fired = {
        case["alertname"]
        for path in TEST_FILES
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }

    assert fired == {rule["alert"] for rule in _rules()}


def test_alerts_ask_for_metrics_that_there_are() -> None:
    """By the metadata of the transport and of the processors."""
    known = {
        name
        for path in (SOURCE_ROOT / "processors" / "tapeline").glob("*/metadata.yaml")
        for name in yaml.safe_load(path.read_text(encoding="utf-8"))["metrics"]
    }
    asked = {name for rule in _rules() for name in _OWN_METRIC.findall(rule["expr"])}

    assert asked
    assert asked <= known
