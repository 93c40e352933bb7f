"""Chains of executions: what counts is settled by the set of events, by immediate reference."""

from decimal import Decimal
from itertools import permutations

import pytest

from execution_events import bust, correct, trade
from tapeline.signals.events import Execution, Trace
from tapeline.signals.executions import (
    MAX_LINKS,
    Booking,
    Change,
    Executions,
    OrderTerms,
    bookings,
)


def in_every_order(arrivals: list[Execution]) -> list[Executions]:
    """Return the state after all orders of arrival, which must agree on what is effective."""
    results = []
    for order in permutations(arrivals):
        executions = Executions()
        effective: dict[str, Execution] = {}
        for event in order:
            for before, after in executions.add(event):
                if before is not None:
                    assert effective.pop(before.id) == before
                if after is not None:
                    assert after.id not in effective
                    effective[after.id] = after
        assert {event.id: event for event in executions.effective()} == effective
        results.append(executions)
    return results


def values(executions: Executions) -> dict[str, tuple[int, str, str]]:
    """Return time, quantity and price of what is effective, by the id of its trade."""
    return {
        event.id: (event.time_ns, str(event.quantity), str(event.price))
        for event in executions.effective()
    }


TRADE = trade(1, 100, "10.5", "D", fee=Decimal(1), fee_currency="USD", liquidity="maker")


def test_a_trade_is_effective_as_it_came() -> None:
    """The very object: nothing is copied."""
    executions = Executions()

    assert executions.add(TRADE) == (Change(None, TRADE),)
    assert next(executions.effective()) is TRADE
    assert executions.add(TRADE._replace(time_ns=2)) == ()


def test_a_chain_is_followed_by_immediate_references() -> None:
    """K busts H, which corrects F, which corrects D."""
    links = [
        TRADE,
        correct(5, "F", "D", quantity="90", price="11"),
        correct(6, "H", "F", price="12"),
    ]
    for executions in in_every_order(links):
        assert values(executions) == {"D": (1, "90", "12")}
        assert executions.parked_count == 0
    for executions in in_every_order([*links, bust(7, "K", "H")]):
        assert values(executions) == {}


def test_a_correction_inherits_what_it_lacks() -> None:
    """And stays where the trade stands; its trace is its own."""
    executions = Executions()
    executions.add(TRADE)
    trace = Trace(b"t" * 16, b"s" * 8)

    (change,) = executions.add(
        correct(9, "F", "D", quantity="90", price="11")._replace(trace=trace)
    )

    assert change == Change(
        TRADE,
        TRADE._replace(kind="correct", quantity=Decimal(90), price=Decimal(11), trace=trace),
    )
    (change,) = executions.add(correct(10, "G", "F", fee="-2", liquidity="taker"))
    assert change.after is not None
    assert (change.after.fee, change.after.fee_currency) == (Decimal(-2), "USD")
    assert (change.after.quantity, change.after.liquidity) == (Decimal(90), "taker")


def test_of_two_references_the_greater_is_followed() -> None:
    """By time, then id, shorter first; what refers to the other one has no effect."""
    for executions in in_every_order(
        [
            TRADE,
            correct(5, "F9", "D", price="11"),
            correct(5, "F10", "D", price="12"),
            bust(4, "H", "D"),
            bust(9, "K", "F9"),
        ]
    ):
        assert values(executions) == {"D": (1, "100", "12")}


def test_a_bust_ends_its_chain() -> None:
    """A broken trade is not reinstated; what tries to is counted."""
    for executions in in_every_order(
        [TRADE, bust(5, "H", "D"), correct(6, "F", "H", price="12"), bust(7, "K", "H")]
    ):
        assert values(executions) == {}
        assert executions.after_bust_count == 2


def test_a_side_does_not_flip_inside_a_chain() -> None:
    """Such a correction has no effect, nor has what refers to it; the same side is fine."""
    for executions in in_every_order(
        [
            TRADE,
            correct(5, "F", "D", price="11", side=-1),
            correct(6, "G", "F", price="12"),
            correct(3, "C", "D", price="13", side=1),
        ]
    ):
        assert values(executions) == {"D": (1, "100", "13")}
        assert executions.side_flip_count == 1


