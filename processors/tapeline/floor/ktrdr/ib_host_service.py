"""KTRDR's IB host service: historical data from the broker's gateway, which only it can reach."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field

from tapeline.floor.ktrdr.fields import DataLogFields, as_extra
from tapeline.floor.ktrdr.ground import Ground, open_ground
from tapeline.floor.ktrdr.metrics import IbHostMetrics, make_ib_host_metrics
from tapeline.floor.place import place_from
from tapeline.floor.service import run_floor_service
from tapeline.instrument import add_error_context, add_span_attribute, traced

__all__ = ["BARS", "DownloadRequest", "main", "make_routes"]

BARS: Final = {"1m": 390, "5m": 78, "1h": 7, "1d": 1}
"""Bars of a trading day by timeframe."""

_GATEWAY: Final = "127.0.0.1:4002"
_DELAY_S: Final = (0.02, 0.06)
_SPIKE_S: Final = (3.5, 4.5)
_WATCH_S: Final = 0.5


class DownloadRequest(BaseModel):
    """What the API asks for."""

    symbol: str = Field(max_length=20)
    timeframe: str = Field(max_length=5)
    start_date: str = Field(max_length=30)
    end_date: str = Field(max_length=30)
    operation_id: str = Field(max_length=100)


class IbGateway:
    """The broker's gateway: answers after a while, or refuses connections."""

    def __init__(self, ground: Ground, metrics: IbHostMetrics) -> None:
        self._ground = ground
        self._metrics = metrics

    @property
    def connected(self) -> bool:
        """Whether it accepts connections now."""
        return not self._ground.faults.active("venue_disconnect")

    @traced(name="ib.request_historical_data")
    async def bars(self, symbol: str, timeframe: str) -> int:
        """Return how many bars came; raises ConnectionRefusedError while it refuses."""
        add_span_attribute("symbol", symbol)
        add_span_attribute("timeframe", timeframe)
        if not self.connected:
            self._metrics.requests.labels("refused").inc()
            raise ConnectionRefusedError(f"IB Gateway at {_GATEWAY} refused the connection")
        spike = self._ground.faults.active("latency_spike")
        await asyncio.sleep(self._ground.generator.uniform(*(_SPIKE_S if spike else _DELAY_S)))
        count = BARS.get(timeframe, 1)
        self._metrics.requests.labels("ok").inc()
        self._metrics.bars.labels(timeframe if timeframe in BARS else "other").inc(count)
        return count

    async def watch(self) -> None:
        """Keep the gauge of the connection true; never returns."""
        while True:
            self._metrics.connected.set(self.connected)
            await asyncio.sleep(_WATCH_S)


def make_routes(ground: Ground, gateway: IbGateway) -> None:
    """Give the app its route."""

    @ground.app.post("/download_historical_data")
    async def download(request: DownloadRequest) -> dict[str, int]:
        fields = DataLogFields(
            request.symbol, request.timeframe, request.start_date, request.end_date, "local"
        )
        own = {"operation_id": request.operation_id}
        ground.log.info("Download started", extra=as_extra(fields, **own))
        try:
            bars = await gateway.bars(request.symbol, request.timeframe)
        except ConnectionRefusedError as error:
            # Left to the framework: its span gets the exception, and the caller a 500.
            add_error_context(symbol=request.symbol)
            ground.log.error(  # noqa: TRY400  # The span has the stack trace.
                "IB Gateway refused", extra=as_extra(fields, **own, error=str(error))
            )
            raise
        ground.log.info("Download completed", extra=as_extra(fields, **own, bars_downloaded=bars))
        return {"bars": bars}


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM."""
    registry = CollectorRegistry()
    with open_ground(place_from(arguments), registry) as ground:
        gateway = IbGateway(ground, make_ib_host_metrics(registry))
        ground.expose({"ib_gateway": lambda: "connected" if gateway.connected else "disconnected"})
        make_routes(ground, gateway)

        async def work() -> None:
            await asyncio.gather(gateway.watch(), ground.flood())

        return run_floor_service(ground.app, ground.place, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
