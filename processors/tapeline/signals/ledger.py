"""Executions with the positions that follow from them, within the revision window. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tapeline.signals.archive import Step, repeat
from tapeline.signals.events import Execution, Identity
from tapeline.signals.executions import Change, Executions, OrderTerms
from tapeline.signals.instruments import Instruments
from tapeline.signals.positions import PositionKey, Positions, PositionState

__all__ = ["Ledger"]

_ANY_NUMBER: Final = 1 << 62


class Ledger:
    """Every execution that counts is in its position, and leaves it when it no longer counts."""

    def __init__(
        self,
        instruments: Instruments,
        executions: Executions | None = None,
        names: Positions | None = None,
    ) -> None:
        """`names`: positions of another ledger, whose keys this one holds, too."""
        self.executions = executions or Executions()
        self.positions = Positions(instruments, names)
        self._horizon_ns: int | None = None
        self.late_trade_count = 0
        """Trades from before the revision window; they count from when they came."""
        self.too_late_count = 0
        """Corrections and busts from before the revision window; they were rejected."""

    def begin(self, states: Mapping[PositionKey, PositionState], horizon_ns: int | None) -> None:
        """Begin with positions and window as they were kept; then the executions are added."""
        self._horizon_ns = horizon_ns
        for key, state in states.items():
            self.positions.begin(key, state)

    def restore(
        self,
        states: Mapping[PositionKey, PositionState],
        horizon_ns: int | None,
        terms: Sequence[tuple[str, str, OrderTerms]],
        steps: Iterable[Step],
    ) -> None:
        """Become what it was: positions as they were at the window's beginning, and what was held.

        What is held may be from before the window: a correction of a trade that is in it.
        """
        self.begin(states, horizon_ns)
        # What was accepted is no longer refused, whatever the limit is now.
        limit, self.executions.max_parked = self.executions.max_parked, _ANY_NUMBER
        for again in range(2):
            # Again after the steps, since what is forgotten takes terms along.
            for account, order_id, known in terms:
                self.executions.set_terms(account, order_id, known)
            if not again:
                repeat(self.executions, steps)
        self.executions.max_parked = limit
        for effective in self.executions.effective():
            self.positions.replace(None, effective)

    @property
    def horizon_ns(self) -> int | None:
        """Where the revision window begins; None while nothing was forgotten."""
        return self._horizon_ns

    def add(
        self, event: Execution, now_ns: int, identity: Identity | None = None
    ) -> Sequence[Change]:
        """Take an execution; `now_ns` is where the event time stands, not before the window.

        Its identity, where that is at hand, is what it is held by.
        """
        if self._horizon_ns is not None and event.time_ns < self._horizon_ns:
            if event.kind != "trade":
                self.too_late_count += 1
                return ()
            if event.identity not in self.executions.events.held:
                self.late_trade_count += 1
            event = event._replace(time_ns=now_ns)
        return self._apply(self.executions.add(event, identity))

    def set_terms(self, account: str, order_id: str, terms: OrderTerms) -> Sequence[Change]:
        """Say what an order's side and strategy are."""
        return self._apply(self.executions.set_terms(account, order_id, terms))

    def forget(self, before_ns: int) -> list[Identity]:
        """Let the revision window begin at a time: what is from before it stays as it is.

        Return what was forgotten with its trade, though it is from within the window.
        """
        if self._horizon_ns is not None and before_ns <= self._horizon_ns:
            return []
        self._horizon_ns = before_ns
        gone = self.executions.forget(before_ns)
        self.positions.forget(before_ns)
        return gone

    def _apply(self, changes: Sequence[Change]) -> Sequence[Change]:
        for before, after in changes:
            self.positions.replace(before, after)
        return changes
