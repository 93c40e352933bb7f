"""The mid at a moment, against a plain search of all quotes."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.events import Quote
from tapeline.signals.quotes import Quotes

SECOND_NS = 1_000_000_000
QUOTES = st.lists(
    st.builds(
        lambda time_ns, venue, tick, width, sequence: Quote(
            time_ns, venue, "X", Decimal(tick), Decimal(tick + width), sequence
        ),
        st.integers(0, 30),
        st.sampled_from(["", "A", "B"]),
        st.integers(90, 99),
        st.integers(0, 3),
        st.integers(0, 2),
    ),
    max_size=40,
)


def plain_mid(quotes: list[Quote], venue: str, time_ns: int, max_age_ns: int) -> Decimal | None:
    """Return the mid by the words of the convention."""
    for name in (venue, ""):
        before = [quote for quote in quotes if quote.venue == name and quote.time_ns <= time_ns]
        last = max(before, key=lambda quote: quote.order_key, default=None)
        if last is not None and time_ns - last.time_ns <= max_age_ns:
            return (last.bid + last.ask) / 2
    return None


@given(QUOTES, st.randoms(use_true_random=False), st.integers(0, 35))
def test_mid_is_that_of_the_last_quote_in_any_order_of_arrival(
    quotes: list[Quote], random: object, watermark_ns: int
) -> None:
    """Shuffled, twice over, and pruned at a watermark, mids from there on are the plain ones."""
    memory = Quotes(max_age_ns=10)
    arrived = quotes + quotes
    random.shuffle(arrived)  # type: ignore[attr-defined]
    for quote in arrived:
        memory.add(quote)
    memory.advance(watermark_ns)
    for stream in memory._streams.values():
        memory._prune(stream)
    for time_ns in range(watermark_ns, 40):
        for venue in ("", "A", "B", "C"):
            expected = plain_mid(quotes, venue, time_ns, 10)
            assert memory.mid_price(venue, "X", time_ns) == expected


def test_mid_ends_with_the_age_of_its_quote() -> None:
    """A quote counts at exactly the limit of its age, and a nanosecond later no more."""
    memory = Quotes()
    memory.add(Quote(0, "A", "X", Decimal("99.5"), Decimal("100.1")))
    assert memory.mid_price("A", "X", 60 * SECOND_NS) == Decimal("99.8")
    assert memory.mid_price("A", "X", 60 * SECOND_NS + 1) is None


def test_a_stale_venue_gives_way_to_the_instrument_but_not_to_another_venue() -> None:
    """Only a quote without a venue stands in for one of the venue."""
    memory = Quotes(max_age_ns=10)
    memory.add(Quote(0, "A", "X", Decimal(1), Decimal(3)))
    memory.add(Quote(15, "B", "X", Decimal(5), Decimal(7)))
    assert memory.mid_price("A", "X", 20) is None
    memory.add(Quote(15, "", "X", Decimal(8), Decimal(10)))
    assert memory.mid_price("A", "X", 20) == 9
    assert memory.mid_price("", "X", 20) == 9


def test_a_moment_that_was_forgotten_has_no_mid() -> None:
    """What was in force before the memory's reach is unknown, whatever comes late."""
    memory = Quotes(max_age_ns=10**9)
    for time_ns in range(100):
        memory.add(Quote(time_ns, "A", "X", Decimal(1 + time_ns), Decimal(1 + time_ns)))
    memory.advance(90)
    assert memory.mid_price("A", "X", 89) is None
    assert memory.mid_price("A", "X", 90) == 91
    memory._prune(memory._streams["A", "X"])
    assert memory.mid_price("A", "X", 89) is None
    assert memory.mid_price("A", "X", 90) == 91
    assert memory.add(Quote(50, "A", "X", Decimal(7), Decimal(7))) is False
    assert memory.mid_price("A", "X", 89) is None
    assert memory.last_at_any_venue("X", 89) is None
    assert memory.too_late_count == 1


def test_memory_is_bounded_and_says_what_it_forgot() -> None:
    """Beyond the limit the oldest of the longest stream go; the newest mid stays right."""
    memory = Quotes(max_quotes=1000, max_streams=10)
    for time_ns in range(5000):
        memory.add(Quote(time_ns, "A", "X", Decimal(time_ns + 1), Decimal(time_ns + 1)))
        assert len(memory) <= 1000
    assert memory.forgotten_count == 5000 - len(memory)
    assert memory.mid_price("A", "X", 5000) == 5000
    for number in range(12):
        memory.add(Quote(5000, "A", f"Y{number}", Decimal(1), Decimal(1)))
    assert memory.refused_count == 3


def test_quotes_before_the_watermark_are_forgotten_as_new_ones_come() -> None:
    """A stream that goes on for ever holds what is after the watermark, and little more."""
    memory = Quotes()
    for time_ns in range(10_000):
        memory.advance(time_ns - 100)
        memory.add(Quote(time_ns, "A", "X", Decimal(1), Decimal(2)))
    assert len(memory) <= 2 * 101 + 64
    assert memory.forgotten_count == 0
