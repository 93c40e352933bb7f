"""Positions, their worth and their P&L, replayed from nothing. Sections 2, 3 and 5."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from plain_signals.chains import Trade, as_reported, trades
from plain_signals.known import Known, mid, named
from plain_signals.samples import account_of, instrument_of, money_of, worth
from tapeline.signals.events import Identity
from tapeline.signals.instruments import Instrument

Gauges = dict[tuple[str, tuple[tuple[str, ...], ...]], Fraction | float]


@dataclass
class Leg:
    """What a trip from flat to flat, or to a flip, earned: in the P&L's currency, and its fees."""

    closed: Trade
    earned: Fraction
    fees: dict[str, Fraction]


@dataclass
class Position:
    """What a sequence of trades of one instrument comes to."""

    instrument: Instrument
    currency: str
    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    """What is held was bought (or, below 0, sold) for this."""
    realised: Fraction = Fraction(0)
    fees: dict[str, Fraction] = field(default_factory=dict)
    last: Trade | None = None
    flat_since_ns: int = 0
    trips: list[Leg] = field(default_factory=list)
    trip_realised: Fraction = Fraction(0)
    trip_fees: dict[str, Fraction] = field(default_factory=dict)

    def take(self, trade: Trade) -> None:
        """Apply a trade; one that crosses zero closes first, then opens."""
        signed = trade.side * trade.quantity
        closing = Fraction(0)
        if self.quantity * signed < 0:
            closing = min(abs(self.quantity), trade.quantity)
        fee, currency = self._fee(trade)
        self.fees[currency] = self.fees.get(currency, Fraction(0)) + fee
        self._pay(fee * closing / trade.quantity, currency)
        if closing:
            self._close(trade, closing)
        opening = trade.quantity - closing
        if opening:
            self._pay(fee * opening / trade.quantity, currency)
            self.quantity += trade.side * opening
            self.cost += trade.side * worth(self.instrument, opening, trade.price)
        elif self.quantity == 0:
            self.flat_since_ns = trade.reported.time_ns
        self.last = trade

    def _close(self, trade: Trade, closing: Fraction) -> None:
        share = closing / abs(self.quantity)
        proceeds = -trade.side * worth(self.instrument, closing, trade.price)
        earned = proceeds - self.cost * share
        if self.instrument.is_inverse:
            earned = -earned
        self.realised += earned
        self.trip_realised += earned
        self.cost -= self.cost * share
        self.quantity += trade.side * closing
        if self.quantity == 0:
            self.trips.append(Leg(trade, self.trip_realised, self.trip_fees))
            self.trip_realised, self.trip_fees = Fraction(0), {}

    def _pay(self, fee: Fraction, currency: str) -> None:
        self.trip_fees[currency] = self.trip_fees.get(currency, Fraction(0)) + fee

    def _fee(self, trade: Trade) -> tuple[Fraction, str]:
        """Return a fee: in the base currency of a linear instrument, at the execution price."""
        currency = trade.fee_currency or self.currency
        fee = trade.fee or Fraction(0)
        base = self.instrument.base_currency
        if currency == base and currency != self.currency and not self.instrument.is_inverse:
            return fee * trade.price, self.currency
        return fee, currency

    @property
    def average(self) -> Fraction:
        """Return the average price: of an inverse contract the harmonic one."""
        amount = self.quantity * Fraction(self.instrument.multiplier)
        if amount == 0:
            return Fraction(0)
        return amount / self.cost if self.instrument.is_inverse else self.cost / amount

    def value(self, price: Fraction) -> Fraction:
        """Return what is held at a price."""
        return worth(self.instrument, self.quantity, price)

    def unrealised(self, price: Fraction) -> Fraction:
        """Return what is held at a price, less what it cost; of an inverse contract the other."""
        gain = self.value(price) - self.cost
        return -gain if self.instrument.is_inverse else gain


def position(known: Known, account: str, name: str, of: Sequence[Trade]) -> Position:
    """Return the position of some trades of one account and instrument, in order."""
    held = Position(instrument_of(known, name), money_of(known, account, name))
    for trade in of:
        held.take(trade)
    return held


