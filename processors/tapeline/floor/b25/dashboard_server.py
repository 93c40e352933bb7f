"""b25's dashboard server: puts together what the screen on the wall shows, and asks for it."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from tapeline.floor.b25.dashboard_server_metrics import DashboardServerMetrics, make_metrics
from tapeline.floor.b25.station import Station, run_station
from tapeline.floor.pace import every

__all__ = ["DashboardServer", "main"]

_REFRESH_S: Final = 2.0


class DashboardServer:
    """One page, and the one screen that shows it."""

    def __init__(self, station: Station, metrics: DashboardServerMetrics) -> None:
        self._station = station
        metrics.clients.set(1)
        station.expose(metrics.http)
        station.app.add_api_route("/api/overview", self.overview)

    async def overview(self) -> dict[str, object]:
        """Answer positions and limits, each None where its service doesn't answer."""
        positions, limits = await asyncio.gather(
            self._station.call("GET", "account-monitor", "/positions"),
            self._station.call("GET", "risk-manager", "/limits"),
        )
        return {"positions": positions, "limits": limits}

    async def run(self) -> None:
        """Be the screen, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._screen())
            tasks.create_task(self._station.background())

    async def _screen(self) -> None:
        async for number in every(_REFRESH_S):
            page = await self._station.call("GET", "dashboard-server", "/api/overview")
            if page is not None and number % 10 == 0:
                self._station.log("info", "overview shown", {"refreshes": number})


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_station(arguments, make_metrics, DashboardServer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
