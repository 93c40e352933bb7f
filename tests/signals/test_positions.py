"""Positions at average cost: worked examples by hand, and the formulas in fractions."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_events import PlainPosition, trade
from tapeline.signals.decimals import ZERO
from tapeline.signals.events import Execution
from tapeline.signals.instruments import Instrument, Instruments
from tapeline.signals.positions import (
    CHECKPOINT_EVERY,
    FLAT,
    Position,
    Positions,
    PositionState,
    fold,
    steps,
)

LINEAR = Instrument(base_currency="BTC", quote_currency="USDT")
INVERSE = Instrument(is_inverse=True, multiplier=Decimal(1), settlement_currency="BTC")
KINDS = [
    LINEAR,
    Instrument(multiplier=Decimal("0.05")),
    INVERSE,
    Instrument(is_inverse=True, multiplier=Decimal(100)),
]

quantities = st.integers(-200, 200).filter(bool).map(lambda n: Decimal(n) / 100)
prices = st.integers(1, 10**7).map(lambda n: Decimal(n) / 1000)
streams = st.lists(st.tuples(quantities, prices), max_size=40).map(
    lambda rows: [trade(at, str(quantity), str(price)) for at, (quantity, price) in enumerate(rows)]
)


def is_near(one: Decimal | None, other: Fraction) -> bool:
    """Say whether a figure is the exact one, but for the last of 34 digits of each quotient."""
    assert one is not None
    return abs(Fraction(one) - other) <= (1 + abs(other)) * Fraction(1, 10**26)


def figures(state: PositionState, instrument: Instrument) -> tuple[str, str | None, str]:
    """Return quantity, average price and realised P&L to 10 places."""
    average = state.average_price(instrument)
    return (
        f"{state.quantity:f}",
        None if average is None else f"{average:.10f}",
        f"{state.realised:.10f}",
    )


def test_a_linear_position_from_flat_to_flat_by_hand() -> None:
    """Buy 1 @ 100, buy 3 @ 104, sell 2 @ 110, sell 2 @ 90."""
    events = [trade(1, 1, 100), trade(2, 3, 104), trade(3, -2, 110), trade(4, -2, 90)]

    assert [figures(step.after, LINEAR) for step in steps(FLAT, events, LINEAR)] == [
        ("1", "100.0000000000", "0.0000000000"),
        ("4", "103.0000000000", "0.0000000000"),  # (1*100 + 3*104)/4 = 412/4
        ("2", "103.0000000000", "14.0000000000"),  # 2*(110-103)
        ("0", None, "-12.0000000000"),  # 14 + 2*(90-103)
    ]


def test_a_linear_flip_opens_at_its_own_price() -> None:
    """Long 1 @ 10000, sell 3 @ 11000: closes 1 with +1000 and is short 2 @ 11000."""
    state = fold(FLAT, [trade(1, 1, 10_000), trade(2, -3, 11_000)], LINEAR)

    assert figures(state, LINEAR) == ("-2", "11000.0000000000", "1000.0000000000")
    assert state.unrealised(LINEAR, Decimal(10_500)) == 1000  # -2*(10500-11000)


def test_a_flip_from_short_to_long_with_a_multiplier() -> None:
    """Short 2 @ 50, buy 5 @ 40, each contract 5 units: +100, then long 3 @ 40."""
    instrument = Instrument(multiplier=Decimal(5))
    state = fold(FLAT, [trade(1, -2, 50), trade(2, 5, 40)], instrument)

    assert figures(state, instrument) == ("3", "40.0000000000", "100.0000000000")
    assert state.cost == 600  # 3*5*40
    assert state.unrealised(instrument, Decimal(42)) == 30  # 3*5*(42-40)


def test_a_loss_at_negative_prices() -> None:
    """Buy 1 @ 10, sell 1 @ -37.63; then short 2 @ -37.63, bought back @ -40."""
    instrument = Instrument(multiplier=Decimal(1000), allows_negative_prices=True)
    first = fold(FLAT, [trade(1, 1, 10), trade(2, -3, "-37.63")], instrument)
    second = fold(first, [trade(3, 2, -40)], instrument)

    assert first.realised == -47_630  # 1000*(-37.63-10)
    assert first.average_price(instrument) == Decimal("-37.63")
    assert second.realised == -42_890  # -47630 + 2*1000*(-37.63+40)
    assert second.quantity == second.cost == 0


def test_an_inverse_average_is_harmonic() -> None:
    """100 @ 10000 and 100 @ 20000: 200/(0.01+0.005) = 13333.33, not 15000."""
    state = fold(FLAT, [trade(1, 100, 10_000), trade(2, 100, 20_000)], INVERSE)

    assert figures(state, INVERSE) == ("200", "13333.3333333333", "0.0000000000")
    assert state.cost == Decimal("0.015")
    # 200*(1/13333.33 - 1/15000) = 0.015 - 0.0133333
    assert f"{state.unrealised(INVERSE, Decimal(15_000)):.12f}" == "0.001666666667"


def test_an_inverse_average_as_venues_show_it() -> None:
    """1000 @ 5000 and 2000 @ 6000: 3000/(0.2 + 0.333333) = 5625."""
    state = fold(FLAT, [trade(1, 1000, 5000), trade(2, 2000, 6000)], INVERSE)

    assert figures(state, INVERSE) == ("3000", "5625.0000000000", "0.0000000000")


def test_an_inverse_long_gains_less_the_higher_it_goes() -> None:
    """1000 long from 5000 to 5500: 1000*(1/5000 - 1/5500) = 0.0181818."""
    events = [trade(1, 1000, 5000), trade(2, -1000, 5500)]

    assert figures(fold(FLAT, events, INVERSE), INVERSE) == ("0", None, "0.0181818182")


def test_an_inverse_flip_by_hand() -> None:
    """Long 100 @ 10000, sell 300 @ 12500: +0.002, then short 200 @ 12500; bought @ 10000: +0.004.

    100*(1/10000 - 1/12500) = 0.01 - 0.008; -200*(1/12500 - 1/10000) = -(0.016 - 0.02).
    """
    flipped = fold(FLAT, [trade(1, 100, 10_000), trade(2, -300, 12_500)], INVERSE)
    closed = fold(flipped, [trade(3, 200, 10_000)], INVERSE)

    assert figures(flipped, INVERSE) == ("-200", "12500.0000000000", "0.0020000000")
    assert flipped.unrealised(INVERSE, Decimal(10_000)) == Decimal("0.004")
    assert figures(closed, INVERSE) == ("0", None, "0.0060000000")


@pytest.mark.parametrize("instrument", KINDS)
@given(events=streams, price=prices)
def test_figures_are_those_of_the_formulas(
    instrument: Instrument, events: list[Execution], price: Decimal
) -> None:
    """Quantity, average, realised and unrealised, against fractions."""
    state = fold(FLAT, events, instrument)
    plain = PlainPosition(instrument).apply(events)

    assert Fraction(state.quantity) == plain.quantity
    assert is_near(state.realised, plain.realised)
    assert is_near(state.unrealised(instrument, price), plain.unrealised(Fraction(price)))
    if plain.quantity:
        assert is_near(state.average_price(instrument), plain.average)
        assert state.last_price == events[-1].price


@given(events=streams, price=prices)
def test_linear_pnl_is_cash_flow_marked_to_price_exactly(
    events: list[Execution], price: Decimal
) -> None:
    """To the last digit, through partial closes and flips, since the cost is what is kept."""
    state = fold(FLAT, events, LINEAR)

    with localcontext(Context(prec=300)):
        got = -sum((e.side * e.quantity * e.price for e in events if e.quantity and e.price), ZERO)
        assert state.realised + state.unrealised(LINEAR, price) == got + state.quantity * price


@given(events=streams, price=prices)
def test_inverse_pnl_is_cash_flow_in_settlement_currency(
    events: list[Execution], price: Decimal
) -> None:
    """Exactly, with the worth of each execution rounded to 34 digits once."""
    state = fold(FLAT, events, INVERSE)

    with localcontext(Context(prec=300)):
        got = sum((INVERSE.value(e.side * e.quantity, e.price) for e in events
                   if e.quantity and e.price), ZERO)  # fmt: skip
        value = INVERSE.value(state.quantity, price)
        assert state.realised + state.unrealised(INVERSE, price) == got - value


@given(events=streams)
def test_flat_again_everything_is_realised_exactly(events: list[Execution]) -> None:
    """No rounding of any share is left behind."""
    quantity = fold(FLAT, events, LINEAR).quantity
    if quantity:
        events = [*events, trade(10**6, str(-quantity), "0.001")]

    state = fold(FLAT, events, LINEAR)

    assert state.quantity == state.cost == 0
    assert Fraction(state.realised) == -PlainPosition(LINEAR).apply(events).paid


@given(events=streams)
def test_no_context_of_others_matters(events: list[Execution]) -> None:
    """A caller with 5 digits gets the same figures."""
    expected = fold(FLAT, events, INVERSE)
    with localcontext(Context(prec=5)):
        state = fold(FLAT, events, INVERSE)

        assert state == expected
        assert state.average_price(INVERSE) == expected.average_price(INVERSE)
        assert state.unrealised(INVERSE, Decimal(7)) == expected.unrealised(INVERSE, Decimal(7))


def test_fees_are_kept_by_currency_and_never_change_the_quantity() -> None:
    """Those in base currency also at their execution prices, as base figures take them."""
    events = [
        trade(1, 2, 100, fee=Decimal("0.001"), fee_currency="BTC"),
        trade(2, 1, 110, fee=Decimal("-0.5"), fee_currency="USDT"),
        trade(3, -3, 120, fee=Decimal("0.002"), fee_currency="BTC"),
        trade(4, 1, 90, fee=Decimal("0.25")),
    ]
    state = fold(FLAT, events, LINEAR)

    assert state.quantity == 1
    assert dict(state.fees) == {
        "BTC": Decimal("0.003"), "USDT": Decimal("-0.5"), "": Decimal("0.25")
    }  # fmt: skip
    # 0.001*100 + 0.002*120 = 0.34 of USDT, less the rebate of 0.5.
    assert state.charges(LINEAR) == {"USDT": Decimal("-0.16"), "": Decimal("0.25")}
    assert fold(FLAT, events, INVERSE).charges(INVERSE) == dict(state.fees)


@given(
    events=st.lists(st.tuples(st.integers(0, 40), quantities, prices), max_size=60),
    data=st.data(),
)
def test_a_position_is_replayed_from_near_by_as_from_the_beginning(
    events: list[tuple[int, Decimal, Decimal]], data: st.DataObject
) -> None:
    """In any order of arrival, read in between or not, with some taken out again."""
    wanted = [
        trade(at, str(quantity), str(price), f"e{number}")
        for number, (at, quantity, price) in enumerate(events * 4)
    ]
    position = Position(LINEAR)
    for event in data.draw(st.permutations(wanted)):
        position.add(event)
        if data.draw(st.integers(0, 9)) == 0:
            _ = position.state
    taken = data.draw(st.lists(st.sampled_from(wanted), unique=True)) if wanted else []
    for event in taken:
        position.remove(event)
        if data.draw(st.booleans()):
            _ = position.state
    kept = sorted((e for e in wanted if e not in taken), key=lambda event: event.order_key)

    assert position.state == fold(FLAT, kept, LINEAR)
    assert len(position) == len(kept)


@given(cut_at=st.lists(st.integers(0, 200), min_size=1, max_size=4), late=st.integers(0, 200))
def test_what_is_forgotten_stays_in_the_figures(cut_at: list[int], late: int) -> None:
    """And what arrives behind the cut is replayed from it."""
    wanted = [trade(at, 3 if at % 3 else -7, 100 + at % 11) for at in range(200)]
    position, whole = Position(LINEAR), Position(LINEAR)
    for event in wanted:
        position.add(event)
        whole.add(event)
    for before_ns in sorted(cut_at):
        position.forget(before_ns)
        assert len(position) == 200 - before_ns
        for one in (position, whole):
            one.add(trade(max(late, before_ns), 1, 99, f"late{before_ns}{len(one)}"))
            one.add(trade(500 + before_ns, 1, 98, f"new{before_ns}{len(one)}"))
            assert one.state.quantity
        assert position.state == whole.state
        for one in (position, whole):
            for added in [step.execution for step in one.steps()]:
                if added.id[0] != "e":
                    one.remove(added)
        assert position.state == whole.state


@pytest.mark.pure
@pytest.mark.parametrize("back", [0, 1, 100, 5_000])
def test_a_late_execution_replays_from_near_by(back: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it, and fewer than the distance of two checkpoints before it."""
    position = Position(LINEAR)
    for at in range(10_000):
        position.add(trade(2 * at, 1, 100))
    folded = []

    def counting(state: PositionState, part: list[Execution], what: Instrument) -> PositionState:
        folded.extend(part)
        return fold(state, part, what)

    monkeypatch.setattr("tapeline.signals.positions.fold", counting)
    _ = position.state
    assert len(folded) == 10_000

    late = trade(20_000 - 2 * back - 1, 1, 90, "late")
    for change in (position.add, position.remove):
        folded.clear()
        change(late)
        assert position.state.quantity in {10_000, 10_001}
        assert back <= len(folded) <= back + CHECKPOINT_EVERY


