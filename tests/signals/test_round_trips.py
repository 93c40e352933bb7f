"""Round trips, win rate and profit factor."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.round_trips import OpenTrip, TripTally, split_fee

PNLS = st.lists(st.one_of(st.none(), st.decimals("-100", "100", places=2)), max_size=20)


def tally(pnls: list[Decimal | None]) -> TripTally:
    """Return the tally of trips in order."""
    found = TripTally()
    for pnl in pnls:
        found = found.with_trip(pnl)
    return found


def test_win_rate_and_profit_factor_of_five_trips() -> None:
    """Two wins of 30 and 12, one loss of 40, one that earned nothing, one without a rate."""
    found = tally([Decimal(30), Decimal(12), Decimal(-40), Decimal(0), None])
    assert (found.wins, found.losses, found.unknown) == (2, 1, 1)
    assert found.win_rate == Decimal("0.6666666666666666666666666666666667")
    assert found.profit_factor == Decimal("1.05")


def test_nothing_closed_has_no_figure() -> None:
    """No trip no rate; no loss no factor; an even trip is neither."""
    assert tally([Decimal(0)]).win_rate is None
    assert tally([Decimal(5)]).win_rate == 1
    assert tally([Decimal(5)]).profit_factor is None
    assert tally([Decimal(-5)]).profit_factor == 0


@given(PNLS, PNLS)
def test_tallies_of_ledgers_add_up(
    first: list[Decimal | None], second: list[Decimal | None]
) -> None:
    """Two ledgers together are as one with all the trips, in any order."""
    assert tally(first).plus(tally(second)) == tally(second + first)


def test_a_trip_is_net_of_fees_at_the_rates_of_its_close() -> None:
    """10 EUR realised, 1 EUR and 0.002 BTC paid: 9 · 1.1 - 0.002 · 1000 = 7.9 in base."""
    trip = OpenTrip()
    trip.book("EUR", Decimal(0), Decimal(1), "EUR")
    trip.book("EUR", Decimal(10), Decimal("0.002"), "BTC")
    assert trip.close({"EUR": Decimal("1.1"), "BTC": Decimal(1000)}) == Decimal("7.9")
    assert trip.close({}) == 0


def test_a_trip_without_a_rate_has_no_result_and_the_next_begins_anew() -> None:
    """A missing rate is never 1; a currency in which nothing is left needs none."""
    trip = OpenTrip()
    trip.book("EUR", Decimal(10), Decimal(1), "BTC")
    assert trip.close({"EUR": Decimal("1.1"), "BTC": None}) is None
    trip.book("EUR", Decimal(10), Decimal(10), "EUR")
    trip.book("USD", Decimal(3), Decimal(0), "")
    assert trip.close({"USD": Decimal(1)}) == 3


@given(
    st.decimals("-10", "10", places=4),
    st.decimals("0.001", "10", places=3),
    st.decimals("0.001", "10", places=3),
)
def test_a_fee_is_split_without_a_rest(fee: Decimal, closed: Decimal, opened: Decimal) -> None:
    """The parts of a flip's fee add up to it, by quantity."""
    closing, opening = split_fee(fee, closed, closed + opened)
    assert closing + opening == fee
    assert abs(closing * (closed + opened) - fee * closed) <= Decimal("1e-25")
