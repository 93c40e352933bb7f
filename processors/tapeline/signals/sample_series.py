"""Samples that are taken once, put into their series. Pure."""

from collections import Counter
from decimal import Decimal
from typing import Final

from tapeline.signals.booking import SIDES, exemplar_of
from tapeline.signals.engine_settings import SECOND_NS, EngineSettings
from tapeline.signals.events import DEFAULT_STRATEGY, Execution, Order
from tapeline.signals.order_life import OrderLife
from tapeline.signals.orders import ClosedOrder, LatencySample
from tapeline.signals.points import Attributes, attributes_of
from tapeline.signals.samples import HorizonSamples
from tapeline.signals.series import Histogram, SeriesSet, Sum
from tapeline.signals.shortfall import Shortfall
from tapeline.signals.slippage import Missing

__all__ = ["SampleSeries", "horizon_name"]

_ONE: Final = Decimal(1)
_NANO_DIGITS: Final = 9


class SampleSeries:
    """The series of orders, spreads, markouts, shortfalls and latencies."""

    def __init__(self, settings: EngineSettings, series: SeriesSet) -> None:
        self._series = series
        self._horizons = {horizon: horizon_name(horizon) for horizon in settings.horizons_ns}
        self._orders: dict[Attributes, Sum] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], Histogram] = {}
        self.missing: Counter[tuple[str, Missing]] = Counter()
        """Samples that lacked an input, by metric and reason."""

    def order(self, event: Order, life: OrderLife) -> None:
        """Count an order event."""
        attributes = attributes_of(
            account=event.account,
            strategy=event.strategy or life.strategy or DEFAULT_STRATEGY,
            instrument=event.instrument,
            venue=event.venue or life.venue,
            order__state=event.state,
        )
        found = self._orders.get(attributes)
        if found is None:
            found = self._orders[attributes] = self._series.sum("trading.orders", attributes)
        found.add(_ONE, exemplar_of(event))

    def spread(self, execution: Execution, bps: Decimal | Missing) -> None:
        """Take the effective spread of an execution."""
        self._observe("trading.effective_spread_bps", execution, bps, "")

    def at_horizon(self, execution: Execution, found: HorizonSamples) -> None:
        """Take realised spread and markout of an execution at a horizon."""
        horizon = self._horizons.get(found.horizon_ns) or horizon_name(found.horizon_ns)
        self._observe("trading.realized_spread_bps", execution, found.realized_spread_bps, horizon)
        self._observe("trading.markout_bps", execution, found.markout_bps, horizon)

    def shortfall(self, closed: ClosedOrder, found: Shortfall) -> None:
        """Take the shortfall of a root order."""
        life = closed.order
        last = life.events[-1]
        for component, value in zip(Shortfall._fields, found, strict=True):
            if isinstance(value, Missing):
                self.missing["trading.shortfall_bps", value] += 1
                continue
            key = (life.account, life.strategy, life.instrument, SIDES[life.side], component)
            histogram = self._histograms.get(("trading.shortfall_bps", key))
            if histogram is None:
                attributes = attributes_of(
                    account=life.account,
                    strategy=life.strategy or DEFAULT_STRATEGY,
                    instrument=life.instrument,
                    side=SIDES[life.side],
                    component=component,
                )
                histogram = self._series.histogram("trading.shortfall_bps", attributes)
                self._histograms["trading.shortfall_bps", key] = histogram
            histogram.observe(value, exemplar_of(last))

    def latency(self, sample: LatencySample, event: Order | Execution) -> None:
        """Take how long a stage of an order took; `event` is what ended it."""
        life = sample.order
        key = (life.account, life.strategy, life.instrument, life.venue, sample.stage)
        histogram = self._histograms.get(("trading.order.latency", key))
        if histogram is None:
            attributes = attributes_of(
                account=life.account,
                strategy=life.strategy or DEFAULT_STRATEGY,
                instrument=life.instrument or event.instrument,
                venue=life.venue,
                stage=sample.stage,
            )
            histogram = self._series.histogram("trading.order.latency", attributes)
            self._histograms["trading.order.latency", key] = histogram
        seconds = Decimal(sample.latency_ns).scaleb(-_NANO_DIGITS)
        histogram.observe(seconds, exemplar_of(event))

    def _observe(
        self, name: str, execution: Execution, bps: Decimal | Missing, horizon: str
    ) -> None:
        if isinstance(bps, Missing):
            self.missing[name, bps] += 1
            return
        key = (
            execution.account,
            execution.strategy,
            execution.instrument,
            execution.venue,
            SIDES[execution.side],
            horizon,
        )
        histogram = self._histograms.get((name, key))
        if histogram is None:
            attributes = attributes_of(
                account=execution.account,
                strategy=execution.strategy or DEFAULT_STRATEGY,
                instrument=execution.instrument,
                venue=execution.venue,
                side=SIDES[execution.side],
                horizon=horizon,
            )
            histogram = self._histograms[name, key] = self._series.histogram(name, attributes)
        histogram.observe(bps, exemplar_of(execution))


def horizon_name(horizon_ns: int) -> str:
    """Return a horizon as its attribute has it: in seconds, exactly."""
    return f"{Decimal(horizon_ns) / SECOND_NS:f}s"
