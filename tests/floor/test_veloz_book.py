"""VeloZ's book and orders: what is earned, what is at risk, what becomes of an order."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.floor.veloz.book import SYMBOLS, Book, ratios, return_series
from tapeline.floor.veloz.orders import Conditions, Order, OrderError, Outcome, order_from, respond

SEEDS = st.integers(min_value=0, max_value=10_000)
FILLS = st.lists(
    st.tuples(
        st.integers(min_value=-50, max_value=50).filter(bool),
        st.integers(min_value=1, max_value=200),
    ),
    max_size=12,
)


def _mids() -> dict[str, Decimal]:
    return {symbol: first for symbol, (first, _, _) in SYMBOLS.items()}


def _order(**changes: object) -> Order:
    content = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "price": "100"} | changes
    return order_from(content, "web-1")


@given(fills=FILLS, last=st.integers(min_value=1, max_value=200))
def test_realised_and_open_pnl_are_together_what_cash_and_position_are_worth(
    fills: list[tuple[int, int]], last: int
) -> None:
    """However fills open, close and flip, P&L is the cash that flowed and what is held."""
    book = Book()
    book.open({symbol: Decimal(100) for symbol in SYMBOLS})
    begun = book.positions["BTCUSDT"].quantity
    cash = -Fraction(begun) * 100
    for quantity, price in fills:
        book.fill("BTCUSDT", Decimal(quantity), Decimal(price))
        cash -= Fraction(quantity) * price
    position = book.positions["BTCUSDT"]
    assert position.quantity == begun + sum(quantity for quantity, _ in fills)
    earned = book.realized_usd["BTCUSDT"] + position.quantity * (last - position.average)
    assert float(earned) == pytest.approx(
        float(cash + Fraction(position.quantity) * last), abs=1e-6
    )


@given(seed=SEEDS)
def test_a_healthy_book_is_within_every_limit_that_an_alert_has(seed: int) -> None:
    """Whatever the seed, risk figures of a quiet day make no alert fire."""
    book = Book()
    book.open(_mids())
    figures = book.figures(_mids())
    known = ratios(return_series(seed), 1_000_000)
    assert figures.leverage < 3
    assert figures.largest_percent < 50
    assert figures.utilization_percent < 80
    assert known.sharpe > 0
    assert known.win_rate_percent > 30
    assert 0 < known.var_95 <= known.var_99


@given(seed=SEEDS)
def test_a_crash_is_beyond_drawdown_value_at_risk_and_ratios(seed: int) -> None:
    """In the scenario drawdown the critical limits of the guide are broken, for every seed."""
    book = Book()
    book.open(_mids())
    figures = book.figures(_mids(), crash=True)
    known = ratios(return_series(seed, crash=True), 1_000_000)
    assert figures.drawdown_percent > 20
    assert -sum(each.unrealized for each in figures.holdings.values()) > known.var_95
    assert known.sharpe < 0
    assert known.win_rate_percent < 30


def test_a_breach_is_beyond_leverage_concentration_and_utilization() -> None:
    """In the scenario risk_limit_breach one position outgrows the book."""
    book = Book()
    book.open(_mids())
    figures = book.figures(_mids(), breach=True)
    assert figures.leverage > 3
    assert figures.largest_percent > 50
    assert figures.utilization_percent == 100
    assert book.figures(_mids()).leverage < 3


def test_exposure_adds_up() -> None:
    """Gross is long less short (which is negative), net their sum; shares are of the gross."""
    book = Book()
    book.open(_mids())
    figures = book.figures(_mids())
    assert figures.gross == figures.long - figures.short
    assert figures.net == figures.long + figures.short
    # Of 1.2 million USD in four positions: 30, 25, 25 and 20 percent.
    assert figures.hhi == pytest.approx(0.3**2 + 2 * 0.25**2 + 0.2**2)
    assert figures.largest_percent == pytest.approx(30)
    assert figures.top3_percent == pytest.approx(80)


def test_settling_realises_what_was_open() -> None:
    """After a settlement nothing is open, and what was is realised."""
    book = Book()
    book.open(_mids())
    risen = {symbol: mid * 2 for symbol, mid in _mids().items()}
    before = book.figures(risen)
    book.settle(risen)
    after = book.figures(risen)
    assert before.equity == after.equity
    assert sum(each.unrealized for each in after.holdings.values()) == 0


def test_a_drawdown_is_from_the_highest_equity_and_ends_with_a_settlement() -> None:
    """What was earned and lost again is a loss to whoever looks at the peak."""
    book = Book()
    book.open(_mids())
    risen = _mids() | {"BTCUSDT": 2 * _mids()["BTCUSDT"]}
    assert book.figures(risen).drawdown_percent == 0

    fallen = book.figures(_mids())
    assert fallen.equity == 1_000_000
    assert fallen.drawdown_percent == pytest.approx(100 * 360_000 / 1_360_000)

    book.settle(_mids())
    assert book.figures(_mids()).drawdown_percent == 0


def test_strategies_buy_what_they_hold_too_little_of() -> None:
    """Long or short: below the wanted value they buy, above it they sell."""
    book = Book()
    book.open(_mids())
    for symbol, (first, _, wanted) in SYMBOLS.items():
        book.fill(symbol, Decimal(-1), first)
        assert book.wants_to_buy(symbol, first), wanted
        book.fill(symbol, Decimal(2), first)
        assert not book.wants_to_buy(symbol, first), wanted


def test_ratios_are_those_of_a_series_computed_by_hand() -> None:
    """Mean 0.5 %, sample deviation 2.38 %, downside 1.118 %, index 1.02 1.0098 1.0401 1.0193."""
    found = ratios([0.02, -0.01, 0.03, -0.02], 1_000)

    assert found.sharpe == pytest.approx(0.005 / (0.0017 / 3) ** 0.5 * 365**0.5)
    assert found.sortino == pytest.approx(0.005 / 0.000125**0.5 * 365**0.5)
    assert found.max_drawdown_percent == pytest.approx(2)
    assert found.calmar == pytest.approx(0.005 * 365 / 0.02)
    assert found.win_rate_percent == 50
    assert found.profit_factor == pytest.approx(5 / 3)
    # Of the two lowest returns, 0.15 and 0.03 of the way from the first to the second.
    assert found.var_95 == pytest.approx(18.5)
    assert found.var_99 == pytest.approx(19.7)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbol": "DOGE"}, "is not traded"),
        ({"side": "HOLD"}, "side is one of"),
        ({"type": "STOP"}, "type one of"),
        ({"quantity": "many"}, "is no number"),
        ({"quantity": "0"}, "above 0"),
        ({"price": "NaN"}, "above 0"),
    ],
)
def test_what_is_no_order_is_refused_with_a_reason(changes: dict[str, object], said: str) -> None:
    """A request that names no order says what is wrong with it."""
    with pytest.raises(OrderError, match=said):
        _order(**changes)


def test_an_order_without_a_decision_was_decided_at_its_price() -> None:
    """Slippage is against what the strategy saw, where it says so."""
    assert _order().decision_price == 100
    assert _order(decision_price="99.5").decision_price == Decimal("99.5")


def _outcomes(conditions: Conditions, count: int = 200, **changes: object) -> list[Outcome]:
    order, luck = _order(**changes), random.Random(1)  # noqa: S311 - no secret
    touch = Decimal(64_000)
    return [respond(order, touch, number, conditions, luck) for number in range(1, count + 1)]


def test_few_orders_are_rejected_on_a_quiet_day() -> None:
    """The objective allows 1 %: there are far fewer, and both reasons occur."""
    found = _outcomes(Conditions(), count=1_600)
    assert sum(each.risk_reason is not None for each in found) == 2
    assert sum(each.venue_reason is not None for each in found) == 2


def test_some_limit_orders_rest_for_seconds() -> None:
    """About one of ten, and none of them is filled."""
    resting = [each for each in _outcomes(Conditions(), count=1_000) if each.rest_s]

    assert 50 < len(resting) < 150
    assert all(2 <= each.rest_s <= 5 and each.price is None for each in resting)


def test_a_market_order_is_filled_at_the_touch() -> None:
    """It pays the quote's other side, and nothing beyond."""
    prices = {each.price for each in _outcomes(Conditions(), type="MARKET")}
    assert prices == {Decimal("64000.0")}


