"""How long Prometheus keeps series, natively and in compose: by time and by size."""

from pathlib import Path

import yaml

from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import Ports
from tapeline.stack.topology import Overrides, Plan, topology

LIMITS = {"--storage.tsdb.retention.time": "45d", "--storage.tsdb.retention.size": "50GB"}
REPORT_DAYS = 31 + 7
"""A whole month, and a week in which its report of objectives can still be written."""


def test_prometheus_keeps_a_month_of_objectives_or_fifty_gigabytes() -> None:
    """Whichever is reached first, in both ways to run it. Windows of 30 days are in the month."""
    kept_days = int(LIMITS["--storage.tsdb.retention.time"].removesuffix("d"))
    assert kept_days >= REPORT_DAYS
    plan = Plan(SOURCE_ROOT, Path("/run"), Ports(), Overrides())
    (unit,) = topology(plan, ("prometheus",))
    compose = yaml.safe_load((SOURCE_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    command = compose["services"]["prometheus"]["command"]
    for flag, limit in LIMITS.items():
        assert f"{flag}={limit}" in unit.arguments
        (given,) = [each for each in command if each.startswith(f"{flag}=")]
        assert given.endswith(f":-{limit}}}")
