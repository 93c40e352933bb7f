"""How long Prometheus keeps series, natively and in compose: by time and by size."""

from pathlib import Path

import yaml

from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import Ports
from tapeline.stack.topology import Overrides, Plan, topology

LIMITS = {"--storage.tsdb.retention.time": "15d", "--storage.tsdb.retention.size": "50GB"}


def test_prometheus_keeps_fifteen_days_or_fifty_gigabytes() -> None:
    """Whichever is reached first, in both ways to run it."""
    plan = Plan(SOURCE_ROOT, Path("/run"), Ports(), Overrides())
    (unit,) = topology(plan, ("prometheus",))
    compose = yaml.safe_load((SOURCE_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    command = compose["services"]["prometheus"]["command"]
    for flag, limit in LIMITS.items():
        assert f"{flag}={limit}" in unit.arguments
        (given,) = [each for each in command if each.startswith(f"{flag}=")]
        assert given.endswith(f":-{limit}}}")
