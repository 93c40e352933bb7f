"""The view that samples are taken in: each event counts when the watermark has passed it. Pure.

What waits is applied in the order of events; what comes later than the watermark, when it comes.
Before anything of a moment is applied, all that was due before that moment is sampled.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from tapeline.signals.accounts import Accounts
from tapeline.signals.archive import ExecutionLog
from tapeline.signals.booking import Bookkeeper
from tapeline.signals.decimals import ZERO, exact_product
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.event_set import EventSet
from tapeline.signals.events import Cash, Execution, Identity, Order
from tapeline.signals.executions import Change, Executions
from tapeline.signals.horizons import Horizons
from tapeline.signals.ledger import Ledger
from tapeline.signals.market import Market
from tapeline.signals.order_life import Fill
from tapeline.signals.order_terms import TermsBook
from tapeline.signals.orders import HOUR_NS, LatencySample, OrderBook
from tapeline.signals.pending import Pending, PendingQueue
from tapeline.signals.positions import FLAT, PositionKey, key_of
from tapeline.signals.sample_series import SampleSeries
from tapeline.signals.samples import (
    Slippage,
    execution_samples,
    shortfall_of,
    spread_and_markout,
)
from tapeline.signals.series import SeriesSet
from tapeline.signals.trips import Trips

__all__ = ["Pending", "SampledView", "Submission"]

_ONE: Final = Decimal(1)


class Submission(NamedTuple):
    """What became of an order event."""

    is_taken: bool
    replaced: Order | None = None
    """What counted before, where another content of one identity counts now."""


class SampledView:
    """What has passed the watermark, and what waits for it."""

    def __init__(
        self, settings: EngineSettings, market: Market, series: SeriesSet, live: Ledger
    ) -> None:
        limits = settings.limits
        self._settings = settings
        self._market = market
        # What is live decides: twice its limit is never reached.
        executions = Executions(2 * limits.parked)
        self.ledger = Ledger(settings.instruments, executions, live.positions)
        self.book = OrderBook(
            market.mid, grace_ns=settings.order_grace_ns, max_orders=limits.orders
        )
        self.horizons = Horizons(settings.horizons_ns, limits.waiting)
        self.accounts = Accounts(settings, market, self.ledger)
        self.log = ExecutionLog()
        self.terms = TermsBook()
        self.trips = Trips()
        self.bookkeeper = Bookkeeper(settings, series)
        self.samples = SampleSeries(settings, series)
        self.watermark_ns = 0
        self._moment_ns = 0
        """Where the sampled view stands: at the event in hand, or at the watermark."""
        self._queue = PendingQueue()
        self._current: dict[Identity, Pending] = {}
        """Of each identity that waits the event that counts; others of it in the heap do not."""
        self.orders: EventSet[Order] = EventSet()
        """Order events that wait; those that passed are in the book."""
        self.too_late_count = 0
        """Order events of a time whose orders are forgotten."""
        self.forced_count = 0
        """Times that the watermark was moved since too much waited."""

    @property
    def quiet_ns(self) -> int:
        """Before it an order that has closed is forgotten."""
        return self.watermark_ns - HOUR_NS - self._settings.order_grace_ns

    def waiting(self) -> Iterator[Pending]:
        """Yield the events that wait, for a snapshot."""
        return iter(self._current.values())

    def waiting_count(self) -> int:
        """Return how many events wait."""
        return len(self._current)

    def submit(self, event: Execution | Cash, identity: Identity) -> None:
        """Take an execution or cash event which is no duplicate."""
        if event.time_ns < self.watermark_ns:
            self._current.pop(identity, None)
            self._apply(event, identity)
        else:
            self._push(event, identity)

    def submit_order(self, event: Order) -> Submission:
        """Take an order event; one that is known already changes nothing."""
        if event.time_ns >= self.watermark_ns:
            before, after = self.orders.add(event)
            if before is after:
                return Submission(is_taken=False)
            self._push(after, after.identity)
            return Submission(is_taken=True, replaced=before)
        known = self.book.event(event.account, event.id, event.identity)
        if known is not None:
            # What has passed stays: an order event that comes later alters no sample.
            if known.content == event.content:
                self.orders.duplicate_count += 1
            else:
                self.orders.conflict_count += 1
            return Submission(is_taken=False)
        if event.time_ns < self.quiet_ns and (event.account, event.id) not in self.book:
            # It may be one that was there and is forgotten: nothing is counted twice.
            self.too_late_count += 1
            return Submission(is_taken=False)
        self._apply(event, event.identity)
        return Submission(is_taken=True)

    def events_of(self, account: str, order_id: str) -> list[Order]:
        """Return all events of an order that count, those that wait included."""
        life = self.book.order(account, order_id)
        known = [] if life is None else list(life.events)
        waiting = (
            event for event in self.orders if event.account == account and event.id == order_id
        )
        return [*known, *waiting]

    def advance(self, watermark_ns: int, *, is_end: bool = False) -> None:
        """Apply what the watermark passes; at the end of input also what is of that very moment."""
        self.watermark_ns = max(self.watermark_ns, watermark_ns)
        queue, current = self._queue, self._current
        limit_ns = self.watermark_ns + is_end
        while (pending := queue.next_before(limit_ns)) is not None:
            event, identity = pending
            if current.get(identity) is not event:
                continue
            del current[identity]
            if isinstance(event, Order):
                self.orders.discard(identity)
            if event.time_ns != self._moment_ns:
                self._pass_time(event.time_ns)
            self._apply(event, identity)
        self._moment_ns = self.watermark_ns
        self._sample_due(self.watermark_ns, is_end=is_end)
        self._market.advance(self.watermark_ns)

    def make_room(self) -> None:
        """Move the watermark where more waits than may."""
        while len(self._current) > self._settings.limits.pending and len(self._queue):
            self.forced_count += 1
            self.advance(self._queue.middle_ns() + 1)

    def forget(self, before_ns: int) -> None:
        """Let the revision window begin at a time."""
        self.log.forgot(before_ns, self.ledger.forget(before_ns))
        self.accounts.cash.forget(before_ns)
        held = self.ledger.executions.events.held
        gone = [identity for identity in self.bookkeeper.held() if identity not in held]
        self.bookkeeper.forget(gone)

    def forget_orders(self) -> None:
        """Drop orders that are closed and quiet."""
        self.book.forget(self.watermark_ns)
        executions = self.ledger.executions
        self.terms.forget(self.quiet_ns, self.book, executions.dependents)
        executions.forget_terms(self.quiet_ns, self.book)

    def begin(self, watermark_ns: int) -> None:
        """Go on from a watermark."""
        self.watermark_ns = self._moment_ns = watermark_ns

    def restore_waiting(self, events: Iterable[Pending]) -> None:
        """Take back what `waiting` gave."""
        for event in events:
            if isinstance(event, Order):
                self.orders.add(event)
            self._push(event, event.identity)

    def _push(self, event: Pending, identity: Identity) -> None:
        self._current[identity] = event
        self._queue.push(event, identity)

    def _pass_time(self, time_ns: int) -> None:
        """Stand at a moment at which something is to be applied, after all that was due before."""
        self._sample_due(time_ns, is_end=False)
        self._moment_ns = time_ns
        # What the market's memory reaches is told by this moment: not by when batches came.
        self._market.advance(time_ns)

    def _sample_due(self, time_ns: int, *, is_end: bool) -> None:
        limit_ns = time_ns + is_end
        while (closed := self.book.next_due(limit_ns)) is not None:
            instrument = self._settings.instruments[closed.order.instrument]
            self.samples.shortfall(closed, shortfall_of(closed, instrument, self.book))
        while (due := self.horizons.next_due(limit_ns)) is not None:
            held, horizon_ns = due
            execution = self.ledger.executions.effective_of(held.identity)
            if execution is not None:
                realised, markout = spread_and_markout(held, horizon_ns, self._market.quotes)
                self.samples.at_horizon(execution, horizon_ns, realised, markout)
        self.accounts.close_periods(time_ns)

    def _apply(self, event: Pending, identity: Identity) -> None:
        if isinstance(event, Execution):
            self._apply_execution(event, identity)
        elif isinstance(event, Order):
            self._apply_order(event)
        else:
            self.accounts.add_cash(event, self._moment_ns)

    def _apply_order(self, event: Order) -> None:
        latencies = self.book.apply(event)
        self.accounts.record(event.account, self._moment_ns)
        life = self.book.order(event.account, event.id)
        if life is None:
            return
        self.samples.order(event, life)
        self._time_stages(latencies, event)
        changes = self.ledger.set_terms(event.account, event.id, self.terms.learn(event))
        if changes:
            self._changed(changes, [_trade_of(change) for change in changes])

    def _apply_execution(self, event: Execution, identity: Identity) -> None:
        executions = self.ledger.executions
        before = executions.events.held.get(identity)
        changes = self.ledger.add(event, self._moment_ns, identity)
        self.log.added(event)
        is_linked = identity in executions.references
        if event.kind == "trade" and before is None and not is_linked:
            if changes:
                self._changed(changes, (identity,), is_new_trade=True)
            return
        roots = [_trade_of(change) for change in changes]
        chain = executions.chain(identity)
        if chain and chain[0].identity not in roots:
            roots.append(chain[0].identity)
        self._changed(changes, roots)
        if event.kind == "trade" and before is None and not changes and chain and chain[0].side:
            # Its bust came before it, and takes effect right after it: a latency ends with it.
            self._fill(Change(None, chain[0]))
            self._fill(Change(chain[0], None))

    def _changed(
        self,
        changes: Sequence[Change],
        trades: Sequence[Identity],
        *,
        is_new_trade: bool = False,
    ) -> None:
        """Let everything follow from what counts now of some trades."""
        executions = self.ledger.executions
        if is_new_trade:
            after = changes[0].after
            chain = () if after is None else (after,)
            self.bookkeeper.book(trades[0], chain, self._first_booking)
        else:
            for trade in trades:
                self.bookkeeper.book(trade, executions.chain(trade), self._first_booking)
        for change in changes:
            if not is_new_trade or (change.after is not None and change.after.order_id):
                self._fill(change)
            self._follow_up(change)
        for change in changes:
            self._move(change)

    def _first_booking(self, trade: Execution) -> tuple[Slippage, ...]:
        """Take the samples that a trade gives once."""
        instrument = self._settings.instruments[trade.instrument]
        found = execution_samples(trade, instrument, self.book, self._market.quotes)
        self.samples.spread(trade, found.effective_spread_bps)
        if found.waiting is not None:
            self.horizons.add(found.waiting)
        return found.slippages

    def _fill(self, change: Change) -> None:
        before, after = change
        order_id = "" if before is None else before.order_id
        if before is not None and order_id and (after is None or after.order_id != order_id):
            self.book.bust(before.account, order_id, before.identity, before.time_ns)
        if after is None or not after.order_id:
            return
        quantity, price = after.quantity, after.price
        if quantity is None or price is None:
            return  # Never: what counts has both.
        fill = Fill(after.time_ns, quantity, price, self._fee(after))
        latencies = self.book.fill(after.account, after.order_id, after.identity, fill)
        self._time_stages(latencies, after)

    def _fee(self, execution: Execution) -> Decimal | None:
        """Return a fee in the currency of the notional, at the rate of its execution."""
        fee, price = execution.fee, execution.price
        if not fee or price is None:
            return ZERO
        instrument = self._settings.instruments[execution.instrument]
        currency = instrument.currency(self.accounts.terms(execution.account).base_currency)
        if execution.fee_currency in {"", currency}:
            return fee
        if not instrument.is_inverse and execution.fee_currency == instrument.base_currency:
            return exact_product(fee, price)
        return self._market.convert(fee, execution.fee_currency, currency, execution.time_ns)

    def _follow_up(self, change: Change) -> None:
        """Let the samples at horizons follow a correction or bust."""
        before, after = change
        if after is None:
            if before is not None:
                self.horizons.withdraw(before.identity)
        elif (before is not None or after.kind != "trade") and after.price is not None:
            # What is new and no trade was corrected before it came.
            self.horizons.revise(after.identity, after.side, after.price)

    def _move(self, change: Change) -> None:
        before, after = change
        first = None if before is None else key_of(before)
        if first is not None:
            self._moved(first, is_new=False)
        if after is not None:
            key = key_of(after)
            if key != first:
                self._moved(key, is_new=before is None)

    def _moved(self, key: PositionKey, *, is_new: bool) -> None:
        position = self.ledger.positions.get(key)
        if position is not None:
            key = position.key  # The same object for all that is held by it.
        record = self.accounts.record(key[0], self._moment_ns)
        if record is not None:
            record.keys[key] = None
        base = self.accounts.terms(key[0]).base_currency
        instrument = self._settings.instruments[key[2]]
        state = FLAT if position is None else position.state
        currency = instrument.currency(base)
        if self.trips.moved(key, state, instrument, currency, may_close=is_new):
            now_ns = self._moment_ns
            rates = {
                name: self._market.convert(_ONE, name, base, now_ns)
                for name in self.trips.currencies(key)
            }
            self.trips.close(key, rates)

    def _time_stages(self, latencies: Sequence[LatencySample], event: Order | Execution) -> None:
        for latency in latencies:
            self.samples.latency(latency, event)


def _trade_of(change: Change) -> Identity:
    execution = change.after or change.before
    if execution is None:
        raise AssertionError("a change is of something")
    return execution.identity
