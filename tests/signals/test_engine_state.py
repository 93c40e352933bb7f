"""A state that was kept and taken back goes on as if nothing had happened."""

import re
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution_events import trade
from signal_events import INSTRUMENTS, LATENESS_NS, SETTINGS, figures, in_arrival_order
from signal_events import random_events as random_events_of
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings, Limits
from tapeline.signals.engine_state import (
    SettingsChangedError,
    drop_archive,
    dump_archive,
    dump_engine,
    dump_held,
    restore_engine,
)
from tapeline.signals.event_set import EventSet
from tapeline.signals.events import Event
from tapeline.signals.instruments import Account, Instruments
from tapeline.signals.plain import decode_state, encode_state

SHORT_WINDOW = replace(SETTINGS, revision_window_ns=60)


def lasting(engine: Engine) -> dict[str, Any]:
    """Return the figures without exemplars, which are of an emission and not of the state."""
    found = figures(engine)
    del found["exemplars"]
    found["counts"] = [dict(+engine.events), dict(+engine.late)]
    sets: list[EventSet[Any]] = [
        engine.live.ledger.executions.events,
        engine.live.cash.events,
        engine.sampled.orders,
    ]
    found["sets"] = [(each.duplicate_count, each.conflict_count) for each in sets]
    return found


def restarted(engine: Engine, archives: list[bytes]) -> Engine:
    """Return another engine with the state of the first, by way of bytes."""
    archives.append(encode_state(dump_archive(engine)))
    body = encode_state(dump_engine(engine))
    following = Engine(engine.settings)
    restore_engine(following, decode_state(body), map(decode_state, archives))
    return following


def carried_over(engine: Engine) -> Engine:
    """Return another engine with the state of one that nobody archives, as at a reload."""
    archive, state = encode_state(dump_held(engine)), encode_state(dump_engine(engine))
    following = Engine(engine.settings)
    restore_engine(following, decode_state(state), [decode_state(archive)])
    return following


def run(
    engine: Engine, events: list[Event], sizes: Random, restarts: Random | None, part: float
) -> Engine:
    """Return an engine that took all events, with restarts after some batches."""
    archives: list[bytes] = []
    index = 0
    while index < len(events):
        size = sizes.randrange(1, 12)
        batch = events[index : index + size]
        engine.apply(batch, max(event.time_ns for event in batch))
        index += size
        if restarts is not None and restarts.random() < part:
            engine = restarted(engine, archives)
    engine.end()
    return engine


@pytest.mark.parametrize("chosen", [SETTINGS, SHORT_WINDOW], ids=["long_window", "short_window"])
@given(st.integers(0, 2**32), st.integers(1, 120))
@settings(max_examples=80, deadline=None)
def test_restarts_change_nothing(chosen: EngineSettings, seed: int, count: int) -> None:
    """At any batch, with much that waits, late events and revisions of what left the window."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    events = random_events_of(random, count)
    lateness_ns = LATENESS_NS * random.choice([1, 1, 4])
    arrived = in_arrival_order(random, [*events, *events[: count // 3]], lateness_ns)
    expected = run(Engine(chosen), arrived, Random(seed), None, 0)  # noqa: S311 - as above
    found = run(Engine(chosen), arrived, Random(seed), random, 0.3)  # noqa: S311 - as above
    assert lasting(found) == lasting(expected)


@pytest.mark.parametrize("chosen", [SETTINGS, SHORT_WINDOW], ids=["long_window", "short_window"])
@given(st.integers(0, 2**32), st.integers(1, 120))
@settings(max_examples=60, deadline=None)
def test_reloads_without_a_store_change_nothing(
    chosen: EngineSettings, seed: int, count: int
) -> None:
    """What is held is enough, over any number of them, and no log of it piles up."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    events = random_events_of(random, count)
    arrived = in_arrival_order(random, [*events, *events[: count // 3]], 2 * LATENESS_NS)
    engine, expected = Engine(chosen), Engine(chosen)
    for event in arrived:
        for each in (engine, expected):
            each.apply([event], event.time_ns)
        drop_archive(engine)
        if random.random() < 0.1:
            engine = carried_over(engine)
    assert len(engine.log) == len(engine.sampled.log) == 0
    for each in (engine, expected):
        each.end()
    assert lasting(engine) == lasting(expected)


def test_positions_are_not_counted_on_in_other_units() -> None:
    """A changed multiplier or base currency is refused, with what to do."""
    engine = Engine(SETTINGS)
    engine.apply([trade(1, 1, 100)], 1)
    state = decode_state(encode_state(dump_engine(engine)))
    other = {**INSTRUMENTS, "X": replace(INSTRUMENTS["X"], multiplier=Decimal(5))}
    with pytest.raises(SettingsChangedError, match=r"instrument 'X'.*another name") as told:
        restore_engine(Engine(replace(SETTINGS, instruments=Instruments(other))), state, [])
    assert "linear, multiplier 5" in str(told.value)
    assert not {"Decimal", "False", "''"} & set(re.split(r"[ (,\[\]]", str(told.value)))
    with pytest.raises(SettingsChangedError, match=r"account 'a'.*counted in USD"):
        restore_engine(Engine(replace(SETTINGS, accounts={"a": Account("EUR")})), state, [])
    with pytest.raises(SettingsChangedError, match=r"'a' began with 1000.*trading\.cash"):
        restore_engine(Engine(replace(SETTINGS, accounts={"a": Account("USD")})), state, [])
    with pytest.raises(SettingsChangedError, match=r"risk\.period"):
        restore_engine(Engine(replace(SETTINGS, risk_period_ns=77)), state, [])


@pytest.mark.parametrize(
    "changed",
    [
        {"horizons_ns": ()},
        {"horizons_ns": (3, 15, 60)},
        {"max_lateness_ns": 1},
        {"max_lateness_ns": 500},
        {"pairs": ()},
        {"revision_window_ns": 60},
        {"max_quote_age_ns": 1},
        {"order_grace_ns": 0},
        {"limits": Limits(*[1] * 10)},
    ],
    ids=str,
)
@given(st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_other_settings_may_change(changed: dict[str, Any], seed: int) -> None:
    """What was counted stays, and what comes is counted by the new ones."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    events = random_events_of(random, 100)
    engine = run(Engine(SETTINGS), events[:50], Random(1), None, 0)  # noqa: S311 - as above
    archive, state = encode_state(dump_archive(engine)), encode_state(dump_engine(engine))
    following = Engine(replace(SETTINGS, **changed))
    restore_engine(following, decode_state(state), [decode_state(archive)])
    before = {key: held.state for key, held in following.live.ledger.positions.items()}
    assert before == {key: held.state for key, held in engine.live.ledger.positions.items()}
    run(following, events[50:], Random(1), None, 0)  # noqa: S311 - as above
    assert following.events.total() > engine.events.total()
