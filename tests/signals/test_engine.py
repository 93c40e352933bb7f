"""The whole engine: a function of the set of events, whatever way they came."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signal_events import LATENESS_NS, SETTINGS, figures, in_arrival_order, random_events
from tapeline.signals.engine import Engine
from tapeline.signals.events import Event


def run(events: list[Event], sizes: Random | None = None) -> Engine:
    """Return an engine that took events in batches, to the end."""
    engine = Engine(SETTINGS)
    index = 0
    while index < len(events):
        size = 1 if sizes is None else sizes.randrange(1, 12)
        part = events[index : index + size]
        engine.apply(part, max(event.time_ns for event in part))
        index += size
    engine.end()
    return engine


@given(st.integers(0, 2**32), st.integers(1, 120))
@settings(max_examples=150, deadline=None)
def test_figures_do_not_depend_on_arrival(seed: int, count: int) -> None:
    """Shuffled within the lateness, some twice, in batches of any size: the same figures."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    events = random_events(random, count)
    in_order = sorted(events, key=lambda event: event.order_key[:3])
    expected = figures(run(in_order))
    twice = [*events, *random.sample(events, len(events) // 3)]
    arrived = in_arrival_order(random, twice, LATENESS_NS)
    assert figures(run(arrived, random)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_events_of_all_kinds_give_figures(seed: int) -> None:
    """The random events of these tests reach every series, so that they say something."""
    engine = run(random_events(Random(seed), 400))  # noqa: S311 - as above
    assert len(engine.series) > 20
    assert {point.name for point in engine.gauges()} >= {
        "trading.position.quantity",
        "trading.pnl.realized",
        "trading.portfolio.open_positions",
    }
