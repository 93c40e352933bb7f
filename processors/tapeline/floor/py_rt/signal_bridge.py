"""py_rt's signal bridge: features, inference, a signal; then the risk check and the order."""

import asyncio
import sys
from collections.abc import Sequence
from itertools import count
from typing import Final

from fastapi.responses import JSONResponse
from opentelemetry.trace import Status, StatusCode

from tapeline.floor.py_rt.draws import Taken
from tapeline.floor.py_rt.limits import MODEL, ORDER_USD, STRATEGY_OF
from tapeline.floor.py_rt.messages import Check, Order, OrderType, QuoteBatch
from tapeline.floor.py_rt.signal_bridge_metrics import SignalBridgeMetrics, make_metrics
from tapeline.floor.py_rt.surroundings import (
    PeerError,
    Service,
    Surroundings,
    post,
    run_process,
)
from tapeline.floor.request_fields import Side
from tapeline.instrument import span

__all__ = ["InferenceError", "SignalBridge", "main"]

NAME: Final = "signal_bridge"
TARGET: Final = "signal_bridge"
RISK_MANAGER: Final = "py-rt-risk-manager"
EXECUTION_ENGINE: Final = "py-rt-execution-engine"
FEATURES: Final = "12"
FEATURE_SET: Final = "technical_indicators"

_FEATURES_US: Final = Taken(30.0, 90.0)
_INFERENCE_US: Final = Taken(120.0, 800.0)
_SIGNAL_US: Final = Taken(250.0, 2000.0)
_ERROR_TYPES: Final = ("model_load_failure", "input_shape_mismatch", "runtime_error")
_INFERENCE_FAILS: Final = 0.2  # in an error burst
# Orders of one direction only until the traded sum leans that far; so positions stay bounded.
_LEAN_USD: Final = 5 * ORDER_USD
_CONFIDENCES: Final = ("low", "medium", "high")
_MARKET_OF_FIVE: Final = 3


class InferenceError(Exception):
    """The model gave no answer; the message is the error's type."""


