"""Cases in which an engine could count twice, not at all, or where nothing belongs."""

from dataclasses import replace
from decimal import Decimal

import pytest

from execution_events import bust, correct, trade
from signal_events import SETTINGS
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings, Limits
from tapeline.signals.events import Cash, Order, OrderState, Quote
from tapeline.signals.instruments import Account
from tapeline.signals.points import values_of

SECOND_NS = 1_000_000_000
HOUR_S = 3600
PLAIN = EngineSettings(accounts={"a": Account("USD", Decimal(1000))})


def at(second: float) -> int:
    """Return a time on a day in the year 2022."""
    return 1_650_000_000 * SECOND_NS + round(second * SECOND_NS)


def order(second: float, state: OrderState, side: int = 0, **more: str) -> Order:
    """Return an event of order o of account a and instrument X."""
    known = {1: 1, -1: -1, 0: 0}[side]
    return Order(at(second), "a", "o", state, "X", side=known, **more)  # type: ignore[arg-type]  # a side is one of three


def run(*events: object, chosen: EngineSettings = PLAIN, until: float = 100) -> Engine:
    """Return an engine that took events one by one, and then saw the time go on."""
    engine = Engine(chosen)
    for event in events:
        engine.apply([event], event.time_ns)  # type: ignore[list-item,attr-defined]  # all are events
    engine.apply([], at(until))
    return engine


def total(engine: Engine, name: str) -> Decimal:
    """Return the sum over all series of a sum."""
    return sum((each.total for each in engine.series.sums[name].values()), Decimal(0))


def samples(engine: Engine, name: str) -> int:
    """Return how many samples all series of a histogram have."""
    return sum(sum(each.counts) for each in engine.series.histograms[name].values())


def quantities(engine: Engine) -> list[dict[str, Decimal]]:
    """Return quantities by strategy, in both views."""
    return [
        {key[1]: held.state.quantity for key, held in view.ledger.positions.items()}
        for view in (engine.live, engine.sampled)
    ]


def trips(engine: Engine) -> tuple[int, int, int, int]:
    """Return wins, losses, what was won, and lost, of account a."""
    tally = engine.sampled.trips.tallies["a"]
    return (tally.wins, tally.losses, int(tally.won), int(tally.lost))


def test_what_an_order_told_is_not_forgotten_with_it() -> None:
    """Hours later an event of it without a side takes no position away, and moves none."""
    filled = trade(at(1), 1, 100, "e", order_id="o", side=0)
    engine = run(order(0, "submitted", 1, strategy="s"), filled, until=3 * HOUR_S)
    engine.apply([order(3 * HOUR_S, "canceled")], at(3 * HOUR_S))
    engine.apply([], at(4 * HOUR_S))
    assert quantities(engine) == [{"s": 1}, {"s": 1}]
    assert total(engine, "trading.volume.reversed") == 0


def test_a_trade_without_a_side_is_booked_once_its_order_tells_it() -> None:
    """Not before, and never as one side and then the other."""
    filled = trade(at(1), 1, 100, "e", order_id="o", side=0)
    engine = run(filled, until=20)
    assert total(engine, "trading.volume") == 0
    assert quantities(engine) == [{}, {}]
    engine.apply([order(21, "submitted", -1)], at(21))
    engine.apply([], at(40))
    assert quantities(engine) == [{"default": -1}, {"default": -1}]
    (key,) = engine.series.sums["trading.volume"]
    assert values_of(key)["trading.side"] == "sell"
    assert total(engine, "trading.volume") == 1
    assert total(engine, "trading.volume.reversed") == 0


def test_a_trade_whose_bust_came_first_is_booked_and_reversed() -> None:
    """As if the bust had come after it."""
    first = run(bust(at(1), "b", "e"), trade(at(2), 1, 100, "e"))
    then = run(trade(at(2), 1, 100, "e"), bust(at(3), "b", "e"))
    for engine in (first, then):
        assert total(engine, "trading.volume") == total(engine, "trading.volume.reversed") == 1
        assert total(engine, "trading.executions") == 2
        assert quantities(engine) == [{}, {}]


def test_what_was_busted_while_it_waited_is_sampled_no_more() -> None:
    """Also where a correction of its id then takes the bust's place: no horizon comes twice."""
    busted = run(trade(at(0), 1, 100, "e"), bust(at(2), "x", "e"), until=20)
    waiting = run(trade(at(0), 1, 100, "e"), until=20)
    missing = [sum(each.sampled.samples.missing.values()) for each in (busted, waiting)]
    engine = run(trade(at(0), 1, 100, "e"), bust(at(2), "x", "e"), until=20)
    engine.apply([correct(at(1), "x", "e", price="90")], at(20))
    engine.apply([], at(400))
    assert quantities(engine) == [{"default": 1}, {"default": 1}]
    assert missing[0] < missing[1]
    assert sum(engine.sampled.samples.missing.values()) <= missing[1]
    assert total(engine, "trading.volume") == 2
    assert total(engine, "trading.volume.reversed") == 1


