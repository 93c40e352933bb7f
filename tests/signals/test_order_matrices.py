"""The order state change matrices of FIX 5.0, volume 4, appendix D, as tables.

Each row is what was reported and what the order is then: OrdStatus (39), CumQty (14), LeavesQty
(151), and AvgPx (6) where the matrix has one. Requests and pending states are no events of the
convention and change nothing; their rows show that. J.1.a, J.1.b, C.1.b, D10, D11 and D13 (of FIX
4.2, which numbers them through) have the numbers of the specification; the others are its cases.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import pytest

from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import BUY, Execution, ExecutionKind, Order, OrderState
from tapeline.signals.executions import Change, Executions
from tapeline.signals.instruments import Instrument
from tapeline.signals.order_life import Fill
from tapeline.signals.orders import OrderBook
from tapeline.signals.shortfall import filled_total


class Says(NamedTuple):
    """An order event: its state and the quantity that it states."""

    state: OrderState
    quantity: int | None = None


class Exec(NamedTuple):
    """An execution report: ExecID (ExecRefID), LastQty and LastPx."""

    id: str
    quantity: int = 0
    price: int = 0
    kind: ExecutionKind = "trade"
    ref_id: str = ""


class Row(NamedTuple):
    """What happens, and what the order is then."""

    step: Says | Exec | None
    status: str
    filled: int
    leaves: int
    average: str | None = None


NEW = (
    Row(Says("submitted", 10_000), "pending", 0, 10_000),
    Row(Says("acknowledged"), "new", 0, 10_000),
)

J_1_A = (
    *NEW,
    Row(Exec("C", 1000, 100), "partially_filled", 1000, 9000, "100"),
    Row(Exec("D", 9000, 110), "filled", 10_000, 0, "109"),
    Row(Exec("E", 0, 0, "bust", "C"), "partially_filled", 9000, 1000, "110"),
    Row(Exec("F", 9000, 100, "correct", "D"), "partially_filled", 9000, 1000, "100"),
    Row(Exec("G", 1000, 120), "filled", 10_000, 0, "102"),
    Row(Exec("H", 9000, 120, "correct", "F"), "filled", 10_000, 0, "120"),
    Row(None, "filled", 10_000, 0, "120"),
    Row(Says("replaced", 12_000), "partially_filled", 10_000, 2000, "120"),
    Row(Exec("K", 9500, 120, "correct", "H"), "partially_filled", 10_500, 1500, "120"),
)
J_1_B = (
    *NEW,
    Row(Exec("B", 5000, 50), "partially_filled", 5000, 5000, "50"),
    Row(None, "partially_filled", 5000, 5000),
    Row(Says("canceled"), "canceled", 5000, 0, "50"),
    Row(Exec("E", 0, 0, "bust", "B"), "canceled", 0, 0),
    Row(Exec("F", 4000, 51), "canceled", 4000, 0, "51"),
)
REJECTED = (
    Row(Says("submitted", 10_000), "pending", 0, 10_000),
    Row(Says("rejected"), "rejected", 0, 0),
)
CANCELED_UNFILLED = (*NEW, Row(Says("canceled"), "canceled", 0, 0))
FILLED_WHILE_CANCELING = (
    *NEW,
    Row(Exec("1", 2000, 10), "partially_filled", 2000, 8000),
    Row(None, "partially_filled", 2000, 8000),
    Row(Exec("2", 5000, 10), "partially_filled", 7000, 3000),
    Row(Says("canceled", 10_000), "canceled", 7000, 0),
)
EXPIRED_PART_FILLED = (
    *NEW,
    Row(Exec("1", 2000, 10), "partially_filled", 2000, 8000),
    Row(Says("expired"), "expired", 2000, 0),
)
REPLACED_TO_INCREASE = (
    *NEW,
    Row(Exec("1", 1000, 10), "partially_filled", 1000, 9000),
    Row(None, "partially_filled", 1000, 9000),
    Row(Exec("2", 100, 10), "partially_filled", 1100, 8900),
    Row(Says("replaced", 12_000), "partially_filled", 1100, 10_900),
    Row(Exec("3", 10_900, 10), "filled", 12_000, 0),
)
FILLED_THEN_INCREASED = (
    *NEW,
    Row(Exec("1", 10_000, 10), "filled", 10_000, 0),
    Row(Says("replaced", 12_000), "partially_filled", 10_000, 2000),
    Row(Exec("2", 2000, 10), "filled", 12_000, 0),
)
REPLACED_TO_DECREASE = (
    *NEW,
    Row(Exec("1", 1000, 10), "partially_filled", 1000, 9000),
    Row(Exec("2", 500, 10), "partially_filled", 1500, 8500),
    Row(Exec("3", 100, 10), "partially_filled", 1600, 8400),
    Row(Says("replaced", 8000), "partially_filled", 1600, 6400),
    Row(Exec("4", 6400, 10), "filled", 8000, 0),
)
REPLACED_TO_WHAT_IS_DONE = (
    *NEW,
    Row(Exec("1", 7000, 10), "partially_filled", 7000, 3000),
    Row(Says("replaced", 7000), "filled", 7000, 0),
)
REPLACED_TWICE = (
    *NEW,
    Row(Exec("1", 1000, 10), "partially_filled", 1000, 9000),
    Row(Exec("2", 500, 10), "partially_filled", 1500, 8500),
    Row(Says("replaced", 8000), "partially_filled", 1500, 6500),
    Row(Exec("3", 2000, 10), "partially_filled", 3500, 4500),
    Row(Says("replaced", 6000), "partially_filled", 3500, 2500),
    Row(Exec("4", 2500, 10), "filled", 6000, 0),
)
MATRICES = {
    "J.1.a filled order, then corrections and cancellations of executions": J_1_A,
    "J.1.b canceled order, then a busted execution and a new one": J_1_B,
    "rejected at once": REJECTED,
    "D3 canceled, nothing done": CANCELED_UNFILLED,
    "D4 canceled, executions meanwhile": FILLED_WHILE_CANCELING,
    "D2 part-filled day order, expired": EXPIRED_PART_FILLED,
    "C.1.b part-filled order, increased": REPLACED_TO_INCREASE,
    "D8 filled order, increased": FILLED_THEN_INCREASED,
    "D10 decreased to more than is done": REPLACED_TO_DECREASE,
    "D11 decreased to what is done": REPLACED_TO_WHAT_IS_DONE,
    "D13 replaced twice": REPLACED_TWICE,
}


def event_of(time_ns: int, step: Says | Exec) -> Order | Execution:
    """Return the event of a report."""
    if isinstance(step, Says):
        quantity = None if step.quantity is None else Decimal(step.quantity)
        return Order(time_ns, "a", "X", step.state, "I", "V", side=BUY, quantity=quantity)
    return Execution(
        time_ns, "a", "V", "I", step.id, step.kind, step.ref_id, BUY,
        Decimal(step.quantity), Decimal(step.price), "X",
    )  # fmt: skip


class Desk:
    """An order and its executions, through the chains of the real core."""

    def __init__(self) -> None:
        self.book = OrderBook(lambda _venue, _instrument, _time_ns: None)
        self.executions = Executions()

    def take(self, time_ns: int, step: Says | Exec) -> None:
        """Apply one report."""
        event = event_of(time_ns, step)
        if isinstance(event, Order):
            self.book.apply(event)
        else:
            self.change(time_ns, self.executions.add(event))

    def change(self, time_ns: int, changes: Sequence[Change]) -> None:
        """Tell the book what executions came, went, or were corrected."""
        for before, after in changes:
            if after is not None:
                assert after.quantity is not None
                assert after.price is not None
                fill = Fill(after.time_ns, after.quantity, after.price, Decimal(0))
                self.book.fill("a", "X", after.identity, fill)
            elif before is not None:
                assert self.book.bust("a", "X", before.identity, time_ns)

    def row(self, step: Says | Exec | None) -> Row:
        """Return what the order is now, as a row of a matrix."""
        life = self.book.order("a", "X")
        assert life is not None
        found = self.book.closure(life)
        assert found.filled == life.filled
        fills = [(fill.quantity, fill.price, fill.fee) for fill in self.book.fills(life)]
        average = filled_total(Instrument(), fills).average_price
        return Row(
            step,
            str(found.status),
            int(found.filled),
            int(found.leaves),
            None if average is None else str(average),
        )


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES.keys())
def test_order_is_what_the_matrix_says_after_each_report(matrix: tuple[Row, ...]) -> None:
    """In order, one report after the other."""
    desk = Desk()
    for time_ns, row in enumerate(matrix):
        if row.step is not None:
            desk.take(time_ns, row.step)
        assert desk.row(row.step)[:4] == row[:4], row
        if row.average is not None:
            assert desk.row(row.step).average == row.average


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES.keys())
def test_order_ends_the_same_when_reports_arrive_backwards(matrix: tuple[Row, ...]) -> None:
    """What an order is follows from the set of reports; the executions' times are their trades'."""
    forwards, backwards = Desk(), Desk()
    steps = [(time_ns, row.step) for time_ns, row in enumerate(matrix) if row.step is not None]
    for time_ns, step in steps:
        forwards.take(time_ns, step)
    for time_ns, step in reversed(steps):
        backwards.take(time_ns, step)
    assert backwards.row(None) == forwards.row(None)
    one, other = forwards.book.order("a", "X"), backwards.book.order("a", "X")
    assert one is not None
    assert other is not None
    assert backwards.book.closure(other) == forwards.book.closure(one)


def total(engine: Engine, name: str) -> int:
    """Return the sum over all series of a sum."""
    return int(sum(each.total for each in engine.series.sums[f"trading.{name}"].values()))


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES.keys())
def test_an_engine_shows_what_the_matrix_says(matrix: tuple[Row, ...]) -> None:
    """Open orders, position, its average, volume less what was reversed, and counts of events."""
    engine = Engine(EngineSettings(max_lateness_ns=0, revision_window_ns=10**12))
    steps: list[Says | Exec] = []
    for index, row in enumerate(matrix):
        time_ns = 1_000 + 10 * index
        steps += [] if row.step is None else [row.step]
        events = [] if row.step is None else [event_of(time_ns, row.step)]
        engine.apply(events, time_ns + 1)
        is_open = row.status in {"pending", "new", "partially_filled"}
        assert engine.sampled.book.open_count() == int(is_open), row
        gauges = {point.name: point.value for point in engine.gauges()}
        assert gauges.get("trading.position.quantity", 0) == row.filled
        if row.average is not None:
            assert gauges["trading.position.average_price"] == float(row.average)
        assert total(engine, "volume") - total(engine, "volume.reversed") == row.filled
        assert total(engine, "orders") == sum(isinstance(step, Says) for step in steps)
        assert total(engine, "executions") == sum(isinstance(step, Exec) for step in steps)
