"""py_rt's book, fill window, draws and venue: figures that its gauges and histograms show."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.floor.faults import Faults, write_faults
from tapeline.floor.py_rt.book import Book
from tapeline.floor.py_rt.draws import SPIKE_FACTOR, Draws, Taken
from tapeline.floor.py_rt.fill_window import WINDOW_S, FillWindow
from tapeline.floor.py_rt.venue import ERROR_MESSAGES, Venue

TRADES = st.lists(
    st.tuples(
        st.sampled_from([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]), st.sampled_from([90.0, 100.0, 110.0])
    ),
    max_size=30,
)


@given(TRADES, st.sampled_from([0.0, 1000.0, -500.0]))
def test_profit_is_cash_and_what_is_held(trades: list[tuple[float, float]], opening: float) -> None:
    """Realized and unrealized P&L together are what was paid and is held."""
    book = Book({"AAPL": opening})
    book.mark("AAPL", 100.0)
    cash = -opening
    for quantity, price in trades:
        book.trade("AAPL", quantity, price, "momentum")
        cash -= quantity * price
    holding = book.mark("AAPL", 105.0)
    held = opening / 100.0 + sum(quantity for quantity, _ in trades)
    assert holding.quantity == pytest.approx(held)
    profit = book.realized_total_usd + book.unrealized_total_usd
    assert profit == pytest.approx(cash + held * 105.0)


def test_a_crossing_trade_closes_and_opens() -> None:
    """What is beyond the position is held at the trade's price, with no P&L of its own."""
    book = Book({})
    book.trade("AAPL", 2.0, 100.0, "momentum")
    holding = book.trade("AAPL", -3.0, 110.0, "momentum")
    assert (holding.quantity, holding.position.average) == (-1.0, 110.0)
    assert book.realized_usd["AAPL", "momentum"] == pytest.approx(20.0)
    assert book.open_count == 1
    book.trade("AAPL", 1.0, 110.0, "momentum")
    assert book.open_count == 0


def test_a_fill_rate_is_that_of_the_last_minute() -> None:
    """What is older does not count; of no order nothing is unfilled."""
    window = FillWindow()
    assert window.share(0.0) == 1.0
    assert window.add(0.0, 0.0) == 0.0
    assert window.add(10.0, 1.0) == 0.5
    assert window.share(WINDOW_S) == 1.0


def test_times_end_at_their_ceiling_and_spike_a_hundredfold() -> None:
    """So no alert on a percentile can fire by chance, and all do in a spike."""
    kind = Taken(45.0, 95.0)
    quiet = [Draws(1, "a").taken(kind) for _ in range(2)]
    assert quiet[0] == quiet[1], "the same seed draws the same"
    draws = Draws(1, "a")
    taken = sorted(draws.taken(kind) for _ in range(2000))
    assert taken[-1] <= 95.0
    assert 40.0 < taken[1000] < 50.0
    spiked = sorted(draws.taken(kind, spike=True) for _ in range(2000))
    assert 40.0 < spiked[1000] / SPIKE_FACTOR < 50.0


def test_what_was_traded_is_a_signed_sum() -> None:
    """By it the signal bridge leans: sells take away what buys added, the opening is no trade."""
    book = Book({"AAPL": 1000.0})
    book.trade("AAPL", 2.0, 100.0, "momentum")
    assert book.trade("AAPL", -3.0, 110.0, "momentum").traded_usd == pytest.approx(-130.0)


def test_draws_are_the_seeds_and_the_services() -> None:
    """The same again for the same two, and others for another one of either."""

    def drawn(seed: int, service: str) -> list[float]:
        draws = Draws(seed, service)
        return [draws.between(0.0, 1.0) for _ in range(20)]

    assert drawn(1, "a") == drawn(1, "a")
    assert drawn(1, "a") != drawn(2, "a")
    assert drawn(1, "a") != drawn(1, "b")


@pytest.fixture(name="fault_path")
def _fault_path(tmp_path: Path) -> Path:
    return tmp_path / "faults.json"


def test_a_quiet_venue_rejects_one_limit_order_of_200(fault_path: Path) -> None:
    """Few enough for every alert about rejections, and there to be looked at."""
    venue = Venue(Faults(fault_path), Draws(1, "venue"))
    rejected = [number for number in range(1, 1001) if venue.answer(number).rejection_reason]
    assert len(rejected) == 5
    assert {later - earlier for earlier, later in pairwise(rejected)} == {200}
    assert {number % 5 for number in rejected} == {3}, "limit orders: signal_bridge.py"


@pytest.mark.parametrize(("fault", "share"), [("error_burst", 0.85), ("rejected_orders", 0.6)])
def test_a_venue_in_trouble(fault_path: Path, fault: str, share: float) -> None:
    """Calls fail, or orders are rejected, in about the share that the alerts need."""
    write_faults(fault_path, [fault])
    venue = Venue(Faults(fault_path), Draws(1, "venue"))
    answers = [venue.answer(1) for _ in range(1000)]
    bad = [each for each in answers if each.failed or each.rejection_reason]
    assert len(bad) == pytest.approx(1000 * share, abs=60)
    assert all(each.filled == 0.0 for each in bad)
    failed = {each.status_code for each in answers if each.failed}
    assert failed == ({"429", "500", "503"} if fault == "error_burst" else set())
    assert failed <= set(ERROR_MESSAGES)
