"""py_rt's execution engine: routes an order, calls the venue, tells the risk manager."""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from tapeline.demo.credentials import credentials
from tapeline.floor.py_rt.draws import Taken
from tapeline.floor.py_rt.execution_engine_metrics import ExecutionEngineMetrics, make_metrics
from tapeline.floor.py_rt.fill_window import FillWindow
from tapeline.floor.py_rt.limits import EXCHANGE, SYMBOLS
from tapeline.floor.py_rt.messages import Fill, Order
from tapeline.floor.py_rt.surroundings import (
    Every,
    PeerError,
    Service,
    Surroundings,
    post,
    run_process,
)
from tapeline.floor.py_rt.venue import (
    ENDPOINT,
    ERROR_MESSAGES,
    METHOD,
    REJECTION_REASONS,
    Answer,
    Venue,
)
from tapeline.instrument import span, trace_exemplar

__all__ = ["ExecutionEngine", "main"]

NAME: Final = "execution_engine"
TARGET: Final = "execution_engine::router"
RISK_MANAGER: Final = "py-rt-risk-manager"

_SUBMISSION_US: Final = Taken(45.0, 95.0)
_ROUTING_US: Final = Taken(12.0, 45.0)
_RETRY_MS: Final = (Taken(120.0, 240.0), Taken(300.0, 490.0), Taken(700.0, 990.0))
_STRATEGY_OF: Final = {"market": "aggressive", "limit": "smart"}
_ORDER_TYPES: Final = ("market", "limit")
_POOL_SIZES: Final = {"http": 10, "zmq": 4}
_CRITICAL_PATH_US: Final = 500
# So long that the trace of a spike is slow in itself, whatever is drawn.
_SPIKE_SLEEP_S: Final = 0.15
_FLOOD_LINES_PER_S: Final = 200
_STEP_S: Final = 0.25
_LEAK_INTERVAL_S: Final = 2.0