def test_both_views_refuse_the_same_references() -> None:
    """Beyond the limit a bust never counts: neither now nor when its trade has passed W."""
    chosen = replace(PLAIN, limits=Limits(parked=3))
    junk = [bust(at(1 + index), f"j{index}", f"n{index}") for index in range(3)]
    engine = run(*junk, bust(at(5), "b", "e"), trade(at(4), 1, 100, "e"), chosen=chosen)
    assert quantities(engine) == [{"default": 1}, {"default": 1}]
    assert engine.live.ledger.executions.unmatched_count == 1


def test_no_revision_closes_a_round_trip() -> None:
    """A trip that won has won; what busts take back of it counts in the next one."""
    engine = run(trade(at(0), 1, 100, "a"), trade(at(1), -1, 110, "b"))
    assert trips(engine) == (1, 0, 10, 0)
    for index, ref in enumerate("ba"):
        engine.apply([bust(at(101 + index), f"x{ref}", ref)], at(101 + index))
    engine.apply([], at(200))
    assert trips(engine) == (1, 0, 10, 0)
    engine.apply([trade(at(201), 1, 100, "c"), trade(at(202), -1, 105, "d")], at(202))
    engine.apply([], at(300))
    assert trips(engine) == (1, 1, 10, 5)


@pytest.mark.parametrize("amount", [-500, 500])
def test_late_cash_is_no_profit(amount: int) -> None:
    """It is a flow of the moment that W stands at, of the open period."""
    engine = run(trade(at(0), 1, 100, "a"))
    engine.apply([Cash(at(1), "a", "c", Decimal(amount))], at(100))
    found = {point.name: point.value for point in engine.gauges()}
    assert found["trading.portfolio.equity"] == 1000 + amount
    assert found["trading.risk.drawdown"] == found["trading.risk.drawdown_max"] == 0
    engine.apply([], at(24 * HOUR_S))
    record = engine.sampled.accounts.get("a")
    assert record is not None
    assert set(record.returns.returns) == {Decimal(0)}


def test_an_order_event_of_a_forgotten_order_is_not_counted_again() -> None:
    """Delivered again hours later it is too late, and leaves no order open for ever."""
    events = (order(0, "submitted", 1), order(1, "canceled"))
    engine = run(*events, until=3 * HOUR_S)
    assert engine.sampled.book.order("a", "o") is None
    for event in events:
        engine.apply([event], at(3 * HOUR_S))
    assert total(engine, "trading.orders") == 2
    assert engine.sampled.too_late_count == 2
    assert engine.sampled.book.open_count() == 0


@pytest.mark.parametrize("room", range(20))
def test_an_average_is_whole_or_not_there(room: int) -> None:
    """Where series run out, cost, improvement and notional of a key are all kept, or none is."""
    chosen = replace(SETTINGS, limits=Limits(series=room))
    engine = Engine(chosen)
    events = [Order(1_000, "a", "o", "submitted", "X", side=1, decision_price=Decimal(90),
                    arrival_price=Decimal(90))]  # fmt: skip
    engine.apply([*events, trade(1_001, 1, 100, "e", order_id="o")], 1_100)
    engine.apply([bust(1_101, "x", "e")], 1_200)
    groups = (
        ("trading.slippage.cost", "trading.slippage.improvement", "trading.slippage.notional",
         "trading.slippage.notional.reversed"),
        ("trading.volume", "trading.volume.reversed"),
        ("trading.notional", "trading.notional.reversed"),
    )  # fmt: skip
    for names in groups:
        assert len({frozenset(engine.series.sums[name]) for name in names}) == 1
    assert len(engine.series) <= room
    whole = 18
    assert (engine.series.faults.refused_count > 0) is (room < whole)
    assert (len(engine.series) == whole) is (room >= whole)


def test_what_is_of_the_watermarks_own_time_waits() -> None:
    """Its order event may still come, and goes before it: then the limit is in force."""
    executed = trade(at(10), 1, 101, "e", order_id="o")
    limit = order(10, "submitted", 1)._replace(limit_price=Decimal(100))
    engine = run(executed, until=15)  # W is at the execution.
    engine.apply([limit], at(15))
    engine.apply([], at(40))
    benchmarks = [
        values_of(key)["trading.benchmark"]
        for key in engine.series.histograms["trading.slippage_bps"]
    ]
    assert benchmarks == ["limit"]


def test_what_is_due_at_the_watermarks_own_time_waits() -> None:
    """A quote of that very moment may still come: the markout is beside it."""
    first = Quote(at(0), "", "X", Decimal(100), Decimal(100))
    engine = run(first, trade(at(0), 1, 100, "e"), until=6)  # W is at the first horizon.
    assert samples(engine, "trading.markout_bps") == 0
    engine.apply([Quote(at(1), "", "X", Decimal(101), Decimal(101))], at(6))
    engine.apply([], at(7))
    (found,) = engine.series.histograms["trading.markout_bps"].values()
    assert found.total == 100


