"""The whole floor for tests: the stack, the systems on it, and what alerts became of it."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards.catalog import FOLDER
from dashboards.check import check, load
from dashboards.servers import Servers

import backends
from ports import ports_in_a_row
from tapeline.floor.catalog import SERVICES
from tapeline.floor.faults import SCENARIOS, write_faults
from tapeline.floor.whole import FloorPlan, fault_path, floor_overrides
from tapeline.stack import binaries
from tapeline.stack.ports import Ports
from tapeline.stack.runner import Stack

__all__ = ["Expectation", "FloorRun", "expectation_of", "log_queries", "running_floor"]

ROOT = Path(__file__).parents[1]
SERVERS = ("collector", "prometheus", "loki", "jaeger", "alertmanager", "node_exporter")
_START_TIMEOUT_S = 240.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Expectation:
    """Which alerts a scenario must make fire, and which it may."""

    expected: frozenset[str]
    allowed: frozenset[str]


def expectation_of(scenario: str) -> Expectation:
    """Return what the systems' files say of a scenario, all together."""
    expected: set[str] = set()
    allowed: set[str] = set()
    for path in sorted((ROOT / "config" / "floor").glob("*.yaml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert set(document) <= set(SCENARIOS), path
        told = document.get(scenario) or {}
        assert set(told) <= {"expected", "allowed"}, path
        expected |= set(told.get("expected") or ())
        allowed |= set(told.get("allowed") or ())
    return Expectation(frozenset(expected), frozenset(allowed | expected))


def log_queries(scenario: str) -> dict[str, str]:
    """Return the documents' log queries that need this scenario, by system and name."""
    return {
        f"{path.stem}: {each['name']}": each["query"]
        for path in sorted((ROOT / "config" / "loki" / "queries").glob("*.yaml"))
        for each in yaml.safe_load(path.read_text(encoding="utf-8"))
        if each["scenario"] == scenario
    }


@dataclass(frozen=True)
class FloorRun:
    """A floor that is up."""

    stack: Stack
    plan: FloorPlan

    @property
    def backends(self) -> backends.Backends:
        """Where to ask for metrics, logs and traces."""
        return backends.of(self.stack)

    def fault(self, *names: str) -> None:
        """Say which faults are on from now."""
        write_faults(fault_path(self.plan.run_dir), names)

    def firing(self) -> frozenset[str]:
        """Return the names of the alerts that fire in Prometheus or in Loki's ruler now."""
        return frozenset(
            alert["labels"]["alertname"]
            for server, path in (("prometheus", "/api/v1/alerts"), ("loki", _LOKI_ALERTS))
            for alert in self._alerts(server, path)
            if alert["state"] == "firing"
        )

    def fired_within(self, seconds: float) -> frozenset[str]:
        """Return the names of Prometheus' alerts that fired at any time of the last seconds."""
        history = f'max_over_time(ALERTS{{alertstate="firing"}}[{max(1, round(seconds))}s])'
        return frozenset(
            each.labels["alertname"]
            for each in self.backends.prometheus.query(f"count by (alertname) ({history})")
        )

    def _alerts(self, server: str, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            backends.fetch(self.stack.url(server).rstrip("/") + path)
        )["data"]["alerts"]
        return found

    def notices(self, status: str) -> frozenset[str]:
        """Return the names of the alerts that the inbox was told of with this status."""
        document = json.loads(backends.fetch(f"{self.stack.url('inbox')}/api/alerts"))
        return frozenset(
            each["labels"]["alertname"] for each in document["alerts"] if each["status"] == status
        )

    def inhibited(self) -> frozenset[str]:
        """Return the names of alerts that Alertmanager holds back because others fire."""
        url = f"{self.stack.url('alertmanager')}/api/v2/alerts?inhibited=true"
        return frozenset(
            each["labels"]["alertname"]
            for each in json.loads(backends.fetch(url))
            if each["status"]["inhibitedBy"]
        )

    def panel_failures(self, scenario: str) -> list[str]:
        """Return what is wrong with the dashboards' panels now, for those that name a scenario."""
        prometheus, loki, jaeger = (
            self.stack.url(name).rstrip("/") for name in ("prometheus", "loki", "jaeger")
        )
        with Servers(prometheus, loki, jaeger) as servers:
            end_ms = round(time.time() * 1000)
            checked = check(load(ROOT / FOLDER), servers, end_ms=end_ms, scenario=scenario)
        return [f"{e.dashboard} / {e.panel}, {e.range}: {e.problem}" for e in checked.failures]

    def costs(self) -> str:
        """Return a table: CPU seconds and resident memory of each part, by the kernel's count."""
        lines = [f"  {'part':<28}{'CPU s':>8}{'MiB':>8}"]
        for name in self.stack.running:
            process = Path(f"/proc/{self.stack.pid(name)}")
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            cpu_s = (int(stat[11]) + int(stat[12])) / _TICKS_PER_S
            pages = int((process / "statm").read_text().split()[1])
            mib = pages * os.sysconf("SC_PAGESIZE") / 2**20
            lines.append(f"  {name:<28}{cpu_s:>8.1f}{mib:>8.0f}")
        return "\n".join(lines)


_LOKI_ALERTS = "/prometheus/api/v1/alerts"


@contextmanager
def running_floor(
    folder: Path,
    *,
    systems: Sequence[str] = (),
    rate_per_s: float = 2.0,
    time_scale: int = 10,
) -> Iterator[FloorRun]:
    """Bring the floor up on ports of its own, and end it after; skip where a server isn't built."""
    for name in SERVERS:
        if binaries.find(name) is None:
            pytest.skip(f"{name} is not built: make binaries")
    plan = FloorPlan(
        run_dir=folder / "run",
        systems=tuple(systems),
        rate_per_s=rate_per_s,
        port_base=ports_in_a_row(len(fields(Ports)) + 3 + len(SERVICES)),
        time_scale=time_scale,
        run="t1",
    )
    stack = Stack(plan.run_dir, plan.ports(), overrides=floor_overrides(plan))
    stack.start(_START_TIMEOUT_S)
    try:
        yield FloorRun(stack, plan)
    finally:
        stack.stop()
