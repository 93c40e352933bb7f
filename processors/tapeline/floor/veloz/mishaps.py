"""What scenarios ask of VeloZ's engine that no order brings about: errors, and lines of them."""

import asyncio
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace

from tapeline.floor.faults import Faults
from tapeline.floor.veloz.engine_metrics import SystemMetrics
from tapeline.floor.veloz.events import VENUE, EngineLog
from tapeline.instrument import span

__all__ = ["Mishaps"]

FLOOD_TASKS: Final = 160  # each writes a line a second: a backlog, but no standstill
BURST_ERRORS_PER_S: Final = 3


@dataclass(frozen=True, slots=True)
class Mishaps:
    """The engine's troubles, as the faults have them."""

    faults: Faults
    log: EngineLog
    system: SystemMetrics

    async def run(self) -> None:
        """Look once a second which scenarios are on, until cancelled."""
        flood: list[asyncio.Task[None]] = []
        while True:
            if self.faults.active("error_burst"):
                self._fail()
            if self.faults.active("venue_disconnect"):
                self.log.write(
                    "CRITICAL",
                    "Exchange disconnected",
                    ("venue_session.cpp", 77, "on_close"),
                    event_type="venue.disconnected",
                )
            if self.faults.active("risk_limit_breach"):
                self.log.write(
                    "CRITICAL",
                    "Risk limit breached: circuit breaker position_limit is open",
                    ("circuit_breaker.cpp", 52, "trip"),
                    event_type="risk.breach",
                )
            flooding = self.faults.active("log_flood")
            if flooding and not flood:
                flood = [asyncio.create_task(self._chatter(at)) for at in range(FLOOD_TASKS)]
            elif flood and not flooding:
                for each in flood:
                    each.cancel()
                flood = []
            await asyncio.sleep(1.0)

    def _fail(self) -> None:
        with span("order.execute", {"order.id": "none", "venue.name": VENUE}) as current:
            current.set_status(trace.StatusCode.ERROR, "venue answered with an error")
            for _ in range(BURST_ERRORS_PER_S):
                self.system.errors.labels("venue_error", "execution").inc()
                self.log.write(
                    "ERROR",
                    "Venue answered with an error: internal error, code -1000",
                    ("venue_session.cpp", 131, "on_error"),
                    event_type="venue.error",
                )

    async def _chatter(self, number: int) -> None:
        while True:
            self.log.write(
                "ERROR",
                f"Order book {number} out of sequence, asking for a snapshot",
                ("order_book.cpp", 301, "apply_delta"),
                event_type="orderbook.gap",
            )
            await asyncio.sleep(1.0)
