"""All that is sampled or booked once, in the order of events. Sections 2, 3 and 5, "Samples"."""

from bisect import bisect_left
from dataclasses import dataclass, field
from fractions import Fraction

from plain_signals.chains import Trade, as_reported, revisions
from plain_signals.known import Attributes, Known, mid, named
from plain_signals.orders import arrival, decision, receipt_mid, terms
from tapeline.signals.events import Execution, Identity, Order
from tapeline.signals.instruments import Account, Instrument
from tapeline.signals.metric_table import METRICS

BPS = 10_000


@dataclass
class Booked:
    """A trade that counts, as it stands in the sums, and what it is compared with."""

    trade: Trade
    links: list[str]
    benchmarks: dict[str, Fraction]
    receipt_mid: Fraction | None


@dataclass
class Samples:
    """Sums and histograms by name and attributes; a histogram has its counts and its sum."""

    sums: dict[tuple[str, Attributes], Fraction] = field(default_factory=dict)
    histograms: dict[tuple[str, Attributes], tuple[list[int], Fraction]] = field(
        default_factory=dict
    )

    def add(self, name: str, attributes: Attributes, amount: Fraction | int) -> None:
        key = (f"trading.{name}", attributes)
        self.sums[key] = self.sums.get(key, Fraction(0)) + amount

    def observe(self, name: str, attributes: Attributes, value: Fraction) -> None:
        key = (f"trading.{name}", attributes)
        bounds = METRICS[key[0]].bounds
        counts, total = self.histograms.get(key, ([0] * (len(bounds) + 1), Fraction(0)))
        counts[bisect_left(bounds, value)] += 1
        self.histograms[key] = (counts, total + value)


def instrument_of(known: Known, name: str) -> Instrument:
    """Return what the settings say of an instrument."""
    return known.settings.instruments[name]


def account_of(known: Known, name: str) -> Account:
    """Return what the settings say of an account."""
    return known.settings.accounts.get(name, Account())


def money_of(known: Known, account: str, instrument: str) -> str:
    """Return the currency of notional and P&L."""
    of_instrument = instrument_of(known, instrument)
    return of_instrument.currency(account_of(known, account).base_currency)


def worth(instrument: Instrument, quantity: Fraction, price: Fraction) -> Fraction:
    """Return what a quantity is worth: q·m·price, of an inverse contract q·m/price."""
    amount = quantity * Fraction(instrument.multiplier)
    return amount / price if instrument.is_inverse else amount * price


def bookings(everything: Known, samples: Samples) -> dict[Identity, int]:
    """Book every execution; return at which number of known events each trade was booked."""
    booked: dict[Identity, Booked] = {}
    booked_at: dict[Identity, int] = {}
    for count in range(1, len(everything.events) + 1):
        known = everything.up_to(count)
        if not isinstance(known.events[-1], Order | Execution):
            continue
        for execution in known.executions:
            if execution.kind != "trade":
                continue
            reported = as_reported(known, execution)
            if reported is None:
                continue
            if execution.identity not in booked:
                is_told = isinstance(known.events[-1], Order)
                if is_told and revisions(known, execution)[-1].is_busted:
                    continue  # Its order tells the side of what is no more.
                booked[execution.identity] = _book(known, samples, reported)
                booked_at[execution.identity] = count
                _count(known, samples, reported)
            held = booked[execution.identity]
            steps = revisions(known, execution)
            names = [step.last_id for step in steps]
            # Each link that is new is booked, and taken back by the next.
            new = [n for n, name in enumerate(names) if name not in held.links]
            for step in [steps[n] for n in new]:
                _revise(known, samples, held, step)
                held.trade = step
                _count(known, samples, step)
            held.links = names
    return booked_at


def _count(known: Known, samples: Samples, trade: Trade) -> None:
    """Count the last link of a trade's chain, which is the trade itself at first."""
    identity = (*trade.identity[:3], trade.last_id)
    link = next(event for event in known.executions if event.identity == identity)
    key = named(
        **of_trade(trade),
        venue=link.venue,
        side=side_of(trade.side),
        execution__kind=link.kind,
        execution__liquidity=link.liquidity,
    )
    samples.add("executions", key, 1)


