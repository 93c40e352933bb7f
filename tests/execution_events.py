"""Executions for tests, and what the definitions say about them, plainly and slowly."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tapeline.signals.events import Execution, Side
from tapeline.signals.instruments import Instrument


def trade(
    time_ns: int, signed_quantity: str | int, price: str | int, name: str = "", **more: Any
) -> Execution:
    """Return a trade of instrument X on account a: a sale where the quantity is negative."""
    quantity = Decimal(signed_quantity)
    side: Side = 1 if quantity > 0 else -1
    values: dict[str, Any] = {
        "account": "a",
        "venue": "v",
        "instrument": "X",
        "id": name or f"e{time_ns}",
        "side": side,
        "quantity": abs(quantity),
        "price": Decimal(price),
    }
    return Execution(time_ns, **(values | more))


def correct(time_ns: int, name: str, ref_id: str, **values: Any) -> Execution:
    """Return a correction of an execution; quantity and price as decimal strings."""
    for key in ("quantity", "price", "fee"):
        if key in values:
            values[key] = Decimal(values[key])
    return Execution(time_ns, "a", "v", "X", name, "correct", ref_id, **values)


def bust(time_ns: int, name: str, ref_id: str) -> Execution:
    """Return a bust of an execution."""
    return Execution(time_ns, "a", "v", "X", name, "bust", ref_id)


@dataclass
class PlainPosition:
    """A position by the formulas of the convention, in fractions: nothing is rounded."""

    instrument: Instrument
    quantity: Fraction = Fraction(0)
    average: Fraction = Fraction(0)
    realised: Fraction = Fraction(0)
    paid: Fraction = Fraction(0)
    """What was paid for all executions, less what was got; of inverse ones, the other way round."""

    def apply(self, executions: Iterable[Execution]) -> "PlainPosition":
        """Take executions, splitting those that cross zero into two legs."""
        for execution in executions:
            assert execution.quantity is not None
            assert execution.price is not None
            price = Fraction(execution.price)
            change = execution.side * Fraction(execution.quantity)
            self.paid += self._worth(change, price)
            if self.quantity * change < 0:
                closed = min(abs(change), abs(self.quantity))
                direction = 1 if self.quantity > 0 else -1
                self._close(closed, price, direction)
                change += closed * direction
            if change:
                self._open(change, price)
        return self

    def unrealised(self, price: Fraction) -> Fraction:
        """Return the P&L of closing at a price."""
        if not self.quantity:
            return Fraction(0)
        multiplier = Fraction(self.instrument.multiplier)
        if self.instrument.is_inverse:
            return self.quantity * multiplier * (1 / self.average - 1 / price)
        return self.quantity * multiplier * (price - self.average)

    def _worth(self, quantity: Fraction, price: Fraction) -> Fraction:
        amount = quantity * Fraction(self.instrument.multiplier)
        return amount / price if self.instrument.is_inverse else amount * price

    def _close(self, closed: Fraction, price: Fraction, direction: int) -> None:
        amount = closed * Fraction(self.instrument.multiplier) * direction
        if self.instrument.is_inverse:
            self.realised += amount * (1 / self.average - 1 / price)
        else:
            self.realised += amount * (price - self.average)
        self.quantity -= closed * direction

    def _open(self, change: Fraction, price: Fraction) -> None:
        total = self.quantity + change
        if not self.quantity:
            self.average = price
        elif self.instrument.is_inverse:
            self.average = total / (self.quantity / self.average + change / price)
        else:
            self.average = (self.quantity * self.average + change * price) / total
        self.quantity = total


def plainly_effective(arrivals: Iterable[Execution]) -> list[Execution]:
    """Return the executions that count, of events that all state what they need, in event order."""
    held: dict[str, Execution] = {}
    for event in sorted(arrivals, key=lambda event: (event.time_ns, event.content)):
        held.setdefault(event.id, event)
    effective = []
    for event in held.values():
        value: Execution | None = event if event.kind == "trade" else None
        last = event
        while value is not None:
            following = [
                other
                for other in held.values()
                if other.kind != "trade"
                and other.ref_id == last.id
                and other.side in {0, value.side}
            ]
            if not following:
                effective.append(value)
                break
            last = max(following, key=lambda other: (other.time_ns, len(other.id), other.id))
            value = None if last.kind == "bust" else _replaced(value, last)
    return sorted(effective, key=lambda event: event.order_key)


def _replaced(value: Execution, link: Execution) -> Execution:
    stated = {
        name: getattr(link, name)
        for name in ("quantity", "price", "fee", "fee_currency", "liquidity", "strategy")
        if getattr(link, name) not in {None, ""}
    }
    return value._replace(**stated)
