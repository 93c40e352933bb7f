"""Positions at average cost, with what was realised and paid; late events replay from near by.

A position keeps its quantity and its cost: what the open quantity was worth as it was opened. A
closing execution takes its share of the cost out, and what it got above that is realised. So cost
and realised always add up to what was paid and got, exactly; only the share is a quotient, and when
the position is flat, all of the cost has gone and no rounding is left. The average price is the
cost divided by the quantity (linear: arithmetic mean), or the quantity by the cost (inverse, worth
1/price: harmonic mean). Pure.
"""

from bisect import bisect_left
from collections.abc import ItemsView, Iterable, Iterator
from decimal import Decimal
from operator import attrgetter
from typing import Final, NamedTuple

from tapeline.signals.decimals import ZERO, Amounts, add, added, divide, exact_product, subtract
from tapeline.signals.events import DEFAULT_STRATEGY, Execution
from tapeline.signals.instruments import Instrument, Instruments

__all__ = ["FLAT", "Position", "PositionKey", "PositionState", "Positions", "Step", "fold", "steps"]

CHECKPOINT_EVERY: Final = 64
"""Executions between two states that are kept: at most so many are replayed besides later ones."""

PositionKey = tuple[str, ...]
"""Account, strategy and instrument. Of any length, since compiled code would make another object of
one with three items each time that it passes it on, and all of them would be kept."""

_ORDER_KEY: Final = attrgetter("order_key")


class PositionState(NamedTuple):
    """A position after some executions. Money is in the currency of the instrument's P&L."""

    quantity: Decimal = ZERO
    """Positive when long, negative when short."""
    cost: Decimal = ZERO
    """What the quantity was worth as it was opened, with its sign."""
    realised: Decimal = ZERO
    """P&L of what was closed, before fees."""
    fees: Amounts = ()
    """What was paid by currency, each in its own; an empty one is that of the P&L."""
    base_fees_at_price: Decimal = ZERO
    """Those fees that were paid in the instrument's base currency, each at its execution price."""
    last_price: Decimal | None = None

    def average_price(self, instrument: Instrument) -> Decimal | None:
        """Return the price that the open quantity was opened at; None when flat.

        None, too, of the rest of an inverse position that is too small for its worth to be told.
        """
        if not self.quantity:
            return None
        quantity = exact_product(self.quantity, instrument.multiplier)
        if instrument.is_inverse:
            return divide(quantity, self.cost) if self.cost else None
        return divide(self.cost, quantity)

    def unrealised(self, instrument: Instrument, price: Decimal) -> Decimal:
        """Return the P&L of closing all at a price, before fees."""
        value = instrument.value(self.quantity, price)
        is_inverse = instrument.is_inverse
        return subtract(self.cost, value) if is_inverse else subtract(value, self.cost)

    def charges(self, instrument: Instrument) -> dict[str, Decimal]:
        """Return the fees as base figures convert them: by currency, those in base at their price.

        A fee in the base currency of a linear instrument was converted to its quote currency at the
        price of its execution. One of an inverse contract is in the currency of its P&L already.
        """
        charges = dict(self.fees)
        base, quote = instrument.base_currency, instrument.quote_currency
        if _is_converted(instrument) and base in charges:
            del charges[base]
            charges[quote] = add(charges.get(quote, ZERO), self.base_fees_at_price)
        return charges

    def charges_since(
        self, before: "PositionState", instrument: Instrument
    ) -> list[tuple[str, Decimal]]:
        """Return what was paid since an earlier state, as `charges` has it, and not 0."""
        known, fees = before.fees, self.fees
        if (
            len(fees) == 1
            and (not known or (len(known) == 1 and known[0][0] == fees[0][0]))
            and not (_is_converted(instrument) and fees[0][0] == instrument.base_currency)
        ):
            paid = subtract(fees[0][1], known[0][1]) if known else fees[0][1]
            return [(fees[0][0], paid)] if paid else []
        past, charges = before.charges(instrument), self.charges(instrument)
        found = [
            (name, subtract(charges.get(name, ZERO), past.get(name, ZERO)))
            for name in {**past, **charges}
        ]
        return [(name, paid) for name, paid in found if paid]


FLAT: Final = PositionState()
_FLAT_ONLY: Final[tuple[PositionState, ...]] = (FLAT,)


class Step(NamedTuple):
    """An execution with the position before and after it."""

    execution: Execution
    before: PositionState
    after: PositionState


