"""b25's configuration service: the values in force, and who changed them."""

import sys
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, Field

from tapeline.floor.b25.config_service_metrics import ConfigServiceMetrics, make_metrics
from tapeline.floor.b25.station import Station, run_station

__all__ = ["Change", "ConfigService", "main"]

SOURCES: Final = ("operator", "risk-manager")
VALUES_MAX: Final = 100


class Change(BaseModel):
    """New values, and who wants them."""

    source: Literal["operator", "risk-manager"]
    values: dict[str, str | int | float | bool] = Field(max_length=VALUES_MAX)


class ConfigService:
    """Holds one set of values."""

    def __init__(self, station: Station, metrics: ConfigServiceMetrics) -> None:
        self._station = station
        self._metrics = metrics
        self._version = 1
        self._values: dict[str, str | int | float | bool] = {"trading": True}
        metrics.version.set(self._version)
        for source in SOURCES:
            metrics.changes.labels(source)
        station.expose(metrics.http)
        station.app.add_api_route("/config", self.read)
        station.app.add_api_route("/config", self.change, methods=["POST"])

    async def read(self) -> dict[str, object]:
        """Answer the values in force."""
        return {"version": self._version, "values": self._values}

    async def change(self, change: Change) -> dict[str, object]:
        """Put values in force."""
        self._values = dict(list({**self._values, **change.values}.items())[-VALUES_MAX:])
        self._version += 1
        self._metrics.version.set(self._version)
        self._metrics.changes.labels(change.source).inc()
        self._station.log(
            "info",
            "configuration changed",
            {"source": change.source, "version": self._version, "values": change.values},
        )
        return {"version": self._version}

    async def run(self) -> None:
        """Wait until cancelled."""
        self._station.log("info", "configuration loaded", {"version": self._version})
        await self._station.background()


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_station(arguments, make_metrics, ConfigService)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
