"""Every figure of a whole input, by definition. Slow on purpose: nothing is kept or updated."""

from collections.abc import Sequence

from plain_signals.closings import fill_gauges, sample_shortfalls
from plain_signals.known import everything
from plain_signals.moments import (
    count_events,
    sample_horizons,
    sample_latencies,
)
from plain_signals.portfolio import accounts, portfolio_gauges, trip_gauges
from plain_signals.positions import Gauges, position_gauges
from plain_signals.returns import risk_gauges
from plain_signals.samples import Samples, bookings
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Event


def samples_of(events: Sequence[Event], settings: EngineSettings) -> Samples:
    """Return all sums and histograms at the end of an input."""
    known = everything(events, settings)
    samples = Samples()
    booked_at = bookings(known, samples)
    count_events(known, samples)
    sample_horizons(known, samples, booked_at)
    sample_latencies(known, samples)
    sample_shortfalls(known, samples)
    return samples


def gauges_of(events: Sequence[Event], settings: EngineSettings) -> Gauges:
    """Return all gauges at the end of an input."""
    known = everything(events, settings)
    booked_at = bookings(known, Samples())
    positions = position_gauges(known) | portfolio_gauges(known)
    positions |= risk_gauges(known, accounts(known))
    return positions | trip_gauges(known, booked_at) | fill_gauges(known)