def test_circles_wait_for_ever() -> None:
    """Two that refer to each other have no trade; a third that joins them has none, either."""
    for executions in in_every_order(
        [correct(5, "F", "G"), correct(6, "G", "F"), bust(7, "H", "G"), TRADE]
    ):
        assert values(executions) == {"D": (1, "100", "10.5")}
        assert executions.parked_count == 3
        executions.forget(8)
        assert executions.parked_count == 0
        assert executions.unmatched_count == 3


def test_references_to_what_is_unknown_wait_to_a_limit() -> None:
    """Beyond it they are refused and counted; those that wait find what arrives later."""
    executions = Executions(max_parked=2)
    executions.add(bust(5, "H", "D"))
    executions.add(correct(6, "G", "Y", price="7"))
    assert executions.add(bust(7, "K", "Z")) == ()

    assert (executions.parked_count, executions.unmatched_count) == (2, 1)
    assert not executions.add(TRADE)
    assert executions.parked_count == 1
    executions.add(bust(7, "K", "Z"))
    assert executions.parked_count == 2
    assert not executions.add(trade(2, 1, 1, "Z"))
    assert executions.parked_count == 1


def test_a_reference_is_looked_up_where_the_execution_is() -> None:
    """The same id on another account, venue or instrument is another execution."""
    executions = Executions()
    executions.add(TRADE)
    for other in ({"account": "b"}, {"venue": "w"}, {"instrument": "Y"}):
        executions.add(bust(5, "H", "D")._replace(**other))  # type: ignore[arg-type]

    assert values(executions) == {"D": (1, "100", "10.5")}
    assert executions.parked_count == 3


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (TRADE._replace(price=Decimal(9)), {"D": (1, "100", "9")}),
        (TRADE._replace(price=Decimal(11)), {"D": (1, "100", "10.5")}),
        (TRADE._replace(time_ns=0, price=Decimal(11)), {"D": (0, "100", "11")}),
        (TRADE._replace(time_ns=0), {"D": (0, "100", "10.5")}),
        (trade(0, 7, 7, "D", kind="correct", ref_id="E"), {"E": (2, "7", "7")}),
        (trade(0, 7, 7, "D", kind="bust", ref_id="E"), {}),
    ],
)
def test_conflicts_are_settled_by_time_and_content(
    other: Execution, expected: dict[str, tuple[int, str, str]]
) -> None:
    """Whichever comes first, with all that refers to it: here a bust of another id."""
    also = [trade(2, 5, 5, "E"), bust(3, "H", "N")]
    if other.kind == "trade":
        expected = expected | {"E": (2, "5", "5")}

    for executions in in_every_order([TRADE, other, *also]):
        assert values(executions) == expected


def test_what_referred_to_a_trade_goes_with_it_into_another_chain() -> None:
    """When a conflict shows that the trade was a correction of another one."""
    arrivals = [
        TRADE,
        trade(0, 7, 7, "D", kind="correct", ref_id="E"),
        correct(4, "F", "D", price="8"),
        trade(2, 5, 5, "E"),
    ]
    for executions in in_every_order(arrivals):
        assert values(executions) == {"E": (2, "7", "8")}


def test_a_chain_that_loses_its_trade_waits_again() -> None:
    """When a conflict shows that the trade refers to nothing that is known."""
    arrivals = [
        TRADE,
        trade(0, 7, 7, "D", kind="correct", ref_id="N"),
        correct(4, "F", "D", price="8"),
        correct(5, "G", "F", price="9"),
    ]
    for executions in in_every_order(arrivals):
        assert values(executions) == {}
        assert executions.parked_count == 3


def test_a_chain_is_followed_to_a_limit() -> None:
    """What is beyond has no effect, whatever came first."""
    links = [
        correct(at, f"e{at}", f"e{at - 1}" if at > 2 else "D", price=str(at))
        for at in range(2, MAX_LINKS + 4)
    ]
    forwards, backwards = Executions(max_parked=MAX_LINKS * 2), Executions(MAX_LINKS * 2)
    for event in [TRADE, *links]:
        forwards.add(event)
    for event in [*reversed(links), TRADE]:
        backwards.add(event)

    expected = {"D": (1, "100", str(MAX_LINKS + 1))}
    assert values(forwards) == values(backwards) == expected


