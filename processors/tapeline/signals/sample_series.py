"""Samples that are taken once, put into their series. Pure."""

from collections import Counter
from decimal import Decimal
from typing import Final

from tapeline.signals.booking import SIDES, exemplar_of
from tapeline.signals.engine_settings import SECOND_NS, EngineSettings
from tapeline.signals.events import DEFAULT_STRATEGY, Execution, Order
from tapeline.signals.order_life import OrderLife
from tapeline.signals.orders import ClosedOrder, LatencySample
from tapeline.signals.points import Exemplar, attributes_of
from tapeline.signals.series import Histogram, SeriesSet, Sum
from tapeline.signals.shortfall import Shortfall
from tapeline.signals.slippage import Missing

__all__ = ["SampleSeries", "horizon_name"]

_ONE: Final = Decimal(1)
_NANO_DIGITS: Final = 9


_ExecutionKey = tuple[str, str, str, str, str, int, int]
"""Metric, account, strategy, instrument, venue, side and horizon (0: there is none)."""


class SampleSeries:
    """The series of orders, spreads, markouts, shortfalls and latencies."""

    def __init__(self, settings: EngineSettings, series: SeriesSet) -> None:
        self._series = series
        self._horizons = {horizon: horizon_name(horizon) for horizon in settings.horizons_ns}
        self._orders: dict[tuple[str, ...], Sum] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], Histogram] = {}
        self._of_executions: dict[_ExecutionKey, Histogram] = {}
        self._shown: tuple[Execution | Order | None, Exemplar | None] = (None, None)
        self.missing: Counter[tuple[str, Missing]] = Counter()
        """Samples that lacked an input, by metric and reason."""

    def order(self, event: Order, life: OrderLife) -> None:
        """Count an order event."""
        strategy = event.strategy or life.strategy
        venue = event.venue or life.venue
        key = (event.account, strategy, event.instrument, venue, event.state)
        found = self._orders.get(key)
        if found is None:
            attributes = attributes_of(
                account=event.account,
                strategy=strategy or DEFAULT_STRATEGY,
                instrument=event.instrument,
                venue=venue,
                order__state=event.state,
            )
            found = self._orders[key] = self._series.sum("trading.orders", attributes)
        found.add(_ONE, self._exemplar(event))

    def spread(self, execution: Execution, bps: Decimal | Missing) -> None:
        """Take the effective spread of an execution."""
        self._observe("trading.effective_spread_bps", execution, bps, 0)

    def at_horizon(
        self,
        execution: Execution,
        horizon_ns: int,
        realised: Decimal | Missing,
        markout: Decimal | Missing,
    ) -> None:
        """Take realised spread and markout of an execution at a horizon."""
        self._observe("trading.realized_spread_bps", execution, realised, horizon_ns)
        self._observe("trading.markout_bps", execution, markout, horizon_ns)

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
        histogram.observe(seconds, self._exemplar(event))

    def _observe(
        self, name: str, execution: Execution, bps: Decimal | Missing, horizon_ns: int
    ) -> None:
        if isinstance(bps, Missing):
            self.missing[name, bps] += 1
            return
        key = (
            name,
            execution.account,
            execution.strategy,
            execution.instrument,
            execution.venue,
            execution.side,
            horizon_ns,
        )
        histogram = self._of_executions.get(key)
        if histogram is None:
            attributes = attributes_of(
                account=execution.account,
                strategy=execution.strategy or DEFAULT_STRATEGY,
                instrument=execution.instrument,
                venue=execution.venue,
                side=SIDES[execution.side],
                horizon=self._horizons.get(horizon_ns) or horizon_name(horizon_ns),
            )
            histogram = self._of_executions[key] = self._series.histogram(name, attributes)
        histogram.observe(bps, self._exemplar(execution))

    def _exemplar(self, event: Execution | Order) -> Exemplar | None:
        """Return the exemplar of an event; it is asked for several times in a row."""
        if self._shown[0] is not event:
            self._shown = (event, exemplar_of(event))
        return self._shown[1]


def horizon_name(horizon_ns: int) -> str:
    """Return a horizon as its attribute has it: in seconds, exactly; nothing for none."""
    if not horizon_ns:
        return ""
    return f"{Decimal(horizon_ns) / SECOND_NS:f}s"
