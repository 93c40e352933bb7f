"""b25's risk manager: checks orders before they go out, and positions against their limits."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi.responses import JSONResponse

from tapeline.floor.b25.market import BOOKS, POSITION_LIMIT_USD
from tapeline.floor.b25.risk_manager_metrics import RiskManagerMetrics, make_metrics
from tapeline.floor.b25.station import Station, run_station
from tapeline.floor.pace import every

__all__ = ["LIMITS", "RiskManager", "main", "utilization"]

LIMITS: Final = ("position", "leverage", "exposure")
LEVERAGE_MAX: Final = 3.0
EXPOSURE_MAX_USD: Final = len(BOOKS) * POSITION_LIMIT_USD

_RELEASE_BELOW: Final = 0.9
_RELEASE_AFTER_S: Final = 5.0
_BAD_GATEWAY: Final = 502


def utilization(positions: Sequence[Mapping[str, Any]], equity_usd: float) -> dict[str, float]:
    """Return the part of each limit that is used; equity of 0 or less uses leverage up."""
    exposure_usd = sum(abs(row["notional_usd"]) for row in positions)
    position = max((abs(row["quantity"]) / row["limit"] for row in positions), default=0.0)
    leverage = exposure_usd / equity_usd / LEVERAGE_MAX if equity_usd > 0 else 1.0
    return {
        "position": position,
        "leverage": leverage,
        "exposure": exposure_usd / EXPOSURE_MAX_USD,
    }


class RiskManager:
    """Passes orders on, unless an emergency stop holds."""

    def __init__(self, station: Station, metrics: RiskManagerMetrics) -> None:
        self._station = station
        self._metrics = metrics
        self._stopped = False
        self._violated_s = float("-inf")
        for limit in LIMITS:
            metrics.violations.labels(limit)
            metrics.utilization_ratio.labels(limit).set(0)
        station.expose(metrics.http)
        station.app.add_api_route("/orders", self.order, methods=["POST"], response_model=None)
        station.app.add_api_route("/limits", self.limits)
        station.app.add_api_route("/emergency-stop", self.emergency_stop, methods=["POST"])

    async def order(self, order: dict[str, Any]) -> dict[str, object] | JSONResponse:
        """Pass an order to order execution; 502 where that doesn't answer."""
        if self._stopped:
            return {"accepted": False, "reason": "emergency stop"}
        self._station.log("info", "order within its limits", {"order_id": order.get("order_id")})
        answer = await self._station.call("POST", "order-execution", "/orders", order)
        if answer is None:
            return JSONResponse({"error": "order-execution does not answer"}, _BAD_GATEWAY)
        return answer

    async def limits(self) -> dict[str, object]:
        """Answer whether an emergency stop holds."""
        return {"emergency_stop": self._stopped}

    async def emergency_stop(self) -> dict[str, object]:
        """Stop everything at once, as a person may."""
        await self._stop("by hand")
        return {"emergency_stop": True}

    async def run(self) -> None:
        """Check the positions once a second, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._station.background())

    async def _watch(self) -> None:
        async for _ in every(1.0):
            answer = await self._station.call("GET", "account-monitor", "/positions")
            if answer is None:
                continue
            used = utilization(answer["positions"], answer["equity_usd"])
            for limit, ratio in used.items():
                self._metrics.utilization_ratio.labels(limit).set(ratio)
                if ratio > 1:
                    self._metrics.violations.labels(limit).inc()
                    self._station.warn_seldom(
                        f"violation of the {limit} limit", {"utilization": round(ratio, 3)}
                    )
            await self._follow(max(used.values()))

    async def _follow(self, highest: float) -> None:
        """Stop on a violation; start again once all has been well for a while."""
        now_s = time.monotonic()
        if highest > _RELEASE_BELOW:
            self._violated_s = now_s
        if highest > 1 and not self._stopped:
            await self._stop("limit violated")
        elif self._stopped and now_s - self._violated_s > _RELEASE_AFTER_S:
            if await self._station.call("POST", "strategy-engine", "/start") is None:
                return
            self._stopped = False
            self._metrics.emergency_stop_active.set(0)
            await self._configure(trading=True)

    async def _stop(self, reason: str) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._violated_s = time.monotonic()
        self._metrics.emergency_stops.inc()
        self._metrics.emergency_stop_active.set(1)
        self._station.log("error", "emergency stop", {"reason": reason})
        await self._station.call("POST", "strategy-engine", "/stop")
        await self._configure(trading=False)

    async def _configure(self, *, trading: bool) -> None:
        change = {"source": "risk-manager", "values": {"trading": trading}}
        await self._station.call("POST", "config-service", "/config", change)


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_station(arguments, make_metrics, RiskManager)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
