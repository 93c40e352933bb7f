"""Events beyond `max_lateness`: what they change, and what they may not."""

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from execution_events import trade
from signal_events import LATENESS_NS, SETTINGS, in_arrival_order, random_events
from tapeline.signals.decimals import EXACT
from tapeline.signals.engine import Engine
from tapeline.signals.events import Cash, Event, Execution, Mark, Order, Quote

MONEY = (
    "trading.volume", "trading.volume.reversed", "trading.notional", "trading.notional.reversed",
    "trading.fees",
)  # fmt: skip


def run(events: Sequence[Event]) -> Engine:
    """Return an engine that took events one by one, not ended."""
    engine = Engine(SETTINGS)
    for event in events:
        engine.apply([event], event.time_ns)
    return engine


def sums(engine: Engine, names: Sequence[str]) -> dict[tuple[Any, ...], Decimal]:
    """Return the totals that are not 0, by metric and attributes."""
    return {
        (name, key): each.total
        for name in names
        for key, each in engine.series.sums[name].items()
        if each.total
    }


def net(engine: Engine) -> dict[tuple[Any, ...], Decimal]:
    """Return fees, and volume and notional less what was reversed, by what they are of."""
    found: dict[tuple[Any, ...], Decimal] = {}
    for (name, key), total in sums(engine, MONEY).items():
        of = (name.removesuffix(".reversed"), key)
        amount = total.copy_negate() if name.endswith(".reversed") else total
        found[of] = EXACT.add(found.get(of, Decimal(0)), amount)
    return {key: total for key, total in found.items() if total}


def samples(engine: Engine) -> dict[tuple[str, Any], tuple[Decimal, tuple[int, ...]]]:
    """Return sum and buckets of every histogram."""
    return {
        (name, key): (each.total, tuple(each.counts))
        for name, of_metric in engine.series.histograms.items()
        for key, each in of_metric.items()
    }


def positions(engine: Engine) -> list[dict[Any, Any]]:
    """Return quantity, cost, realised and fees of both views, of what is not flat and empty."""
    return [
        {
            key: held.state[:5]
            for key, held in view.ledger.positions.items()
            if held.state.quantity or held.state.realised or held.state.fees
        }
        for view in (engine.live, engine.sampled)
    ]


def stated(event: Event) -> Event:
    """Return an event whose side and strategy no order can change; revisions state a side, too."""
    if isinstance(event, Execution):
        return event._replace(side=event.side or 1, strategy="t", order_id="")
    return event


def split(seed: int, count: int) -> tuple[list[Event], list[Event]]:
    """Return events as they arrive in time, and others of the same kind from long before."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    events = [stated(event) for event in random_events(random, count)]
    late = [event for event in events if random.random() < 0.4]
    timely = [event for event in events if not any(event is other for other in late)]
    return in_arrival_order(random, timely, LATENESS_NS), random.sample(late, len(late))


END = Mark(3_000, "v", "Y", Decimal(100))


@given(st.integers(0, 2**32), st.integers(2, 80))
@settings(max_examples=100, deadline=None)
def test_money_counts_in_full_however_late_it_comes(seed: int, count: int) -> None:
    """Positions, cash, fees, and volume and notional less what was reversed: as if it were timely.

    Side and strategy are stated, since what was booked stays under those that it was booked with.
    """
    timely, late = split(seed, count)
    expected = run(sorted([*timely, *late, END], key=lambda event: event.time_ns))
    found = run([*timely, END, *late])
    for engine in (expected, found):
        engine.end()
    assert positions(found) == positions(expected)
    assert positions(found)[0] == positions(found)[1]
    assert net(found) == net(expected)
    for account in "ab":
        for engine in (expected, found):
            cash = engine.live.cash.totals(account)
            assert cash == engine.sampled.accounts.cash.totals(account)
        assert found.live.cash.totals(account) == expected.live.cash.totals(account)


@given(st.integers(0, 2**32), st.integers(2, 80))
@settings(max_examples=100, deadline=None)
def test_no_sample_that_was_taken_is_altered(seed: int, count: int) -> None:
    """Late orders, quotes and marks change no series but counts of orders and their latencies.

    Late money adds samples of its own; buckets never fall, closed periods stay.
    """
    timely, late = split(seed, count)
    engine = run([*timely, END])
    for event in late:
        before, sums_before = samples(engine), sums(engine, list(engine.series.sums))
        returns = {
            name: list(each.returns.returns) for name, each in engine.sampled.accounts.items()
        }
        engine.apply([event], event.time_ns)
        after = samples(engine)
        for key, (_, counts) in before.items():
            assert all(new >= old for new, old in zip(after[key][1], counts, strict=True))
        for name, known in returns.items():
            assert list(engine.sampled.accounts.items())
            record = engine.sampled.accounts.get(name)
            assert record is not None
            assert list(record.returns.returns)[: len(known)] == known
        sums_after = sums(engine, list(engine.series.sums))
        for (name, attributes), total in sums_before.items():
            if name != "trading.fees":
                assert sums_after[name, attributes] >= total
        if isinstance(event, Quote | Mark):
            assert (after, sums_after) == (before, sums_before)
        elif isinstance(event, Order | Cash):
            kept = {key: value for key, value in before.items() if "latency" not in key[0]}
            assert kept.items() <= after.items()
            changed = {key[0] for key in sums_after if sums_after[key] != sums_before.get(key)}
            assert changed <= ({"trading.orders"} if isinstance(event, Order) else set())


@given(st.integers(0, 2**32), st.integers(2, 80))
@settings(max_examples=60, deadline=None)
def test_all_that_is_late_is_counted(seed: int, count: int) -> None:
    """By kind, once each: what comes again is a duplicate, and what has no effect is counted so."""
    timely, late = split(seed, count)
    engine = run([*timely, END])
    assert not +engine.late
    for event in late:
        before = engine.late.total()
        sets = (
            engine.live.ledger.executions.events,
            engine.live.cash.events,
            engine.sampled.orders,
        )
        elsewhere = sum(each.duplicate_count + each.conflict_count for each in sets)
        elsewhere += engine.live.ledger.executions.unmatched_count + engine.sampled.too_late_count
        engine.apply([event], event.time_ns)
        counted = engine.late.total() - before
        again = sum(each.duplicate_count + each.conflict_count for each in sets)
        again += engine.live.ledger.executions.unmatched_count + engine.sampled.too_late_count
        assert counted == 1 or (counted == 0 and again > elsewhere)


def test_the_random_events_are_late_in_all_kinds() -> None:
    """Or these tests would say nothing."""
    engine = Engine(SETTINGS)
    for seed in range(5):
        timely, late = split(seed, 80)
        engine = run([*timely, END, *late])
        assert set(+engine.late) == {"quote", "mark", "cash", "order", "execution"}


def test_a_late_winner_of_a_conflict_is_booked_on_its_own_side() -> None:
    """What was booked of the other one is reversed on the side that it was booked on."""
    engine = Engine(SETTINGS)
    engine.apply([trade(1_010, 2, 100, "e1")], 1_100)
    engine.apply([trade(1_000, -2, 90, "e1")], 1_100)
    engine.end()
    assert engine.live.ledger.executions.events.conflict_count == 1
    found = {
        (name, dict(key)["trading.side"]): total
        for (name, key), total in sums(engine, MONEY[:4]).items()
    }
    assert found == {
        ("trading.volume", "buy"): 2,
        ("trading.volume.reversed", "buy"): 2,
        ("trading.notional", "buy"): 200,
        ("trading.notional.reversed", "buy"): 200,
        ("trading.volume", "sell"): 2,
        ("trading.notional", "sell"): 180,
    }