def test_side_and_strategy_come_from_the_order() -> None:
    """Where the execution lacks them; without a side it does not count yet."""
    executions = Executions()
    sideless = TRADE._replace(side=0, order_id="o")
    known = trade(2, 5, 5, "E", order_id="o", strategy="own")

    assert executions.add(sideless) == ()
    executions.add(known)
    changes = executions.set_terms("a", "o", OrderTerms(-1, "s"))

    assert changes == [Change(None, sideless._replace(side=-1, strategy="s"))]
    assert executions.set_terms("a", "o", OrderTerms(-1, "s", 7)) == ()
    later = TRADE._replace(id="L", side=0, order_id="o")
    assert executions.add(later) == (Change(None, later._replace(side=-1, strategy="s")),)
    (one, two) = executions.set_terms("a", "o", OrderTerms(-1, "t"))
    assert {change.after.strategy for change in (one, two) if change.after} == {"t"}
    assert known in list(executions.effective())


def test_a_side_from_the_order_does_not_flip_either() -> None:
    """A correction to the other side than the order's has no effect."""
    executions = Executions()
    executions.set_terms("a", "o", OrderTerms(1))
    executions.add(TRADE._replace(side=0, order_id="o"))

    assert executions.add(correct(5, "F", "D", price="11", side=-1)) == []
    assert executions.side_flip_count == 1


def test_what_is_forgotten_goes_with_its_chain() -> None:
    """Younger chains stay, and orders that they need; a bust of what has gone finds nothing."""
    executions = Executions()
    young = trade(8, 1, 1, "Y", order_id="o")
    for event in [
        TRADE._replace(order_id="p"),
        correct(5, "F", "D", price="11"),
        correct(20, "G", "F", price="12"),
        young,
    ]:
        executions.add(event)
    for order in "opq":
        executions.set_terms("a", order, OrderTerms(1, "s", time_ns=3))

    executions.forget(8)

    assert [event.id for event in executions.effective()] == ["Y"]
    assert [event.id for event in executions.events] == ["Y"]
    assert executions._terms.keys() == executions._dependents.keys() == {("a", "o")}
    assert not executions._references
    executions.add(bust(21, "H", "G"))
    assert executions.parked_count == 1


def test_what_is_booked_is_reversed_before_it_is_booked_anew() -> None:
    """A trade as reported, then each correction; the reversal has the values that were booked."""
    executions = Executions()
    links = [TRADE, correct(5, "F", "D", price="11"), bust(6, "H", "F")]
    for event in links:
        executions.add(event)
    chain = executions.chain(links[2].identity)
    first = TRADE
    second = TRADE._replace(kind="correct", price=Decimal(11))

    whole = [
        Booking(first, is_reversal=False),
        Booking(first, is_reversal=True),
        Booking(second, is_reversal=False),
        Booking(second, is_reversal=True),
    ]
    assert chain == tuple(links)
    assert bookings((), chain) == whole
    for at in range(4):
        booked = chain[:at]
        assert bookings((), booked) + bookings(booked, chain) == whole
    assert bookings(chain, chain) == []
    assert bookings(chain[:2], ()) == [Booking(second, is_reversal=True)]


def test_bookings_follow_when_another_reference_wins() -> None:
    """The loser is reversed, the winner booked; and where the chain falls back, the trade again."""
    loser, winner = correct(5, "F", "D", price="11"), correct(6, "G", "D", price="12")
    lost = TRADE._replace(kind="correct", price=Decimal(11))
    won = TRADE._replace(kind="correct", price=Decimal(12))

    assert bookings((TRADE, loser), (TRADE, winner)) == [
        Booking(lost, is_reversal=True),
        Booking(won, is_reversal=False),
    ]
    assert bookings((TRADE, loser), (TRADE,)) == [
        Booking(lost, is_reversal=True),
        Booking(TRADE, is_reversal=False),
    ]
    assert bookings((TRADE, bust(5, "H", "D")), (TRADE, winner)) == [
        Booking(won, is_reversal=False)
    ]
    renamed = TRADE._replace(strategy="s", time_ns=0)
    assert bookings((TRADE, loser), (renamed, loser)) == []
    other = TRADE._replace(price=Decimal(9))
    assert bookings((TRADE,), (other,)) == [
        Booking(TRADE, is_reversal=True),
        Booking(other, is_reversal=False),
    ]
