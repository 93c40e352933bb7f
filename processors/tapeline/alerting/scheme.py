"""The one scheme of alert labels: systems, teams, severities and priorities."""

from typing import Final

__all__ = ["PREFIXES", "PRIORITIES", "SEVERITIES", "TEAMS", "camel_case"]

PREFIXES: Final = {
    "veloz": "Veloz",
    "py_rt": "PyRt",
    "b25": "B25",
    "ktrdr": "Ktrdr",
    "tapeline": "Tapeline",
    "host": "Host",
}
"""What an alert's name begins with, by the label `system`."""

TEAMS: Final = ("trading", "risk", "infrastructure", "ml", "platform")

PRIORITIES: Final = ("P0", "P1", "P2", "P3", "P4")
"""P0: stop trading now. P1: a page, under 5 min. P2: 15 min. P3: an hour. P4: a day."""

SEVERITIES: Final = {
    "critical": frozenset({"P0", "P1"}),
    "warning": frozenset({"P2", "P3"}),
    "info": frozenset({"P3", "P4"}),
}
"""The priorities that go with each severity. VeloZ's guide has its infos as P3."""


def camel_case(name: str) -> str:
    """Return `gateway-availability` as `GatewayAvailability`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("-"))
