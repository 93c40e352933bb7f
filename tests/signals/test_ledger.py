"""Figures are a function of the set of events, whatever their order of arrival."""

from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_events import bust, correct, plainly_effective, trade
from tapeline.signals.decimals import ZERO
from tapeline.signals.events import Execution
from tapeline.signals.executions import Executions, OrderTerms
from tapeline.signals.instruments import Instrument, Instruments
from tapeline.signals.ledger import Ledger
from tapeline.signals.positions import FLAT, PositionKey, PositionState, fold, key_of

LINEAR = Instrument(base_currency="BTC", quote_currency="USDT")
INVERSE = Instrument(is_inverse=True, multiplier=Decimal(100))
KINDS = [Instruments({"X": LINEAR}), Instruments({"X": INVERSE})]
NAMES = [f"e{number}" for number in range(7)]

times = st.integers(0, 12)
amounts = st.integers(1, 60).map(lambda n: str(Decimal(n) / 8))
fees = st.none() | st.integers(-5, 5).map(lambda n: Decimal(n) / 100)


@st.composite
def trades(draw: st.DrawFn) -> Execution:
    """Return a trade with one of a few ids, so that conflicts happen."""
    sign = draw(st.sampled_from(["", "-"]))
    return trade(
        draw(times),
        sign + draw(amounts),
        draw(amounts),
        draw(st.sampled_from(NAMES)),
        strategy=draw(st.sampled_from(["", "s", "t"])),
        fee=draw(fees),
        fee_currency=draw(st.sampled_from(["", "BTC", "USDT"])),
    )


@st.composite
def links(draw: st.DrawFn) -> Execution:
    """Return a correct or a bust of anything, itself and what is unknown included."""
    name, ref_id = draw(st.sampled_from(NAMES)), draw(st.sampled_from([*NAMES, "unknown"]))
    if draw(st.booleans()):
        return bust(draw(times), name, ref_id)
    values: dict[str, Any] = {"side": draw(st.sampled_from([-1, 0, 1]))}
    for key in ("quantity", "price", "fee"):
        if draw(st.booleans()):
            values[key] = draw(amounts)
    return correct(draw(times), name, ref_id, **values)


events = st.lists(trades() | links(), max_size=14)
without_conflicts = st.lists(trades(), max_size=14).map(
    lambda arrivals: [
        event._replace(id=f"u{number}", time_ns=number) for number, event in enumerate(arrivals)
    ]
)


def states(ledger: Ledger) -> dict[PositionKey, PositionState]:
    """Return the positions that are not as if they had never been."""
    return {
        key: position.state for key, position in ledger.positions.items() if position.state != FLAT
    }


def total(figures: list[PositionState], instrument: Instrument, price: Decimal) -> Decimal:
    """Return the sum of realised and unrealised P&L."""
    with localcontext(Context(prec=300)):
        return sum((one.realised + one.unrealised(instrument, price) for one in figures), ZERO)


def taken(instruments: Instruments, arrivals: list[Execution]) -> Ledger:
    """Return a ledger that took these events."""
    ledger = Ledger(instruments)
    for event in arrivals:
        ledger.add(event, 0)
    return ledger


@pytest.mark.parametrize("instruments", KINDS)
@given(arrivals=events, data=st.data())
def test_any_order_of_arrival_gives_identical_figures(
    instruments: Instruments, arrivals: list[Execution], data: st.DataObject
) -> None:
    """With duplicates, and figures read in between; as the plain definition says."""
    again = data.draw(st.lists(st.sampled_from(arrivals), max_size=5)) if arrivals else []
    shuffled = data.draw(st.permutations([*arrivals, *again]))
    one, other = taken(instruments, arrivals), Ledger(instruments)
    for event in shuffled:
        other.add(event, 0)
        if data.draw(st.booleans()):
            states(other)
    expected: dict[PositionKey, list[Execution]] = {}
    for event in plainly_effective(arrivals):
        expected.setdefault(key_of(event), []).append(event)

    assert states(one) == states(other)
    assert states(one) == {
        key: fold(FLAT, part, instruments["X"]) for key, part in expected.items()
    }
    assert one.executions.parked_count == other.executions.parked_count


@pytest.mark.parametrize("instruments", KINDS)
@given(arrivals=events)
def test_a_bust_of_everything_is_flat_with_nothing_realised(
    instruments: Instruments, arrivals: list[Execution]
) -> None:
    """And nothing paid."""
    ledger = taken(instruments, arrivals)
    for number, event in enumerate(list(ledger.executions.effective())):
        last = ledger.executions.chain(event.identity)[-1]
        ledger.add(bust(100, f"bust{number}", last.id), 0)

    assert states(ledger) == {}
    assert not list(ledger.executions.effective())


