"""py_rt's risk manager: checks before each trade, positions and P&L, the circuit breaker."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from tapeline.floor.py_rt.book import Book, Holding
from tapeline.floor.py_rt.draws import Taken
from tapeline.floor.py_rt.limits import (
    CAPITAL_USD,
    MAX_DAILY_LOSS_USD,
    MAX_OPEN_POSITIONS,
    MAX_POSITION_USD,
    OPENING_BOOK_USD,
    STRATEGY_OF,
    SYMBOLS,
)
from tapeline.floor.py_rt.messages import Check, Fill
from tapeline.floor.py_rt.risk_manager_metrics import RiskManagerMetrics, make_metrics
from tapeline.floor.py_rt.surroundings import (
    Every,
    Service,
    Surroundings,
    run_process,
)
from tapeline.instrument import span

__all__ = ["RiskManager", "main"]

NAME: Final = "risk_manager"
TARGET: Final = "risk_manager"

# Section 2.1 names the second one `exposure_limit`, section 2.2 `exposure`.
_TIMED: Final = ("position_limit", "exposure_limit", "circuit_breaker")
_COUNTED: Final = ("position_limit", "exposure", "circuit_breaker")
_CHECK_US: Final = Taken(20.0, 90.0)
_UPDATE_US: Final = Taken(25.0, 90.0)
_PNL_US: Final = Taken(30.0, 200.0)
_PUBLISH_INTERVAL_S: Final = 1.0
# What the market does in the fault `drawdown`, within so many seconds.
_SHOCK_USD: Final = 1.5 * MAX_DAILY_LOSS_USD
_SHOCK_S: Final = 5.0
# What a book that was loaded twice would show, in the fault `risk_limit_breach`.
_BREACH_USD: Final = 1.3 * MAX_POSITION_USD
_BREACH_POSITIONS: Final = MAX_OPEN_POSITIONS + 2
_BREACH_SYMBOL: Final = SYMBOLS[0]
_TRIP_AGAIN_S: Final = 20.0


class RiskManager:
    """Keeps the book; refuses orders beyond its limits."""

    def __init__(self, around: Surroundings, metrics: RiskManagerMetrics) -> None:
        self._around = around
        self._metrics = metrics
        self._book = Book(OPENING_BOOK_USD)
        self._shock_usd = 0.0
        self._trip = Every(_TRIP_AGAIN_S)
        self._open = False
        for symbol in SYMBOLS:
            metrics.risk_failures.labels("position_limit_exceeded", symbol)
            metrics.risk_failures.labels("circuit_breaker_triggered", symbol)
        for check in _COUNTED:
            metrics.checks_performed.labels(check, "pass")
            metrics.checks_performed.labels(check, "fail")
        for topic in ("orders", "trades"):
            metrics.zmq_messages_published.labels(NAME, topic)
        self._show()

    def service(self) -> Service:
        """Return what the process runs."""
        return Service(
            routes={"/checks": self.check, "/fills": self.fill},
            checks={"circuit_breaker": lambda: not self._open},
            work=self.run,
        )

    async def run(self) -> None:
        """Look at the limits and show the book once a second, until cancelled."""
        while True:
            await asyncio.sleep(_PUBLISH_INTERVAL_S)
            self._step(_PUBLISH_INTERVAL_S)

    def _step(self, elapsed_s: float) -> None:
        active = self._around.faults.active
        change = _SHOCK_USD * elapsed_s / _SHOCK_S * (1 if active("drawdown") else -1)
        self._shock_usd = min(max(self._shock_usd + change, 0.0), _SHOCK_USD)
        breached = active("risk_limit_breach")
        lost = self._unrealized_usd() < -MAX_DAILY_LOSS_USD
        self._open = breached or lost
        if self._open and self._trip.due():
            self._trigger("position_limit" if breached else "max_daily_loss")
        self._show()

    def _trigger(self, reason: str) -> None:
        self._metrics.risk_failures.labels("circuit_breaker_triggered", _BREACH_SYMBOL).inc()
        unrealized_usd = round(self._unrealized_usd(), 2)
        with span("trigger_circuit_breaker", {"reason": reason}):
            self._around.log.write(
                "ERROR", TARGET, "Risk limit breached", reason=reason, unrealized_pnl=unrealized_usd
            )
            self._around.log.write(
                "ERROR",
                TARGET,
                "Circuit breaker triggered",
                reason=reason,
                unrealized_pnl=unrealized_usd,
                max_daily_loss=MAX_DAILY_LOSS_USD,
            )

    async def check(self, order: Check) -> dict[str, object]:
        """Tell whether an order may be placed."""
        attributes = {"order_id": order.order_id, "symbol": order.symbol}
        with span("pretrade_check", attributes) as current:
            holding = self._mark(order.symbol, order.price)
            failure = self._failure(order.symbol)
            latency_us = self._time_checks(failure)
            current.set_attribute("result", "fail" if failure else "pass")
            self._write_check(order, failure, latency_us)
        self._metrics.zmq_messages_published.labels(NAME, "orders").inc()
        return {
            "result": "fail" if failure else "pass",
            "failure_type": failure,
            "traded_usd": holding.traded_usd,
        }

    def _mark(self, symbol: str, price: float) -> Holding:
        """Take a price; the first of a symbol opens the day's position."""
        known = symbol in self._book.holdings
        holding = self._book.mark(symbol, price)
        if not known:
            self._around.log.write(
                "INFO",
                TARGET,
                "Position opened",
                symbol=symbol,
                quantity=round(holding.quantity, 6),
                price=price,
            )
        return holding

    def _failure(self, symbol: str) -> str | None:
        """Return what an order of a symbol fails by, or None."""
        if self._around.faults.active("risk_limit_breach"):
            self._metrics.risk_failures.labels("position_limit_exceeded", symbol).inc()
            return "position_limit_exceeded"
        return "circuit_breaker_triggered" if self._open else None

    def _time_checks(self, failure: str | None) -> float:
        """Count and time the three checks; return what they took together, in microseconds."""
        spike = self._around.faults.active("latency_spike")
        failed = {
            "position_limit_exceeded": "position_limit",
            "circuit_breaker_triggered": "circuit_breaker",
        }.get(failure or "")
        total_us = 0.0
        for timed, counted in zip(_TIMED, _COUNTED, strict=True):
            took_us = self._around.draws.taken(_CHECK_US, spike=spike)
            total_us += took_us
            self._metrics.pretrade_check_latency.labels(timed).observe(took_us)
            result = "fail" if counted == failed else "pass"
            self._metrics.checks_performed.labels(counted, result).inc()
        return total_us

    def _write_check(self, order: Check, failure: str | None, latency_us: float) -> None:
        span_fields = {"name": "pretrade_check", "order_id": order.order_id}
        fields = {
            "order_id": order.order_id,
            "symbol": order.symbol,
            "latency_us": round(latency_us),
        }
        log = self._around.log
        if failure is None:
            log.write("DEBUG", TARGET, "Risk check passed", span_fields, result="pass", **fields)
        else:
            fields["failure_type"] = failure
            log.write("WARN", TARGET, "Risk check failed", span_fields, result="fail", **fields)

    async def fill(self, fill: Fill) -> dict[str, object]:
        """Book an execution."""
        spike = self._around.faults.active("latency_spike")
        metrics, draws = self._metrics, self._around.draws
        attributes = {"order_id": fill.order_id, "symbol": fill.symbol}
        with span("update_position", attributes):
            signed = fill.quantity if fill.side == "buy" else -fill.quantity
            holding = self._book.trade(fill.symbol, signed, fill.price, fill.strategy)
            metrics.position_update_latency.labels(fill.symbol).observe(
                draws.taken(_UPDATE_US, spike=spike)
            )
            with span("calculate_pnl", {"symbol": fill.symbol}):
                for kind in ("unrealized", "realized"):
                    metrics.pnl_calculation_latency.labels(kind).observe(
                        draws.taken(_PNL_US, spike=spike)
                    )
            self._around.log.write(
                "INFO",
                TARGET,
                "Position updated",
                {"name": "update_position", "order_id": fill.order_id},
                order_id=fill.order_id,
                symbol=fill.symbol,
                quantity=round(holding.quantity, 6),
                value_usd=round(holding.value_usd, 2),
            )
        metrics.zmq_messages_published.labels(NAME, "trades").inc()
        return {"quantity": holding.quantity}

    def _unrealized_usd(self) -> float:
        return self._book.unrealized_total_usd - self._shock_usd

    def _show(self) -> None:
        """Set the gauges of the book; each symbol bears its part of a shock."""
        metrics = self._metrics
        breached = self._around.faults.active("risk_limit_breach")
        for symbol in SYMBOLS:
            holding = self._book.holdings.get(symbol)
            value_usd = holding.value_usd if holding else 0.0
            pnl_usd = holding.unrealized_usd if holding else 0.0
            if breached and symbol == _BREACH_SYMBOL:
                value_usd = _BREACH_USD
            metrics.position_value.labels(symbol, "long").set(max(value_usd, 0.0))
            metrics.position_value.labels(symbol, "short").set(min(value_usd, 0.0))
            metrics.unrealized_pnl.labels(symbol).set(pnl_usd - self._shock_usd / len(SYMBOLS))
            strategy = STRATEGY_OF[symbol]
            metrics.realized_pnl.labels(symbol, strategy).set(
                self._book.realized_usd[symbol, strategy]
            )
        metrics.portfolio_value.set(
            CAPITAL_USD + self._book.realized_total_usd + self._unrealized_usd()
        )
        metrics.open_positions.set(_BREACH_POSITIONS if breached else self._book.open_count)


def main(arguments: Sequence[str]) -> int:
    """Run the service until a signal ends it."""
    return run_process(NAME, arguments, make_metrics, RiskManager)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
