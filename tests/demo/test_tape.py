"""The market is a function of the seed, and obeys the rules of a market."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from tapeline.demo.tape import Outcome, Revision, Step, decide, respond, steps

seeds = st.integers(min_value=0, max_value=2**32)


def _first_steps(seed: int, count: int) -> list[Step]:
    return list(islice(steps(seed), count))


def _outcomes(seed: int, count: int) -> list[Outcome]:
    return [respond(seed, decide(seed, step)) for step in _first_steps(seed, count)]


@given(seed=seeds)
def test_same_seed_gives_same_tape(seed: int) -> None:
    """Two runs with one seed see the same quotes, orders and fills."""
    assert _first_steps(seed, 20) == _first_steps(seed, 20)
    assert _outcomes(seed, 20) == _outcomes(seed, 20)


def test_another_seed_gives_another_tape() -> None:
    """The seed decides: two seeds don't give the same quotes."""
    assert _first_steps(1, 5) != _first_steps(2, 5)


@given(seed=seeds)
def test_quotes_are_ordered_positive_and_on_the_tick(seed: int) -> None:
    """A bid is positive, below its ask, and both are whole ticks."""
    for step in _first_steps(seed, 50):
        for quote in step.quotes:
            assert 0 < quote.bid < quote.ask
            assert quote.bid < quote.mid < quote.ask
            assert quote.bid % quote.instrument.tick == 0
            assert quote.ask % quote.instrument.tick == 0


@given(seed=seeds)
def test_fills_keep_to_the_order(seed: int) -> None:
    """Fills never exceed the order's quantity nor its limit, and a whole one adds up to it."""
    for step in _first_steps(seed, 50):
        decision = decide(seed, step)
        outcome = respond(seed, decision)
        filled = sum(fill.quantity for fill in outcome.fills)
        for fill in outcome.fills:
            assert fill.quantity > 0
            assert decision.side.sign * (decision.limit_price - fill.price) >= 0
        if outcome.reject_reason is not None:
            assert filled == 0
        elif outcome.remainder is None:
            assert filled == decision.quantity
        else:
            assert filled < decision.quantity


def test_a_long_tape_holds_every_kind_of_outcome() -> None:
    """Within 500 orders there is each end of an order, both revisions, fees and rebates."""
    found = _outcomes(7, 500)

    assert {outcome.remainder for outcome in found} == {None, "canceled", "expired"}
    assert {outcome.revision for outcome in found} == {None, *Revision}
    assert any(outcome.reject_reason for outcome in found)
    assert {fill.fee > 0 for outcome in found for fill in outcome.fills} == {True, False}
    for outcome in found:
        assert (outcome.revised is not None) == (outcome.revision is Revision.CORRECT)
