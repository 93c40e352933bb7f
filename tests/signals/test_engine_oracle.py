"""The engine against an oracle that follows docs/trading-convention.md with exact fractions."""

from collections.abc import Mapping
from fractions import Fraction
from random import Random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from plain_signals.known import Attributes
from plain_signals.oracle import gauges_of, samples_of
from signal_events import in_arrival_order
from signal_sessions import session
from signal_sessions import settings as session_settings
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Event, Execution

SECOND_NS = 1_000_000_000
UNITS_NS = st.sampled_from([1, 1_000_000, SECOND_NS // 10, SECOND_NS, 20 * SECOND_NS])
EXACT = Fraction(1, 10**25)
"""Sums are exact but for quotients, which have 34 digits in the engine."""
DOUBLE = 1e-12
"""Gauges are doubles."""


def run(random: Random, events: list[Event], of: EngineSettings) -> Engine:
    """Return an engine that took events in some order within the lateness, to the end."""
    engine = Engine(of)
    for event in in_arrival_order(random, events, of.max_lateness_ns):
        engine.apply([event], event.time_ns)
    engine.end()
    return engine


def is_near(value: Fraction, wanted: Fraction) -> bool:
    """Say whether values are the same but for the rounding of quotients."""
    return abs(value - wanted) <= EXACT * max(Fraction(1), abs(wanted))


def told(engine: Engine) -> dict[tuple[str, Attributes], float]:
    """Return the gauges; the zero of what is flat keeps the source that it was shown with."""
    return {
        (point.name, point.attributes): point.value
        for point in engine.gauges()
        if point.name != "trading.pnl.unrealized" or point.value
    }


def assert_samples(engine: Engine, events: list[Event], of: EngineSettings) -> None:
    """Compare all sums and histograms."""
    expected = samples_of(events, of)
    sums = {
        (name, key): Fraction(each.total)
        for name, found in engine.series.sums.items()
        for key, each in found.items()
    }
    for named in sums.keys() | expected.sums.keys():
        # A sum of 0 tells nothing more than none.
        wanted = expected.sums.get(named, Fraction(0))
        assert is_near(sums.get(named, Fraction(0)), wanted), named
    histograms = {
        (name, key): (each.counts, Fraction(each.total))
        for name, found in engine.series.histograms.items()
        for key, each in found.items()
    }
    assert histograms.keys() == expected.histograms.keys()
    for named, (counts, total) in histograms.items():
        wanted_counts, wanted = expected.histograms[named]
        assert counts == wanted_counts, named
        assert is_near(total, wanted), named


def assert_gauges(
    engine: Engine,
    expected: Mapping[tuple[str, Attributes], Any],
    prefixes: tuple[str, ...],
    near: float = DOUBLE,
) -> None:
    """Compare all gauges whose names begin with one of the prefixes."""
    gauges = {
        (point.name, point.attributes): point.value
        for point in engine.gauges()
        if point.name.startswith(prefixes)
    }
    wanted = {key: float(value) for key, value in expected.items() if key[0].startswith(prefixes)}
    assert gauges.keys() == wanted.keys()
    for key, value in wanted.items():
        assert abs(gauges[key] - value) <= near * max(1e-3, abs(value)), key


@given(st.integers(0, 2**32), st.integers(5, 60), UNITS_NS)
@settings(max_examples=25, deadline=None)
@example(seed=3285285940, count=44, unit=SECOND_NS)  # A close that is told of after the grace.
def test_sums_and_histograms_are_those_of_the_convention(seed: int, count: int, unit: int) -> None:
    """Volume, notional, fees, slippage, spreads, markouts, shortfalls, latencies, by bucket."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    events, of = session(random, count, unit), session_settings(unit)
    assert_samples(run(random, events, of), events, of)


@given(st.integers(0, 2**32), st.integers(5, 60), UNITS_NS)
@settings(max_examples=25, deadline=None)
def test_references_may_be_dated_before_their_trades(seed: int, count: int, unit: int) -> None:
    """By clocks that differ: they take effect right after them, in all samples."""
    random = Random(seed)  # noqa: S311 - as above
    events, of = session(random, count, unit), session_settings(unit)
    for place, event in enumerate(events):
        if isinstance(event, Execution) and event.kind != "trade" and random.random() < 0.5:
            time_ns = max(1_000 * unit, event.time_ns - random.randrange(1, 60) * unit)
            events[place] = event._replace(time_ns=time_ns)
    assert_samples(run(random, events, of), events, of)


@given(st.integers(0, 2**32), st.integers(5, 60), UNITS_NS)
@settings(max_examples=25, deadline=None)
@example(seed=149, count=45, unit=1)  # Flat for exactly as long as its gauges are shown.
def test_positions_are_those_of_the_convention(seed: int, count: int, unit: int) -> None:
    """Quantity, average price, value and P&L of each position, replayed from nothing."""
    random = Random(seed)  # noqa: S311 - as above
    events, of = session(random, count, unit), session_settings(unit)
    engine = run(random, events, of)
    assert_gauges(engine, gauges_of(events, of), ("trading.position.", "trading.pnl."))


@given(st.integers(0, 2**32), st.integers(5, 60), UNITS_NS)
@settings(max_examples=25, deadline=None)
def test_a_look_at_the_gauges_changes_none(seed: int, count: int, unit: int) -> None:
    """Emitted after every event they are at any time those that are looked at once."""
    random = Random(seed)  # noqa: S311 - as above
    of = session_settings(unit)
    events = in_arrival_order(random, session(random, count, unit), of.max_lateness_ns)
    watched = Engine(of)
    for place, event in enumerate(events):
        watched.apply([event], event.time_ns)
        found = told(watched)
        if random.random() < 0.1:
            alone = Engine(of)
            for known in events[: place + 1]:
                alone.apply([known], known.time_ns)
            for view, other in ((watched.live, alone.live), (watched.sampled, alone.sampled)):
                for key, position in other.ledger.positions.items():
                    assert view.ledger.positions.state(key) == position.state
            assert told(alone) == found


@given(st.integers(0, 2**32), st.integers(5, 60), UNITS_NS)
@settings(max_examples=25, deadline=None)
def test_fill_ratios_are_those_of_the_convention(seed: int, count: int, unit: int) -> None:
    """Of the leaf orders that closed within an hour of the end, some sessions being longer."""
    random = Random(seed)  # noqa: S311 - as above
    events, of = session(random, count, unit), session_settings(unit)
    assert_gauges(run(random, events, of), gauges_of(events, of), ("trading.fill_ratio",))


@given(st.integers(0, 2**32), st.integers(5, 60), UNITS_NS)
@settings(max_examples=25, deadline=None)
def test_portfolios_are_those_of_the_convention(seed: int, count: int, unit: int) -> None:
    """Equity, exposure, leverage, concentration; none of them where an input is missing."""
    random = Random(seed)  # noqa: S311 - as above
    events, of = session(random, count, unit), session_settings(unit)
    assert_gauges(run(random, events, of), gauges_of(events, of), ("trading.portfolio.",))


@given(st.integers(0, 2**32), st.integers(5, 60), UNITS_NS)
@example(seed=141, count=5, unit=1)  # Lost and won back: no growth at all, by a small drawdown.
@settings(max_examples=25, deadline=None)
def test_risk_is_that_of_the_convention(seed: int, count: int, unit: int) -> None:
    """Drawdowns, ratios and value at risk, from time-weighted returns of eight periods."""
    random = Random(seed)  # noqa: S311 - as above
    events, of = session(random, count, unit), session_settings(unit)
    names = ["drawdown", "drawdown_max", "sharpe", "sortino", "calmar", "var"]
    prefixes = tuple(f"trading.risk.{name}" for name in names)
    assert_gauges(run(random, events, of), gauges_of(events, of), prefixes, 1e-9)


@given(st.integers(0, 2**32), st.integers(5, 60), UNITS_NS)
@settings(max_examples=25, deadline=None)
def test_round_trips_are_those_of_the_convention(seed: int, count: int, unit: int) -> None:
    """Won and lost after fees, in any currency that has a rate, from flat to flat or to a flip.

    Without revisions, which close no trip: the oracle replays trades as they stand.
    """
    random = Random(seed)  # noqa: S311 - as above
    of = session_settings(unit)
    events = [
        event
        for event in session(random, count, unit)
        if not isinstance(event, Execution) or event.kind == "trade"
    ]
    prefixes = ("trading.risk.win_rate", "trading.risk.profit_factor")
    assert_gauges(run(random, events, of), gauges_of(events, of), prefixes)
