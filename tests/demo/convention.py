"""What the trading convention demands of an event's attributes, for the demo's tests."""

import re
from collections.abc import Mapping

_DECIMAL = re.compile(r"-?\d+(\.\d+)?")

_REQUIRED = {
    "trading.order": {"trading.order.id", "trading.order.state", "trading.instrument"},
    "trading.quote": {"trading.instrument", "trading.quote.bid", "trading.quote.ask"},
    "trading.mark": {"trading.instrument", "trading.mark.price"},
    "trading.cash": {"trading.cash.id", "trading.cash.amount"},
}
_EXECUTION = {"trading.execution.id", "trading.instrument"}
_TRADE = {"trading.side", "trading.execution.quantity", "trading.execution.price"}
_NUMBERS = re.compile(r"(quantity|price|_price|bid|ask|fee|amount)$")
_STATES = {"decided", "submitted", "acknowledged", "replaced", "canceled", "rejected", "expired"}


def problems(name: str, attributes: Mapping[str, object]) -> list[str]:
    """Return what is wrong with an event; empty where it keeps to the convention."""
    found = [f"{name} lacks {key}" for key in sorted(_required(name, attributes) - set(attributes))]
    for key, value in attributes.items():
        if _NUMBERS.search(key) and not _DECIMAL.fullmatch(str(value)):
            found.append(f"{key} is not a decimal string: {value!r}")
        if _NUMBERS.search(key) and not isinstance(value, str):
            found.append(f"{key} is a {type(value).__name__}")
    if attributes.get("trading.order.state", "decided") not in _STATES:
        found.append(f"unknown state {attributes['trading.order.state']!r}")
    if attributes.get("trading.side", "buy") not in {"buy", "sell"}:
        found.append(f"unknown side {attributes['trading.side']!r}")
    return found


def _required(name: str, attributes: Mapping[str, object]) -> set[str]:
    if name != "trading.execution":
        return _REQUIRED[name]
    if attributes.get("trading.execution.kind", "trade") == "trade":
        return _EXECUTION | _TRADE
    return _EXECUTION | {"trading.execution.ref_id"}