def fold(
    state: PositionState, executions: Iterable[Execution], instrument: Instrument
) -> PositionState:
    """Return the position after further executions, in event order.

    An execution that crosses zero closes the whole position at its price, and opens the rest at it.
    Each execution has a side, a quantity and a price.
    """
    quantity, cost, realised, fees, base_fees, last_price = state
    is_inverse, multiplier = instrument.is_inverse, instrument.multiplier
    is_scaled = multiplier != 1
    converted = instrument.base_currency if _is_converted(instrument) else None
    for execution in executions:
        price, change = execution.price, execution.quantity
        if price is None or change is None:
            continue  # Never: what is effective has both.
        if execution.side < 0:
            change = change.copy_negate()
        scaled = exact_product(change, multiplier) if is_scaled else change
        # What the position gets for it, as a change of its value at this price.
        worth = divide(scaled, price) if is_inverse else exact_product(scaled, price)
        after = add(quantity, change)
        if not quantity or quantity.is_signed() is change.is_signed():
            cost = add(cost, worth)
        else:
            if not after:
                gain, cost = add(worth, cost), ZERO
            elif after.is_signed() is quantity.is_signed():
                share = divide(exact_product(cost, change.copy_negate()), quantity)
                gain = add(worth, share)
                cost = subtract(cost, share)
            else:
                closing = instrument.value(quantity.copy_negate(), price)
                gain = add(closing, cost)
                cost = subtract(worth, closing)
            realised = add(realised, gain) if is_inverse else subtract(realised, gain)
        quantity = after
        last_price = price
        fee = execution.fee
        if fee:
            currency = execution.fee_currency
            fees = added(fees, currency, fee)
            if currency == converted:
                base_fees = add(base_fees, exact_product(fee, price))
    return PositionState(quantity, cost, realised, fees, base_fees, last_price)


def steps(
    state: PositionState, executions: Iterable[Execution], instrument: Instrument
) -> Iterator[Step]:
    """Yield each execution with the position before and after it; `fold` is much faster."""
    for execution in executions:
        after = fold(state, (execution,), instrument)
        yield Step(execution, state, after)
        state = after


