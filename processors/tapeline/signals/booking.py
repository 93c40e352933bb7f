"""What executions book in append-only series: counts, volume, fees, slippage, and reversals.

A trade is booked once, as reported; a correction or bust books the reversal of what it replaces,
and a correction its own values. Histograms take one sample of a trade for ever. Pure.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import DEFAULT_STRATEGY, Execution, Identity, Order, Side
from tapeline.signals.executions import bookings
from tapeline.signals.instruments import Account, Instrument
from tapeline.signals.points import Attributes, Exemplar, attributes_of
from tapeline.signals.samples import Slippage
from tapeline.signals.series import Histogram, SeriesSet, Sum
from tapeline.signals.slippage import Benchmark, Missing, MoneySlippage, money_slippage
from tapeline.signals.worst import CurrencyCosts, WorstExecutions

__all__ = ["SIDES", "BookedTrade", "Bookkeeper", "Prices", "exemplar_of"]

SIDES: Final = {1: "buy", -1: "sell", 0: ""}
_BENCHMARKS: Final = tuple(Benchmark)
_NO_PRICES: Final = (None, None, None, None)
_BUNDLE_SERIES: Final = 4
"""A bundle has at least so many: there are no more bundles than fill the room for series."""

Prices = tuple[Decimal | None, ...]
"""Of each benchmark, in the order of `Benchmark`, when the trade was booked."""
Sampler = Callable[[Execution], tuple[Slippage, ...]]
"""Takes the samples that a trade gives once; returns its slippage, in the order of `Benchmark`."""


class BookedTrade(NamedTuple):
    """How a trade was booked: what a later reversal needs, and can't be found out any more."""

    identity: Identity
    side: Side
    strategy: str
    prices: Prices


class _Booked:
    """How a trade was booked, with the chain that is booked of it: nearly always itself alone."""

    __slots__ = ("_chain", "prices", "side", "strategy")

    def __init__(self, side: Side, strategy: str, prices: Prices) -> None:
        self.side: Side = side
        self.strategy = strategy
        self.prices = prices
        self._chain: Execution | tuple[Execution, ...] | None = None

    @property
    def chain(self) -> tuple[Execution, ...]:
        chain = self._chain
        if chain is None:
            return ()
        return (chain,) if isinstance(chain, Execution) else chain

    def become(self, chain: tuple[Execution, ...]) -> None:
        """Have another chain booked."""
        self._chain = chain[0] if len(chain) == 1 else chain

    def as_booked(self, chain: tuple[Execution, ...]) -> tuple[Execution, ...]:
        """Return a chain with the side and strategy that its trade was booked with.

        What an order tells later moves positions; what was booked is reversed where it was booked.
        """
        if not chain or (chain[0].side, chain[0].strategy) == (self.side, self.strategy):
            return chain
        return (chain[0]._replace(side=self.side, strategy=self.strategy), *chain[1:])


_BundleKey = tuple[str, str, str, str, int]
"""Account, strategy, instrument, venue and side."""


class _Money(NamedTuple):
    """The sums of one benchmark."""

    cost: Sum
    improvement: Sum
    notional: Sum
    notional_reversed: Sum


class _Bundle:
    """The series of one key.

    All sums of a kind begin at 0 together: an expression over two of them has no result while one
    is absent.
    """

    __slots__ = ("_bps", "_currency", "_key", "_money", "_series", "amounts", "costs", "reversed")

    def __init__(
        self, key: _BundleKey, currency: str, series: SeriesSet, costs: CurrencyCosts
    ) -> None:
        self._key = key
        self._currency = currency
        self._series = series
        self.costs = costs
        plain, money = self._attributes(), self._attributes(currency=currency)
        volume, worth, volume_reversed, worth_reversed = series.sums_together(
            (
                ("trading.volume", plain),
                ("trading.notional", money),
                ("trading.volume.reversed", plain),
                ("trading.notional.reversed", money),
            )
        )
        self.amounts = (volume, worth)
        """Volume and notional."""
        self.reversed = (volume_reversed, worth_reversed)
        self._money: dict[Benchmark, _Money] = {}
        self._bps: dict[Benchmark, Histogram] = {}

    def money(self, benchmark: Benchmark) -> _Money:
        """Return what an execution cost beside a benchmark."""
        found = self._money.get(benchmark)
        if found is None:
            attributes = self._attributes(currency=self._currency, benchmark=benchmark)
            names = ("cost", "improvement", "notional", "notional.reversed")
            found = self._money[benchmark] = _Money(
                *self._series.sums_together(
                    [(f"trading.slippage.{name}", attributes) for name in names]
                )
            )
        return found

    def histogram(self, benchmark: Benchmark) -> Histogram:
        """Return the slippage against a benchmark."""
        found = self._bps.get(benchmark)
        if found is None:
            attributes = self._attributes(benchmark=benchmark)
            found = self._series.histogram("trading.slippage_bps", attributes)
            self._bps[benchmark] = found
        return found

    def _attributes(self, currency: str = "", benchmark: str = "") -> Attributes:
        account, strategy, instrument, venue, side = self._key
        return attributes_of(
            account=account,
            strategy=strategy,
            instrument=instrument,
            venue=venue,
            side=SIDES[side],
            currency=currency,
            benchmark=benchmark,
        )


