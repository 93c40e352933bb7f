"""The worst executions: always those that cost most, whatever is reversed or comes late."""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.decimals import ZERO
from tapeline.signals.events import Execution, Trace
from tapeline.signals.plain import decode_state, encode_state
from tapeline.signals.risk import DAY_NS
from tapeline.signals.slippage import Benchmark, Missing, MoneySlippage
from tapeline.signals.worst import (
    DAYS,
    MAX_CURRENCIES,
    MAX_HELD,
    MAX_SHOWN,
    CurrencyCosts,
    WorstExecutions,
)


def execution(number: int, day: int = 10) -> Execution:
    """Return a trade of a day."""
    trace = Trace(number.to_bytes(16, "big"), b"s" * 8)
    one = Decimal(1)
    return Execution(
        day * DAY_NS + number, "a", "v", "X", f"e{number}", side=1, quantity=one, price=one,
        trace=trace,
    )  # fmt: skip


def against(
    arrival: Decimal | int | None, quote: Decimal | int | None = None
) -> list[MoneySlippage | Missing]:
    """Return slippages in the order of `Benchmark`, with costs beside two of them."""
    found: list[MoneySlippage | Missing] = [Missing.BENCHMARK] * len(Benchmark)
    for benchmark, cost in ((Benchmark.ARRIVAL, arrival), (Benchmark.QUOTE, quote)):
        if cost is not None:
            money = MoneySlippage(max(Decimal(cost), ZERO), max(-Decimal(cost), ZERO), Decimal(100))
            found[list(Benchmark).index(benchmark)] = money
    return found


def shown(costs: CurrencyCosts, day: int = 10) -> list[tuple[Decimal, str]]:
    """Return cost and id of what would be shown."""
    ranked = sorted(costs.entries(day * DAY_NS), key=lambda one: -one.cost)
    return [(one.cost, one.execution.id) for one in ranked[:MAX_SHOWN]]


def test_arrival_counts_and_the_quote_where_there_is_none() -> None:
    """Nothing else does, and what saved money is not among the worst."""
    costs = CurrencyCosts()
    costs.take(execution(1), against(5, 900))
    costs.take(execution(2), against(None, 7))
    costs.take(execution(3), against(-3, 900))
    costs.take(execution(4), against(None))
    costs.take(execution(5), against(0))

    found = {one.execution.id: (one.benchmark, one.cost) for one in costs.entries(10 * DAY_NS)}
    assert found == {"e1": (Benchmark.ARRIVAL, Decimal(5)), "e2": (Benchmark.QUOTE, Decimal(7))}


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=900), st.integers(0, 99))
def test_what_is_shown_is_the_worst_there_is(taken: list[tuple[int, bool]], seed: int) -> None:
    """As a full list says, with reversals in between; fewer where very much was reversed."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    costs = CurrencyCosts()
    plain: dict[int, int] = {}
    for number, (cost, is_reversed) in enumerate(taken):
        costs.take(execution(number), against(cost))
        plain[number] = cost
        if is_reversed:
            gone = random.choice(list(plain))
            del plain[gone]
            costs.drop(execution(gone))

    expected = sorted(plain.values(), reverse=True)[:MAX_SHOWN]
    found = [int(cost) for cost, _ in shown(costs)]
    assert found == expected[: len(found)]
    if len(taken) <= MAX_HELD:
        assert len(found) == len(expected)
    again = CurrencyCosts()
    again.restore(decode_state(encode_state(costs.dump())))
    assert (shown(again), again.dump()) == (shown(costs), costs.dump())


def test_of_equal_costs_the_earlier_ones_stay() -> None:
    """So the list does not depend on anything but the events."""
    costs = CurrencyCosts()
    for number in range(MAX_HELD + 30):
        costs.take(execution(number), against(5))

    assert {name for _, name in shown(costs)} <= {f"e{number}" for number in range(MAX_HELD)}
    assert len(list(costs.entries(10 * DAY_NS))) == MAX_HELD


def test_days_go_as_others_come() -> None:
    """A late execution of a day that is gone is left out; one of a day that is held is not."""
    costs = CurrencyCosts()
    for day in range(10, 10 + DAYS + 1):
        costs.take(execution(day, day), against(day))
    costs.take(execution(99, 10), against(1000))
    costs.take(execution(98, 11), against(1000))

    last = 10 + DAYS
    assert [name for _, name in shown(costs, last)] == [
        "e98",
        *(f"e{n}" for n in range(last, 10, -1)),
    ]
    assert [name for _, name in shown(costs, last + DAYS - 1)] == [f"e{last}"]
    assert len(costs.dump()) == DAYS


@pytest.mark.parametrize("kept", [True, False])
def test_currencies_are_not_compared(*, kept: bool) -> None:
    """Each has its own list, and one beyond the limit has none; also after a restart."""
    worst = WorstExecutions()
    for number in range(MAX_CURRENCIES + 1):
        worst.of(f"C{number}").take(execution(number), against(number + 1))
    if kept:
        dumped = decode_state(encode_state(worst.dump()))
        worst = WorstExecutions()
        worst.restore(dumped)

    found = {name: [one.cost for one in held] for name, held in worst.look(10 * DAY_NS)}
    assert found == {f"C{number}": [number + 1] for number in range(MAX_CURRENCIES)}
    assert worst.of("C99") is worst.of("C98")
