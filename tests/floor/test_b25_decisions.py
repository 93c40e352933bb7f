"""What b25's services decide without a clock: outcomes of orders, use of limits, refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tapeline.floor.b25.market import BOOKS
from tapeline.floor.b25.order_execution import OrderExecution, OrderIn, outcome_of
from tapeline.floor.b25.risk_manager import EXPOSURE_MAX_USD, LEVERAGE_MAX, utilization


@given(st.integers(1, 1_000_000))
def test_of_fifty_orders_one_is_rejected(first: int) -> None:
    """Wherever one begins to count: well below the 10 % at which an alert fires."""
    outcomes = [outcome_of(number) for number in range(first, first + 50)]
    assert outcomes.count("rejected") == 1
    assert outcomes.count("filled") >= 40


def test_every_status_of_the_plan_occurs() -> None:
    """Within the first hundred orders."""
    assert {outcome_of(number) for number in range(1, 101)} == {
        "new",
        "partially_filled",
        "filled",
        "canceled",
        "rejected",
    }


@given(st.integers(1, 1_000_000))
def test_four_of_five_orders_are_maker_orders(first: int) -> None:
    """Above the 70 % below which an alert fires."""
    kinds = [OrderExecution._kind(number) for number in range(first, first + 10)]
    assert [kind for _, kind in kinds].count("maker") == 8
    assert {order_type for order_type, _ in kinds} == {"limit", "market"}


def test_the_largest_position_counts_for_the_position_limit() -> None:
    """Long or short; exposure and leverage are of all together."""
    positions = [
        {"quantity": 2.0, "limit": 10.0, "notional_usd": 2_000.0},
        {"quantity": -9.0, "limit": 10.0, "notional_usd": -9_000.0},
    ]
    used = utilization(positions, 10_000.0)
    assert used["position"] == pytest.approx(0.9)
    assert used["exposure"] == pytest.approx(11_000 / EXPOSURE_MAX_USD)
    assert used["leverage"] == pytest.approx(1.1 / LEVERAGE_MAX)


def test_without_equity_leverage_is_used_up() -> None:
    """It is not a division by zero."""
    assert utilization([], 0.0)["leverage"] == 1
    assert utilization([], 100.0) == {"position": 0, "leverage": 0, "exposure": 0}


def test_books_have_names_of_their_own() -> None:
    """No two have the same labels: one would overwrite the other's series."""
    assert len({tuple(book.labels.items()) for book in BOOKS}) == len(BOOKS) == 6


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"exchange": "nyse"}, "'nyse' is none of binance, bybit, okx"),
        ({"symbol": "DOGE"}, "'DOGE' is none of BTCUSDT, ETHUSDT"),
        ({"strategy_id": "x"}, "'x' is none of scalper_v1, arbitrage_v2"),
        ({"side": "hold"}, "Input should be 'buy' or 'sell'"),
        ({"quantity": 0}, "greater than 0"),
        ({"price": float("inf")}, "finite number"),
        ({"order_id": "x" * 101}, "at most 100 characters"),
    ],
)
def test_an_order_of_something_else_is_refused(wrong: dict[str, object], told: str) -> None:
    """It would make series and map entries without bound, or a position that is no number."""
    order = {
        "order_id": "t-1",
        "number": 1,
        "exchange": "okx",
        "symbol": "BTCUSDT",
        "strategy_id": "scalper_v1",
        "side": "buy",
        "quantity": 0.1,
        "price": 64_000.0,
    }
    assert OrderIn.model_validate(order).side == "buy"
    with pytest.raises(ValidationError, match=told):
        OrderIn.model_validate(order | wrong)
