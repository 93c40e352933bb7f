"""Every event that the demo can send keeps to the trading convention."""

from decimal import Decimal
from itertools import islice

import pytest

from demo.convention import problems
from tapeline.demo.events import (
    Event,
    cash_event,
    execution_event,
    mark_event,
    order_event,
    quote_event,
    revision_event,
)
from tapeline.demo.tape import Revision, decide, respond, steps

SEED = 7


def _all_events(count: int) -> list[Event]:
    events = [cash_event("r", Decimal(1_000_000))]
    for step in islice(steps(SEED), count):
        decision = decide(SEED, step)
        outcome = respond(SEED, decision)
        events += [quote_event(quote, step.number) for quote in step.quotes]
        events += [mark_event(quote, step.number) for quote in step.quotes]
        events += [
            order_event("r", decision, state)
            for state in ("decided", "submitted", "acknowledged", "replaced", "canceled")
        ]
        events += [
            execution_event("r", decision, position, fill)
            for position, fill in enumerate(outcome.fills)
        ]
        if outcome.revision is not None:
            events.append(revision_event("r", decision, outcome.revision, outcome.revised))
    return events


def test_events_keep_to_the_convention() -> None:
    """Required attributes are there, numbers are decimal strings, states and sides are known."""
    events = _all_events(200)

    assert [found for each in events for found in problems(each.name, each.attributes)] == []
    assert {each.name for each in events} == {
        "trading.cash",
        "trading.execution",
        "trading.mark",
        "trading.order",
        "trading.quote",
    }


@pytest.mark.parametrize("missing", ["trading.execution.price", "trading.side"])
def test_the_check_itself_finds_a_missing_attribute(missing: str) -> None:
    """The oracle of these tests is not blind."""
    event = next(each for each in _all_events(20) if each.name == "trading.execution")
    attributes = {key: value for key, value in event.attributes.items() if key != missing}

    assert problems(event.name, attributes) == [f"trading.execution lacks {missing}"]


def test_execution_ids_are_unique_and_revisions_refer_to_one() -> None:
    """No two executions share an id, and a revision's reference is an id that was sent."""
    events = [each for each in _all_events(500) if each.name == "trading.execution"]
    ids = [each.attributes["trading.execution.id"] for each in events]
    references = {each.attributes.get("trading.execution.ref_id") for each in events} - {None}

    assert len(ids) == len(set(ids))
    assert references
    assert references <= set(ids)


def test_a_replaced_order_carries_its_new_limit() -> None:
    """The `replaced` event has the second thought's price, the earlier ones the first."""
    decision = next(
        each
        for each in (decide(SEED, step) for step in islice(steps(SEED), 200))
        if each.replacement_price is not None
    )
    first = order_event("r", decision, "acknowledged").attributes
    second = order_event("r", decision, "replaced").attributes

    assert first["trading.order.limit_price"] == format(decision.limit_price, "f")
    assert second["trading.order.limit_price"] == format(decision.replacement_price, "f")
    assert first["trading.order.id"] == second["trading.order.id"]


def test_a_correction_carries_the_full_replacement_and_a_bust_nothing() -> None:
    """A correct has quantity and price anew; a bust has neither."""
    decided = [decide(SEED, step) for step in islice(steps(SEED), 500)]
    pairs = [(each, respond(SEED, each)) for each in decided]
    revisions = {
        outcome.revision: revision_event("r", each, outcome.revision, outcome.revised).attributes
        for each, outcome in pairs
        if outcome.revision is not None
    }

    assert "trading.execution.price" in revisions[Revision.CORRECT]
    assert "trading.execution.quantity" in revisions[Revision.CORRECT]
    assert "trading.execution.price" not in revisions[Revision.BUST]