class ExecutionEngine:
    """Places orders one by one, as they come."""

    def __init__(self, around: Surroundings, metrics: ExecutionEngineMetrics) -> None:
        self._around = around
        self._metrics = metrics
        self._venue = Venue(around.faults, around.draws)
        self._windows: defaultdict[tuple[str, str], FillWindow] = defaultdict(FillWindow)
        self._day: date = datetime.now(UTC).date()
        self._credentials = credentials(around.place.seed)
        self._leak_now = Every(_LEAK_INTERVAL_S)
        self._leaked = f"{EXCHANGE}?token={self._credentials.metric_token}"
        for kind, size in _POOL_SIZES.items():
            metrics.connection_pool_size.labels(NAME, kind).set(size)
        for code, message in ERROR_MESSAGES.items():
            metrics.api_failures.labels(ENDPOINT, code, message)
        for attempt in range(1, len(_RETRY_MS) + 1):
            metrics.retry_delay.labels(str(attempt))
        for order_type in _ORDER_TYPES:
            for status in ("success", "failure"):
                metrics.orders_submitted.labels(order_type, status, EXCHANGE)
        for symbol in SYMBOLS:
            for reason in REJECTION_REASONS:
                metrics.order_rejections.labels(reason, symbol)

    def service(self) -> Service:
        """Return what the process runs."""
        venue = {"venue": lambda: not self._around.faults.active("error_burst")}
        return Service(routes={"/orders": self.place_order}, checks=venue, work=self.run)

    async def run(self) -> None:
        """Keep windows and the day's volume true, and misbehave as the faults have it."""
        while True:
            await asyncio.sleep(_STEP_S)
            now = time.monotonic()
            for labels, window in self._windows.items():
                self._metrics.fill_rate.labels(*labels).set(window.share(now))
            self._begin_day(datetime.now(UTC).date())
            if self._around.faults.active("log_flood"):
                self._flood(round(_FLOOD_LINES_PER_S * _STEP_S))
            if self._around.faults.active("leaked_credentials") and self._leak_now.due():
                self._leak()

    async def place_order(self, order: Order) -> dict[str, object]:
        """Submit an order; the answer says whether it was filled, rejected or failed."""
        attributes = {
            "trading.order.id": order.order_id,
            "trading.instrument": order.symbol,
            "trading.side": order.side,
            "order_type": order.order_type,
        }
        with span("submit_order", attributes) as current:
            spike = self._around.faults.active("latency_spike")
            self._write("DEBUG", order, "Submitting order")
            self._route(order, spike=spike)
            latency_us = self._around.draws.taken(_SUBMISSION_US, spike=spike)
            self._metrics.order_submission_latency.labels(EXCHANGE, order.order_type).observe(
                latency_us, exemplar=trace_exemplar()
            )
            if spike:
                await asyncio.sleep(_SPIKE_SLEEP_S)
            answer = self._call_with_retries(order)
            status = self._status(answer)
            current.set_attribute("trading.order.state", status)
            self._take(order, answer, latency_us, current)
            if status == "filled":
                await self._fill(order, answer, latency_us)
        return {"order_id": order.order_id, "status": status}

    def _route(self, order: Order, *, spike: bool) -> None:
        strategy = _STRATEGY_OF[order.order_type]
        with span("route_order", {"routing_strategy": strategy}):
            self._metrics.routing_latency.labels(strategy).observe(
                self._around.draws.taken(_ROUTING_US, spike=spike)
            )

    def _call_with_retries(self, order: Order) -> Answer:
        """Call the venue, and up to three times more while the call fails."""
        answer = self._call(order)
        for attempt, delay in enumerate(_RETRY_MS, start=1):
            if not answer.failed:
                break
            delay_ms = self._around.draws.taken(delay)
            self._metrics.retry_delay.labels(str(attempt)).observe(delay_ms)
            self._write(
                "WARN",
                order,
                f"Retry attempt {attempt}/{len(_RETRY_MS)}",
                delay_ms=round(delay_ms),
                status_code=int(answer.status_code),
                error_message=ERROR_MESSAGES[answer.status_code],
            )
            answer = self._call(order)
        return answer

    def _call(self, order: Order) -> Answer:
        attributes = {"http.request.method": METHOD, "url.path": ENDPOINT, "symbol": order.symbol}
        with span(f"{METHOD} {ENDPOINT}", attributes, SpanKind.CLIENT) as current:
            answer = self._venue.answer(order.number)
            current.set_attribute("http.response.status_code", int(answer.status_code))
            self._metrics.api_call_latency.labels(ENDPOINT, METHOD, answer.status_code).observe(
                answer.took_ms
            )
            if answer.failed:
                message = ERROR_MESSAGES[answer.status_code]
                self._metrics.api_failures.labels(ENDPOINT, answer.status_code, message).inc()
                current.set_status(Status(StatusCode.ERROR, message))
        return answer

    def _status(self, answer: Answer) -> str:
        if answer.failed:
            return "failed"
        return "rejected" if answer.rejection_reason else "filled"

    def _take(self, order: Order, answer: Answer, latency_us: float, current: Span) -> None:
        """Count what became of an order, and write it down."""
        filled = self._status(answer) == "filled"
        self._metrics.orders_submitted.labels(
            order.order_type, "success" if filled else "failure", EXCHANGE
        ).inc()
        window = self._windows[order.symbol, order.order_type]
        self._metrics.fill_rate.labels(order.symbol, order.order_type).set(
            window.add(time.monotonic(), answer.filled)
        )
        if answer.failed:
            message = ERROR_MESSAGES[answer.status_code]
            current.set_status(Status(StatusCode.ERROR, message))
            self._write(
                "ERROR",
                order,
                "Order submission failed",
                error=message,
                status_code=int(answer.status_code),
                error_message=message,
            )
        elif answer.rejection_reason:
            self._metrics.order_rejections.labels(answer.rejection_reason, order.symbol).inc()
            self._write("WARN", order, "Order rejection", rejection_reason=answer.rejection_reason)
        if latency_us > _CRITICAL_PATH_US:
            self._write(
                "WARN",
                order,
                f"High latency detected (>{_CRITICAL_PATH_US}μs)",
                latency_us=round(latency_us),
            )

    async def _fill(self, order: Order, answer: Answer, latency_us: float) -> None:
        """Book what was filled, and tell the risk manager."""
        spike = self._around.faults.active("slippage_spike")
        slippage_bps = self._around.draws.slippage_bps(spike=spike)
        sign = 1 if order.side == "buy" else -1
        price = order.price * (1 + sign * slippage_bps / 1e4)
        quantity = order.quantity * answer.filled
        # Better than the decision counts as 0: a histogram's sum must not go down.
        self._metrics.slippage.labels(order.symbol, order.order_type).observe(
            max(slippage_bps, 0.0), exemplar=trace_exemplar()
        )
        self._metrics.daily_volume.labels(order.symbol).inc(quantity * price)
        self._write(
            "INFO",
            order,
            "Order successfully submitted",
            filled_qty=round(quantity, 6),
            avg_price=round(price, 4),
            latency_us=round(latency_us),
            slippage_bps=round(slippage_bps, 2),
        )
        fill = Fill(
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            strategy=order.strategy,
        )
        try:
            await post(self._around, RISK_MANAGER, "/fills", fill.model_dump())
        except PeerError as error:
            self._write("ERROR", order, "Position update failed", error=str(error))
        else:
            self._write("INFO", order, "Order filled", filled_qty=round(quantity, 6))

    def _begin_day(self, today: date) -> None:
        """Begin the day's volume anew at midnight UTC."""
        if today != self._day:
            self._day = today
            for symbol in SYMBOLS:
                self._metrics.daily_volume.labels(symbol).set(0)

    def _write(self, level: str, order: Order, message: str, **fields: object) -> None:
        span_fields: Mapping[str, object] = {"name": "submit_order", "order_id": order.order_id}
        self._around.log.write(
            level,
            TARGET,
            message,
            span_fields,
            order_id=order.order_id,
            symbol=order.symbol,
            **fields,
        )

    def _flood(self, lines: int) -> None:
        for number in range(lines):
            self._around.log.write(
                "ERROR", TARGET, "Failed to parse a message of the venue", sequence=number
            )

    def _leak(self) -> None:
        """Make the mistakes that real services make with credentials."""
        secrets = self._credentials
        log = self._around.log
        log.write("WARN", TARGET, f"venue login failed: user=py_rt password={secrets.log_password}")
        inner = json.dumps({"venue": EXCHANGE, "client_secret": secrets.nested_secret})
        log.write("INFO", TARGET, "Configuration reloaded", config=inner)
        header = {"http.request.header.authorization": f"Bearer {secrets.bearer_token}"}
        with span("renew_session", header):
            self._metrics.orders_submitted.labels("limit", "success", self._leaked)


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_process(NAME, arguments, make_metrics, ExecutionEngine)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
