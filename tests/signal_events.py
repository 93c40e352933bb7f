"""Random events of all kinds for tests of the whole engine, and its figures in one value."""

from decimal import Decimal
from random import Random
from typing import Any, Final

from tapeline.signals.currencies import CurrencyPair
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import ORDER_STATES, Cash, Event, Execution, Mark, Order, Quote, Trace
from tapeline.signals.instruments import Account, Instrument, Instruments

LATENESS_NS: Final = 20
PERIOD_NS: Final = 50
INSTRUMENTS: Final = {
    "X": Instrument(base_currency="BTC", quote_currency="USD"),
    "Y": Instrument(is_inverse=True, multiplier=Decimal(10), settlement_currency="BTC"),
    "BTCUSD": Instrument(base_currency="BTC", quote_currency="USD"),
}
SETTINGS: Final = EngineSettings(
    instruments=Instruments(INSTRUMENTS),
    accounts={"a": Account("USD", Decimal(1000)), "b": Account("EUR")},
    pairs=(CurrencyPair("BTCUSD", "BTC", "USD"),),
    max_lateness_ns=LATENESS_NS,
    max_quote_age_ns=30,
    order_grace_ns=10,
    horizons_ns=(7, 15),
    revision_window_ns=10_000,
    risk_period_ns=PERIOD_NS,
    flat_series_ns=100,
)


def random_events(random: Random, count: int, span_ns: int = 200) -> list[Event]:
    """Return events of all kinds in few accounts, so that they meet; times from 1_000 on."""
    return [_event(random, 1_000 + random.randrange(span_ns)) for _ in range(count)]


def in_arrival_order(random: Random, events: list[Event], lateness_ns: int) -> list[Event]:
    """Return events as they may arrive when none is later than `lateness_ns` behind the rest."""
    keyed = [(event.time_ns + random.randrange(lateness_ns), n) for n, event in enumerate(events)]
    return [events[n] for _, n in sorted(keyed)]


def _event(random: Random, time_ns: int) -> Event:
    kind = random.choice(["quote", "mark", "cash", "order", "order", "trade", "trade", "revision"])
    makers: dict[str, Any] = {
        "quote": _quote, "mark": _mark, "cash": _cash, "order": _order,
        "trade": _trade, "revision": _revision,
    }  # fmt: skip
    event: Event = makers[kind](random, time_ns)
    return event


def _price(random: Random) -> Decimal:
    return Decimal(random.randrange(9_000, 11_000)) / 100


def _quote(random: Random, time_ns: int) -> Quote:
    bid = _price(random)
    venue, name = random.choice(["", "v"]), random.choice(["X", "Y", "BTCUSD"])
    return Quote(time_ns, venue, name, bid, bid + random.randrange(3), random.randrange(2))


def _mark(random: Random, time_ns: int) -> Mark:
    return Mark(time_ns, random.choice(["", "v"]), random.choice(["X", "Y"]), _price(random))


def _cash(random: Random, time_ns: int) -> Cash:
    amount = Decimal(random.randrange(-300, 500))
    currency = random.choice(["", "", "BTC", "GBP"])
    return Cash(time_ns, random.choice("ab"), f"c{random.randrange(6)}", amount, currency)


def _order(random: Random, time_ns: int) -> Order:
    order_id = f"o{random.randrange(6)}"
    return Order(
        time_ns,
        "a",
        order_id,
        random.choice(list(ORDER_STATES)),
        random.choice(["X", "X", "Y"]),
        random.choice(["", "v"]),
        random.choice(["", "", f"o{random.randrange(6)}"]),
        random.choice([0, 1, -1]),
        random.choice([None, Decimal(random.randrange(1, 9))]),
        random.choice([None, _price(random)]),
        random.choice([None, _price(random)]),
        random.choice([None, _price(random)]),
        strategy=random.choice(["", "", "s"]),
        trace=_trace(random),
    )


def _trade(random: Random, time_ns: int) -> Execution:
    order_id = random.choice(["", f"o{random.randrange(6)}"])
    return Execution(
        time_ns,
        random.choice("aab"),
        random.choice(["", "v"]),
        random.choice(["X", "X", "Y"]),
        f"e{random.randrange(25)}",
        "trade",
        "",
        random.choice([1, -1, 0] if order_id else [1, -1]),
        Decimal(random.randrange(1, 6)),
        _price(random),
        order_id,
        random.choice([None, Decimal(random.randrange(-2, 5)) / 10]),
        random.choice(["", "BTC", "USD"]),
        random.choice(["", "maker"]),
        random.choice(["", "", "s"]),
        random.randrange(2),
        _trace(random),
    )


def _revision(random: Random, time_ns: int) -> Execution:
    account, venue = random.choice("aab"), random.choice(["", "v"])
    name = random.choice(["X", "X", "Y"])
    event_id, ref_id = f"r{random.randrange(12)}", f"e{random.randrange(25)}"
    if random.random() < 0.2:
        ref_id = f"r{(int(event_id[1:]) + 1 + random.randrange(11)) % 12}"
    if random.random() < 0.4:
        return Execution(time_ns, account, venue, name, event_id, "bust", ref_id)
    quantity = random.choice([None, Decimal(random.randrange(1, 6))])
    price = random.choice([None, _price(random)])
    return Execution(
        time_ns, account, venue, name, event_id, "correct", ref_id, 0, quantity, price,
        trace=_trace(random),
    )  # fmt: skip


def _trace(random: Random) -> Trace:
    if random.random() < 0.5:
        return Trace()
    return Trace(random.randbytes(16), random.randbytes(8))


def figures(engine: Engine) -> dict[str, Any]:
    """Return everything that an engine shows: series, exemplars, gauges, returns, round trips."""
    sampled = engine.sampled
    return {
        "series": engine.series.dump(),
        "exemplars": _exemplars(engine),
        "gauges": sorted(engine.gauges()),
        "watermark": engine.watermark_ns,
        "returns": {name: record.returns.state() for name, record in sampled.accounts.items()},
        "trips": dict(sampled.trips.tallies),
        "positions": {key: held.state for key, held in engine.live.ledger.positions.items()},
        "open_orders": sampled.book.open_count(),
        "worst": sampled.bookkeeper.worst.dump(),
    }


def _exemplars(engine: Engine) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for name, sums in engine.series.sums.items():
        found |= {(name, key): each.exemplar for key, each in sums.items()}
    for name, histograms in engine.series.histograms.items():
        found |= {(name, key): each.exemplars for key, each in histograms.items()}
    return found
