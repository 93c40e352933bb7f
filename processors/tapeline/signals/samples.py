"""The samples of one execution and of one closed order, from the order book and the quotes.

To be asked for when the watermark has passed the event, with the book as it was then. Pure.
"""

from decimal import Decimal
from typing import Final, NamedTuple

from tapeline.signals.events import Execution
from tapeline.signals.horizons import WaitingExecution
from tapeline.signals.instruments import Instrument
from tapeline.signals.order_life import OrderLife
from tapeline.signals.orders import ClosedOrder, OrderBook
from tapeline.signals.quotes import Quotes
from tapeline.signals.shortfall import Shortfall, ShortfallInput, filled_total, shortfall
from tapeline.signals.slippage import (
    Benchmark,
    Missing,
    MoneySlippage,
    effective_spread_bps,
    markout_bps,
    money_slippage,
    realized_spread_bps,
    slippage_bps,
)

__all__ = [
    "ExecutionSamples",
    "Slippage",
    "benchmark_price",
    "execution_samples",
    "shortfall_of",
    "spread_and_markout",
]


class Slippage(NamedTuple):
    """An execution beside a benchmark; figures or the reason why there are none."""

    benchmark: Benchmark
    price: Decimal | None
    bps: Decimal | Missing
    money: MoneySlippage | Missing


_BENCHMARKS: Final = tuple(Benchmark)
_WITHOUT_PRICE: Final = {
    benchmark: Slippage(benchmark, None, Missing.BENCHMARK, Missing.BENCHMARK)
    for benchmark in _BENCHMARKS
}


class ExecutionSamples(NamedTuple):
    """What an execution gives at once."""

    slippages: tuple[Slippage, ...]
    effective_spread_bps: Decimal | Missing
    waiting: WaitingExecution | None
    """For its horizons; None where it has neither side nor price."""


def benchmark_price(
    benchmark: Benchmark,
    execution: Execution,
    life: OrderLife | None,
    book: OrderBook,
    mids: Quotes,
) -> Decimal | None:
    """Return the price of a benchmark for an execution; None where it has none."""
    if benchmark is Benchmark.QUOTE:
        return mids.mid_price(execution.venue, execution.instrument, execution.time_ns)
    if life is None:
        return None
    if benchmark is Benchmark.DECISION:
        return book.decision_price(life)
    if benchmark is Benchmark.ARRIVAL:
        return book.arrival_price(life)
    return life.limit_at(execution.time_ns)


def execution_samples(
    execution: Execution, instrument: Instrument, book: OrderBook, mids: Quotes
) -> ExecutionSamples:
    """Return slippage against all four benchmarks, and the effective spread.

    The execution has its values in force, and its order's side where it had none.
    """
    side, quantity, price = execution.side, execution.quantity, execution.price
    life = book.order(execution.account, execution.order_id) if execution.order_id else None
    slippages: list[Slippage] = []
    for benchmark in _BENCHMARKS:
        at = benchmark_price(benchmark, execution, life, book, mids)
        if price is None or quantity is None:
            slippages.append(Slippage(benchmark, at, Missing.QUANTITY, Missing.QUANTITY))
        elif at is None and side:
            slippages.append(_WITHOUT_PRICE[benchmark])
        else:
            bps = slippage_bps(side, price, at)
            money = money_slippage(instrument, side, quantity, price, at)
            slippages.append(Slippage(benchmark, at, bps, money))
    receipt_mid = book.receipt_mid(life) if life is not None else None
    if price is None:
        return ExecutionSamples(tuple(slippages), Missing.QUANTITY, None)
    waiting = WaitingExecution(
        execution.identity,
        execution.time_ns,
        execution.venue,
        execution.instrument,
        side,
        price,
        receipt_mid,
    )
    spread = effective_spread_bps(side, price, receipt_mid)
    return ExecutionSamples(tuple(slippages), spread, waiting if side else None)


def spread_and_markout(
    held: WaitingExecution, horizon_ns: int, mids: Quotes
) -> tuple[Decimal | Missing, Decimal | Missing]:
    """Return realised spread and markout of an execution at a horizon."""
    later = mids.mid_price(held.venue, held.instrument, held.time_ns + horizon_ns)
    side, price = held.side, held.price
    return (
        realized_spread_bps(side, price, later, held.receipt_mid),
        markout_bps(side, price, later),
    )


def shortfall_of(closed: ClosedOrder, instrument: Instrument, book: OrderBook) -> Shortfall:
    """Return the shortfall of a root order that the book says is due."""
    life = closed.order
    fills = ((fill.quantity, fill.price, fill.fee) for fill in closed.fills)
    return shortfall(
        ShortfallInput(
            instrument,
            life.side,
            closed.closure.quantity,
            book.decision_price(life),
            closed.arrival_price,
            closed.close_mid,
            filled_total(instrument, fills),
        )
    )