def by_strategy(
    known: Known, booked_at: dict[Identity, int] | None = None
) -> dict[tuple[str, str, str], Position]:
    """Return all positions by account, strategy and instrument.

    Where it is given when trades were booked, they are of the strategy that was known then.
    """
    grouped: dict[tuple[str, str, str], list[Trade]] = {}
    for trade in trades(known):
        strategy = trade.strategy
        if booked_at is not None:
            then = known.up_to(booked_at[trade.identity])
            booked = as_reported(then, trade.reported)
            assert booked is not None
            strategy = booked.strategy
        key = (trade.reported.account, strategy, trade.reported.instrument)
        grouped.setdefault(key, []).append(trade)
    return {key: position(known, key[0], key[2], of) for key, of in grouped.items()}


def netted(known: Known, account: str) -> dict[str, Position]:
    """Return an account's positions by instrument, over all strategies."""
    grouped: dict[str, list[Trade]] = {}
    for trade in trades(known):
        if trade.reported.account == account:
            grouped.setdefault(trade.reported.instrument, []).append(trade)
    return {name: position(known, account, name, of) for name, of in grouped.items()}


def price_of(known: Known, name: str, held: Position) -> tuple[Fraction, str]:
    """Return the price that a position is valued at, and its source; at any venue."""
    marks = [mark for mark in known.marks if mark.instrument == name]
    oldest_ns = known.settings.max_mark_age_ns
    if marks and (oldest_ns is None or known.time_ns - marks[-1].time_ns <= oldest_ns):
        return Fraction(marks[-1].price), "mark"
    quotes = [quote for quote in known.quotes if quote.instrument == name]
    if quotes and known.time_ns - quotes[-1].time_ns <= known.settings.max_quote_age_ns:
        if held.quantity >= 0:
            return Fraction(quotes[-1].bid), "bid"
        return Fraction(quotes[-1].ask), "ask"
    assert held.last is not None
    return held.last.price, "last"


def rate(known: Known, source: str, target: str) -> Fraction | None:
    """Return what one unit of a currency is of another: the fewest pairs, then the first listed."""
    ways: list[tuple[list[str], Fraction | None]] = [([source], Fraction(1))]
    while ways:
        for currencies, found in ways:
            if currencies[-1] == target:
                return found
        ways = [
            ([*currencies, there], None if found is None or step is None else found * step)
            for currencies, found in ways
            for there, step in _steps(known, currencies[-1])
            if there not in currencies
        ]
    return None


def _steps(known: Known, currency: str) -> list[tuple[str, Fraction | None]]:
    steps: list[tuple[str, Fraction | None]] = []
    for pair in known.settings.pairs:
        if currency in (pair.base, pair.quote):
            price = mid(known, pair.instrument, pair.venue, known.time_ns)
            if price is not None and price <= 0:
                price = None
            if currency == pair.base:
                steps.append((pair.quote, price))
            else:
                steps.append((pair.base, None if price is None else 1 / price))
    return steps


def converted(known: Known, amounts: dict[str, Fraction], target: str) -> Fraction | None:
    """Return native totals in a currency, None where a rate of one that is not 0 is missing."""
    total = Fraction(0)
    for currency, amount in amounts.items():
        if amount == 0:
            continue
        factor = rate(known, currency, target)
        if factor is None:
            return None
        total += amount * factor
    return total


def net_amounts(held: Position, price: Fraction) -> dict[str, Fraction]:
    """Return realised and unrealised P&L less fees, by currency."""
    amounts = {currency: -fee for currency, fee in held.fees.items()}
    earned = held.realised + held.unrealised(price)
    amounts[held.currency] = amounts.get(held.currency, Fraction(0)) + earned
    return amounts


def position_gauges(known: Known) -> Gauges:
    """Return the gauges of every position; of a flat one for a while, its P&L for good."""
    found: Gauges = {}
    for (account, strategy, name), held in by_strategy(known).items():
        of = {"account": account, "strategy": strategy, "instrument": name}
        money = named(**of, currency=held.currency)
        found["trading.pnl.realized", money] = held.realised
        price, source = price_of(known, name, held)
        base = account_of(known, account).base_currency
        net = converted(known, net_amounts(held, price), base)
        if net is not None:
            found["trading.pnl.net", named(**of, currency=base)] = net
        is_flat = held.quantity == 0
        if is_flat and known.time_ns - held.flat_since_ns > known.settings.flat_series_ns:
            continue
        found["trading.position.quantity", named(**of)] = held.quantity
        found["trading.position.average_price", money] = held.average
        found["trading.position.value", money] = held.value(price)
        key = named(**of, currency=held.currency, price_source=source)
        found["trading.pnl.unrealized", key] = held.unrealised(price)
    return found
