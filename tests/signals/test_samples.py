"""The samples of an execution and of an order, put together as the fold asks for them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from tapeline.signals.events import BUY, SELL, Execution, Order, Quote
from tapeline.signals.horizons import Horizons
from tapeline.signals.instruments import Instrument
from tapeline.signals.order_life import Fill
from tapeline.signals.orders import OrderBook
from tapeline.signals.quotes import Quotes
from tapeline.signals.samples import (
    execution_samples,
    shortfall_of,
    spread_and_markout,
)
from tapeline.signals.slippage import Benchmark, Missing, MoneySlippage

SECOND_NS = 1_000_000_000
LINEAR = Instrument()


@dataclass
class Desk:
    """A market that rises by 1 a second from a mid of 100, and an order in it."""

    quotes: Quotes
    book: OrderBook


@pytest.fixture
def desk() -> Desk:
    """Decided at 99, submitted at 1 s (mid 101), limit 105, 6 of 10 done at 2 s at 103."""
    quotes = Quotes()
    for second in range(10):
        middle = Decimal(100 + second)
        half = Decimal("0.5")
        quotes.add(Quote(second * SECOND_NS, "V", "I", middle - half, middle + half))
    book = OrderBook(quotes.mid_price)
    book.apply(
        Order(0, "a", "X", "decided", "I", "V", "", BUY, Decimal(10), decision_price=Decimal(99))
    )
    book.apply(Order(SECOND_NS, "a", "X", "submitted", "I", "V", limit_price=Decimal(105)))
    return Desk(quotes, book)


def execution(order_id: str = "X", **terms: Any) -> Execution:
    """Return the purchase of 6 at 103 after two seconds."""
    trade = Execution(
        2 * SECOND_NS, "a", "V", "I", "e", "trade", "", BUY, Decimal(6), Decimal(103), order_id
    )
    return trade._replace(**terms)


def test_an_execution_is_compared_with_all_four_benchmarks(desk: Desk) -> None:
    """Decision 99, arrival 101, limit 105 and quote 102, in money and basis points."""
    samples = execution_samples(execution(), LINEAR, desk.book, desk.quotes)
    prices = {slippage.benchmark: slippage.price for slippage in samples.slippages}
    assert prices == {
        Benchmark.DECISION: Decimal(99),
        Benchmark.ARRIVAL: Decimal(101),
        Benchmark.LIMIT: Decimal(105),
        Benchmark.QUOTE: Decimal(102),
    }
    money = {slippage.benchmark: slippage.money for slippage in samples.slippages}
    assert money[Benchmark.DECISION] == MoneySlippage(Decimal(24), Decimal(0), Decimal(594))
    assert money[Benchmark.LIMIT] == MoneySlippage(Decimal(0), Decimal(12), Decimal(630))
    bps = {slippage.benchmark: slippage.bps for slippage in samples.slippages}
    assert float(bps[Benchmark.QUOTE]) == pytest.approx(1e4 / 102)
    assert float(samples.effective_spread_bps) == pytest.approx(1e4 * 2 * 2 / 101)


def test_an_execution_of_an_unknown_order_has_the_quote_only(desk: Desk) -> None:
    """Its benchmarks are unknown; nothing stands in for them. It still has a markout."""
    for order_id in ("", "nobody's"):
        samples = execution_samples(execution(order_id), LINEAR, desk.book, desk.quotes)
        reasons = [slippage.bps for slippage in samples.slippages[:3]]
        assert reasons == [Missing.BENCHMARK] * 3
        assert isinstance(samples.slippages[3].bps, Decimal)
        assert samples.effective_spread_bps is Missing.MID_AT_RECEIPT
        assert samples.waiting is not None


def test_an_execution_without_a_side_has_no_samples(desk: Desk) -> None:
    """Each with the reason, and none later."""
    samples = execution_samples(execution(side=0), LINEAR, desk.book, desk.quotes)
    assert {slippage.bps for slippage in samples.slippages} == {Missing.SIDE}
    assert (samples.effective_spread_bps, samples.waiting) == (Missing.SIDE, None)


def test_horizons_meet_the_market_then(desk: Desk) -> None:
    """Three seconds on the mid is 105: a gain of 2 on 103, and a realised spread of minus 4."""
    samples = execution_samples(execution(), LINEAR, desk.book, desk.quotes)
    assert samples.waiting is not None
    horizons = Horizons([3 * SECOND_NS, 8 * SECOND_NS, 70 * SECOND_NS])
    horizons.add(samples.waiting)
    found = list(horizons.due(10 * SECOND_NS, is_end=True))
    assert [due.horizon_ns // SECOND_NS for due in found] == [3, 8]
    spread, markout = spread_and_markout(found[0].execution, found[0].horizon_ns, desk.quotes)
    assert float(markout) == pytest.approx(1e4 * 2 / 103)
    assert float(spread) == pytest.approx(-1e4 * 2 * 2 / 101)
    (late,) = horizons.due(100 * SECOND_NS)
    assert spread_and_markout(late.execution, late.horizon_ns, desk.quotes)[1] is Missing.LATER_MID


def test_shortfall_of_an_order_that_was_canceled(desk: Desk) -> None:
    """6 of 10 bought at 103, canceled at 104 (4 s): 120, 120 and 200 of 9900 hundredths."""
    fill = Fill(2 * SECOND_NS, Decimal(6), Decimal(103), Decimal("0.99"))
    desk.book.fill("a", "X", execution().identity, fill)
    desk.book.apply(Order(4 * SECOND_NS, "a", "X", "canceled", "I", "V"))
    assert list(desk.book.due(9 * SECOND_NS)) == []
    (closed,) = desk.book.due(9 * SECOND_NS + 1)
    found = shortfall_of(closed, LINEAR, desk.book)
    figures = [float(value) for value in found]
    assert figures == pytest.approx(
        [1e4 * 0.6 * 2 / 99, 1e4 * 0.6 * 2 / 99, 1e4 * 0.4 * 5 / 99, 10, 1e4 * 4.4 / 99 + 10]
    )


def test_a_sell_is_the_mirror_of_a_buy(desk: Desk) -> None:
    """Every signed figure changes its sign."""
    bought = execution_samples(execution(), LINEAR, desk.book, desk.quotes)
    sold = execution_samples(execution(side=SELL), LINEAR, desk.book, desk.quotes)
    assert [float(slippage.bps) for slippage in sold.slippages] == [
        -float(slippage.bps) for slippage in bought.slippages
    ]
    assert float(sold.effective_spread_bps) == -float(bought.effective_spread_bps)
