"""What the demo's services say to each other over HTTP, as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tapeline.demo.tape import INSTRUMENTS, Decision, Instrument, Quote, Side, Step

__all__ = ["Settings", "decision_from_json", "decision_to_json", "step_from_json", "step_to_json"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the services of one run share. Ports are on 127.0.0.1; `run` makes ids unique."""

    seed: int
    run: str
    rate_per_s: float
    duration_s: float
    strategy_port: int
    gateway_port: int
    back_office_port: int
    log_path: str
    log_size_bytes: int


_BY_NAME = {each.name: each for each in INSTRUMENTS}


def step_to_json(step: Step) -> dict[str, Any]:
    """Return a step of the market as JSON."""
    quotes = [
        {"instrument": each.instrument.name, "bid": str(each.bid), "ask": str(each.ask)}
        for each in step.quotes
    ]
    return {"number": step.number, "quotes": quotes}


def step_from_json(content: Mapping[str, Any]) -> Step:
    """Return the step; raises KeyError or ValueError where the content is of another form."""
    quotes = tuple(
        Quote(_instrument(each["instrument"]), Decimal(each["bid"]), Decimal(each["ask"]))
        for each in content["quotes"]
    )
    return Step(int(content["number"]), quotes)


def decision_to_json(decision: Decision) -> dict[str, Any]:
    """Return an order as JSON."""
    replacement = decision.replacement_price
    return {
        "number": decision.number,
        "instrument": decision.instrument.name,
        "side": decision.side.value,
        "quantity": str(decision.quantity),
        "limit_price": str(decision.limit_price),
        "decision_price": str(decision.decision_price),
        "replacement_price": None if replacement is None else str(replacement),
    }


def decision_from_json(content: Mapping[str, Any]) -> Decision:
    """Return the order; raises KeyError or ValueError where the content is of another form."""
    replacement = content["replacement_price"]
    return Decision(
        number=int(content["number"]),
        instrument=_instrument(content["instrument"]),
        side=Side(content["side"]),
        quantity=Decimal(content["quantity"]),
        limit_price=Decimal(content["limit_price"]),
        decision_price=Decimal(content["decision_price"]),
        replacement_price=None if replacement is None else Decimal(replacement),
    )


def _instrument(name: str) -> Instrument:
    return _BY_NAME[name]
