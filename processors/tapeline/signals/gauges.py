"""All gauges that have a value now: positions, P&L, portfolios, risk, fill ratios. Pure.

Taken from the live view; returns and round trips are those that have passed the watermark.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from tapeline.signals.accounts import Accounts
from tapeline.signals.decimals import EXACT, ZERO
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.live import LiveView
from tapeline.signals.market import Market
from tapeline.signals.points import GaugePoint, PositionPoint, attributes_of
from tapeline.signals.portfolio import Holding, Portfolio, portfolio
from tapeline.signals.positions import Position, PositionKey, PositionState
from tapeline.signals.risk_gauges import RiskGauges
from tapeline.signals.sampling import SampledView
from tapeline.signals.valuation import PriceSource, ValuationPrice
from tapeline.signals.valuing import PositionFigures, figures_of

__all__ = ["AccountFigures", "Gauges", "PositionView"]

_PORTFOLIO: Final = (
    ("trading.portfolio.equity", "equity", True),
    ("trading.portfolio.exposure.gross", "gross", True),
    ("trading.portfolio.exposure.net", "net", True),
    ("trading.portfolio.leverage", "leverage", False),
    ("trading.portfolio.concentration.hhi", "hhi", False),
    ("trading.portfolio.concentration.top3", "top3", False),
    ("trading.portfolio.open_positions", "open_positions", False),
)
"""Name, field of `Portfolio`, and whether it is money."""
_MAX_CACHED: Final = 10_000
"""Positions whose figures are remembered: beyond those memory is dearer than time."""


class PositionView(NamedTuple):
    """A position with its figures now."""

    key: PositionKey
    currency: str
    state: PositionState
    average_price: Decimal | None
    figures: PositionFigures
    is_shown: bool
    """Whether its gauges still stand: it is open, or flat since a short while."""


class AccountFigures(NamedTuple):
    """An account with its figures now."""

    account: str
    base_currency: str
    portfolio: Portfolio
    open_equity: Decimal | None
    """Equity as the open risk period sees it: cash before the watermark alone is in it."""


class _Cached(NamedTuple):
    state: PositionState
    price: ValuationPrice | None
    view: PositionView


class Gauges:
    """Makes the gauges, and remembers what did not change."""

    def __init__(
        self, settings: EngineSettings, live: LiveView, sampled: SampledView, market: Market
    ) -> None:
        self._settings = settings
        self._live = live
        self._sampled = sampled
        self._market = market
        self._sources: dict[PositionKey, PriceSource] = {}
        """Of the last price that an open position was valued at."""
        self._cached: dict[PositionKey, _Cached] = {}
        self._risk = RiskGauges(settings)

    @property
    def _accounts(self) -> Accounts:
        return self._sampled.accounts

    def positions(self, now_ns: int) -> Iterator[PositionView]:
        """Yield all positions, as they are now."""
        for key, position in self._live.ledger.positions.items():
            yield self._view(key, position, now_ns)

    def _by_account(self, now_ns: int) -> Iterator[tuple[str, list[PositionView]]]:
        """Yield the positions of one account after the other: no more views stand than it has."""
        held: dict[str, list[Position]] = {account: [] for account in self._live.cash.accounts()}
        for key, position in self._live.ledger.positions.items():
            held.setdefault(key[0], []).append(position)
        for account, positions in held.items():
            yield account, [self._view(each.key, each, now_ns) for each in positions]

    def accounts(self, views: list[PositionView], now_ns: int) -> Iterator[AccountFigures]:
        """Yield all accounts that have positions or cash, as they are now."""
        holdings: dict[str, list[Holding]] = {account: [] for account in self._live.cash.accounts()}
        for view in views:
            holdings.setdefault(view.key[0], []).append(_holding(view))
        for account, held in holdings.items():
            yield self._figures(account, held, now_ns)

    def account_points(self, figures: AccountFigures) -> Iterator[GaugePoint]:
        """Yield the gauges of an account."""
        return self._of_account(figures)

    def points(self, now_ns: int, watermark_ns: int) -> Iterator[GaugePoint | PositionPoint]:
        """Yield every gauge that has a value; those of a position as one."""
        for account, views in self._by_account(now_ns):
            for view in views:
                yield self._of_position(view)
            held = [_holding(view) for view in views]
            yield from self._of_account(self._figures(account, held, now_ns))
        ratios = self._sampled.book.fill_ratios(watermark_ns)
        for (account, strategy, instrument, venue), found in ratios.items():
            if found.ratio is not None:
                attributes = attributes_of(
                    account=account, strategy=strategy or "default", instrument=instrument,
                    venue=venue,
                )  # fmt: skip
                yield GaugePoint("trading.fill_ratio", attributes, float(found.ratio))

    def _figures(self, account: str, held: list[Holding], now_ns: int) -> AccountFigures:
        terms = self._accounts.terms(account)
        cash = self._cash(account, terms.base_currency, now_ns)
        figures_now = portfolio(terms.starting_equity, cash, held)
        base, equity = terms.base_currency, figures_now.equity
        open_equity = self._without_waiting_cash(account, base, equity, now_ns)
        return AccountFigures(account, base, figures_now, open_equity)

    def _view(self, key: PositionKey, position: Position, now_ns: int) -> PositionView:
        state = position.state
        sampled = self._sampled.ledger.positions.get(key)
        if sampled is not None:
            position.share(sampled)
            state = position.state
        name = key[2]
        price = self._market.latest.price(name, state.quantity, state.last_price, now_ns)
        base = self._accounts.terms(key[0]).base_currency
        instrument = self._settings.instruments[name]
        currency = instrument.currency(base)
        cached = self._cached.get(key)
        # What is converted changes with any rate; the rest only with the position and its price.
        if (
            cached is not None
            and cached.state is state
            and cached.price == price
            and currency == base
            and state.quantity
            and len(state.fees) <= 1
            and (not state.fees or state.fees[0][0] in {"", base})
        ):
            return cached.view

        def convert(amount: Decimal, source: str) -> Decimal | None:
            return self._market.convert(amount, source, base, now_ns)

        figures = figures_of(state, instrument, currency, price, convert)
        is_shown = bool(state.quantity) or self._is_lately_flat(position, now_ns)
        view = PositionView(
            key, currency, state, state.average_price(instrument), figures, is_shown
        )
        if cached is not None or len(self._cached) < _MAX_CACHED:
            self._cached[key] = _Cached(state, price, view)
        return view

    def _is_lately_flat(self, position: Position, now_ns: int) -> bool:
        last_ns = position.last_time_ns
        return last_ns is not None and now_ns - last_ns <= self._settings.flat_series_ns

    def _of_position(self, view: PositionView) -> PositionPoint:
        state, figures = view.state, view.figures
        quantity = average = value = unrealised = None
        source = ""
        if view.is_shown:
            quantity = float(state.quantity)
            if view.average_price is not None or not state.quantity:
                average = float(view.average_price or 0)
            if figures.value is not None:
                value = float(figures.value)
            if figures.unrealised is not None and figures.source is not None:
                source = self._source(view)
                unrealised = float(figures.unrealised)
        net = None if figures.base_net_pnl is None else float(figures.base_net_pnl)
        return PositionPoint(
            view.key,
            view.currency,
            self._accounts.terms(view.key[0]).base_currency,
            source,
            (quantity, average, value, float(state.realised), net, unrealised),
        )

    def _source(self, view: PositionView) -> str:
        source = view.figures.source
        if source is None:
            return ""
        if not view.state.quantity:
            # A position that is flat is valued at nothing: it keeps the source that it had.
            return self._sources.setdefault(view.key, source)
        self._sources[view.key] = source
        return source

    def _of_account(self, figures: AccountFigures) -> Iterator[GaugePoint]:
        account, base_currency, found, _ = figures
        plain = attributes_of(account=account)
        money = attributes_of(account=account, currency=base_currency)
        for name, field, is_money in _PORTFOLIO:
            value = getattr(found, field)
            if value is not None:
                yield GaugePoint(name, money if is_money else plain, float(value))
        record = self._accounts.get(account)
        if record is not None:
            yield from self._risk.of_returns(plain, money, record.returns, figures.open_equity)
        tally = self._sampled.trips.tallies.get(account)
        if tally is not None:
            yield from self._risk.of_trips(plain, tally)

    def _without_waiting_cash(
        self, account: str, base: str, equity: Decimal | None, now_ns: int
    ) -> Decimal | None:
        """Return equity less the cash that no sub-period knows yet: it is no profit and no loss."""
        live = self._live.cash.totals(account)
        sampled = self._accounts.cash.totals(account)
        for currency in {**live, **sampled}:
            waiting = EXACT.subtract(live.get(currency, ZERO), sampled.get(currency, ZERO))
            if equity is None or not waiting:
                continue
            converted = self._market.convert(waiting, currency or base, base, now_ns)
            equity = None if converted is None else EXACT.subtract(equity, converted)
        return equity

    def _cash(self, account: str, base: str, now_ns: int) -> Decimal | None:
        total = ZERO
        for currency, amount in self._live.cash.totals(account).items():
            converted = self._market.convert(amount, currency or base, base, now_ns)
            if converted is None:
                return None
            total = EXACT.add(total, converted)
        return total


def _holding(view: PositionView) -> Holding:
    figures = view.figures
    return Holding(view.key[2], view.state.quantity, figures.base_value, figures.base_net_pnl)
