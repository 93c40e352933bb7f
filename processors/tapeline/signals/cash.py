"""Deposits and withdrawals: what counts of them, by account and currency. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext

from tapeline.signals.decimals import EXACT, ZERO
from tapeline.signals.event_set import EventSet
from tapeline.signals.events import Cash

__all__ = ["CashBook"]


class CashBook:
    """Cash events by identity, and their totals."""

    def __init__(self) -> None:
        self.events: EventSet[Cash] = EventSet()
        self._totals: dict[str, dict[str, Decimal]] = {}

    def add(self, event: Cash) -> tuple[Cash | None, Cash]:
        """Take an event; return which one of its identity counted before, and counts now."""
        before, after = self.events.add(event)
        if before is not after:
            if before is not None:
                self._book(before, -before.amount)
            self._book(after, after.amount)
        return before, after

    def totals(self, account: str) -> Mapping[str, Decimal]:
        """Return what was deposited by currency; an empty one is the account's base currency."""
        return self._totals.get(account, {})

    def accounts(self) -> Iterator[str]:
        """Yield the accounts that had cash events."""
        return iter(self._totals)

    def forget(self, before_ns: int) -> None:
        """Drop the identities of events from before a time; the totals keep their amounts."""
        for event in [event for event in self.events if event.time_ns < before_ns]:
            self.events.discard(event.identity)

    def begin(self, totals: Mapping[str, Mapping[str, Decimal]], events: Iterator[Cash]) -> None:
        """Go on from totals, and the events that are in them."""
        self._totals = {account: dict(amounts) for account, amounts in totals.items()}
        for event in events:
            self.events.add(event)

    def _book(self, event: Cash, amount: Decimal) -> None:
        totals = self._totals.setdefault(event.account, {})
        with localcontext(EXACT):
            total = totals.get(event.currency, ZERO) + amount
        if total:
            totals[event.currency] = total
        else:
            totals.pop(event.currency, None)  # Nothing needs no rate.
