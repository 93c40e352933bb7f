"""Accounts as samples see them: equity at a moment, and the returns of closed periods. Pure."""

from collections import deque
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Final

from tapeline.signals.cash import CashBook
from tapeline.signals.decimals import EXACT
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Cash
from tapeline.signals.instruments import Account
from tapeline.signals.ledger import Ledger
from tapeline.signals.market import Market
from tapeline.signals.positions import PositionKey
from tapeline.signals.returns import PeriodReturns, equity_after_cash, period_end
from tapeline.signals.valuing import figures_of

__all__ = ["AccountRecord", "Accounts"]

MAX_CURVE: Final = 1_000
"""Period ends whose equity is kept to be shown."""
MAX_STEPS: Final = 1_000
"""Periods that are valued one by one where the watermark passes more of them at once."""
DEFAULT_ACCOUNT_TERMS: Final = Account()


class AccountRecord:
    """One account's positions, and its returns."""

    __slots__ = ("curve", "keys", "returns")

    def __init__(self, starting_equity: Decimal) -> None:
        self.keys: dict[PositionKey, None] = {}
        self.returns = PeriodReturns()
        self.returns.begin(starting_equity)
        self.curve: deque[tuple[int, Decimal]] = deque(maxlen=MAX_CURVE)
        """Time and equity at the ends of periods."""


class Accounts:
    """All accounts that had an event which has passed the watermark."""

    def __init__(self, settings: EngineSettings, market: Market, ledger: Ledger) -> None:
        self._settings = settings
        self._market = market
        self._ledger = ledger
        self.cash = CashBook()
        self._records: dict[str, AccountRecord] = {}
        self.next_boundary_ns: int | None = None
        """The end of the open period; None before the first event."""
        self.refused_count = 0
        """Accounts beyond the limit: they have no returns."""

    def terms(self, account: str) -> Account:
        """Return what the configuration says of an account."""
        return self._settings.accounts.get(account, DEFAULT_ACCOUNT_TERMS)

    def items(self) -> Iterator[tuple[str, AccountRecord]]:
        """Yield the accounts by name."""
        return iter(self._records.items())

    def get(self, account: str) -> AccountRecord | None:
        """Return an account; None where it had no event yet."""
        return self._records.get(account)

    def record(self, account: str, time_ns: int) -> AccountRecord | None:
        """Return an account, which begins with this event; None where there is no room."""
        found = self._records.get(account)
        if found is None:
            if len(self._records) >= self._settings.limits.accounts:
                self.refused_count += 1
                return None
            found = AccountRecord(self.terms(account).starting_equity)
            self._records[account] = found
        if self.next_boundary_ns is None:
            self.next_boundary_ns = period_end(time_ns, self._settings.risk_period_ns)
        return found

    def restore(self, account: str) -> AccountRecord:
        """Return an account that was there when the state was kept."""
        record = self._records[account] = AccountRecord(self.terms(account).starting_equity)
        return record

    def equity(self, account: str, time_ns: int) -> Decimal | None:
        """Return starting equity, cash and net P&L as of a moment; None where an input lacks."""
        terms = self.terms(account)
        base = terms.base_currency
        total = terms.starting_equity
        record = self._records.get(account)
        with localcontext(EXACT):
            for currency, amount in self.cash.totals(account).items():
                converted = self._market.convert(amount, currency or base, base, time_ns)
                if converted is None:
                    return None
                total += converted
            for key in record.keys if record is not None else ():
                net = self._net_pnl(key, base, time_ns)
                if net is None:
                    return None
                total += net
        return total

    def add_cash(self, event: Cash, time_ns: int) -> None:
        """Take a deposit at a moment: a sub-period closes just before it."""
        record = self.record(event.account, time_ns)
        before = self.equity(event.account, time_ns)
        counted, counts = self.cash.add(event)
        if counted is counts or record is None:
            return
        base = self.terms(event.account).base_currency
        amount = self._market.convert(counts.amount, counts.currency or base, base, time_ns)
        if counted is not None:
            after = self.equity(event.account, time_ns)
        else:
            after = equity_after_cash(before, amount)
        record.returns.cash(before, after)

    def close_periods(self, time_ns: int) -> None:
        """Close every period that has ended by a moment."""
        period_ns = self._settings.risk_period_ns
        while self.next_boundary_ns is not None and self.next_boundary_ns <= time_ns:
            boundary_ns = self.next_boundary_ns
            left = (time_ns - boundary_ns) // period_ns
            quiet = max(0, left - MAX_STEPS)
            for account, record in self._records.items():
                # A quote of the boundary itself belongs to the period that begins there.
                equity = self.equity(account, boundary_ns - 1)
                record.returns.close(equity, quiet)
                if equity is not None:
                    record.curve.append((boundary_ns, equity))
            self.next_boundary_ns = boundary_ns + (quiet + 1) * period_ns

    def _net_pnl(self, key: PositionKey, base: str, time_ns: int) -> Decimal | None:
        state = self._ledger.positions.state(key)
        instrument = self._settings.instruments[key[2]]
        price = self._market.price_at(key[2], state.quantity, state.last_price, time_ns)

        def convert(amount: Decimal, currency: str) -> Decimal | None:
            return self._market.convert(amount, currency, base, time_ns)

        return figures_of(state, instrument, instrument.currency(base), price, convert).base_net_pnl
