"""Benchmarks, latencies, families, shortfall's time, fill ratio, and the bounds of the book."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.events import BUY, Order, OrderState
from tapeline.signals.order_life import Fill, OrderLife
from tapeline.signals.orders import HOUR_NS, OrderBook

GRACE_NS = 5


def mid(venue: str, _instrument: str, time_ns: int) -> Decimal | None:
    """Return a mid that tells the time; of the venue `dark` there is none."""
    return None if venue == "dark" else Decimal(1000 + time_ns)


@pytest.fixture
def book() -> OrderBook:
    """An empty book with a short grace."""
    return OrderBook(mid, grace_ns=GRACE_NS)


def order(time_ns: int, state: OrderState, order_id: str = "X", **terms: Any) -> Order:
    """Return an order event of account `a`."""
    values: dict[str, Any] = {"venue": "V"}
    for name, term in terms.items():
        values[name] = Decimal(term) if isinstance(term, int) and name != "side" else term
    return Order(time_ns, "a", order_id, state, "I", **values)


def life(book: OrderBook, order_id: str = "X") -> OrderLife:
    """Return an order that has to be there."""
    found = book.order("a", order_id)
    assert found is not None
    return found


def fill(book: OrderBook, time_ns: int, quantity: int, order_id: str = "X", name: str = "") -> None:
    """Execute at 100."""
    identity = ("a", "V", "I", name or f"{order_id}@{time_ns}")
    book.fill("a", order_id, identity, Fill(time_ns, Decimal(quantity), Decimal(100), Decimal(0)))


def due(book: OrderBook, time_ns: int, *, is_end: bool = False) -> list[str]:
    """Return the orders whose shortfall is due."""
    return [closed.order.id for closed in book.due(time_ns, is_end=is_end)]


def test_benchmarks_are_the_first_stated_and_the_limit_the_one_in_force(book: OrderBook) -> None:
    """A replacement changes the limit, not what was decided or arrived at."""
    book.apply(order(1, "decided", decision_price=99, limit_price=105))
    book.apply(order(2, "submitted", arrival_price=100, decision_price=50))
    book.apply(order(5, "replaced", limit_price=106, arrival_price=50))
    book.apply(order(6, "replaced", quantity=5))
    found = life(book)
    assert book.decision_price(found) == 99
    assert book.arrival_price(found) == 100
    assert book.receipt_mid(found) == 1002
    limits = [found.limit_at(time_ns) for time_ns in (0, 1, 4, 5, 9)]
    assert limits == [None, 105, 105, 106, 106]


def test_arrival_is_the_mid_at_the_first_submission_where_none_is_stated(book: OrderBook) -> None:
    """Asked for once, at the venue of the submission; a second one changes nothing."""
    book.apply(order(3, "submitted"))
    book.apply(order(7, "submitted", venue="W"))
    assert book.arrival_price(life(book)) == 1003
    book.apply(order(3, "submitted", "Y", venue="dark"))
    book.apply(order(4, "submitted", "Y"))
    assert book.arrival_price(life(book, "Y")) is None
    book.apply(order(1, "acknowledged", "Z"))
    assert book.arrival_price(life(book, "Z")) is None
    assert book.decision_price(life(book, "Z")) is None


def test_what_closes_an_order_changes_no_terms(book: OrderBook) -> None:
    """A refused replacement states what it asked for; that was never in force."""
    book.apply(order(1, "acknowledged", quantity=10, limit_price=100))
    book.apply(order(2, "rejected", quantity=99, limit_price=99))
    assert life(book).quantity == 10
    assert life(book).limit_price == 100
    book.apply(order(2, "rejected", "Y", quantity=7, limit_price=99))
    assert life(book, "Y").quantity == 7


def test_each_latency_is_sampled_once(book: OrderBook) -> None:
    """First submission, first acknowledgement, first fill; a later one of them adds nothing."""
    assert book.apply(order(10, "submitted")) == []
    (acknowledged,) = book.apply(order(13, "acknowledged"))
    assert (acknowledged.stage, acknowledged.latency_ns) == ("submit_to_ack", 3)
    first = Fill(20, Decimal(1), Decimal(1), None)
    samples = book.fill("a", "X", ("e",), first)
    assert [(sample.stage, sample.latency_ns) for sample in samples] == [
        ("ack_to_fill", 7),
        ("submit_to_fill", 10),
    ]
    assert book.fill("a", "X", ("f",), first) == []
    assert book.apply(order(5, "submitted")) == []


def test_a_negative_latency_is_no_sample(book: OrderBook) -> None:
    """An acknowledgement after the fill has one for the first stage only."""
    book.apply(order(10, "submitted"))
    fill(book, 12, 1)
    (sample,) = book.apply(order(14, "acknowledged"))
    assert sample.stage == "submit_to_ack"
    assert book.negative_latency_count == 1


def test_children_inherit_the_decision_and_fill_their_root(book: OrderBook) -> None:
    """Two generations of children fill the root, which closes when all is done."""
    book.apply(order(1, "decided", "root", decision_price=99, quantity=10, side=BUY))
    book.apply(order(2, "submitted", "child", parent_id="root", quantity=10))
    book.apply(order(3, "submitted", "grandchild", parent_id="child", quantity=10))
    assert book.decision_price(life(book, "grandchild")) == 99
    fill(book, 4, 6, "child")
    fill(book, 5, 4, "grandchild")
    root = life(book, "root")
    assert book.closure(root).closed_ns == 5
    assert book.arrival_price(root) == 1002
    (closed,) = book.due(11)
    assert (closed.order.id, len(closed.fills)) == ("root", 2)
    assert closed.close_mid == 1005
    assert closed.arrival_price == 1002


def test_a_parent_that_is_known_late_gets_what_its_child_did(book: OrderBook) -> None:
    """In any order of events the root has the same executions."""
    fill(book, 4, 6, "child")
    book.apply(order(5, "acknowledged", "child", quantity=6))
    book.apply(order(6, "replaced", "child", parent_id="root"))
    assert life(book, "root").filled == 6
    book.apply(order(1, "decided", "root", quantity=6))
    assert book.closure(life(book, "root")).closed_ns == 4
    assert book.bust("a", "child", ("a", "V", "I", "child@4"), 7)
    assert life(book, "root").filled == 0
    assert book.closure(life(book, "root")).closed_ns is None


def test_orders_in_a_circle_have_no_root_and_do_no_harm(book: OrderBook) -> None:
    """A parent that is its own child's child is counted; an order that names itself is a root."""
    book.apply(order(1, "submitted", "A", parent_id="B", quantity=1))
    book.apply(order(1, "submitted", "B", parent_id="A", quantity=1))
    fill(book, 2, 1, "A")
    fill(book, 2, 1, "B")
    assert book.circle_count == 1
    assert due(book, 1000) == []
    book.apply(order(1, "submitted", "C", parent_id="C", quantity=1))
    fill(book, 2, 1, "C")
    assert due(book, 1000) == ["C"]


