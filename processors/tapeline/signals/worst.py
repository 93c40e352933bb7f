"""The executions that cost most beside their benchmark, of the last days, for a reader. Pure.

Money of one currency is compared with money of that currency only. Against arrival, else against
the quote. What is held is every execution whose cost was above a floor that never falls: so what
is shown is always the worst there is, and after many reversals fewer are shown.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from tapeline.signals.codec import decode_events, encode_events
from tapeline.signals.decimals import ZERO
from tapeline.signals.events import Execution
from tapeline.signals.risk import DAY_NS
from tapeline.signals.slippage import Benchmark, Missing, MoneySlippage

__all__ = ["CurrencyCosts", "WorstExecution", "WorstExecutions"]

MAX_SHOWN: Final = 50
"""Of one currency."""
MAX_HELD: Final = 4 * MAX_SHOWN
"""Of one currency and day: the rest takes the place of what is reversed."""
MAX_CURRENCIES: Final = 16
DAYS: Final = 7
"""Of UTC, the present one included."""

_ARRIVAL: Final = list(Benchmark).index(Benchmark.ARRIVAL)
_QUOTE: Final = list(Benchmark).index(Benchmark.QUOTE)
_NO_ROOM: Final = Decimal("Infinity")


class WorstExecution(NamedTuple):
    """An execution with its values in force, and what it cost."""

    execution: Execution
    benchmark: Benchmark
    cost: Decimal
    notional: Decimal
    """The quantity at the benchmark's price, in the same currency."""


class _Day:
    """The costs of a day, the least first."""

    __slots__ = ("entries", "floor", "keys")

    def __init__(self) -> None:
        self.floor = ZERO
        self.keys: list[Decimal] = []
        self.entries: list[WorstExecution] = []


class CurrencyCosts:
    """The worst executions of one currency."""

    __slots__ = ("_day", "_day_number", "_days", "_has_room")

    def __init__(self, *, has_room: bool = True) -> None:
        self._has_room = has_room
        self._days: dict[int, _Day] = {}
        self._day_number = -1
        self._day = _Day()

    def take(self, execution: Execution, slippages: Sequence[MoneySlippage | Missing]) -> None:
        """Take an execution that was booked; `slippages` are in the order of `Benchmark`."""
        benchmark, found = Benchmark.ARRIVAL, slippages[_ARRIVAL]
        if isinstance(found, Missing):
            benchmark, found = Benchmark.QUOTE, slippages[_QUOTE]
            if isinstance(found, Missing):
                return
        if found.cost <= ZERO:
            return
        number = execution.time_ns // DAY_NS
        if number != self._day_number:
            self._turn_to(number)
        if found.cost > self._day.floor:
            entry = WorstExecution(execution, benchmark, found.cost, found.notional)
            self._insert(self._day, entry)

    def drop(self, execution: Execution) -> None:
        """Take out an execution that was reversed."""
        day = self._days.get(execution.time_ns // DAY_NS)
        if day is None:
            return
        identity = execution.identity
        for index, entry in enumerate(day.entries):
            if entry.execution.identity == identity:
                del day.entries[index], day.keys[index]
                return

    def entries(self, now_ns: int) -> Iterator[WorstExecution]:
        """Yield what is held of the days up to a moment, in no order."""
        first = now_ns // DAY_NS - DAYS
        for number, day in self._days.items():
            if number > first:
                yield from day.entries

    def dump(self) -> list[Any]:
        """Return what `restore` takes."""
        return [
            [
                number,
                day.floor,
                encode_events([entry.execution for entry in day.entries]),
                [[str(entry.benchmark), entry.cost, entry.notional] for entry in day.entries],
            ]
            for number, day in sorted(self._days.items())
        ]

    def restore(self, days: Sequence[Any]) -> None:
        """Hold what was dumped."""
        self._days.clear()
        self._day_number = -1
        for number, floor, body, amounts in days:
            day = self._days[number] = _Day()
            day.floor = floor
            executions = [each for each in decode_events(body) if isinstance(each, Execution)]
            for execution, (name, cost, notional) in zip(executions, amounts, strict=True):
                day.entries.append(WorstExecution(execution, Benchmark(name), cost, notional))
                day.keys.append(cost)

    def _turn_to(self, number: int) -> None:
        self._day_number = number
        found = self._days.get(number)
        newest = max(self._days, default=number)
        if found is None:
            found = _Day()
            if not self._has_room or number <= newest - DAYS:
                found.floor = _NO_ROOM
            else:
                self._days[number] = found
                for old in [each for each in self._days if each <= number - DAYS]:
                    del self._days[old]
        self._day = found

    @staticmethod
    def _insert(day: _Day, entry: WorstExecution) -> None:
        # Of equal costs the earlier execution counts as the worse one.
        index = bisect_left(day.keys, entry.cost)
        day.keys.insert(index, entry.cost)
        day.entries.insert(index, entry)
        if len(day.entries) > MAX_HELD:
            day.floor = day.keys[0]
            del day.entries[0], day.keys[0]


class WorstExecutions:
    """The worst executions by currency."""

    def __init__(self) -> None:
        self._by_currency: dict[str, CurrencyCosts] = {}
        self._left_out = CurrencyCosts(has_room=False)

    def of(self, currency: str) -> CurrencyCosts:
        """Return where a currency's are held; one beyond the limit holds none."""
        found = self._by_currency.get(currency)
        if found is None:
            if len(self._by_currency) >= MAX_CURRENCIES:
                return self._left_out
            found = self._by_currency[currency] = CurrencyCosts()
        return found

    def look(self, now_ns: int) -> list[tuple[str, list[WorstExecution]]]:
        """Return what is held, by currency, in no order: the caller sorts, and takes MAX_SHOWN."""
        return [(name, list(costs.entries(now_ns))) for name, costs in self._by_currency.items()]

    def dump(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        return {name: costs.dump() for name, costs in self._by_currency.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Hold what was dumped."""
        for name, days in state.items():
            self.of(name).restore(days)
