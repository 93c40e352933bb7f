"""Slippage, spreads and markouts: worked examples, identities, and what lacks an input."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.events import BUY, SELL, Side
from tapeline.signals.instruments import Instrument
from tapeline.signals.slippage import (
    Missing,
    MoneySlippage,
    average_bps,
    effective_spread_bps,
    markout_bps,
    money_slippage,
    realized_spread_bps,
    slippage_bps,
)

LINEAR = Instrument()
INVERSE = Instrument(is_inverse=True, multiplier=Decimal(100))
PRICES = st.decimals("0.01", "100000", places=4)
SIDES: st.SearchStrategy[Side] = st.sampled_from([BUY, SELL])
EXECUTIONS = st.lists(
    st.tuples(SIDES, st.decimals("0.001", "1000", places=3), PRICES, PRICES), min_size=1, max_size=8
)


def number(value: object) -> Decimal:
    """Return a figure that has to be there."""
    assert isinstance(value, Decimal)
    return value


def test_slippage_of_textbook_trades() -> None:
    """A buy at 40.47 with the mid at 40.445 (CFA curriculum, level III) costs 6.18 bp of it.

    Sold at the same price instead, it gains as much.
    """
    bought = number(slippage_bps(BUY, Decimal("40.47"), Decimal("40.445")))
    assert bought == pytest.approx(Decimal("6.181234"), abs=Decimal("1e-6"))
    assert slippage_bps(SELL, Decimal("40.47"), Decimal("40.445")) == bought.copy_negate()


@pytest.mark.parametrize(
    ("bid", "ask", "price", "expected"),
    [
        ("10.00", "10.07", "9.98", "0.11"),
        ("9.90", "9.96", "9.92", "0.02"),
        ("9.88", "9.94", "9.91", "0.00"),
    ],
)
def test_effective_spread_of_sells(bid: str, ask: str, price: str, expected: str) -> None:
    """Three sells of a textbook (CFA curriculum, level III): 0.11, 0.02 and 0.00 of a dollar.

    The average is 4.33 cents. The definition is 2·s·(price - M), Huang and Stoll (1996).
    """
    middle = (Decimal(bid) + Decimal(ask)) / 2
    spread = number(effective_spread_bps(SELL, Decimal(price), middle))
    assert float(spread * middle / 10_000) == pytest.approx(float(expected), abs=1e-12)


def test_effective_spread_of_a_buy_inside_the_quote() -> None:
    """Bid 40.40, ask 40.49, bought at 40.47: 5 cents, where the quoted spread is 9 (CFA)."""
    spread = number(effective_spread_bps(BUY, Decimal("40.47"), Decimal("40.445")))
    assert float(spread * Decimal("40.445") / 10_000) == pytest.approx(0.05, abs=1e-12)


def test_realized_spread_is_what_the_impact_leaves() -> None:
    """Huang and Stoll (1996): effective less realised is twice the impact, 2·s·(mid(t+h) - M).

    Bought at 20.10 with the mid at 20.00, which is 20.04 later: 10 and 6 cents half spread, so 100
    and 60 bp, and the 40 bp between them are the impact of 4 cents, twice.
    """
    receipt, later, price = Decimal("20.00"), Decimal("20.04"), Decimal("20.10")
    assert effective_spread_bps(BUY, price, receipt) == 100
    assert realized_spread_bps(BUY, price, later, receipt) == 60
    assert realized_spread_bps(SELL, price, later, receipt) == -60


@given(SIDES, PRICES, PRICES, PRICES)
def test_effective_less_realized_is_the_impact(
    side: Side, price: Decimal, receipt: Decimal, later: Decimal
) -> None:
    """The identity holds for any prices, to the last digits of a quotient."""
    effective = Fraction(number(effective_spread_bps(side, price, receipt)))
    realized = Fraction(number(realized_spread_bps(side, price, later, receipt)))
    impact = 20_000 * side * (Fraction(later) - Fraction(receipt)) / Fraction(receipt)
    assert abs(effective - realized - impact) <= Fraction(1, 10**18)


def test_markout_is_positive_when_the_market_goes_the_traders_way() -> None:
    """Bought at 100 and 101 later is +100 bp; sold it is -100 bp."""
    assert markout_bps(BUY, Decimal(100), Decimal(101)) == 100
    assert markout_bps(SELL, Decimal(100), Decimal(101)) == -100


@given(SIDES, PRICES, PRICES, PRICES, st.decimals("0.0001", "10000", places=4))
def test_basis_points_do_not_depend_on_the_scale_of_prices(
    side: Side, price: Decimal, first: Decimal, later: Decimal, scale: Decimal
) -> None:
    """All prices by one factor: every figure in basis points is exactly the same."""
    prices = (price, first, later)
    price_2, first_2, later_2 = (value * scale for value in prices)
    assert slippage_bps(side, price_2, first_2) == slippage_bps(side, price, first)
    assert effective_spread_bps(side, price_2, first_2) == effective_spread_bps(side, price, first)
    assert realized_spread_bps(side, price_2, later_2, first_2) == realized_spread_bps(
        side, price, later, first
    )
    assert markout_bps(side, price_2, later_2) == markout_bps(side, price, later)


def test_money_of_a_linear_and_an_inverse_contract() -> None:
    """What a worse price costs is what position accounting would show as less P&L."""
    assert money_slippage(LINEAR, BUY, Decimal(3), Decimal(101), Decimal(100)) == MoneySlippage(
        Decimal(3), Decimal(0), Decimal(300)
    )
    assert money_slippage(LINEAR, SELL, Decimal(3), Decimal(101), Decimal(100)) == MoneySlippage(
        Decimal(0), Decimal(3), Decimal(300)
    )
    # 5 contracts of 100 USD: 500/8000 - 500/10000 BTC less for the same dollars.
    assert money_slippage(INVERSE, BUY, Decimal(5), Decimal(10000), Decimal(8000)) == MoneySlippage(
        Decimal("0.0125"), Decimal(0), Decimal("0.0625")
    )
    assert money_slippage(INVERSE, SELL, Decimal(5), Decimal(10000), Decimal(8000)) == (
        MoneySlippage(Decimal(0), Decimal("0.0125"), Decimal("0.0625"))
    )


@given(EXECUTIONS)
def test_sums_of_money_agree_with_the_basis_points(
    executions: list[tuple[Side, Decimal, Decimal, Decimal]],
) -> None:
    """Cost less improvement over notional is the average of bps, weighted by benchmark notional."""
    cost = improvement = notional = Decimal(0)
    weighted = Fraction(0)
    for side, quantity, price, benchmark in executions:
        money = money_slippage(LINEAR, side, quantity, price, benchmark)
        assert isinstance(money, MoneySlippage)
        assert min(money.cost, money.improvement) == 0
        cost += money.cost
        improvement += money.improvement
        notional += money.notional
        weighted += Fraction(number(slippage_bps(side, price, benchmark))) * Fraction(
            money.notional
        )
    average = Fraction(number(average_bps(cost, improvement, notional)))
    assert abs(average - weighted / Fraction(notional)) <= Fraction(1, 10**12)


@given(SIDES, st.decimals("0.001", "1000", places=3), PRICES, PRICES)
def test_inverse_money_is_the_difference_of_two_values(
    side: Side, quantity: Decimal, price: Decimal, benchmark: Decimal
) -> None:
    """s·q·m·(1/B - 1/price), against fractions."""
    money = money_slippage(INVERSE, side, quantity, price, benchmark)
    assert isinstance(money, MoneySlippage)
    exact = side * Fraction(quantity) * 100 * (1 / Fraction(benchmark) - 1 / Fraction(price))
    assert abs(Fraction(money.cost - money.improvement) - exact) <= abs(exact) / 10**27


def test_what_lacks_an_input_has_a_reason_and_no_figure() -> None:
    """No side, no benchmark, one of zero or less: none of them is made up."""
    one, nothing = Decimal(1), Decimal(0)
    assert slippage_bps(0, one, one) is Missing.SIDE
    assert slippage_bps(BUY, one, None) is Missing.BENCHMARK
    assert slippage_bps(BUY, one, nothing) is Missing.NOT_POSITIVE
    assert slippage_bps(BUY, one, -one) is Missing.NOT_POSITIVE
    assert slippage_bps(BUY, -one, one) == -20_000
    assert money_slippage(LINEAR, 0, one, one, one) is Missing.SIDE
    assert money_slippage(LINEAR, BUY, one, one, None) is Missing.BENCHMARK
    assert money_slippage(INVERSE, BUY, one, nothing, one) is Missing.PRICE_NOT_POSITIVE
    assert effective_spread_bps(BUY, one, None) is Missing.MID_AT_RECEIPT
    assert realized_spread_bps(BUY, one, one, None) is Missing.MID_AT_RECEIPT
    assert realized_spread_bps(BUY, one, None, one) is Missing.LATER_MID
    assert markout_bps(BUY, one, None) is Missing.LATER_MID
    assert markout_bps(BUY, nothing, one) is Missing.PRICE_NOT_POSITIVE
    assert markout_bps(0, one, one) is Missing.SIDE
    assert average_bps(one, nothing, nothing) is None
