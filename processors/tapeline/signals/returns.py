"""Time-weighted returns of an account: what a period earned, whatever was deposited in it.

A cash event closes a sub-period just before it (the true time-weighted method of the GIPS: value
the account at each flow, and link). Closed periods are never restated. Pure.
"""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal, localcontext
from itertools import repeat
from typing import Final, NamedTuple

from tapeline.signals.decimals import EXACT, ZERO
from tapeline.signals.risk import DAY_NS, compounded, period_return, settled

__all__ = ["PeriodReturns", "ReturnsState", "period_end"]

MAX_RETURNS: Final = 10_000


class ReturnsState(NamedTuple):
    """All of a series of returns, for a snapshot."""

    returns: tuple[Decimal, ...] = ()
    start: Decimal | None = None
    linked: Decimal | None = ZERO
    has_begun: bool = False
    last_equity: Decimal | None = None
    unknown_count: int = 0


class PeriodReturns:
    """The last returns of one account, and the period that is open.

    Equity is None where it is unknown, as a rate is missing. A period at one of whose sub-periods'
    ends equity is unknown, or 0 or less, has no return. The record begins with the first equity
    above 0: before that there was nothing to earn with, and it spoils no period.
    """

    def __init__(self, max_returns: int = MAX_RETURNS) -> None:
        self._returns: deque[Decimal] = deque(maxlen=max_returns)
        self._start: Decimal | None = None
        """Equity at the start of the open sub-period; None where it is unknown, or 0 or less."""
        self._linked: Decimal | None = ZERO
        """The return of the sub-periods of the open period that are closed; None: it has none."""
        self._has_begun = False
        self.last_equity: Decimal | None = None
        """At the end of the last period; the value at risk is a part of it."""
        self.unknown_count = 0
        """Periods without a return."""
        self.closed_count = 0
        """Periods that were closed since this object was made."""

    @property
    def returns(self) -> Sequence[Decimal]:
        """Return the returns in order, the oldest first."""
        return self._returns

    def state(self) -> ReturnsState:
        """Return what a snapshot keeps."""
        return ReturnsState(
            tuple(self._returns),
            self._start,
            self._linked,
            self._has_begun,
            self.last_equity,
            self.unknown_count,
        )

    def restore(self, state: ReturnsState) -> None:
        """Go on from what `state` gave; of more returns than the window the last ones count."""
        self._returns.clear()
        self._returns.extend(state.returns)
        self._start, self._linked = state.start, state.linked
        self._has_begun = state.has_begun
        self.last_equity, self.unknown_count = state.last_equity, state.unknown_count

    def begin(self, equity: Decimal | None) -> None:
        """Say what the account starts with, before its first event."""
        self._start_with(equity)

    def cash(self, equity_before: Decimal | None, equity_after: Decimal | None) -> None:
        """Close a sub-period just before a deposit or withdrawal, and open one just after it."""
        self._link(equity_before)
        self._start_with(equity_after)

    def close(self, equity: Decimal | None, quiet_count: int = 0) -> None:
        """Close the open period with its end's equity, and as many after it in which it stays.

        A period in which nothing happened returns 0, one without equity nothing.
        """
        self.closed_count += 1
        self._link(equity)
        self._end_period()
        self._start_with(equity)
        if quiet_count and self._start is not None:
            count = min(quiet_count, self._returns.maxlen or quiet_count)
            self._returns.extend(repeat(ZERO, count))
        elif quiet_count and self._has_begun:
            self.unknown_count += quiet_count
        self.last_equity = equity

    def open_return(self, equity: Decimal | None) -> Decimal | None:
        """Return what the open period has returned by now; None where it has no return."""
        if self._linked is None or equity is None or not _is_positive(equity):
            return None
        if not self._has_begun:
            return ZERO
        if self._start is None:
            return None
        return compounded(self._linked, period_return(self._start, equity))

    def _link(self, equity: Decimal | None) -> None:
        if not self._has_begun:
            return
        self._linked = self.open_return(equity)

    def _end_period(self) -> None:
        if not self._has_begun:
            return
        if self._linked is None:
            self.unknown_count += 1
        else:
            self._returns.append(settled(self._linked))
        self._linked = ZERO

    def _start_with(self, equity: Decimal | None) -> None:
        self._start = equity if _is_positive(equity) else None
        if self._start is not None:
            self._has_begun = True


def period_end(time_ns: int, period_ns: int = DAY_NS) -> int:
    """Return the end of the period in which a moment lies: periods begin at 1970-01-01 00:00 UTC.

    A boundary belongs to the period that it begins.
    """
    return (time_ns // period_ns + 1) * period_ns


def equity_after_cash(equity: Decimal | None, amount: Decimal | None) -> Decimal | None:
    """Return equity just after a deposit; None where one of them is unknown."""
    if equity is None or amount is None:
        return None
    with localcontext(EXACT):
        return equity + amount


def _is_positive(equity: Decimal | None) -> bool:
    return equity is not None and equity > ZERO
