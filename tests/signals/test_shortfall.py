"""Implementation shortfall against worked examples, and by identities."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.events import BUY, SELL, Side
from tapeline.signals.instruments import Instrument
from tapeline.signals.shortfall import (
    Filled,
    Shortfall,
    ShortfallInput,
    filled_total,
    shortfall,
)
from tapeline.signals.slippage import Missing

LINEAR = Instrument()
INVERSE = Instrument(is_inverse=True, multiplier=Decimal(100))
PRICES = st.decimals("1", "1000", places=2)
QUANTITIES = st.decimals("1", "1000", places=1)


def known(
    quantity: str,
    prices: tuple[str, str, str],
    fills: list[tuple[str, str, str]],
    *,
    side: Side = BUY,
    instrument: Instrument = LINEAR,
) -> ShortfallInput:
    """Return an order with decision, arrival and closing price, and its fills with fees."""
    decision, arrival, close = map(Decimal, prices)
    filled = filled_total(instrument, [(Decimal(q), Decimal(p), Decimal(f)) for q, p, f in fills])
    return ShortfallInput(instrument, side, Decimal(quantity), decision, arrival, close, filled)


def figures(found: Shortfall) -> list[float]:
    """Return the five figures, all of which have to be there."""
    assert not any(isinstance(value, Missing) for value in found)
    return [float(value) for value in found]


def test_example_of_the_cfa_curriculum_as_perold_defines_it() -> None:
    """1000 to buy decided at 40.00, 700 done at 40.05 a day later at 40.04, 17 paid, 40.08 at last.

    Perold (1988), as taught (CFA level III): delay 0.07 %, execution 0.0175 %, missed 0.06 %,
    commission 0.0425 %: together 0.19 % (76 dollars of 40,000).
    """
    found = shortfall(known("1000", ("40.00", "40.04", "40.08"), [("700", "40.05", "17")]))
    assert figures(found) == pytest.approx([7, 1.75, 6, 4.25, 19])


def test_example_with_a_part_that_was_never_bought() -> None:
    """50,000 decided at 42.00, at the broker at 42.30, 35,000 done at 42.75, 43.50 at last.

    At 3 cents a share: 10,500 delay, 15,750 execution, 22,500 missed, 1,050 paid of 2,100,000.
    """
    found = shortfall(known("50000", ("42.00", "42.30", "43.50"), [("35000", "42.75", "1050")]))
    assert figures(found) == pytest.approx([50, 75, 15_000 * 1.5 / 210, 5, 237.142857142857])


def test_a_mock_exam_of_three_days() -> None:
    """8000 decided at 75, 75.75 at the second try, 4000 done at 77 for 1500, closed at 79.

    3000 delay, 5000 execution, 16,000 missed and 1500 paid of 600,000 (level III mock exam).
    """
    found = shortfall(known("8000", ("75", "75.75", "79"), [("4000", "77", "1500")]))
    assert figures(found) == pytest.approx(
        [3000 / 60, 5000 / 60, 16_000 / 60, 1500 / 60, 25_500 / 60]
    )


def test_a_sell_gains_where_a_buy_loses_and_pays_the_same() -> None:
    """All but the fees change their sign with the side."""
    fills = [("700", "40.05", "17")]
    bought = figures(shortfall(known("1000", ("40.00", "40.04", "40.08"), fills)))
    sold = figures(shortfall(known("1000", ("40.00", "40.04", "40.08"), fills, side=SELL)))
    assert sold[:3] == [-value for value in bought[:3]]
    assert sold[3] == bought[3]


@given(
    st.sampled_from([BUY, SELL]),
    st.tuples(PRICES, PRICES, PRICES),
    st.lists(st.tuples(QUANTITIES, PRICES, st.decimals("-5", "5", places=2)), max_size=5),
    QUANTITIES,
)
def test_total_is_paper_less_actual(
    side: Side,
    prices: tuple[Decimal, Decimal, Decimal],
    fills: list[tuple[Decimal, Decimal, Decimal]],
    missed: Decimal,
) -> None:
    """Perold: what the paper portfolio made by the close, less what the real one did, over paper.

    However it is split: arrival falls out of the sum.
    """
    decision, arrival, close = prices
    filled = filled_total(LINEAR, fills)
    quantity = filled.quantity + missed
    found = shortfall(ShortfallInput(LINEAR, side, quantity, decision, arrival, close, filled))
    assert isinstance(found.total, Decimal)
    paper = side * Fraction(quantity) * (Fraction(close) - Fraction(decision))
    actual = sum(
        (
            side * Fraction(q) * (Fraction(close) - Fraction(price)) - Fraction(fee)
            for q, price, fee in fills
        ),
        Fraction(0),
    )
    exact = 10_000 * (paper - actual) / (Fraction(quantity) * Fraction(decision))
    assert abs(Fraction(found.total) - exact) <= Fraction(1, 10**20)


@given(st.decimals("0.01", "1000", places=2), st.decimals("0.01", "1000", places=2))
def test_basis_points_do_not_depend_on_scale(by_price: Decimal, by_quantity: Decimal) -> None:
    """Prices by one factor and quantities by another: the same shortfall."""
    prices = [Decimal(value) for value in ("40.00", "40.04", "40.08")]
    found = []
    for price_scale, scale in ((Decimal(1), Decimal(1)), (by_price, by_quantity)):
        decision, arrival, close = (price * price_scale for price in prices)
        fill = (700 * scale, Decimal("40.05") * price_scale, 17 * scale * price_scale)
        found.append(
            shortfall(
                ShortfallInput(
                    LINEAR,
                    BUY,
                    1000 * scale,
                    decision,
                    arrival,
                    close,
                    filled_total(LINEAR, [fill]),
                )
            )
        )
    assert found[0] == found[1]


def test_fees_of_an_inverse_contract_are_in_its_settlement_currency() -> None:
    """0.001 BTC on 100 contracts of 100 USD at 8000: 1.25 BTC of notional, 8 bp."""
    inverse = known("100", ("8000", "8000", "8000"), [("100", "8000", "0.001")], instrument=INVERSE)
    assert shortfall(inverse).fees == 8


def test_average_of_an_inverse_contract_is_harmonic() -> None:
    """1000 at 5000 and 2000 at 6000 were bought at 5625, not 5666.67."""
    fills = [(Decimal(1000), Decimal(5000), Decimal(0)), (Decimal(2000), Decimal(6000), Decimal(0))]
    assert filled_total(INVERSE, fills).average_price == 5625
    assert filled_total(LINEAR, fills).average_price == pytest.approx(Decimal("5666.666667"))


def test_what_is_not_needed_is_not_asked_for() -> None:
    """All filled: no closing price needed. Nothing filled: no arrival price."""
    done = known("10", ("100", "101", "0"), [("10", "102", "0")])
    full = shortfall(
        ShortfallInput(LINEAR, BUY, Decimal(10), Decimal(100), Decimal(101), None, done.filled)
    )
    assert figures(full) == [100, 100, 0, 0, 200]
    nothing = shortfall(
        ShortfallInput(
            LINEAR, BUY, Decimal(10), Decimal(100), None, Decimal(103), filled_total(LINEAR, [])
        )
    )
    assert figures(nothing) == [0, 0, 300, 0, 300]


def test_more_than_was_in_force_counts_as_what_was_done() -> None:
    """Nothing was missed, and no part of it is negative."""
    found = shortfall(known("10", ("100", "101", "50"), [("20", "102", "0")]))
    assert figures(found) == [100, 100, 0, 0, 200]


def test_a_missing_input_takes_its_component_and_the_total() -> None:
    """Each component stands alone; what none of them can do without takes all."""
    filled = Filled(Decimal(5), Decimal(102), None)
    found = shortfall(ShortfallInput(LINEAR, BUY, Decimal(10), Decimal(100), None, None, filled))
    assert found == Shortfall(
        Missing.ARRIVAL_PRICE, Missing.ARRIVAL_PRICE, Missing.CLOSE_MID, Missing.FEE_RATE,
        Missing.COMPONENT,
    )  # fmt: skip
    partly = shortfall(
        ShortfallInput(LINEAR, BUY, Decimal(10), Decimal(100), Decimal(101), None, filled)
    )
    assert partly.delay == 50
    assert partly.execution == 50
    assert partly.total is Missing.COMPONENT
    cases: list[tuple[Side, Decimal | None, Decimal | None, Missing]] = [
        (0, Decimal(10), Decimal(100), Missing.SIDE),
        (BUY, None, Decimal(100), Missing.QUANTITY),
        (BUY, Decimal(10), None, Missing.DECISION_PRICE),
        (BUY, Decimal(10), Decimal(0), Missing.NOT_POSITIVE),
    ]
    for side, quantity, decision, reason in cases:
        nothing = shortfall(
            ShortfallInput(LINEAR, side, quantity, decision, Decimal(1), Decimal(1), filled)
        )
        assert set(nothing) == {reason}