def test_few_states_are_kept() -> None:
    """One for every so many executions, and none of a past that was replayed."""
    position = Position(LINEAR)
    for at in range(10 * CHECKPOINT_EVERY):
        position.add(trade(at, 1, 100))
        _ = position.state
    assert len(position._checkpoints) == 11

    position.add(trade(0, 1, 100, "late"))
    _ = position.state
    assert len(position._checkpoints) == 11

    position.forget(5 * CHECKPOINT_EVERY)
    assert len(position._checkpoints) == 6


def test_what_was_never_added_can_not_be_removed() -> None:
    """That would be a mistake of the caller, and figures would be wrong after it."""
    position = Position(LINEAR)
    position.add(trade(1, 1, 100))

    with pytest.raises(LookupError, match="e2 is not in this position"):
        position.remove(trade(2, 1, 100))


def test_positions_are_kept_by_account_strategy_and_instrument() -> None:
    """Without a strategy it is the default one; an instrument has its own multiplier."""
    positions = Positions(Instruments({"Y": Instrument(multiplier=Decimal(10))}))
    for event in [
        trade(1, 1, 100),
        trade(2, 1, 100, strategy="s"),
        trade(3, 1, 100, account="b", instrument="Y"),
    ]:
        positions.replace(None, event)

    assert {key: position.state.cost for key, position in positions.items()} == {
        ("a", "default", "X"): 100,
        ("a", "s", "X"): 100,
        ("b", "default", "Y"): 1000,
    }
    positions.replace(trade(2, 1, 100, strategy="s"), trade(2, 2, 100, strategy="t"))
    assert ("a", "s", "X") not in positions
    assert positions.state(("a", "t", "X")).quantity == 2
    assert len(positions) == 3
