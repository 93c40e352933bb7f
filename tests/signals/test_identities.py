"""What must hold of the figures of any events, whatever they are."""

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signal_events import SETTINGS, figures, random_events
from tapeline.signals.codec import decode_events, encode_events
from tapeline.signals.decimals import EXACT
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Event, Execution, Mark, Order, Quote
from tapeline.signals.instruments import Instrument, Instruments

SCALE = Decimal(8)
PRICED = ("price", "bid", "ask", "limit_price", "decision_price", "arrival_price")
LINEAR = replace(SETTINGS, instruments=Instruments({"X": Instrument(multiplier=Decimal(3))}))


def run(events: list[Event], chosen: EngineSettings = SETTINGS) -> Engine:
    """Return an engine that took events one by one, to the end."""
    engine = Engine(chosen)
    for event in events:
        engine.apply([event], event.time_ns)
    engine.end()
    return engine


def seeded(seed: int, count: int) -> list[Event]:
    """Return random events in their order."""
    events = random_events(Random(seed), count)  # noqa: S311 - reproducible, not secret
    return sorted(events, key=lambda event: event.order_key[:3])


def only(events: list[Event], instrument: str) -> list[Event]:
    """Return events of one instrument, on accounts in its currency."""
    return [
        event._replace(account="a") if isinstance(event, Execution) else event
        for event in events
        if getattr(event, "instrument", "") == instrument
    ]


@given(st.integers(0, 2**32), st.integers(1, 80))
@settings(max_examples=80, deadline=None)
def test_what_is_realised_and_not_is_the_cash_flow_marked_to_price(seed: int, count: int) -> None:
    """Of a linear instrument, over all strategies, and exactly: no rounding is left anywhere."""
    engine = run(only(seeded(seed, count), "X"), LINEAR)
    views = list(engine.figures.positions(engine.present_ns))
    flow = Fraction(0)
    for execution in engine.live.ledger.executions.effective():
        assert execution.quantity is not None
        assert execution.price is not None
        flow -= execution.side * Fraction(execution.quantity) * 3 * Fraction(execution.price)
    for view in views:
        if view.state.quantity:
            assert view.figures.value is not None
            flow += Fraction(view.figures.value)
    earned = sum(
        (Fraction(view.state.realised) + Fraction(view.figures.unrealised or 0) for view in views),
        Fraction(0),
    )
    assert earned == pytest.approx(flow, rel=1e-30, abs=1e-30)


@given(st.integers(0, 2**32), st.integers(1, 120))
@settings(max_examples=80, deadline=None)
def test_strategies_add_up_to_their_account(seed: int, count: int) -> None:
    """Net P&L of an account is the sum of its positions', or unknown where one of them is."""
    engine = run(seeded(seed, count))
    views = list(engine.figures.positions(engine.present_ns))
    for account in engine.figures.accounts(views, engine.present_ns):
        parts = [view.figures.base_net_pnl for view in views if view.key[0] == account.account]
        known = [part for part in parts if part is not None]
        with localcontext(EXACT):
            expected = sum(known, Decimal(0)) if len(known) == len(parts) else None
        assert account.portfolio.net_pnl == expected


@given(st.integers(0, 2**32), st.integers(1, 80))
@settings(max_examples=80, deadline=None)
def test_a_bust_of_everything_leaves_nothing(seed: int, count: int) -> None:
    """No position, nothing realised, and all that was booked is reversed."""
    events: list[Event] = []
    for event in seeded(seed, count):
        if isinstance(event, Execution) and event.kind != "trade":
            continue
        events.append(event)
    last_ns = max(event.time_ns for event in events) if events else 0
    trades = [event for event in events if isinstance(event, Execution)]
    busts = [
        Execution(last_ns + 1, one.account, one.venue, one.instrument, f"b{n}", "bust", one.id)
        for n, one in enumerate({one.identity: one for one in trades}.values())
    ]
    engine = run([*events, *busts])
    assert not dict(engine.live.ledger.positions.items())
    sums = engine.series.sums
    for name in ("volume", "notional", "slippage.notional"):
        for attributes, booked in sums[f"trading.{name}"].items():
            assert booked.total == sums[f"trading.{name}.reversed"][attributes].total
    for attributes, cost in sums["trading.slippage.cost"].items():
        assert cost.total == sums["trading.slippage.improvement"][attributes].total
    assert all(not fees.total for fees in sums["trading.fees"].values())


@given(st.integers(0, 2**32), st.integers(1, 120))
@settings(max_examples=60, deadline=None)
def test_basis_points_do_not_depend_on_the_unit_of_prices(seed: int, count: int) -> None:
    """All prices eight times as high: the same histograms, bucket by bucket and sum by sum."""
    events = [event for event in seeded(seed, count) if not _has_fee_or_base(event)]
    once, scaled = run(events), run([_scaled(event) for event in events])
    for name in ("slippage_bps", "effective_spread_bps", "realized_spread_bps", "markout_bps"):
        found, expected = (
            {
                attributes: (each.counts, each.total)
                for attributes, each in engine.series.histograms[f"trading.{name}"].items()
            }
            for engine in (scaled, once)
        )
        assert found == expected


@given(st.integers(0, 2**32), st.integers(1, 120))
@settings(max_examples=60, deadline=None)
def test_replay_is_live(seed: int, count: int) -> None:
    """Events that were written to the log and read again give the same figures."""
    events = seeded(seed, count)
    assert figures(run(decode_events(encode_events(events)))) == figures(run(events))


def _has_fee_or_base(event: Event) -> bool:
    return isinstance(event, Execution) and bool(event.fee)


def _scaled(event: Event) -> Event:
    if not isinstance(event, Execution | Order | Quote | Mark):
        return event
    values: dict[str, Any] = {
        name: getattr(event, name) * SCALE
        for name in PRICED
        if getattr(event, name, None) is not None
    }
    return event._replace(**values)
