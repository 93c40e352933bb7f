"""Numbers at the edges of what is taken, in every field: nothing raises, all shown is finite."""

from dataclasses import replace
from decimal import Decimal
from math import isfinite
from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from execution_events import trade
from signal_events import INSTRUMENTS, LATENESS_NS, SETTINGS, in_arrival_order, random_events
from tapeline.signals.emission import Emitter
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.engine_state import dump_archive, dump_engine, restore_engine
from tapeline.signals.events import Event
from tapeline.signals.instruments import Account, Instrument, Instruments
from tapeline.signals.plain import decode_state, encode_state

LEAST, MOST = Decimal("1e-24"), Decimal("9.999999999999999999999999999999999e23")
EXTREMES: Final = (
    LEAST,
    MOST,
    Decimal("1." + "3" * 33),
    Decimal("0." + "0" * 20 + "7"),
    Decimal(1),
)
NUMBERS: Final = frozenset(
    {"quantity", "price", "limit_price", "decision_price", "arrival_price", "bid", "ask"}
)
SIGNED: Final = frozenset({"fee", "amount"})
CHOSEN = replace(
    SETTINGS,
    instruments=Instruments(
        {
            **INSTRUMENTS,
            "X": Instrument(multiplier=MOST, base_currency="BTC", quote_currency="USD"),
            "Y": Instrument(is_inverse=True, multiplier=MOST, settlement_currency="BTC"),
        }
    ),
    accounts={"a": Account("USD", MOST), "b": Account("EUR", LEAST)},
)


def extreme(random: Random, event: Event) -> Event:
    """Return an event with other numbers, now and then."""
    changed: dict[str, Any] = {}
    for name in event._fields:
        if getattr(event, name) is None or random.random() < 0.2:
            continue
        if name in NUMBERS:
            changed[name] = random.choice(EXTREMES)
        elif name in SIGNED:
            changed[name] = random.choice(EXTREMES) * random.choice([1, -1])
    return event._replace(**changed)


@given(st.integers(0, 2**32), st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_no_number_that_is_taken_makes_it_stumble(seed: int, count: int) -> None:
    """Through gauges, emissions, restarts and the end of input."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    events = [extreme(random, event) for event in random_events(random, count)]
    engine, emitter, archives = Engine(CHOSEN), Emitter(1, {}), []
    for index, event in enumerate(in_arrival_order(random, events, 3 * LATENESS_NS)):
        engine.apply([event], event.time_ns)
        if index % 10 == 0:
            emitter.emit(2_000 + index, engine.series, engine.gauges())
            archives.append(encode_state(dump_archive(engine)))
            state = decode_state(encode_state(dump_engine(engine)))
            engine = Engine(CHOSEN)
            restore_engine(engine, state, map(decode_state, archives))
    engine.end()
    emitter.emit(9_000, engine.series, engine.gauges())
    assert all(isfinite(point.value) for point in engine.gauges())
    for of_metric in engine.series.sums.values():
        assert all(isfinite(float(each.total)) for each in of_metric.values())


def test_a_rest_too_small_for_its_worth_has_no_average_price() -> None:
    """Of 1e23 contracts 1e-11 are left, whose worth is beyond the 34 digits of a quotient."""
    engine = Engine(EngineSettings(instruments=Instruments({"X": Instrument(is_inverse=True)})))
    sold = Decimal("99999999999999999999999.99999999999")
    engine.apply([trade(1, "1e23", 3), trade(2, -1, 3, quantity=sold)], 2)
    found = {point.name: point.value for point in engine.gauges()}
    assert found["trading.position.quantity"] == 1e-11
    assert "trading.position.average_price" not in found