def of_trade(trade: Trade) -> dict[str, str]:
    """Return the attributes that all series of a trade have."""
    reported = trade.reported
    return {
        "account": reported.account,
        "strategy": trade.strategy,
        "instrument": reported.instrument,
    }


def side_of(side: int) -> str:
    """Return how a side is written."""
    return {1: "buy", -1: "sell", 0: ""}[side]


def _book(known: Known, samples: Samples, trade: Trade) -> Booked:
    reported = trade.reported
    benchmarks = _benchmarks(known, trade)
    received = receipt_mid(known, reported.account, trade.order_id) if trade.order_id else None
    _amounts(known, samples, trade, "")
    _fees(known, samples, trade, 1)
    place = {**of_trade(trade), "venue": reported.venue, "side": side_of(trade.side)}
    for name, benchmark in benchmarks.items():
        value = BPS * trade.side * (trade.price - benchmark) / benchmark
        samples.observe("slippage_bps", named(**place, benchmark=name), value)
    _slippage(known, samples, trade, benchmarks, is_reversal=False)
    if received is not None and received > 0:
        value = BPS * 2 * trade.side * (trade.price - received) / received
        samples.observe("effective_spread_bps", named(**place), value)
    return Booked(trade, [trade.last_id], benchmarks, received)


def _benchmarks(known: Known, trade: Trade) -> dict[str, Fraction]:
    """Return the benchmarks of a trade that are known and above 0."""
    reported = trade.reported
    account, order_id = reported.account, trade.order_id
    found: dict[str, Fraction | None] = {
        "quote": mid(known, reported.instrument, reported.venue, reported.time_ns)
    }
    if order_id:
        found["decision"] = decision(known, account, order_id)
        found["arrival"] = arrival(known, account, order_id)
        then = known.up_to(known.events.index(reported) + 1)
        at_execution = terms(then, account, order_id)
        found["limit"] = at_execution.limit if at_execution else None
    return {name: value for name, value in found.items() if value is not None and value > 0}


def _amounts(known: Known, samples: Samples, trade: Trade, suffix: str) -> None:
    reported = trade.reported
    place = {**of_trade(trade), "venue": reported.venue, "side": side_of(trade.side)}
    samples.add(f"volume{suffix}", named(**place), trade.quantity)
    value = worth(instrument_of(known, reported.instrument), trade.quantity, trade.price)
    currency = money_of(known, reported.account, reported.instrument)
    samples.add(f"notional{suffix}", named(**place, currency=currency), value)


def _fees(known: Known, samples: Samples, trade: Trade, sign: int) -> None:
    if trade.fee is None:
        return
    reported = trade.reported
    currency = trade.fee_currency or money_of(known, reported.account, reported.instrument)
    samples.add("fees", named(**of_trade(trade), currency=currency), sign * trade.fee)


def _slippage(
    known: Known,
    samples: Samples,
    trade: Trade,
    benchmarks: dict[str, Fraction],
    *,
    is_reversal: bool,
) -> None:
    reported = trade.reported
    instrument = instrument_of(known, reported.instrument)
    currency = money_of(known, reported.account, reported.instrument)
    for name, benchmark in benchmarks.items():
        key = named(
            **of_trade(trade),
            venue=reported.venue,
            side=side_of(trade.side),
            benchmark=name,
            currency=currency,
        )
        at_benchmark = worth(instrument, trade.quantity, benchmark)
        cost = trade.side * (worth(instrument, trade.quantity, trade.price) - at_benchmark)
        if instrument.is_inverse:
            cost = -cost
        if is_reversal:
            cost = -cost
        samples.add("slippage.cost", key, max(Fraction(0), cost))
        samples.add("slippage.improvement", key, max(Fraction(0), -cost))
        suffix = ".reversed" if is_reversal else ""
        samples.add(f"slippage.notional{suffix}", key, at_benchmark)


def _revise(known: Known, samples: Samples, held: Booked, now: Trade) -> None:
    """Take back what a trade was, and book what it is."""
    was = held.trade
    if not was.is_busted:
        _amounts(known, samples, was, ".reversed")
        _fees(known, samples, was, -1)
        _slippage(known, samples, was, held.benchmarks, is_reversal=True)
    if not now.is_busted:
        _amounts(known, samples, now, "")
        _fees(known, samples, now, 1)
        _slippage(known, samples, now, held.benchmarks, is_reversal=False)