class SignalBridge:
    """Answers each batch of quotes with the signals made of it."""

    def __init__(self, around: Surroundings, metrics: SignalBridgeMetrics) -> None:
        self._around = around
        self._metrics = metrics
        self._numbers = count(1)
        self._busy = 0
        self._traded_usd: dict[str, float] = {}
        for error_type in _ERROR_TYPES:
            metrics.inference_errors.labels(error_type, MODEL)
        for topic in ("signals", "orders"):
            metrics.zmq_messages_published.labels(NAME, topic)

    def service(self) -> Service:
        """Return what the process runs."""
        model = {"model": lambda: not self._around.faults.active("error_burst")}
        return Service(routes={"/quotes": self.quotes}, checks=model, work=self.run)

    async def run(self) -> None:
        """Say how many batches are being worked on, until cancelled."""
        while True:
            self._metrics.zmq_queue_depth.labels(NAME, "inbound").set(self._busy)
            await asyncio.sleep(1.0)

    async def quotes(self, batch: QuoteBatch) -> JSONResponse:
        """Make signals of a batch; the last may become an order."""
        self._busy += 1
        try:
            return await self._quotes(batch)
        finally:
            self._busy -= 1

    async def _quotes(self, batch: QuoteBatch) -> JSONResponse:
        for _ in batch.mids[:-1]:
            self._hold(batch.symbol)
        number = next(self._numbers)
        order_id = f"{self._around.place.run}-py-{number:07d}"
        attributes = {"symbol": batch.symbol, "model_name": MODEL}
        try:
            with span("generate_signal", attributes):
                side = self._signal(batch, order_id)
            outcome = await self._trade(number, order_id, batch.symbol, side, batch.mids[-1])
        except InferenceError as error:
            return JSONResponse({"error": str(error)}, status_code=500)
        except PeerError as error:
            self._around.log.write(
                "ERROR", TARGET, "Order was not placed", order_id=order_id, error=str(error)
            )
            return JSONResponse({"error": "a service does not answer"}, status_code=503)
        return JSONResponse({"order_id": order_id, "outcome": outcome})

    def _hold(self, symbol: str) -> None:
        """Look at a quote of which nothing follows."""
        self._infer(spike=self._around.faults.active("latency_spike"))
        self._count(symbol, "hold")

    def _signal(self, batch: QuoteBatch, order_id: str) -> Side:
        """Decide; raises InferenceError where the model gives no answer."""
        around = self._around
        with span("compute_features", {"feature_set": FEATURE_SET}):
            spike = around.faults.active("latency_spike")
        with span("run_inference", {"model_name": MODEL}) as current:
            if around.faults.active("error_burst") and around.draws.happens(_INFERENCE_FAILS):
                error_type = around.draws.pick(_ERROR_TYPES)
                self._metrics.inference_errors.labels(error_type, MODEL).inc()
                self._infer(spike=spike)
                current.set_status(Status(StatusCode.ERROR, error_type))
                around.log.write(
                    "ERROR", TARGET, "Inference failed", error_type=error_type, model_name=MODEL
                )
                raise InferenceError(error_type)
            self._infer(spike=spike)
        side = self._side(batch.symbol)
        confidence, latency_us = self._count(batch.symbol, side)
        around.log.write(
            "INFO",
            TARGET,
            "Signal generated",
            {"name": "generate_signal", "symbol": batch.symbol},
            order_id=order_id,
            symbol=batch.symbol,
            signal_type=side,
            price=batch.mids[-1],
            confidence=confidence,
            strategy=STRATEGY_OF[batch.symbol],
            latency_us=round(latency_us),
        )
        return side

    def _infer(self, *, spike: bool) -> None:
        draws, metrics = self._around.draws, self._metrics
        metrics.feature_computation.labels(FEATURE_SET).observe(
            draws.taken(_FEATURES_US, spike=spike)
        )
        metrics.inference_latency.labels(MODEL, FEATURES).observe(
            draws.taken(_INFERENCE_US, spike=spike)
        )

    def _side(self, symbol: str) -> Side:
        leaning_usd = self._traded_usd.get(symbol, 0.0)
        if abs(leaning_usd) > _LEAN_USD:
            return "sell" if leaning_usd > 0 else "buy"
        return "buy" if self._around.draws.happens(0.5) else "sell"

    def _count(self, symbol: str, signal_type: str) -> tuple[str, float]:
        """Count a signal; return its confidence and how long it took in microseconds."""
        draws, metrics = self._around.draws, self._metrics
        confidence = draws.pick(_CONFIDENCES)
        latency_us = draws.taken(_SIGNAL_US, spike=self._around.faults.active("latency_spike"))
        metrics.signals_generated.labels(signal_type, symbol, confidence).inc()
        metrics.signal_generation_latency.labels(symbol, signal_type).observe(latency_us)
        metrics.zmq_messages_published.labels(NAME, "signals").inc()
        return confidence, latency_us

    async def _trade(
        self, number: int, order_id: str, symbol: str, side: Side, price: float
    ) -> str:
        """Have the order checked, and placed where it passed; return what became of it."""
        check = Check(
            order_id=order_id, symbol=symbol, side=side, notional_usd=ORDER_USD, price=price
        )
        answer = await post(self._around, RISK_MANAGER, "/checks", check.model_dump())
        self._traded_usd[symbol] = float(str(answer["traded_usd"]))
        if answer["result"] != "pass":
            return "refused"
        order_type: OrderType = "market" if number % 5 < _MARKET_OF_FIVE else "limit"
        order = Order(
            order_id=order_id,
            number=number,
            symbol=symbol,
            side=side,
            order_type=order_type,
            quantity=round(ORDER_USD / price, 6),
            price=price,
            strategy=STRATEGY_OF[symbol],
        )
        self._metrics.zmq_messages_published.labels(NAME, "orders").inc()
        placed = await post(self._around, EXECUTION_ENGINE, "/orders", order.model_dump())
        return str(placed["status"])


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_process(NAME, arguments, make_metrics, SignalBridge)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
