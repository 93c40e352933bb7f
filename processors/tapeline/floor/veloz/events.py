"""VeloZ's orders, executions and quotes as events of the trading convention, and as log lines."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from opentelemetry._logs import SeverityNumber, get_logger

from tapeline.floor.log_line import LineWriter
from tapeline.floor.tape import Quote
from tapeline.floor.veloz.orders import BASIS_POINTS, FEE_BPS, Order
from tapeline.instrument import trace_ids

__all__ = ["ACCOUNT", "VENUE", "VERSION", "EngineLog", "Events"]

ACCOUNT: Final = "veloz"
VENUE: Final = "binance"
VERSION: Final = "1.0.0"
_KEPT_LONGER: Final = frozenset({"ERROR", "CRITICAL"})


class Events:
    """Sends business events as OTLP log records of the current trace."""

    def __init__(self) -> None:
        self._logger = get_logger("tapeline.floor.veloz.events")
        self._sequence = 0

    def order(self, order: Order, state: str, **further: str) -> None:
        """Send `trading.order`; `further` are attributes below `trading.order.`."""
        attributes = self._common(order) | {
            "trading.order.id": order.order_id,
            "trading.order.state": state,
            "trading.side": order.side.lower(),
            "trading.order.quantity": format(order.quantity, "f"),
        }
        if order.type == "LIMIT":
            attributes["trading.order.limit_price"] = format(order.price, "f")
        if state == "decided":
            attributes["trading.order.decision_price"] = format(order.decision_price, "f")
        attributes |= {f"trading.order.{name}": value for name, value in further.items()}
        self._emit("trading.order", attributes)

    def execution(self, order: Order, price: Decimal) -> None:
        """Send `trading.execution`: the whole order at one price, as a taker."""
        fee = (order.quantity * price * FEE_BPS / BASIS_POINTS).quantize(Decimal("0.00000001"))
        attributes = self._common(order) | {
            "trading.execution.id": f"{order.order_id}-1",
            "trading.order.id": order.order_id,
            "trading.side": order.side.lower(),
            "trading.execution.quantity": format(order.quantity, "f"),
            "trading.execution.price": format(price, "f"),
            "trading.execution.fee": format(fee, "f"),
            "trading.execution.fee_currency": "USD",
            "trading.execution.liquidity": "taker",
        }
        self._emit("trading.execution", attributes)

    def quote(self, quote: Quote) -> None:
        """Send `trading.quote`."""
        self._sequence += 1
        attributes: dict[str, str | int] = {
            "trading.instrument": quote.symbol,
            "trading.venue": VENUE,
            "trading.sequence": self._sequence,
            "trading.quote.bid": format(quote.bid, "f"),
            "trading.quote.ask": format(quote.ask, "f"),
        }
        self._emit("trading.quote", attributes)

    def deposit(self, run: str, amount: Decimal) -> None:
        """Send the `trading.cash` of the run's opening equity."""
        attributes: dict[str, str | int] = {
            "trading.account": ACCOUNT,
            "trading.cash.id": f"{run}-veloz-deposit",
            "trading.cash.amount": format(amount, "f"),
            "trading.cash.currency": "USD",
        }
        self._emit("trading.cash", attributes)

    @staticmethod
    def _common(order: Order) -> dict[str, str | int]:
        return {
            "trading.account": ACCOUNT,
            "trading.strategy": order.strategy,
            "trading.instrument": order.symbol,
            "trading.venue": VENUE,
        }

    def _emit(self, name: str, attributes: Mapping[str, str | int]) -> None:
        self._logger.emit(
            timestamp=time.time_ns(),
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=name,
            event_name=name,
            attributes=dict(attributes),
        )


@dataclass(frozen=True, slots=True)
class EngineLog:
    """The engine's log file: the guide's flat lines, with what the design asks of every line.

    `attributes` is the design's nested object; the guide's fields stand beside it.
    """

    lines: LineWriter

    def write(
        self,
        level: str,
        message: str,
        origin: tuple[str, int, str],
        attributes: Mapping[str, object] | None = None,
        **fields: object,
    ) -> None:
        """Append a line of the current trace; `origin` is source file, line and function."""
        now = datetime.now(tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        record: dict[str, object] = {
            "timestamp": now,
            "level": level,
            "component": "engine",
            "message": message,
            "service": "veloz-engine",
            "version": VERSION,
            "file": origin[0],
            "line": origin[1],
            "function": origin[2],
        }
        if level in _KEPT_LONGER:
            record["log_type"] = "error"  # the class by which Loki keeps it for 30 days
        record |= fields
        record |= trace_ids()
        if attributes is not None:
            record["attributes"] = dict(attributes)
        self.lines.write(record)
