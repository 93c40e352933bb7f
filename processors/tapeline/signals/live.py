"""The view of now: every event counts as soon as it is received, at its place in event order. Pure.

Gauges are taken from it. Nothing in it depends on the order of arrival.
"""

from collections.abc import Container, Iterable

from tapeline.signals.cash import CashBook
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import DEFAULT_STRATEGY, Execution, Identity, Order
from tapeline.signals.executions import Executions
from tapeline.signals.ledger import Ledger
from tapeline.signals.order_terms import TermsBook
from tapeline.signals.orders import OrderName

__all__ = ["LiveView"]


class LiveView:
    """Positions and cash, of all that was received."""

    def __init__(self, settings: EngineSettings) -> None:
        limits = settings.limits
        self._limits = limits
        self.ledger = Ledger(settings.instruments, Executions(limits.parked))
        self.cash = CashBook()
        self.terms = TermsBook()
        self.refused_count = 0
        """Executions of positions beyond the limit."""

    def add_execution(self, event: Execution, identity: Identity, now_ns: int) -> Execution | None:
        """Take an execution, and return it as it counts; None where it changes nothing."""
        held = self.ledger.executions.events.held
        before = held.get(identity)
        if before is None and not self._has_room(event):
            self.refused_count += 1
            return None
        self.ledger.add(event, now_ns, identity)
        after = held.get(identity)
        return None if after is before else after

    def add_order(self, event: Order) -> None:
        """Learn side and strategy of an order's executions."""
        self.ledger.set_terms(event.account, event.id, self.terms.learn(event))

    def correct_order(self, account: str, order_id: str, events: Iterable[Order]) -> None:
        """Learn them anew from all events of an order, since one of them counts no more."""
        terms = self.terms.relearn((account, order_id), events)
        self.ledger.set_terms(account, order_id, terms)

    def forget(self, before_ns: int) -> list[Identity]:
        """Let the revision window begin at a time; return what went with a trade before it."""
        self.cash.forget(before_ns)
        return self.ledger.forget(before_ns)

    def forget_terms(self, before_ns: int, kept: Container[OrderName]) -> None:
        """Drop what quiet orders said, unless they are kept, or executions depend on it."""
        executions = self.ledger.executions
        self.terms.forget(before_ns, kept, executions.dependents)
        executions.forget_terms(before_ns, kept)

    def _has_room(self, event: Execution) -> bool:
        positions = self.ledger.positions
        if len(positions) < self._limits.positions:
            return True
        strategy = event.strategy or self.terms.get(event.account, event.order_id).strategy
        key = (event.account, strategy or DEFAULT_STRATEGY, event.instrument)
        return key in positions