def test_shortfall_is_due_once_after_the_grace(book: OrderBook) -> None:
    """Not at that moment, but after it; at the end of input at that moment, too."""
    book.apply(order(1, "acknowledged", quantity=1))
    fill(book, 10, 1)
    assert due(book, 15) == []
    assert due(book, 16) == ["X"]
    fill(book, 17, 1)
    book.apply(order(18, "canceled"))
    assert due(book, 1000, is_end=True) == []
    book.apply(order(1, "acknowledged", "Y", quantity=1))
    fill(book, 10, 1, "Y")
    assert due(book, 15, is_end=True) == ["Y"]


def test_an_order_that_opens_again_is_due_when_it_closes_again(book: OrderBook) -> None:
    """By a bust, or a replacement to more, and also when it closes as it was before."""
    book.apply(order(1, "acknowledged", quantity=5))
    fill(book, 10, 5, name="e")
    book.apply(order(12, "replaced", quantity=6))
    assert due(book, 100) == []
    fill(book, 101, 1)
    assert due(book, 107) == ["X"]
    book.apply(order(1, "acknowledged", "Y", quantity=5))
    fill(book, 10, 5, "Y", "f")
    book.bust("a", "Y", ("a", "V", "I", "f"), 13)
    assert due(book, 100) == []
    fill(book, 10, 5, "Y", "g")
    assert due(book, 101) == ["Y"]


def test_an_order_that_was_never_accepted_has_no_shortfall(book: OrderBook) -> None:
    """Rejected at once it never was an order; rejected after acceptance it closed."""
    book.apply(order(1, "submitted", quantity=5))
    book.apply(order(2, "rejected"))
    book.apply(order(1, "acknowledged", "Y", quantity=5))
    book.apply(order(2, "rejected", "Y"))
    book.apply(order(1, "submitted", "Z", quantity=5))
    book.apply(order(2, "expired", "Z"))
    assert due(book, 100) == ["Y", "Z"]