def test_a_bust_at_the_end_of_the_grace_is_in_the_shortfall() -> None:
    """What is of the moment at which it is due belongs to it: the order is open again then."""
    asked = order(0, "submitted", 1)._replace(quantity=Decimal(1), decision_price=Decimal(100))
    filled, busted = trade(at(1), 1, 101, "e", order_id="o"), bust(at(6), "x", "e")
    for events in ((asked, filled, busted), (asked, busted, filled)):
        assert samples(run(*events, until=100), "trading.shortfall_bps") == 0


def test_a_late_order_event_does_not_replace_one_that_has_passed() -> None:
    """It is counted as a conflict: no state is counted twice, and no decision price changes."""
    told = order(0, "submitted", 1)._replace(decision_price=Decimal(100), quantity=Decimal(9))
    engine = run(told)
    engine.apply([told._replace(decision_price=Decimal(90), quantity=Decimal(1))], at(100))
    engine.apply([told], at(100))
    engine.apply([trade(at(101), 1, 101, "e", order_id="o")], at(200))
    assert total(engine, "trading.orders") == 1
    assert engine.sampled.orders.conflict_count == 1
    assert engine.sampled.orders.duplicate_count == 1
    (found,) = engine.series.histograms["trading.slippage_bps"].values()
    assert found.total == 100


def test_a_bust_before_its_trade_takes_no_latency_away() -> None:
    """The trade was there, as reported, for a moment; it fills nothing, and closes nothing."""
    asked = order(0, "submitted", 1)._replace(quantity=Decimal(1), decision_price=Decimal(100))
    filled = trade(at(2), 1, 101, "e", order_id="o")
    for when in (1, 3):
        engine = run(asked, bust(at(when), "x", "e"), filled)
        assert samples(engine, "trading.order.latency") == 1
        assert samples(engine, "trading.shortfall_bps") == 0
        life = engine.sampled.book.order("a", "o")
        assert life is not None
        assert not life.fills
        assert life.filled == 0


def test_a_correction_before_its_trade_is_marked_out_with_its_values() -> None:
    """As one that comes after it: only the slippage is that of what was reported."""
    later = Quote(at(1), "", "X", Decimal(120), Decimal(120))
    for when in (0, 0.5):
        corrected = correct(at(when), "r", "e", price="100")
        engine = run(corrected, trade(at(0.2), 1, 110, "e"), later, until=6.5)
        (found,) = engine.series.histograms["trading.markout_bps"].values()
        assert found.total == 2000


def test_what_waits_is_in_the_position_whenever_it_is_looked_at() -> None:
    """Both views may hold one state, where it is the same; a look at one of them moves neither."""
    engine = run(trade(at(0), 1, 100, "a"))
    for index in range(1, 4):
        engine.apply([trade(at(100 + index), 1, 100, f"b{index}")], at(100 + index))
        shown = {point.name: point.value for point in engine.gauges()}
        assert shown["trading.position.quantity"] == 1 + index
    assert quantities(engine) == [{"default": 4}, {"default": 1}]
    engine.apply([], at(200))
    assert quantities(engine) == [{"default": 4}, {"default": 4}]


@pytest.mark.parametrize("currency", ["", "USD"])
def test_a_trip_pays_the_fee_that_its_opening_cost(currency: str) -> None:
    """One in the currency of the P&L needs no rate, whether it is named or not."""
    paid = {"fee": Decimal(3), "fee_currency": currency}
    engine = run(trade(at(0), 1, 100, "a", **paid), trade(at(1), -1, 110, "b"))
    assert trips(engine) == (1, 0, 7, 0)
    assert engine.sampled.trips.tallies["a"].unknown == 0


def test_a_flat_position_is_shown_for_a_quarter_of_an_hour() -> None:
    """At zero, and then no more; what it realised, and its net P&L, stay."""
    engine = run(trade(at(0), 1, 100, "a"), trade(at(1), -1, 110, "b"), until=1 + 900)
    shown = {point.name: point.value for point in engine.gauges()}
    assert shown["trading.position.quantity"] == shown["trading.position.value"] == 0
    assert shown["trading.position.average_price"] == shown["trading.pnl.unrealized"] == 0
    engine.apply([], at(1 + 900) + 1)
    left = {point.name: point.value for point in engine.gauges()}
    gone = shown.keys() - left.keys()
    assert gone == {
        "trading.position.quantity",
        "trading.position.value",
        "trading.position.average_price",
        "trading.pnl.unrealized",
    }
    assert left["trading.pnl.realized"] == left["trading.pnl.net"] == 10
