"""The floor's services: what each runs, and how the documents have it scraped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

__all__ = ["SERVICES", "SYSTEMS", "CatalogError", "FloorService", "services_of"]


class CatalogError(ValueError):
    """A system was named that the floor has none of; the message lists those it has."""


@dataclass(frozen=True, slots=True)
class FloorService:
    """One process. `labels` are the static labels of its scrape job, whose name is `job`."""

    name: str
    system: str
    module: str
    job: str
    labels: Mapping[str, str] = field(default_factory=dict)
    instance: str | None = None


def _py_rt(name: str, module: str) -> FloorService:
    return FloorService(f"py-rt-{name}", "py_rt", module, f"py-rt-{name}", {"service": name})


def _b25(name: str, module: str, tier: str) -> FloorService:
    labels = {"service": name, "tier": tier, "environment": "production"}
    return FloorService(f"b25-{name}", "b25", module, f"b25-{name}", labels)


def _ktrdr(name: str, module: str) -> FloorService:
    return FloorService(f"ktrdr-{name}", "ktrdr", module, f"ktrdr-{name}", {"service": name})


# In the order of their start: who is called comes before who calls.
SERVICES: Final[tuple[FloorService, ...]] = (
    FloorService("veloz-engine", "veloz", "engine", "veloz-engine", {"service": "engine"}),
    FloorService("veloz-gateway", "veloz", "gateway", "veloz-gateway", {"service": "gateway"}),
    _py_rt("execution-engine", "execution_engine"),
    _py_rt("risk-manager", "risk_manager"),
    _py_rt("signal-bridge", "signal_bridge"),
    _py_rt("market-data", "market_data"),
    _b25("account-monitor", "account_monitor", "core"),
    _b25("order-execution", "order_execution", "critical"),
    _b25("risk-manager", "risk_manager", "core"),
    _b25("strategy-engine", "strategy_engine", "core"),
    _b25("market-data", "market_data", "critical"),
    _b25("config-service", "config_service", "support"),
    _b25("dashboard-server", "dashboard_server", "support"),
    # The machine that b25 runs on, as its node_exporter would tell of it, and what probes it.
    FloorService(
        "b25-host",
        "b25",
        "host",
        "node-exporter",
        {"service": "node-exporter"},
        instance="trading-server-01",
    ),
    _ktrdr("training-host-service", "training_host_service"),
    _ktrdr("ib-host-service", "ib_host_service"),
    _ktrdr("api", "api"),
)

SYSTEMS: Final[tuple[str, ...]] = tuple(dict.fromkeys(each.system for each in SERVICES))


def services_of(systems: Sequence[str]) -> tuple[FloorService, ...]:
    """Return the services of these systems, in the order of their start; of all where empty."""
    for name in systems:
        if name not in SYSTEMS:
            near = get_close_matches(name, SYSTEMS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise CatalogError(
                f"the floor has no system {name!r}.{hint} There are: {', '.join(SYSTEMS)}."
            )
    return tuple(each for each in SERVICES if not systems or each.system in systems)
