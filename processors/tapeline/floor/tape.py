"""The floor's market: quotes by the seed, or those of a recorded tape.

Pure but for reading the recorded file. Two services with the same seed see the same market without
talking.
"""

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import cycle, islice
from pathlib import Path
from typing import Final

__all__ = ["Quote", "Tape", "TapeError", "read_recorded", "tape_of"]

_WALK_TICKS: Final = 3
_SPREAD_TICKS_MAX: Final = 4
_TICKS_MIN: Final = 1_000
_ROWS_MAX: Final = 100_000
_PRICE_MAX: Final = 1_000_000_000
# Names of the columns that hold the prices, in any order: those of the usual exports.
_BID_COLUMNS: Final = ("bid", "bid_price", "Bid")
_ASK_COLUMNS: Final = ("ask", "ask_price", "Ask")


class TapeError(ValueError):
    """A recorded tape that can't be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Quote:
    """The best bid and ask of a symbol, and how much of each."""

    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal

    @property
    def mid(self) -> Decimal:
        """The middle of bid and ask."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class Tape:
    """Endless quotes of any symbol: a random walk by the seed, or a recorded tape's, repeated.

    `recorded` are pairs of bid and ask; each symbol begins at another place of them.
    """

    seed: int
    recorded: tuple[tuple[Decimal, Decimal], ...] = ()

    def quotes(
        self, symbol: str, first_price: Decimal = Decimal(100), tick: Decimal = Decimal("0.01")
    ) -> Iterator[Quote]:
        """Yield quotes of a symbol for ever, the same for the same seed and symbol."""
        generator = random.Random(f"{self.seed}/tape/{symbol}")  # noqa: S311 - a market, no secret
        for bid, ask in self._prices(generator, first_price, tick):
            yield Quote(
                symbol,
                bid,
                ask,
                Decimal(generator.randint(1, 500)) / 100,
                Decimal(generator.randint(1, 500)) / 100,
            )

    def _prices(
        self, generator: random.Random, first_price: Decimal, tick: Decimal
    ) -> Iterator[tuple[Decimal, Decimal]]:
        if self.recorded:
            begin = generator.randrange(len(self.recorded))
            return islice(cycle(self.recorded), begin, None)
        return _walk(generator, first_price, tick)


def tape_of(seed: int, path: Path | None) -> Tape:
    """Return the market of a seed, from a recorded tape where a path names one."""
    return Tape(seed, () if path is None else read_recorded(path))


def _walk(
    generator: random.Random, first_price: Decimal, tick: Decimal
) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield bid and ask of a random walk in ticks, drawn back to where it began."""
    first = max(int(first_price / tick), _TICKS_MIN)
    ticks = first
    while True:
        pull = (first - ticks) // 200
        ticks = max(ticks + pull + generator.randint(-_WALK_TICKS, _WALK_TICKS), _TICKS_MIN)
        yield ticks * tick, (ticks + generator.randint(1, _SPREAD_TICKS_MAX)) * tick


def read_recorded(path: Path) -> tuple[tuple[Decimal, Decimal], ...]:
    """Return bid and ask of each row of a CSV file with columns for them, 100,000 rows at most.

    Raises TapeError for a file that has no such columns, or a row that is no pair of prices.
    """
    try:
        _refuse_endless(path)
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin with a mark
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            bid = next((name for name in _BID_COLUMNS if name in columns), None)
            ask = next((name for name in _ASK_COLUMNS if name in columns), None)
            if bid is None or ask is None:
                raise TapeError(f"{path}: no columns bid and ask, but {', '.join(columns)}")
            rows = tuple(
                _pair(f"{path}:{reader.line_num}", row[bid], row[ask])
                for row in islice(reader, _ROWS_MAX)
            )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TapeError(f"{path}: {error}") from error
    if not rows:
        raise TapeError(f"{path}: holds no quotes")
    return rows


def _refuse_endless(path: Path) -> None:
    """Raise TapeError for what can be read once, or for ever: each service reads it again."""
    if path.exists() and not path.is_file():
        raise TapeError(f"{path}: is no file")


def _pair(where: str, bid: str | None, ask: str | None) -> tuple[Decimal, Decimal]:
    """Return the prices of a row; None stands for a column that the row is too short for."""
    try:
        pair = Decimal(bid or ""), Decimal(ask or "")
    except InvalidOperation as error:
        raise TapeError(f"{where}: {bid!r} and {ask!r} are no prices") from error
    if not (pair[0].is_finite() and pair[1].is_finite() and 0 < pair[0] <= pair[1] <= _PRICE_MAX):
        raise TapeError(f"{where}: a bid of {pair[0]} and an ask of {pair[1]} make no quote")
    return pair
