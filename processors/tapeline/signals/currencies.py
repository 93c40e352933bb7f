"""Amounts in another currency, by the mids of configured pairs, crossed where there is none.

The way from one currency to another is fixed by the configuration: the fewest pairs; of ways of one
length the one whose pairs are listed first. So a rate never jumps to another way because a quote is
late: then there is no rate, and no figure that needs it. Pure.
"""

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

from tapeline.signals.decimals import divide, multiply

__all__ = ["Conversion", "Converter", "CurrencyPair", "Mid"]


class CurrencyPair(NamedTuple):
    """An instrument whose price is a number of units of `quote` for one of `base`."""

    instrument: str
    base: str
    quote: str
    venue: str = ""


Mid = Callable[[CurrencyPair], Decimal | None]
"""Returns the current mid of a pair, or None where there is none that is recent enough."""


class Conversion(NamedTuple):
    """One pair on the way from a currency to another."""

    pair: CurrencyPair
    is_division: bool
    """Whether the way goes from the pair's quote to its base."""


class Converter:
    """Finds ways between currencies once, and converts amounts with what the pairs cost now."""

    def __init__(self, pairs: Iterable[CurrencyPair]) -> None:
        self._ways: dict[tuple[str, str], tuple[Conversion, ...] | None] = {}
        self._next: dict[str, list[tuple[str, Conversion]]] = {}
        for pair in pairs:
            if pair.base == pair.quote:
                raise ValueError(f"the pair {pair.instrument} has {pair.base} on both sides")
            self._next.setdefault(pair.base, []).append(
                (pair.quote, Conversion(pair, is_division=False))
            )
            self._next.setdefault(pair.quote, []).append(
                (pair.base, Conversion(pair, is_division=True))
            )

    def way(self, source: str, target: str) -> tuple[Conversion, ...] | None:
        """Return the pairs that lead from a currency to another; None where none do."""
        if source == target:
            return ()
        if source not in self._next or target not in self._next:
            return None
        key = (source, target)
        if key not in self._ways:
            self._ways[key] = self._search(source, target)
        return self._ways[key]

    def convert(self, amount: Decimal, source: str, target: str, mid: Mid) -> Decimal | None:
        """Return an amount in another currency, of 34 digits; None where a rate is missing.

        In its own currency it stays exact, and nothing is nothing in any currency that is known.
        """
        way = self.way(source, target)
        if way is None:
            return None
        for pair, is_division in way:
            price = mid(pair)
            if price is None or price <= 0:
                return None
            amount = divide(amount, price) if is_division else multiply(amount, price)
        return amount

    def _search(self, source: str, target: str) -> tuple[Conversion, ...] | None:
        ways: dict[str, tuple[Conversion, ...]] = {source: ()}
        waiting = deque([source])
        while waiting:
            currency = waiting.popleft()
            for following, conversion in self._next[currency]:
                if following not in ways:
                    ways[following] = (*ways[currency], conversion)
                    if following == target:
                        return ways[following]
                    waiting.append(following)
        return None
