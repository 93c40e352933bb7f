"""Duplicates and conflicts are settled by the set of events, not by their arrival."""

from decimal import Decimal
from itertools import pairwise, permutations

from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.event_set import EventSet
from tapeline.signals.events import Cash, Event, Execution, Mark, Order, Quote, Trace


def cash(time_ns: int, amount: int, name: str = "c", trace: bytes = b"") -> Cash:
    """Return a deposit into account a."""
    return Cash(time_ns, "a", name, Decimal(amount), trace=Trace(trace))


def test_the_same_again_is_ignored_and_counted() -> None:
    """Whatever its trace; the same amount in other digits is the same."""
    events = EventSet[Cash]()
    first = cash(1, 5)

    assert events.add(first) == (None, first)
    assert events.add(first) == (first, first)
    before, after = events.add(cash(2, 5, trace=b"t")._replace(amount=Decimal("5.0")))

    assert before is after is first
    assert (events.duplicate_count, events.conflict_count) == (2, 0)
    assert list(events) == [first]


def test_an_earlier_one_takes_its_place() -> None:
    """Then the event moves in time, though it is a duplicate."""
    events = EventSet[Cash]()
    events.add(cash(2, 5))

    assert events.add(cash(1, 5)) == (cash(2, 5), cash(1, 5))
    assert (events.duplicate_count, events.conflict_count) == (1, 0)


def test_of_contradicting_events_the_least_counts() -> None:
    """By time, then by content; each further content is one conflict."""
    arrivals = [cash(3, 9), cash(2, 7), cash(2, 6), cash(2, 7), cash(3, 9)]

    for order in permutations(arrivals):
        events = EventSet[Cash]()
        for event in order:
            events.add(event)
        assert list(events) == [cash(2, 6)]
        assert (events.duplicate_count, events.conflict_count) == (2, 2)


@given(
    st.lists(
        st.builds(cash, st.integers(0, 3), st.integers(0, 3), st.sampled_from("cd")), max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_what_is_held_does_not_depend_on_arrival(arrivals: list[Cash], random: object) -> None:
    """Nor what is counted."""
    shuffled = list(arrivals)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = EventSet[Cash](), EventSet[Cash]()

    for event in arrivals:
        one.add(event)
    for event in shuffled:
        other.add(event)

    assert one.held == other.held
    assert (one.duplicate_count, one.conflict_count) == (
        other.duplicate_count,
        other.conflict_count,
    )


def test_a_forgotten_identity_is_new_again() -> None:
    """What was held of it, and what contradicted."""
    events = EventSet[Cash]()
    events.add(cash(1, 5))
    events.add(cash(2, 6))
    events.discard(("a", "c"))

    assert not events
    assert events.add(cash(2, 6)) == (None, cash(2, 6))


def test_events_have_one_order() -> None:
    """Time, kind, sequence, id: shorter first, then by bytes."""
    price = Decimal(1)

    def order(name: str, state: str = "submitted", sequence: int = 0) -> Order:
        return Order(5, "a", name, state, "X", sequence=sequence)  # type: ignore[arg-type]

    in_order: list[Event] = [
        Execution(4, "a", "", "X", "e"),
        Quote(5, "", "X", price, price, sequence=9),
        Mark(5, "", "X", price),
        cash(5, 1),
        order("9", "decided"),
        order("9"),
        order("10"),
        order("a0"),
        order("äb"),
        order("\uffff"),
        order("\U00010000"),
        order("1", sequence=1),
        Execution(5, "a", "", "X", "e", sequence=-1),
        Execution(5, "a", "", "X", "e"),
        Execution(5, "a", "v", "X", "e"),
    ]

    assert all(one.order_key < other.order_key for one, other in pairwise(in_order))


def test_an_order_is_one_event_per_state_and_time() -> None:
    """A second replace is another event; the same state again at that time is not."""
    first = Order(5, "a", "o", "replaced", "X", quantity=Decimal(3))

    assert first.identity == first._replace(quantity=Decimal(4), venue="v").identity
    assert first.identity != first._replace(time_ns=6).identity
    assert first.identity != first._replace(state="canceled").identity
    assert first.content < first._replace(quantity=Decimal(4)).content
    assert first._replace(quantity=None).content < first.content