@given(arrivals=without_conflicts, price=amounts.map(Decimal))
def test_strategies_add_up_to_the_account(arrivals: list[Execution], price: Decimal) -> None:
    """Quantity, P&L marked to a price and fees, exactly; only what is realised already differs."""
    ledger = taken(KINDS[0], arrivals)
    parts = list(states(ledger).values())
    whole = fold(FLAT, arrivals, LINEAR)

    assert sum((part.quantity for part in parts), ZERO) == whole.quantity
    assert total(parts, LINEAR, price) == total([whole], LINEAR, price)
    fees_by_currency: dict[str, Decimal] = {}
    for currency, amount in (item for part in parts for item in part.fees):
        fees_by_currency[currency] = fees_by_currency.get(currency, ZERO) + amount
    assert fees_by_currency == dict(whole.fees)


@given(arrivals=without_conflicts, price=amounts.map(Decimal))
def test_net_pnl_is_cash_flow_marked_to_price(arrivals: list[Execution], price: Decimal) -> None:
    """Realised + unrealised - fees, with fees in base currency at their execution prices."""
    state = fold(FLAT, arrivals, LINEAR)
    with localcontext(Context(prec=300)):
        net = total([state], LINEAR, price) - sum(state.charges(LINEAR).values(), ZERO)
        cash_flow = ZERO
        for event in arrivals:
            assert event.quantity is not None
            assert event.price is not None
            fee = event.fee or ZERO
            cash_flow -= event.side * event.quantity * event.price
            cash_flow -= fee * event.price if event.fee_currency == "BTC" else fee

        assert net == cash_flow + state.quantity * price


@given(arrivals=without_conflicts, cut_ns=st.integers(0, 15), data=st.data())
def test_a_window_that_moves_changes_no_figure(
    arrivals: list[Execution], cut_ns: int, data: st.DataObject
) -> None:
    """What arrives within it still counts where it belongs."""
    whole, ledger = taken(KINDS[0], arrivals), Ledger(KINDS[0])
    late = [event for event in arrivals if event.time_ns >= cut_ns]
    held_back = set(data.draw(st.lists(st.sampled_from(late), unique=True)) if late else [])
    for event in arrivals:
        if event not in held_back:
            ledger.add(event, 0)
    ledger.forget(cut_ns)
    for event in held_back:
        ledger.add(event, 99)

    assert states(ledger) == states(whole)
    assert all(event.time_ns >= cut_ns for event in ledger.executions.events)
    assert ledger.late_trade_count == 0


@given(arrivals=without_conflicts, cut_ns=st.integers(0, 15))
def test_a_ledger_goes_on_from_what_was_kept(arrivals: list[Execution], cut_ns: int) -> None:
    """The states at the beginning of the window, and the executions in it."""
    ledger = taken(KINDS[0], arrivals)
    ledger.forget(cut_ns)
    again = Ledger(KINDS[0])

    kept = {key: position.beginning for key, position in ledger.positions.items()}
    again.begin(kept, ledger.horizon_ns)
    for event in ledger.executions.events:
        again.add(event, 99)

    assert states(again) == states(ledger)
    assert not again.add(bust(cut_ns - 1, "H", "u0"), 99)
    assert again.too_late_count == 1


def test_what_is_older_than_the_window_counts_now_or_not_at_all() -> None:
    """A trade counts from when it comes, once; a correction or a bust is rejected."""
    ledger = taken(KINDS[0], [trade(10, 1, 100), trade(20, 1, 110)])
    ledger.forget(15)
    late = trade(5, -1, 120, "late")

    (change,) = ledger.add(late, 30)
    assert change.after == late._replace(time_ns=30)
    assert not ledger.add(late, 40)
    assert not ledger.add(bust(14, "H", "e10"), 40)
    ledger.forget(3)  # It never moves back.
    assert not ledger.add(bust(14, "K", "e10"), 40)

    state = ledger.positions.state(("a", "default", "X"))
    assert state.quantity == 1
    assert state.realised == 15  # 120 - (100 + 110)/2
    assert (ledger.late_trade_count, ledger.too_late_count) == (1, 2)
    assert ledger.executions.events.duplicate_count == 1


def test_executions_move_when_their_order_tells_its_strategy() -> None:
    """Out of the default one, with all figures."""
    ledger = Ledger(KINDS[0], Executions())
    ledger.add(trade(1, 2, 100, order_id="o"), 0)
    ledger.add(correct(2, "F", "e1", price="101"), 0)

    ledger.set_terms("a", "o", OrderTerms(1, "s"))

    assert ledger.positions.state(("a", "default", "X")) == FLAT
    assert ledger.positions.state(("a", "s", "X")).cost == 202