class Bookkeeper:
    """Books chains of executions, each as far as it was not booked yet."""

    def __init__(self, settings: EngineSettings, series: SeriesSet) -> None:
        self._instruments = settings.instruments
        self._accounts = settings.accounts
        self._series = series
        self._booked: dict[Identity, _Booked] = {}
        self._bundles: dict[_BundleKey, _Bundle] = {}
        self._max_bundles = settings.limits.series // _BUNDLE_SERIES
        self._counts: dict[tuple[str, str, str, str, int, str, str], Sum] = {}
        self._fees: dict[tuple[str, str, str, str], Sum] = {}
        self._new: dict[Identity, None] = {}
        self._shown: tuple[Execution | None, Exemplar | None] = (None, None)
        self.revised_count = 0
        """Trades whose sample in a histogram is no longer what counts."""
        self.worst = WorstExecutions()
        self.missing: Counter[tuple[Benchmark, Missing]] = Counter()
        """Trades without a sample, by benchmark and reason."""

    def __len__(self) -> int:
        return len(self._booked)

    def is_booked(self, identity: Identity) -> bool:
        """Say whether a trade was booked."""
        return identity in self._booked

    def book(self, identity: Identity, chain: tuple[Execution, ...], sample: Sampler) -> None:
        """Book what a chain has become; `identity` is that of its trade.

        `sample` is called once for a trade, when it is booked first.
        """
        booked = self._booked.get(identity)
        if chain and not chain[0].side:
            chain = ()  # Its order may still tell the side; until then it does not count.
        if booked is None:
            if not chain:
                return
            first = chain[0]
            slippages = sample(first)
            prices = tuple([slippage.price for slippage in slippages])
            if prices == _NO_PRICES:
                prices = _NO_PRICES  # One object for all of them.
            bundle = self._bundle(first)
            self._sample(first, slippages, bundle)
            self._new[identity] = None
            booked = self._booked[identity] = _Booked(first.side, first.strategy, prices)
            if len(chain) == 1:
                self._enter(first, [each.money for each in slippages], bundle, is_reversal=False)
                self._count((), chain)
                booked.become(chain)
                return
        else:
            if chain and chain[0].side != booked.side:
                # Another of contradicting contents counts now: it is booked on its own side.
                booked.side = chain[0].side
                self._new[identity] = None
            chain = booked.as_booked(chain)
            if booked.chain == chain:
                return
        for entry in bookings(booked.chain, chain):
            money = self._money(entry.execution, booked.prices)
            bundle = self._bundle(entry.execution)
            self._enter(entry.execution, money, bundle, is_reversal=entry.is_reversal)
        self._count(booked.chain, chain)
        booked.become(chain)

    def forget(self, identities: Sequence[Identity]) -> None:
        """Drop trades that have left the revision window."""
        for identity in identities:
            self._booked.pop(identity, None)
            self._new.pop(identity, None)

    def held(self) -> Sequence[Identity]:
        """Return the trades that were booked."""
        return list(self._booked)

    def trades(self) -> list[BookedTrade]:
        """Return how each trade was booked."""
        return [_trade(identity, booked) for identity, booked in self._booked.items()]

    def take_new(self) -> list[BookedTrade]:
        """Return what was booked first since the last call, for the archive."""
        taken = [
            _trade(identity, self._booked[identity])
            for identity in self._new
            if identity in self._booked
        ]
        self._new.clear()
        return taken

    def restore(self, trade: BookedTrade, chain: tuple[Execution, ...]) -> None:
        """Know that a trade was booked, as it was then, with a chain."""
        booked = _Booked(trade.side, trade.strategy, trade.prices)
        booked.become(booked.as_booked(chain))
        self._booked[trade.identity] = booked

    def _money(self, execution: Execution, prices: Prices) -> list[MoneySlippage | Missing]:
        """Return what an execution cost beside each benchmark, at the prices of its trade."""
        instrument = self._instruments[execution.instrument]
        quantity, price = execution.quantity, execution.price
        if quantity is None or price is None:
            return []  # Never: what is booked has both.
        return [money_slippage(instrument, execution.side, quantity, price, at) for at in prices]

    def _enter(
        self,
        execution: Execution,
        slippages: Sequence[MoneySlippage | Missing],
        bundle: _Bundle,
        *,
        is_reversal: bool,
    ) -> None:
        quantity, price = execution.quantity, execution.price
        if quantity is None or price is None:
            return  # Never: what is booked has both.
        instrument = self._instruments[execution.instrument]
        notional = instrument.value(quantity, price).copy_abs()
        shown = self._exemplar(execution)
        volume, worth = bundle.reversed if is_reversal else bundle.amounts
        volume.add(quantity, shown)
        worth.add(notional, shown)
        self._pay(execution, instrument, is_reversal=is_reversal)
        if is_reversal:
            bundle.costs.drop(execution)
        else:
            bundle.costs.take(execution, slippages)
        for benchmark, found in zip(_BENCHMARKS, slippages, strict=True):
            if isinstance(found, Missing):
                continue
            cost, improvement, whole = found
            money = bundle.money(benchmark)
            if is_reversal:
                money.notional_reversed.add(whole, shown)
                money.cost.add(improvement, shown)
                money.improvement.add(cost, shown)
            else:
                money.notional.add(whole, shown)
                money.cost.add(cost, shown)
                money.improvement.add(improvement, shown)

    def _sample(self, execution: Execution, slippages: Sequence[Slippage], bundle: _Bundle) -> None:
        shown = self._exemplar(execution)
        for benchmark, _, bps, _ in slippages:
            if isinstance(bps, Missing):
                self.missing[benchmark, bps] += 1
            else:
                bundle.histogram(benchmark).observe(bps, shown)

    def _exemplar(self, execution: Execution) -> Exemplar | None:
        """Return the exemplar of an execution; it is asked for several times in a row."""
        if self._shown[0] is not execution:
            self._shown = (execution, exemplar_of(execution))
        return self._shown[1]

    def _pay(self, execution: Execution, instrument: Instrument, *, is_reversal: bool) -> None:
        fee = execution.fee
        if not fee:
            return
        account, strategy = execution.account, execution.strategy or DEFAULT_STRATEGY
        currency = execution.fee_currency or self._currency(account, instrument)
        key = (account, strategy, execution.instrument, currency)
        found = self._fees.get(key)
        if found is None:
            if len(self._fees) >= self._max_bundles:
                self._fees.clear()  # Those of series that found no room, most likely.
            found = self._fees[key] = self._series.sum(
                "trading.fees",
                attributes_of(
                    account=account, strategy=strategy, instrument=key[2], currency=currency
                ),
            )
        amount = -fee if is_reversal else fee
        found.add(amount)  # A sum that may fall is a gauge in Prometheus: no exemplars.

    def _count(self, booked: Sequence[Execution], chain: Sequence[Execution]) -> None:
        """Count what is followed now and was not before; a revision of a sample, too."""
        known = {link.identity for link in booked}
        for link in chain:
            if known and link.identity in known:
                continue
            key = (
                link.account,
                link.strategy or chain[0].strategy or DEFAULT_STRATEGY,
                link.instrument,
                link.venue,
                link.side or chain[0].side,
                link.kind,
                link.liquidity,
            )
            found = self._counts.get(key)
            if found is None:
                if len(self._counts) >= self._max_bundles:
                    self._counts.clear()
                found = self._counts[key] = self._series.sum(
                    "trading.executions",
                    attributes_of(
                        account=key[0],
                        strategy=key[1],
                        instrument=key[2],
                        venue=key[3],
                        side=SIDES[key[4]],
                        execution__kind=key[5],
                        execution__liquidity=key[6],
                    ),
                )
            found.add(_ONE, self._exemplar(link))
            self.revised_count += link.kind != "trade"

    def _key(self, execution: Execution) -> _BundleKey:
        strategy = execution.strategy or DEFAULT_STRATEGY
        return (
            execution.account,
            strategy,
            execution.instrument,
            execution.venue,
            execution.side,
        )

    def _currency(self, account: str, instrument: Instrument) -> str:
        return instrument.currency(self._accounts.get(account, _ACCOUNT).base_currency)

    def _bundle(self, execution: Execution) -> _Bundle:
        key = self._key(execution)
        found = self._bundles.get(key)
        if found is None:
            currency = self._currency(execution.account, self._instruments[execution.instrument])
            costs = self.worst.of(currency)
            if len(self._bundles) >= self._max_bundles:
                self._bundles.clear()
            found = self._bundles[key] = _Bundle(key, currency, self._series, costs)
        return found


def _trade(identity: Identity, booked: _Booked) -> BookedTrade:
    return BookedTrade(identity, booked.side, booked.strategy, booked.prices)


def exemplar_of(event: Execution | Order) -> Exemplar | None:
    """Return the exemplar of an event's samples; None where it has no trace."""
    trace = event.trace
    if not trace.trace_id:
        return None
    return Exemplar(event.order_key, event.time_ns, _ONE, trace.trace_id, trace.span_id)


_ONE: Final = Decimal(1)
_ACCOUNT: Final = Account()
