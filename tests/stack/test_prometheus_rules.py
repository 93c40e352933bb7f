"""Prometheus' own configuration is valid, and its alerts on Tapeline ask for what there is.

What the alerts do is in `tests/alerting/test_rules.py`.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from promtool import promtool
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import Ports
from tapeline.stack.render import RULES, TEMPLATE, native_values, render

RULE_FILES = sorted((SOURCE_ROOT / RULES).glob("*.yml"))
_OWN_METRIC = re.compile(r"tapeline_[a-z_]+")


def _rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


@pytest.mark.stack
def test_the_rendered_configuration_is_valid_with_its_rules(tmp_path: Path) -> None:
    """Also where the rules are elsewhere than the configuration."""
    values = native_values(Ports(), SOURCE_ROOT / RULES, two_collectors=True, scrape_interval_s=5)
    path = tmp_path / "prometheus.yml"
    template = (SOURCE_ROOT / TEMPLATE).read_text(encoding="utf-8")
    path.write_text(render(template, values), encoding="utf-8")

    told = promtool("check", "config", str(path))

    assert f"SUCCESS: {len(RULE_FILES)} rule files found" in told


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