def test_in_a_slippage_spike_executions_are_far_from_the_quote() -> None:
    """They pay 60 to 150 basis points more; a seller gets so much less."""
    for side, sign in (("BUY", 1), ("SELL", -1)):
        for each in _outcomes(Conditions(far=True), type="MARKET", side=side):
            assert each.price is not None
            bps = 10_000 * sign * (each.price - 64_000) / 64_000
            assert 59 < bps < 151


@pytest.mark.parametrize(
    ("conditions", "reasons"),
    [
        (Conditions(breaker_open=True), {"circuit_breaker"}),
        (Conditions(disconnected=True), {"venue_unavailable"}),
        (Conditions(rejecting=True), {"position_limit", "insufficient_balance"}),
    ],
)
def test_faults_reject_most_orders(conditions: Conditions, reasons: set[str]) -> None:
    """More than half of the orders are rejected, for the reason of the fault."""
    found = [each.risk_reason or each.venue_reason for each in _outcomes(conditions)]
    rejected = [each for each in found if each is not None]
    assert len(rejected) > 100
    assert set(rejected) == reasons


def test_a_latency_spike_is_above_the_critical_limit() -> None:
    """Each order takes longer than the half second at which the guide calls it critical."""
    assert all(each.latency_s > 0.5 for each in _outcomes(Conditions(slow=True)))
    assert all(each.latency_s < 0.05 for each in _outcomes(Conditions()))
