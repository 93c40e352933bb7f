"""The venue's API that py_rt's execution engine calls: answers drawn, as the faults have it."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tapeline.floor.faults import Faults
from tapeline.floor.py_rt.draws import Draws, Taken

__all__ = ["ENDPOINT", "ERROR_MESSAGES", "METHOD", "REJECTION_REASONS", "Answer", "Venue"]

ENDPOINT: Final = "/v2/orders"
METHOD: Final = "POST"
ERROR_MESSAGES: Final = MappingProxyType(
    {
        "400": "invalid request",
        "401": "unauthorized",
        "429": "rate limit exceeded",
        "500": "internal server error",
        "503": "service unavailable",
    }
)
REJECTION_REASONS: Final = ("insufficient_funds", "risk_limit", "invalid_params")

_CALL_MS: Final = Taken(40.0, 220.0)
_BURST_CODES: Final = ("500", "503", "500", "503", "429")
# So often that a third attempt is common at one order a second.
_CALL_FAILS: Final = 0.85
_ORDER_REJECTED: Final = 0.6
# In quiet times one limit order of this many has parameters that the venue refuses: orders of a
# number that ends so are limit orders (signal_bridge.py).
_QUIET_REJECTION_EVERY: Final = 200
_QUIET_REJECTION_AT: Final = 103
_REASONS_IN_TROUBLE: Final = ("insufficient_funds", "invalid_params")
_PARTIAL_FILLS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call gave. `filled` is the share of the order, 0 where it was not taken."""

    status_code: str
    took_ms: float
    rejection_reason: str | None = None
    filled: float = 0.0

    @property
    def failed(self) -> bool:
        """Tell whether the call itself failed; a rejection is an answer."""
        return self.status_code != "200"


class Venue:
    """Answers calls without a network."""

    def __init__(self, faults: Faults, draws: Draws) -> None:
        self._faults = faults
        self._draws = draws

    def answer(self, number: int) -> Answer:
        """Return the answer to a call for the order of a number."""
        draws = self._draws
        took_ms = draws.taken(_CALL_MS, spike=self._faults.active("latency_spike"))
        if self._faults.active("error_burst") and draws.happens(_CALL_FAILS):
            return Answer(draws.pick(_BURST_CODES), took_ms)
        reason = self._rejection(number)
        if reason is not None:
            return Answer("200", took_ms, rejection_reason=reason)
        return Answer("200", took_ms, filled=0.99 if draws.happens(_PARTIAL_FILLS) else 1.0)

    def _rejection(self, number: int) -> str | None:
        if self._faults.active("rejected_orders") and self._draws.happens(_ORDER_REJECTED):
            return self._draws.pick(_REASONS_IN_TROUBLE)
        quiet = number % _QUIET_REJECTION_EVERY == _QUIET_REJECTION_AT
        return "invalid_params" if quiet else None
