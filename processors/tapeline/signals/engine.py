"""Events in, figures out: the whole of the signals without a clock, a store or a network. Pure.

Two views of one set of events: the live one takes each as soon as it comes, the sampled one when
the watermark has passed it. What comes out is a function of the calls that were made, and, within
`max_lateness`, of the set of events alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tapeline.signals.archive import ExecutionLog
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Cash, Event, Execution, Mark, Order, Quote
from tapeline.signals.gauges import Gauges
from tapeline.signals.live import LiveView
from tapeline.signals.market import Market
from tapeline.signals.points import GaugePoint, PositionPoint
from tapeline.signals.position_series import gauges_of
from tapeline.signals.sampling import SampledView
from tapeline.signals.series import SeriesSet

__all__ = ["Engine"]

_FORGET_PARTS: Final = 128
"""The revision window moves on in so many steps: each looks at all that is held."""
_ORDERS_EVERY_NS: Final = 60_000_000_000


class Engine:
    """Positions, P&L, slippage and risk, from the events of all accounts."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.series = SeriesSet(settings.limits.series)
        self.market = Market(settings)
        self.live = LiveView(settings)
        self.sampled = SampledView(settings, self.market, self.series, self.live.ledger)
        self._gauges = Gauges(settings, self.live, self.sampled, self.market)
        self.greatest_time_ns = 0
        """Of all records, trading or not."""
        self._is_ended = False
        self.events: Counter[str] = Counter()
        """Events that were taken, by kind; duplicates are among them."""
        self.late: Counter[str] = Counter()
        """Events that came after the watermark had passed them, by kind."""
        self.shortened_count = 0
        """Times that the revision window was shortened since it held too much."""
        self.log = ExecutionLog()
        self._orders_due_ns = 0

    @property
    def watermark_ns(self) -> int:
        """Before it everything was sampled."""
        return self.sampled.watermark_ns

    @property
    def present_ns(self) -> int:
        """Now, as events tell it: the greatest time, or later where the clock moved on alone."""
        # At the end of input the watermark is the greatest time itself: nothing is later.
        lateness_ns = 0 if self._is_ended else self.settings.max_lateness_ns
        return max(self.greatest_time_ns, self.watermark_ns + lateness_ns)

    def apply(self, events: Sequence[Event], greatest_time_ns: int) -> None:
        """Take the events of a batch, and the greatest time of any of its records."""
        for event in events:
            self._take(event)
        self.sampled.make_room()
        self.greatest_time_ns = max(self.greatest_time_ns, greatest_time_ns)
        self.advance(self.greatest_time_ns - self.settings.max_lateness_ns)

    def advance(self, watermark_ns: int) -> None:
        """Let the watermark pass a moment; it never goes back."""
        if watermark_ns <= self.watermark_ns:
            return
        self.sampled.advance(watermark_ns)
        self._forget()

    def end(self) -> None:
        """Take what is due at the end of all input."""
        self._is_ended = True
        self.sampled.advance(self.greatest_time_ns, is_end=True)

    def gauges(self) -> Iterator[GaugePoint]:
        """Yield every gauge that has a value now."""
        for point in self.told_gauges():
            if isinstance(point, PositionPoint):
                yield from gauges_of(point)
            else:
                yield point

    def told_gauges(self) -> Iterator[GaugePoint | PositionPoint]:
        """Yield the same, and those of a position as one: so they are emitted."""
        return self._gauges.points(self.present_ns, self.watermark_ns)

    @property
    def figures(self) -> Gauges:
        """What gauges are made of, for a report."""
        return self._gauges

    def _take(self, event: Event) -> None:
        if isinstance(event, Execution):
            self._take_execution(event)
        elif isinstance(event, Quote):
            self._note("quote", event)
            self.market.add_quote(event)
        elif isinstance(event, Order):
            self._take_order(event)
        elif isinstance(event, Mark):
            self._note("mark", event)
            self.market.add_mark(event)
        else:
            self._take_cash(event)

    def _take_execution(self, event: Execution) -> None:
        self.events[event.kind] += 1
        watermark_ns = self.sampled.watermark_ns
        identity = event.identity
        held = self.live.add_execution(event, identity, watermark_ns)
        if held is None:
            return
        if held is not event or held.time_ns < watermark_ns:
            self.late["execution"] += 1
        self.log.added(held)
        self.sampled.submit(held, identity)
        if len(self.live.ledger.executions.events) > self.settings.limits.executions:
            self._shorten_window()

    def _take_order(self, event: Order) -> None:
        self.events["order"] += 1
        outcome = self.sampled.submit_order(event)
        if outcome.is_taken:
            self.late["order"] += event.time_ns < self.watermark_ns
            if outcome.replaced is None:
                self.live.add_order(event)
            else:
                known = self.sampled.events_of(event.account, event.id)
                self.live.correct_order(event.account, event.id, known)

    def _take_cash(self, event: Cash) -> None:
        self.events["cash"] += 1
        before, after = self.live.cash.add(event)
        if before is not after:
            self.late["cash"] += event.time_ns < self.watermark_ns
            self.sampled.submit(after, after.identity)

    def _note(self, kind: str, event: Quote | Mark) -> None:
        self.events[kind] += 1
        if event.time_ns < self.sampled.watermark_ns:
            self.late[kind] += 1

    def _forget(self) -> None:
        watermark_ns = self.watermark_ns
        if watermark_ns >= self._orders_due_ns:
            self._orders_due_ns = watermark_ns + _ORDERS_EVERY_NS
            self.sampled.forget_orders()
            self.live.forget_terms(self.sampled.quiet_ns, self.sampled.book)
        window_ns = self.settings.revision_window_ns
        before_ns = watermark_ns - window_ns
        horizon_ns = self.live.ledger.horizon_ns
        if before_ns > 0 and before_ns >= (horizon_ns or 0) + window_ns // _FORGET_PARTS:
            self._forget_before(before_ns)

    def _shorten_window(self) -> None:
        """Forget the oldest eighth: no trade is refused for want of room."""
        times = sorted(event.time_ns for event in self.live.ledger.executions.events)
        cut_ns = min(times[len(times) // 8] + 1, self.watermark_ns)
        if cut_ns > (self.live.ledger.horizon_ns or 0):
            self.shortened_count += 1
            self._forget_before(cut_ns)

    def _forget_before(self, before_ns: int) -> None:
        self.log.forgot(before_ns, self.live.forget(before_ns))
        self.sampled.forget(before_ns)