def test_fill_ratio_is_of_leaf_orders_of_the_last_hour(book: OrderBook) -> None:
    """Rejects count, parents don't, and what closed an hour ago is out."""
    book.apply(order(1, "decided", "root", quantity=10))
    book.apply(order(1, "acknowledged", "A", parent_id="root", quantity=10))
    fill(book, 5, 10, "A")
    book.apply(order(6, "rejected", "B", quantity=10))
    book.apply(order(6, "canceled", "unknown quantity"))
    book.apply(order(7, "acknowledged", "open", quantity=10))
    key = ("a", "", "I", "V")
    assert book.fill_ratios(6)[key].ratio == Decimal("0.5")
    assert book.fill_ratios(HOUR_NS + 4)[key].ratio == Decimal("0.5")
    assert book.fill_ratios(HOUR_NS + 5)[key].ratio == 0
    assert book.fill_ratios(HOUR_NS + 6) == {}
    assert book.open_count() == 1


def test_fill_ratio_is_at_most_one(book: OrderBook) -> None:
    """Also where more was done than was in force."""
    book.apply(order(1, "acknowledged", quantity=10, strategy="s"))
    fill(book, 5, 15)
    assert book.fill_ratios(6)["a", "s", "I", "V"].ratio == 1


def test_the_book_forgets_what_is_done_and_keeps_what_is_not(book: OrderBook) -> None:
    """A closed child stays as long as its parent is open; executions without order go by time."""
    book.apply(order(1, "acknowledged", "root", quantity=10))
    book.apply(order(1, "acknowledged", "child", parent_id="root", quantity=5))
    fill(book, 2, 5, "child")
    fill(book, 2, 5, "nobody's")
    book.apply(order(3, "canceled", "done"))
    assert book.forget(2 * HOUR_NS) == 2
    assert (book.order("a", "done"), book.order("a", "nobody's")) == (None, None)
    book.apply(order(4, "canceled", "root"))
    assert book.forget(2 * HOUR_NS) == 2
    assert (len(book), book.open_count(), book.fill_ratios(5)) == (0, 0, {})


def test_the_book_is_bounded() -> None:
    """The oldest family goes for a new order, and is counted."""
    book = OrderBook(mid, max_orders=10)
    for number in range(100):
        book.apply(order(number, "acknowledged", f"{number}", parent_id=f"{number - 1}"))
        assert len(book) <= 10
    for number in range(100, 200):
        book.apply(order(number, "acknowledged", f"{number}", quantity=1))
        fill(book, number, 1, f"{number}")
        assert len(book) <= 10
    assert book.evicted_count >= 190
    assert len(list(book.due(10**18))) <= 10


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.sampled_from("ABC"), st.sampled_from(
            ["submitted", "acknowledged", "replaced", "canceled", "rejected", "expired"]),
            st.integers(1, 6), st.sampled_from(["", "A", "B", "C"])),
        st.tuples(st.just("fill"), st.sampled_from("ABC"), st.integers(0, 5), st.integers(1, 3),
                  st.none()),
        st.tuples(st.just("bust"), st.sampled_from("ABC"), st.integers(0, 5), st.none(), st.none()),
    ),
    max_size=25,
)  # fmt: skip


@given(STEPS)
def test_book_keeping_agrees_with_a_plain_count(steps: list[tuple[Any, ...]]) -> None:
    """Running totals, open orders and closed ones are those found anew from all that is held."""
    book = OrderBook(mid, grace_ns=GRACE_NS)
    seen: set[str] = set()
    for time_ns, (kind, name, *rest) in enumerate(steps):
        if kind == "order":
            state, quantity, parent_id = rest
            book.apply(order(time_ns, state, name, quantity=quantity, parent_id=parent_id))
            seen.add(name)
        elif kind == "fill":
            fill(book, time_ns, rest[1], name, f"{name}{rest[0]}")
        else:
            book.bust("a", name, ("a", "V", "I", f"{name}{rest[0]}"), time_ns)
    opened = 0
    for name in "ABC":
        found = book.order("a", name)
        if found is None:
            continue
        assert found.filled == sum(item.quantity for item in book.fills(found))
        found.closure = None  # So that it is found anew.
        state_now = book.closure(found)
        opened += name in seen and state_now.closed_ns is None
        assert state_now.closed_ns == book._closed.get(("a", name)) or name not in seen
    assert book.open_count() == opened
    again = OrderBook(lambda _venue, _instrument, _time_ns: None, grace_ns=GRACE_NS)
    again.restore(book.records(), book.due_times())
    assert list(again.records()) == list(book.records())
    assert (again.open_count(), again.fill_ratios(30)) == (opened, book.fill_ratios(30))
    restored = [(item.order.id, item.closure, item.close_mid) for item in again.due(10**6)]
    assert restored == [(item.order.id, item.closure, item.close_mid) for item in book.due(10**6)]
    sampled = [item[0] for item in restored]
    assert due(book, 10**6) == []
    assert len(sampled) == len(set(sampled))
