"""The price of a position, and where it is from."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.events import Mark, Quote
from tapeline.signals.valuation import PriceSource, Valuation, ValuationPrice

ONE, LAST = Decimal(1), Decimal(7)
FACTS = st.lists(
    st.one_of(
        st.builds(
            lambda t, venue, price, n: Mark(t, venue, "I", Decimal(price), n),
            st.integers(0, 5), st.sampled_from("AB"), st.integers(1, 9), st.integers(0, 1),
        ),
        st.builds(
            lambda t, venue, price, n: Quote(t, venue, "I", Decimal(price), Decimal(price), n),
            st.integers(0, 5), st.sampled_from("AB"), st.integers(1, 9), st.integers(0, 1),
        ),
    )
)  # fmt: skip


def test_mark_then_the_closing_side_of_the_quote_then_the_last() -> None:
    """Each stands in for the one before it, and says so; without any there is no price."""
    valuation = Valuation(max_quote_age_ns=10)
    assert valuation.price("I", ONE, None, 0) is None
    assert valuation.price("I", ONE, LAST, 0) == ValuationPrice(LAST, PriceSource.LAST)
    valuation.add_quote(Quote(5, "A", "I", Decimal(8), Decimal(9)))
    assert valuation.price("I", ONE, LAST, 15) == ValuationPrice(Decimal(8), PriceSource.BID)
    assert valuation.price("I", -ONE, LAST, 15) == ValuationPrice(Decimal(9), PriceSource.ASK)
    assert valuation.price("I", -ONE, LAST, 16) == ValuationPrice(LAST, PriceSource.LAST)
    valuation.add_mark(Mark(1, "B", "I", Decimal(6)))
    assert valuation.price("I", ONE, LAST, 10**18) == ValuationPrice(Decimal(6), PriceSource.MARK)
    assert valuation.price("J", ONE, None, 15) is None


def test_a_limit_of_the_age_of_marks() -> None:
    """At exactly the limit a mark counts, and then no more."""
    valuation = Valuation(max_mark_age_ns=10)
    valuation.add_mark(Mark(0, "A", "I", Decimal(6)))
    assert valuation.price("I", ONE, LAST, 10) == ValuationPrice(Decimal(6), PriceSource.MARK)
    assert valuation.price("I", ONE, LAST, 11) == ValuationPrice(LAST, PriceSource.LAST)


@given(FACTS, st.randoms(use_true_random=False))
def test_the_last_by_event_order_counts_in_any_order_of_arrival(
    facts: list[Mark | Quote], random: object
) -> None:
    """Shuffled, twice over, or out of a snapshot: the same prices."""
    arrived = facts + facts
    random.shuffle(arrived)  # type: ignore[attr-defined]
    marks = sorted((fact for fact in facts if isinstance(fact, Mark)), key=lambda m: m.order_key)
    quotes = sorted((fact for fact in facts if isinstance(fact, Quote)), key=lambda q: q.order_key)
    expected = ValuationPrice(LAST, PriceSource.LAST)
    if quotes:
        expected = ValuationPrice(quotes[-1].bid, PriceSource.BID)
    if marks:
        expected = ValuationPrice(marks[-1].price, PriceSource.MARK)
    first, again = Valuation(), Valuation()
    for target, source in ((first, arrived), (again, None)):
        for fact in first.last() if source is None else source:
            if isinstance(fact, Mark):
                target.add_mark(fact)
            else:
                target.add_quote(fact)
        assert target.price("I", ONE, LAST, 5) == expected


def test_instruments_are_bounded() -> None:
    """What is beyond the limit is counted; what is known goes on."""
    valuation = Valuation(max_instruments=2)
    for number in range(3):
        valuation.add_mark(Mark(0, "", f"I{number}", ONE))
        valuation.add_quote(Quote(0, "", f"I{number}", ONE, ONE))
    valuation.add_mark(Mark(1, "", "I0", LAST))
    assert valuation.refused_count == 2
    assert valuation.price("I0", ONE, None, 1) == ValuationPrice(LAST, PriceSource.MARK)