class Position:
    """The executions of one position in event order, and its state, folded when it is asked for."""

    __slots__ = (
        "_checkpoints",
        "_dropped",
        "_executions",
        "_folded",
        "_state",
        "instrument",
        "key",
    )

    def __init__(
        self,
        instrument: Instrument,
        state: PositionState = FLAT,
        key: PositionKey = ("", "", ""),
    ) -> None:
        self.instrument = instrument
        self.key = key
        self._executions: list[Execution] = []
        self._dropped = 0  # Executions that only the first checkpoint still knows.
        # First of what is kept, then of each multiple of EVERY; never changed, but replaced.
        self._checkpoints = _FLAT_ONLY if state is FLAT else (state,)
        self._state = state
        self._folded = 0  # Executions of the list that are in the state.

    def __len__(self) -> int:
        return len(self._executions)

    def add(self, execution: Execution) -> None:
        """Take an execution into its place in event order."""
        executions = self._executions
        if not executions:
            self._executions = [execution]  # No longer than it must be: most have few.
            return
        if execution.time_ns > executions[-1].time_ns:
            executions.append(execution)
            return
        key = execution.order_key
        if executions[-1].order_key < key:
            executions.append(execution)
            return
        index = bisect_left(executions, key, key=_ORDER_KEY)
        executions.insert(index, execution)
        self._rewind(index)

    def remove(self, execution: Execution) -> None:
        """Take out an execution that was added."""
        index = self._index(execution)
        if self._executions[index : index + 1] != [execution]:
            raise LookupError(f"{execution.id} is not in this position")
        del self._executions[index]
        self._rewind(index)

    @property
    def is_blank(self) -> bool:
        """Say whether it is as if there had never been an execution."""
        return not self._executions and not self._dropped and self._checkpoints[0] == FLAT

    @property
    def last_time_ns(self) -> int | None:
        """The time of the last execution that is kept; None where none is."""
        return self._executions[-1].time_ns if self._executions else None

    @property
    def beginning(self) -> PositionState:
        """The position before all executions that are kept."""
        return self._checkpoints[0]

    @property
    def state(self) -> PositionState:
        """The position after all of its executions."""
        executions, count = self._executions, len(self._executions)
        while self._folded < count:
            place = self._dropped + self._folded
            end = min(count, self._folded + CHECKPOINT_EVERY - place % CHECKPOINT_EVERY)
            part = executions[self._folded : end]
            self._state = fold(self._state, part, self.instrument)
            self._folded = end
            if (self._dropped + end) % CHECKPOINT_EVERY == 0:
                self._checkpoints = (*self._checkpoints, self._state)
        return self._state

    def share(self, other: "Position") -> None:
        """Hold the very state of another position that came to the same by as many steps."""
        held, theirs = self._place, other._place  # noqa: SLF001 - of its own kind
        if held[0] is not theirs[0] and held == theirs:
            self._state = theirs[0]

    @property
    def _place(self) -> tuple[PositionState, int, int]:
        return (self._state, self._folded, self._dropped)

    def steps(self) -> Iterator[Step]:
        """Yield the steps of all executions that are kept."""
        return steps(self.beginning, self._executions, self.instrument)

    def forget(self, before_ns: int) -> None:
        """Drop executions from before a time; the state of then becomes the beginning."""
        count = bisect_left(self._executions, before_ns, key=attrgetter("time_ns"))
        if not count:
            return
        _ = self.state  # So that all checkpoints are there.
        begin, state = self._begin(count)
        state = fold(state, self._executions[begin:count], self.instrument)
        passed = (self._dropped + count) // CHECKPOINT_EVERY - self._dropped // CHECKPOINT_EVERY
        self._checkpoints = (state, *self._checkpoints[passed + 1 :])
        del self._executions[:count]
        self._dropped += count
        self._folded -= count

    def _index(self, execution: Execution) -> int:
        return bisect_left(self._executions, execution.order_key, key=_ORDER_KEY)

    def _begin(self, index: int) -> tuple[int, PositionState]:
        """Return the last checkpoint at or before an index: its index, and its state."""
        place = (self._dropped + index) // CHECKPOINT_EVERY
        number = min(place - self._dropped // CHECKPOINT_EVERY, len(self._checkpoints) - 1)
        if not number:
            return (0, self._checkpoints[0])
        at = (self._dropped // CHECKPOINT_EVERY + number) * CHECKPOINT_EVERY - self._dropped
        return (at, self._checkpoints[number])

    def _rewind(self, index: int) -> None:
        """Unfold what comes at or after an index."""
        if index >= self._folded:
            return
        self._folded, self._state = self._begin(index)
        first = self._dropped // CHECKPOINT_EVERY
        kept = (self._dropped + self._folded) // CHECKPOINT_EVERY - first + 1
        self._checkpoints = self._checkpoints[:kept]


class Positions:
    """All positions by account, strategy and instrument."""

    def __init__(self, instruments: Instruments, names: "Positions | None" = None) -> None:
        """`names`: other positions, whose keys are held in place of equal ones."""
        self._instruments = instruments
        self._names = names
        self._positions: dict[PositionKey, Position] = {}

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, key: object) -> bool:
        """Say whether a position had an execution."""
        return key in self._positions

    def __getitem__(self, key: PositionKey) -> Position:
        """Return a position that had an execution."""
        return self._positions[key]

    def get(self, key: PositionKey) -> Position | None:
        """Return a position; None where it had no execution that counts."""
        return self._positions.get(key)

    def state(self, key: PositionKey) -> PositionState:
        """Return the state of a position; flat of one that had no execution that counts."""
        position = self._positions.get(key)
        return FLAT if position is None else position.state

    def items(self) -> ItemsView[PositionKey, Position]:
        """Return the positions that had an execution which counts, flat ones too."""
        return self._positions.items()

    def begin(self, key: PositionKey, state: PositionState) -> None:
        """Let a position begin with a state that was kept: all that it forgot is in it."""
        key = self._named(key)
        self._positions[key] = Position(self._instruments[key[2]], state, key)

    def replace(self, before: Execution | None, after: Execution | None) -> None:
        """Take an effective execution for another one, which was added; either may be missing."""
        if before is not None:
            key = key_of(before)
            position = self._positions[key]
            position.remove(before)
            if position.is_blank:
                # Whether there ever was one depends on the order of arrival.
                del self._positions[key]
        if after is not None:
            key = key_of(after)
            held = self._positions.get(key)
            if held is None:
                key = self._named(key)
                instrument = self._instruments[after.instrument]
                held = self._positions[key] = Position(instrument, FLAT, key)
            held.add(after)

    def forget(self, before_ns: int) -> None:
        """Drop executions from before a time out of all positions."""
        for position in self._positions.values():
            position.forget(before_ns)

    def _named(self, key: PositionKey) -> PositionKey:
        named = None if self._names is None else self._names.get(key)
        return key if named is None else named.key


def key_of(execution: Execution) -> PositionKey:
    """Return the position that an effective execution belongs to."""
    return (execution.account, execution.strategy or DEFAULT_STRATEGY, execution.instrument)


def _is_converted(instrument: Instrument) -> bool:
    """Say whether fees in the base currency convert at the execution price."""
    base, quote = instrument.base_currency, instrument.quote_currency
    return not instrument.is_inverse and bool(base) and bool(quote) and base != quote
